//! `list_oauth_providers`.

use axum::{Json, extract::State};

use super::api::OAuthProvider;
use crate::{auth::AuthError, state::Area};

/// [OAuth] List identity providers
///
/// Providers configured on this installation.
#[utoipa::path(
    get,
    path = "/v1/auth/oauth/providers",
    operation_id = "list_oauth_providers",
    tag = "Authentication",
    security(()),
    responses(
        (status = 200, body = Vec<OAuthProvider>, description = "List of providers"),
        (status = 429, body = AuthError, description = "Too many requests"),
        (status = 503, body = AuthError, description = "Temporarily unavailable"),
    )
)]
pub(super) async fn list_oauth_providers(State(Area { oauth, .. }): State<Area>) -> Json<Vec<OAuthProvider>> {
    Json(oauth.iter().map(OAuthProvider::from).collect())
}
