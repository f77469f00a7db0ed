//! `regenerate_recovery_codes`.

use axum::{Json, extract::State};
use http::StatusCode;
use kernel::{
    access::Authenticated,
    audit::Origin,
    http::{ApiError, ApiResult},
};
use serde_json::json;

use crate::{
    auth::refusals::Writing,
    letters,
    mfa::{Factors, api::RecoveryCodes},
    recent_login_only,
    security::{self, Incident, SecurityEvent},
    state::Area,
    users,
};

/// [MFA] Regenerate recovery codes
///
/// Returns ten new single-use codes and voids the earlier ones. Needs a recent login or `reauthenticate`.
#[utoipa::path(
    post,
    path = "/v1/auth/mfa/recovery-codes",
    operation_id = "regenerate_recovery_codes",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    responses((status = 201, body = RecoveryCodes, description = "New codes, shown once"), Writing),
    extensions(
        ("x-credentials" = json!(["jwt"])),
        ("x-requires-recent-auth" = json!(true))
    )
)]
pub(in super::super) async fn regenerate_recovery_codes(
    Authenticated { caller, request }: Authenticated,
    State(Area { identity, .. }): State<Area>,
) -> ApiResult<(StatusCode, Json<RecoveryCodes>)> {
    recent_login_only(&identity, &caller)?;
    let origin = Origin::caller(&caller, &request);
    let store = identity.store().clone();
    let codes = store
        .write("regenerate_recovery_codes", move |tx| {
            let user = users::lock(tx, caller.user)?;
            if !Factors::of(tx.conn(), user.id)?.is_enabled() {
                let detail = "Recovery codes stand in for a second factor: enable one first.";
                return Err(ApiError::conflict(detail));
            }
            let recovery_codes = super::renew(tx, &identity, user.id)?;
            let incident = Incident {
                user: &user,
                event: SecurityEvent::RecoveryCodesRegenerated,
                description: "Recovery codes regenerated",
                session: Some(caller.credential),
                metadata: json!({}),
                letter: Some((letters::RECOVERY_CODES_REGENERATED, json!({}))),
            };
            security::record(tx, &identity, &origin, &incident)?;
            Ok(RecoveryCodes {
                recovery_codes,
                generated_at: tx.now(),
            })
        })
        .await?;
    Ok((StatusCode::CREATED, Json(codes)))
}
