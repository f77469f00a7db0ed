//! `confirm_totp`: the first code of an app enables it.

use axum::{Json, extract::State};
use kernel::{
    access::{Authenticated, Caller},
    audit::Origin,
    http::{ApiError, ApiResult, Change},
    store::Tx,
};

use super::{
    super::api::{MfaEnableResponse, TotpConfirm},
    codes,
    setup::already_enabled,
    unsealed,
};
use crate::{
    Identity,
    auth::{AuthError, MfaMethod, refusals::Writing},
    login_only,
    mfa::{
        Factors, changes, guesses, proofs,
        rows::{self, MethodRow},
    },
    state::Area,
    users,
};

/// [MFA] Enable the authenticator app
///
/// Checks a code of the pending secret and enables the method. The code can't be used again.
#[utoipa::path(
    post,
    path = "/v1/auth/mfa/totp/confirm",
    operation_id = "confirm_totp",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    request_body = TotpConfirm,
    responses(
        (status = 200, body = MfaEnableResponse, description = "Method enabled"),
        (status = 410, body = AuthError, description = "Link or code expired"),
        Writing,
    ),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(in super::super) async fn confirm_totp(
    Authenticated { caller, request }: Authenticated,
    State(Area { identity, .. }): State<Area>,
    change: Change<TotpConfirm>,
) -> ApiResult<Json<MfaEnableResponse>> {
    login_only(&caller)?;
    let code = change.body()?.code.clone();
    let origin = Origin::caller(&caller, &request);
    let store = identity.store().clone();
    let enabled = store
        .write("confirm_totp", move |tx| {
            confirm(tx, &identity, &caller, &origin, &code)
        })
        .await?;
    enabled.map(Json).ok_or_else(proofs::wrong_code)
}

/// `None` for a wrong code, which was counted.
fn confirm(
    tx: &mut Tx<'_>,
    identity: &Identity,
    caller: &Caller,
    origin: &Origin,
    code: &str,
) -> ApiResult<Option<MfaEnableResponse>> {
    let user = users::lock(tx, caller.user)?;
    let row = rows::find(tx.conn(), user.id, MfaMethod::Totp)?;
    let row = row.ok_or_else(|| ApiError::conflict("Start the setup of the authenticator app first."))?;
    if row.enabled_at.is_some() {
        return Err(already_enabled());
    }
    let now = tx.now();
    if row.pending_until.is_none_or(|end| end <= now) {
        let detail = "The setup was not finished in time: start it again.";
        return Err(ApiError::new(http::StatusCode::GONE, "challenge_expired", detail));
    }
    let guesses = guesses::admit_session(tx, user.id)?;
    let Some(step) = codes::step(&unsealed(identity.sealer(), &row)?, code, now)? else {
        guesses::count(tx, identity, origin, &user, guesses)?;
        return Ok(None);
    };
    let before = Factors::of(tx.conn(), user.id)?;
    let row = MethodRow {
        enabled_at: Some(now),
        last_step: step,
        pending_until: None,
        ..row
    };
    rows::replace(tx, &row)?;
    let change = changes::Change {
        identity,
        origin,
        user: &user,
        session: caller.credential,
    };
    let recovery_codes = change.enabled(tx, MfaMethod::Totp, &before)?;
    Ok(Some(MfaEnableResponse {
        enabled: true,
        method: MfaMethod::Totp,
        recovery_codes,
    }))
}
