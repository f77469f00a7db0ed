//! `list_api_keys`.

use axum::{Json, extract::State};
use kernel::{
    access::{Authenticated, OrganizationId},
    http::{ApiResult, Query},
};

use super::api::ApiKey;
use crate::{
    auth::AuthError,
    keys::{Holder, rows},
    login_only,
    state::Area,
};

/// Which keys are wanted: documents what the handler reads.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents the parameters")]
pub(super) struct Filters {
    /// Revoked and expired keys too
    #[param(required = false, default = false)]
    include_inactive: bool,
    /// Keys limited to this organization
    #[param(inline, nullable = false)]
    organization_id: Option<OrganizationId>,
}

/// [API Keys] List API keys
///
/// Keys of the current user with creation, last use and expiry, the newest first and 500 at most; the secret is never
/// included. Revoked and expired keys are left out unless asked for.
#[utoipa::path(
    get,
    path = "/v1/auth/api-keys",
    operation_id = "list_api_keys",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    params(Filters),
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
    let wanted = rows::Wanted {
        include_inactive: query.flag("include_inactive").unwrap_or(false),
        organization: query.id("organization_id"),
    };
    query.check()?;
    let (holder, now) = (Holder::User(caller.user), identity.clock().now());
    let keys = identity
        .store()
        .read("list_api_keys", move |conn| rows::list(conn, holder, wanted, now))
        .await?;
    Ok(Json(keys.into_iter().map(|row| ApiKey::at(now, row)).collect()))
}
