//! `get_recovery_codes_status`.

use axum::{Json, extract::State};
use kernel::{access::Authenticated, http::ApiResult};

use super::count;
use crate::{auth::refusals::Reading, login_only, mfa::api::RecoveryCodesStatus, state::Area};

/// [MFA] Get the recovery code status
///
/// Tells how many codes are left; never the codes.
#[utoipa::path(
    get,
    path = "/v1/auth/mfa/recovery-codes",
    operation_id = "get_recovery_codes_status",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    responses((status = 200, body = RecoveryCodesStatus, description = "Recovery code status"), Reading),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(in super::super) async fn get_recovery_codes_status(
    Authenticated { caller, .. }: Authenticated,
    State(Area { identity, .. }): State<Area>,
) -> ApiResult<Json<RecoveryCodesStatus>> {
    login_only(&caller)?;
    let user = caller.user;
    let codes = identity
        .store()
        .read("get_recovery_codes_status", move |conn| count(conn, user))
        .await?;
    Ok(Json(RecoveryCodesStatus {
        total: codes.total,
        remaining: codes.left,
        generated_at: codes.generated_at,
    }))
}
