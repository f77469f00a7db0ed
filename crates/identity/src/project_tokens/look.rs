//! What is read: `list_project_tokens`, `get_project_token`, `list_project_token_scopes`, and who made a token.

use std::collections::HashMap;

use axum::{Json, extract::State};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use kernel::{
    access::{Credential, CredentialId, Organization, Permission as _, Project, ProjectScope, User},
    http::{ApiError, ApiResult, PathId, Query, Versioned},
    id::Id,
    store::{Conn, StoreError},
    time::Time,
};

use super::{
    TokensRead,
    api::{ProjectToken, ProjectTokenCreator},
};
use crate::{
    auth::refusals::ReadingOne,
    keys::{
        Holder, KeyRow, rows,
        scopes::{self, Permission},
    },
    login_only,
    schema::users,
    state::Area,
};

/// Which tokens are wanted: documents what the handler reads.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents the parameters")]
pub(super) struct Filters {
    /// Revoked and expired tokens too
    #[param(required = false, default = false)]
    include_inactive: bool,
}

/// [Project Tokens] List project tokens
///
/// Tokens of the project, without their secrets, the newest first and 500 at most. Revoked and expired tokens are left
/// out unless asked for.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/tokens",
    operation_id = "list_project_tokens",
    tag = "Projects",
    security(("BearerAuth" = [])),
    params(
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
        Filters,
    ),
    responses(
        (status = 200, body = Vec<ProjectToken>, description = "List of project tokens"),
        ReadingOne,
    ),
    extensions(("x-credentials" = json!(["jwt"])), ("x-permission" = json!(TokensRead::NAME)),
        ("x-minimum-role" = json!(TokensRead::ROLE.as_str())), ("x-scope" = json!(TokensRead::SCOPE)))
)]
pub(super) async fn list_project_tokens(
    scope: ProjectScope<TokensRead>,
    State(Area { identity, .. }): State<Area>,
    mut query: Query,
) -> ApiResult<Json<Vec<ProjectToken>>> {
    login_only(&scope.caller)?;
    let wanted = rows::Wanted {
        include_inactive: query.flag("include_inactive").unwrap_or(false),
        organization: None,
    };
    query.check()?;
    let place = (scope.organization, scope.project);
    let now = identity.clock().now();
    let tokens = identity
        .store()
        .read("list_project_tokens", move |conn| {
            let rows = rows::list(conn, holder(place), wanted, now)?;
            views(conn, place, now, rows)
        })
        .await?;
    Ok(Json(tokens))
}

/// [Project Tokens] Get a project token
///
/// One token of the project, without its secret.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/tokens/{id}",
    operation_id = "get_project_token",
    tag = "Projects",
    security(("BearerAuth" = [])),
    params(
        ("id" = inline(CredentialId), Path),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses((status = 200, body = ProjectToken, description = "Project token"), ReadingOne),
    extensions(("x-credentials" = json!(["jwt"])), ("x-permission" = json!(TokensRead::NAME)),
        ("x-minimum-role" = json!(TokensRead::ROLE.as_str())), ("x-scope" = json!(TokensRead::SCOPE)))
)]
pub(super) async fn get_project_token(
    scope: ProjectScope<TokensRead>,
    PathId(id): PathId<Credential>,
    State(Area { identity, .. }): State<Area>,
) -> ApiResult<Versioned<ProjectToken>> {
    login_only(&scope.caller)?;
    let place = (scope.organization, scope.project);
    let now = identity.clock().now();
    let token = identity
        .store()
        .read("get_project_token", move |conn| {
            let row = rows::find(conn, holder(place), id)?.ok_or_else(ApiError::not_found)?;
            let version = row.modified.micros();
            let body = view(conn, place, now, row)?;
            Ok::<_, ApiError>(Versioned { version, body })
        })
        .await?;
    Ok(token)
}

/// [Project Tokens] List token scopes
///
/// Permission codes the caller may give to a token of the project.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/token-scopes",
    operation_id = "list_project_token_scopes",
    tag = "Projects",
    security(("BearerAuth" = [])),
    params(
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses((status = 200, body = Vec<Permission>, description = "List of scopes"), kernel::http::Refusals),
    extensions(("x-permission" = json!(TokensRead::NAME)),
        ("x-minimum-role" = json!(TokensRead::ROLE.as_str())), ("x-scope" = json!(TokensRead::SCOPE)))
)]
pub(super) async fn list_project_token_scopes(_scope: ProjectScope<TokensRead>) -> Json<Vec<Permission>> {
    Json(scopes::of_projects())
}

/// An organization and a project of it.
pub(super) type Place = (Id<Organization>, Id<Project>);

pub(super) const fn holder((_, project): Place) -> Holder {
    Holder::Project(project)
}

/// One token as it is shown.
pub(super) fn view(
    conn: &mut Conn,
    place: Place,
    now: Time,
    row: KeyRow,
) -> Result<ProjectToken, StoreError> {
    let creator = creators(conn, std::slice::from_ref(&row))?.remove(&row.user_id);
    Ok(ProjectToken::at(now, row, place, creator))
}

fn views(
    conn: &mut Conn,
    place: Place,
    now: Time,
    rows: Vec<KeyRow>,
) -> Result<Vec<ProjectToken>, StoreError> {
    let creators = creators(conn, &rows)?;
    let view = |row: KeyRow| {
        let creator = creators.get(&row.user_id).cloned();
        ProjectToken::at(now, row, place, creator)
    };
    Ok(rows.into_iter().map(view).collect())
}

/// Who made the tokens, in one query. Deleted accounts are nobody any more.
fn creators(conn: &mut Conn, rows: &[KeyRow]) -> Result<HashMap<Id<User>, ProjectTokenCreator>, StoreError> {
    let ids: Vec<Id<User>> = rows.iter().map(|row| row.user_id).collect();
    let found: Vec<(Id<User>, String, String, String)> = users::table
        .filter(users::id.eq_any(ids))
        .filter(users::deleted_at.is_null())
        .select((users::id, users::email, users::first_name, users::last_name))
        .load(conn)?;
    let named = |(id, email, first_name, last_name)| {
        let creator = ProjectTokenCreator {
            id,
            email,
            first_name,
            last_name,
        };
        (id, creator)
    };
    Ok(found.into_iter().map(named).collect())
}
