//! `enable_email_mfa`.

use axum::{Json, extract::State};
use kernel::{
    access::{Authenticated, Caller},
    audit::Origin,
    http::{ApiError, ApiResult},
    store::Tx,
};

use crate::{
    Identity,
    auth::{MfaMethod, refusals::Writing},
    login_only,
    mfa::{
        Factors,
        api::MfaEnableResponse,
        changes,
        rows::{self, MethodRow},
    },
    state::Area,
    users,
};

/// [MFA] Enable e-mail codes
///
/// Requires a mailed code at each login. The address must be verified.
#[utoipa::path(
    post,
    path = "/v1/auth/mfa/email/enable",
    operation_id = "enable_email_mfa",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    responses((status = 200, body = MfaEnableResponse, description = "Method enabled"), Writing),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(in super::super) async fn enable_email_mfa(
    Authenticated { caller, request }: Authenticated,
    State(Area { identity, .. }): State<Area>,
) -> ApiResult<Json<MfaEnableResponse>> {
    login_only(&caller)?;
    let origin = Origin::caller(&caller, &request);
    let store = identity.store().clone();
    let enabled = store
        .write("enable_email_mfa", move |tx| {
            enable(tx, &identity, &caller, &origin)
        })
        .await?;
    Ok(Json(enabled))
}

fn enable(
    tx: &mut Tx<'_>,
    identity: &Identity,
    caller: &Caller,
    origin: &Origin,
) -> ApiResult<MfaEnableResponse> {
    let user = users::lock(tx, caller.user)?;
    if !user.email_verified {
        return Err(ApiError::conflict("Confirm your e-mail address first."));
    }
    let before = Factors::of(tx.conn(), user.id)?;
    let mut recovery_codes = None;
    if !before.email {
        let now = tx.now();
        let row = MethodRow {
            user_id: user.id,
            method: MfaMethod::Email,
            enabled_at: Some(now),
            secret: None,
            last_step: 0,
            pending_until: None,
            last_used_at: None,
            created: now,
        };
        rows::replace(tx, &row)?;
        let change = changes::Change {
            identity,
            origin,
            user: &user,
            session: caller.credential,
        };
        recovery_codes = change.enabled(tx, MfaMethod::Email, &before)?;
    }
    Ok(MfaEnableResponse {
        enabled: true,
        method: MfaMethod::Email,
        recovery_codes,
    })
}
