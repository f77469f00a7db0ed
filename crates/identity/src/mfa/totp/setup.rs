//! `setup_totp`: a secret for the app.

use std::time::Duration;

use axum::{Json, extract::State};
use kernel::{
    access::Authenticated,
    http::{ApiError, ApiResult},
};

use super::{super::api::TotpSetup, codes, sealed};
use crate::{
    auth::{MfaMethod, refusals::Writing},
    login_only,
    mfa::rows::{self, MethodRow},
    state::Area,
    users,
};

/// How long a secret waits for its first code.
const PENDING: Duration = Duration::from_secs(10 * 60);

/// [MFA] Start the authenticator app setup
///
/// Returns a new secret and its QR code. Nothing is enforced until a code confirms it; a new call replaces an
/// unconfirmed secret.
#[utoipa::path(
    post,
    path = "/v1/auth/mfa/totp/setup",
    operation_id = "setup_totp",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    responses((status = 200, body = TotpSetup, description = "Secret to enrol"), Writing),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(in super::super) async fn setup_totp(
    Authenticated { caller, .. }: Authenticated,
    State(Area { app, identity, .. }): State<Area>,
) -> ApiResult<Json<TotpSetup>> {
    login_only(&caller)?;
    let secret = codes::new_secret();
    let told = codes::enrolment(&secret, &app.config().mail.product, &caller.email)?;
    let sealed = sealed(identity.sealer(), caller.user, &secret);
    let store = identity.store();
    let expires_at = store
        .write("setup_totp", move |tx| {
            let user = users::lock(tx, caller.user)?;
            let existing = rows::find(tx.conn(), user.id, MfaMethod::Totp)?;
            if existing.is_some_and(|row| row.enabled_at.is_some()) {
                return Err(already_enabled());
            }
            let (now, expires_at) = (tx.now(), tx.now() + PENDING);
            let row = MethodRow {
                user_id: user.id,
                method: MfaMethod::Totp,
                enabled_at: None,
                secret: Some(sealed.clone()),
                last_step: 0,
                pending_until: Some(expires_at),
                last_used_at: None,
                created: now,
            };
            rows::replace(tx, &row)?;
            Ok(expires_at)
        })
        .await?;
    Ok(Json(TotpSetup {
        secret: told.base32,
        otpauth_uri: told.uri,
        qr_code: told.picture,
        expires_at,
    }))
}

pub(super) fn already_enabled() -> ApiError {
    ApiError::conflict("The authenticator app is enabled already: disable it before you set up another one.")
}
