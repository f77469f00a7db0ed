//! `list_webauthn_credentials`.

use axum::{Json, extract::State};
use kernel::{access::Authenticated, http::ApiResult};

use super::{api::WebAuthnCredential, rows};
use crate::{auth::refusals::Reading, login_only, state::Area};

/// [MFA] List passkeys
///
/// Passkeys and security keys of the current user, the oldest first: 20 at most.
#[utoipa::path(
    get,
    path = "/v1/auth/mfa/webauthn/credentials",
    operation_id = "list_webauthn_credentials",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    responses((status = 200, body = Vec<WebAuthnCredential>, description = "List of passkeys"), Reading),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn list_webauthn_credentials(
    Authenticated { caller, .. }: Authenticated,
    State(Area { identity, .. }): State<Area>,
) -> ApiResult<Json<Vec<WebAuthnCredential>>> {
    login_only(&caller)?;
    let rows = identity
        .store()
        .read("list_webauthn_credentials", move |conn| {
            rows::of_user(conn, caller.user)
        })
        .await?;
    Ok(Json(rows.into_iter().map(WebAuthnCredential::from).collect()))
}
