//! What is changed: `create_project_token`, `update_project_token`, `rotate_project_token`, `revoke_project_token`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Credential, CredentialId, Permission, ProjectScope},
    http::{Answer, ApiResult, Change, NoBody, PathId},
    id::Id,
};

use super::{
    TokensManage,
    api::{NewToken, PatchedProjectToken, ProjectToken, ProjectTokenCreated, TokenUpdate},
    look::{holder, view},
};
use crate::{
    auth::refusals::WritingOne,
    keys::{
        self, Desk, NewSecret,
        api::{Created, Reveal, Rotate},
    },
    login_only,
    state::Area,
};

/// [Project Tokens] Create a project token
///
/// Creates a token that works only inside this project, within the scopes given. The secret is in this response only:
/// repeated under the same Idempotency-Key, the answer has an empty `token`.
#[utoipa::path(
    post,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/tokens",
    operation_id = "create_project_token",
    tag = "Projects",
    security(("BearerAuth" = [])),
    params(
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body = ProjectToken,
    responses((status = 201, body = ProjectTokenCreated, description = "Project token created"), WritingOne),
    extensions(("x-credentials" = json!(["jwt"])), ("x-permission" = json!(TokensManage::NAME)),
        ("x-minimum-role" = json!(TokensManage::ROLE.as_str())), ("x-scope" = json!(TokensManage::SCOPE)))
)]
pub(super) async fn create_project_token(
    scope: ProjectScope<TokensManage>,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<NewToken>,
) -> ApiResult<Response> {
    login_only(&scope.caller)?;
    let place = (scope.organization, scope.project);
    let desk = Desk::new(&identity, &scope.caller, &scope.request, holder(place));
    let id = Id::<Credential>::new();
    let (secret, token) = NewSecret::make(&identity);
    let reveal = Reveal::<ProjectToken>::new(id, secret.prefix.clone(), token);
    let created = change
        .run(&app, &scope.caller, "create_project_token", move |tx, change| {
            let wanted = &change.body()?.0;
            let row = keys::create(tx, &desk, id, &secret, Some(place.0), wanted, |_, _| Ok(()))?;
            let now = tx.now();
            let body = Created::unrevealed(view(tx.conn(), place, now, row)?);
            let (organization, project) = place;
            let path = format!("/v1/organizations/{organization}/projects/{project}/tokens/{id}");
            Ok(Answer::created(body, None, path))
        })
        .await?;
    reveal.into(created).await
}

/// [Project Tokens] Update a project token
///
/// Changes the name, scopes, allowed sources or expiry. A token that has ended can't be changed.
#[utoipa::path(
    patch,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/tokens/{id}",
    operation_id = "update_project_token",
    tag = "Projects",
    security(("BearerAuth" = [])),
    params(
        ("id" = inline(CredentialId), Path),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body = PatchedProjectToken,
    responses((status = 200, body = ProjectToken, description = "Project token updated"), WritingOne),
    extensions(("x-credentials" = json!(["jwt"])), ("x-permission" = json!(TokensManage::NAME)),
        ("x-minimum-role" = json!(TokensManage::ROLE.as_str())), ("x-scope" = json!(TokensManage::SCOPE)))
)]
pub(super) async fn update_project_token(
    scope: ProjectScope<TokensManage>,
    PathId(id): PathId<Credential>,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<TokenUpdate>,
) -> ApiResult<Response> {
    login_only(&scope.caller)?;
    let place = (scope.organization, scope.project);
    let desk = Desk::new(&identity, &scope.caller, &scope.request, holder(place));
    change
        .run(&app, &scope.caller, "update_project_token", move |tx, change| {
            let row = keys::update(tx, &desk, id, change)?;
            let (version, now) = (row.modified.micros(), tx.now());
            Ok(Answer::ok(view(tx.conn(), place, now, row)?, version))
        })
        .await
}

/// [Project Tokens] Rotate a project token
///
/// Issues a new secret with the same settings; the old one ends at once or after the grace period. The secret is in this
/// response only: repeated under the same Idempotency-Key, the answer has an empty `token`.
#[utoipa::path(
    post,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/tokens/{id}/rotate",
    operation_id = "rotate_project_token",
    tag = "Projects",
    security(("BearerAuth" = [])),
    params(
        ("id" = inline(CredentialId), Path),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body = Rotate,
    responses((status = 200, body = ProjectTokenCreated, description = "New secret"), WritingOne),
    extensions(("x-credentials" = json!(["jwt"])), ("x-permission" = json!(TokensManage::NAME)),
        ("x-minimum-role" = json!(TokensManage::ROLE.as_str())), ("x-scope" = json!(TokensManage::SCOPE)))
)]
pub(super) async fn rotate_project_token(
    scope: ProjectScope<TokensManage>,
    PathId(id): PathId<Credential>,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<Rotate>,
) -> ApiResult<Response> {
    login_only(&scope.caller)?;
    let place = (scope.organization, scope.project);
    let desk = Desk::new(&identity, &scope.caller, &scope.request, holder(place));
    let (secret, token) = NewSecret::make(&identity);
    let reveal = Reveal::<ProjectToken>::new(id, secret.prefix.clone(), token);
    let rotated = change
        .run(&app, &scope.caller, "rotate_project_token", move |tx, change| {
            let row = keys::rotate(tx, &desk, id, &secret, change)?;
            let now = tx.now();
            let body = Created::unrevealed(view(tx.conn(), place, now, row)?);
            Ok(Answer::plain(body))
        })
        .await?;
    reveal.into(rotated).await
}

/// [Project Tokens] Revoke a project token
///
/// Immediate and final: requests with the token are refused from now on.
#[utoipa::path(
    delete,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/tokens/{id}",
    operation_id = "revoke_project_token",
    tag = "Projects",
    security(("BearerAuth" = [])),
    params(
        ("id" = inline(CredentialId), Path),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses((status = 204, description = "Project token revoked"), WritingOne),
    extensions(("x-credentials" = json!(["jwt"])), ("x-permission" = json!(TokensManage::NAME)),
        ("x-minimum-role" = json!(TokensManage::ROLE.as_str())), ("x-scope" = json!(TokensManage::SCOPE)))
)]
pub(super) async fn revoke_project_token(
    scope: ProjectScope<TokensManage>,
    PathId(id): PathId<Credential>,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<NoBody>,
) -> ApiResult<Response> {
    login_only(&scope.caller)?;
    let place = (scope.organization, scope.project);
    let desk = Desk::new(&identity, &scope.caller, &scope.request, holder(place));
    change
        .run(&app, &scope.caller, "revoke_project_token", move |tx, change| {
            keys::revoke(tx, &desk, id, change)?;
            Ok(Answer::empty())
        })
        .await
}
