//! `list_oauth_connections`.

use axum::{Json, extract::State};
use kernel::{access::Authenticated, http::ApiResult};

use super::{api::OAuthConnection, rows};
use crate::{auth::AuthError, login_only, state::Area};

/// [OAuth] List linked providers
///
/// Provider accounts attached to the current user.
#[utoipa::path(
    get,
    path = "/v1/auth/oauth/connections",
    operation_id = "list_oauth_connections",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    responses(
        (status = 200, body = Vec<OAuthConnection>, description = "List of linked providers"),
        (status = 401, body = AuthError, description = "Authentication credentials missing or invalid"),
        (status = 403, body = AuthError, description = "Insufficient permissions"),
        (status = 429, body = AuthError, description = "Too many requests"),
        (status = 503, body = AuthError, description = "Temporarily unavailable"),
    ),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn list_oauth_connections(
    Authenticated { caller, .. }: Authenticated,
    State(Area { identity, oauth, .. }): State<Area>,
) -> ApiResult<Json<Vec<OAuthConnection>>> {
    login_only(&caller)?;
    let rows = identity
        .store()
        .read("list_oauth_connections", move |conn| rows::all(conn, caller.user))
        .await?;
    let shown = rows.into_iter().map(|row| {
        let provider = oauth.get(&row.provider);
        OAuthConnection::new(row, provider.as_deref())
    });
    Ok(Json(shown.collect()))
}
