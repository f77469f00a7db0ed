//! `list_trusted_devices`.

use axum::{Json, extract::State};
use kernel::{access::Authenticated, http::ApiResult};

use super::rows::{self, DeviceRow};
use crate::{auth::refusals::Reading, device::Device, login_only, mfa::api::TrustedDevice, state::Area};

/// [MFA] List trusted devices
///
/// Devices on which the second factor is skipped, the newest first.
#[utoipa::path(
    get,
    path = "/v1/auth/mfa/trusted-devices",
    operation_id = "list_trusted_devices",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    responses((status = 200, body = Vec<TrustedDevice>, description = "List of trusted devices"), Reading),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(in super::super) async fn list_trusted_devices(
    Authenticated { caller, .. }: Authenticated,
    State(Area { identity, .. }): State<Area>,
) -> ApiResult<Json<Vec<TrustedDevice>>> {
    login_only(&caller)?;
    let (user, now) = (caller.user, identity.clock().now());
    let devices = identity
        .store()
        .read("list_trusted_devices", move |conn| rows::all(conn, user, now))
        .await?;
    Ok(Json(devices.into_iter().map(view).collect()))
}

fn view(row: DeviceRow) -> TrustedDevice {
    let device = Device::of(&row.user_agent);
    TrustedDevice {
        id: row.id,
        name: row.name,
        browser: device.browser,
        operating_system: device.operating_system,
        ip_address: row.ip_address,
        last_used_at: row.last_used_at,
        expires_at: row.expires_at,
        created: row.created,
    }
}
