//! `get_api_key`.

use axum::extract::State;
use kernel::{
    access::{Authenticated, Credential, CredentialId},
    http::{ApiError, ApiResult, PathId, Versioned},
};

use super::api::ApiKey;
use crate::{
    auth::AuthError,
    keys::{Holder, rows},
    login_only,
    state::Area,
};

/// [API Keys] Get an API key
///
/// One key of the current user, without its secret.
#[utoipa::path(
    get,
    path = "/v1/auth/api-keys/{id}",
    operation_id = "get_api_key",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    params(("id" = inline(CredentialId), Path)),
    responses(
        (status = 200, body = ApiKey, description = "API key"),
        (status = 401, body = AuthError, description = "Authentication credentials missing or invalid"),
        (status = 403, body = AuthError, description = "Insufficient permissions"),
        (status = 404, body = AuthError, description = "Not found"),
        (status = 429, body = AuthError, description = "Too many requests"),
        (status = 503, body = AuthError, description = "Temporarily unavailable"),
    ),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn get_api_key(
    Authenticated { caller, .. }: Authenticated,
    PathId(id): PathId<Credential>,
    State(Area { identity, .. }): State<Area>,
) -> ApiResult<Versioned<ApiKey>> {
    login_only(&caller)?;
    let row = identity
        .store()
        .read("get_api_key", move |conn| {
            rows::find(conn, Holder::User(caller.user), id)
        })
        .await?
        .ok_or_else(ApiError::not_found)?;
    Ok(Versioned {
        version: row.modified.micros(),
        body: ApiKey::at(identity.clock().now(), row),
    })
}
