//! `list_api_key_scopes`.

use axum::Json;
use kernel::{access::Authenticated, http::ApiResult};

use crate::{
    auth::refusals::Reading,
    keys::scopes::{self, ScopeFacts},
    login_only,
};

/// [API Keys] List available scopes
///
/// Permissions that a key or project token can carry.
#[utoipa::path(
    get,
    path = "/v1/auth/api-keys/scopes",
    operation_id = "list_api_key_scopes",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    responses((status = 200, body = Vec<ScopeFacts>, description = "List of scopes"), Reading),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn list_api_key_scopes(
    Authenticated { caller, .. }: Authenticated,
) -> ApiResult<Json<Vec<ScopeFacts>>> {
    login_only(&caller)?;
    Ok(Json(scopes::all()))
}
