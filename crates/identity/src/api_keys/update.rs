//! `update_api_key`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Authenticated, Credential, CredentialId},
    http::{Answer, ApiResult, Change, PathId},
};

use super::api::{ApiKey, KeyUpdate, PatchedApiKey};
use crate::{
    auth::refusals::WritingOne,
    keys::{self, Desk, Holder},
    login_only,
    state::Area,
};

/// [API Keys] Update an API key
///
/// Changes the name, scopes, allowed sources or expiry. A key that has ended can't be changed.
#[utoipa::path(
    patch,
    path = "/v1/auth/api-keys/{id}",
    operation_id = "update_api_key",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    params(("id" = inline(CredentialId), Path)),
    request_body = PatchedApiKey,
    responses((status = 200, body = ApiKey, description = "API key updated"), WritingOne),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn update_api_key(
    Authenticated { caller, request }: Authenticated,
    PathId(id): PathId<Credential>,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<KeyUpdate>,
) -> ApiResult<Response> {
    login_only(&caller)?;
    let desk = Desk::new(&identity, &caller, &request, Holder::User(caller.user));
    change
        .run(&app, &caller, "update_api_key", move |tx, change| {
            let row = keys::update(tx, &desk, id, change)?;
            let version = row.modified.micros();
            Ok(Answer::ok(ApiKey::at(tx.now(), row), version))
        })
        .await
}
