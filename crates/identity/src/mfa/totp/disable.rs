//! `disable_totp`.

use axum::{Json, extract::State};
use kernel::{
    access::Authenticated,
    http::{ApiResult, Change},
};

use crate::{
    auth::{MfaMethod, refusals::Writing},
    login_only,
    mfa::{
        api::{MfaDisable, MfaStatus},
        changes,
        proofs::Proof,
    },
    state::Area,
};

/// [MFA] Disable the authenticator app
///
/// Removes the secret. Needs one of the two proofs, unless the login or the last `reauthenticate` was a short while ago. With the last
/// method go the recovery codes and the trusted devices.
#[utoipa::path(
    post,
    path = "/v1/auth/mfa/totp/disable",
    operation_id = "disable_totp",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    request_body = MfaDisable,
    responses((status = 200, body = MfaStatus, description = "Method disabled"), Writing),
    extensions(("x-credentials" = json!(["jwt"])), ("x-requires-recent-auth" = json!(true)))
)]
pub(in super::super) async fn disable_totp(
    Authenticated { caller, request }: Authenticated,
    State(area): State<Area>,
    change: Change<MfaDisable>,
) -> ApiResult<Json<MfaStatus>> {
    login_only(&caller)?;
    let MfaDisable { password, code } = change.body()?.clone();
    let proof = Proof { password, code };
    let status = changes::disable(area, caller, request, proof, MfaMethod::Totp).await?;
    Ok(Json(status))
}
