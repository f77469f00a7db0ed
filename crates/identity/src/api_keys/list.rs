//! `list_api_keys`.

use axum::{Json, extract::State};
use kernel::{
    access::{Authenticated, OrganizationId},
    http::{ApiResult, Query},
};

use super::{api::ApiKey, rows};
use crate::{auth::AuthError, login_only, state::Area};

/// [API Keys] List API keys
///
/// Keys of the current user with creation, last use and expiry, the newest first; the secret is never
/// included. Revoked and expired keys are left out unless asked for.
#[utoipa::path(
    get,
    path = "/v1/auth/api-keys",
    operation_id = "list_api_keys",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    params(
        ("include_inactive" = inline(Option<bool>), Query, nullable = false,
            description = "Revoked and expired keys too"),
        ("organization_id" = inline(Option<OrganizationId>), Query, nullable = false,
            description = "Keys limited to this organization"),
    ),
    responses(
        (status = 200, body = Vec<ApiKey>, description = "List of API keys"),
        (status = 400, description = "Invalid request parameters"),
        (status = 401, body = AuthError, description = "Authentication credentials missing or invalid"),
        (status = 403, body = AuthError, description = "Insufficient permissions"),
        (status = 429, body = AuthError, description = "Too many requests"),
        (status = 503, body = AuthError, description = "Temporarily unavailable"),
    ),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn list_api_keys(
    Authenticated { caller, .. }: Authenticated,
    State(Area { identity, .. }): State<Area>,
    mut query: Query,
) -> ApiResult<Json<Vec<ApiKey>>> {
    login_only(&caller)?;
    let include_inactive = query.flag("include_inactive").unwrap_or(false);
    let organization: Option<OrganizationId> = query.id("organization_id");
    query.check()?;
    let keys = identity
        .store()
        .read("list_api_keys", move |conn| rows::all(conn, caller.user))
        .await?;
    let now = identity.clock().now();
    let shown = keys
        .into_iter()
        .map(|row| ApiKey::at(now, row))
        .filter(|key| include_inactive || key.is_active)
        .filter(|key| organization.is_none() || key.organization_id == organization);
    Ok(Json(shown.collect()))
}
