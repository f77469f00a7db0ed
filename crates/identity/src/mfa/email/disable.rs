//! `disable_email_mfa`.

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

/// [MFA] Disable e-mail codes
///
/// Stops asking for mailed codes. Needs one of the two proofs, unless the login or the last `reauthenticate` was a short while ago. With the last
/// method go the recovery codes and the trusted devices.
#[utoipa::path(
    post,
    path = "/v1/auth/mfa/email/disable",
    operation_id = "disable_email_mfa",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    request_body = MfaDisable,
    responses((status = 200, body = MfaStatus, description = "Method disabled"), Writing),
    extensions(("x-credentials" = json!(["jwt"])), ("x-requires-recent-auth" = json!(true)))
)]
pub(in super::super) async fn disable_email_mfa(
    Authenticated { caller, request }: Authenticated,
    State(area): State<Area>,
    change: Change<MfaDisable>,
) -> ApiResult<Json<MfaStatus>> {
    login_only(&caller)?;
    let MfaDisable { password, code } = change.body()?.clone();
    let proof = Proof { password, code };
    let status = changes::disable(area, caller, request, proof, MfaMethod::Email).await?;
    Ok(Json(status))
}
