//! `delete_trusted_device`, `delete_all_trusted_devices`.

use axum::{extract::State, response::Response};
use kernel::{
    access::Authenticated,
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Change, NoBody, PathId},
};

use super::rows::{self, TrustedDevice, TrustedDeviceId};
use crate::{
    auth::{AuthError, refusals::Writing},
    login_only,
    state::Area,
};

/// [MFA] Remove a trusted device
///
/// The second factor is asked again on it.
#[utoipa::path(
    delete,
    path = "/v1/auth/mfa/trusted-devices/{id}",
    operation_id = "delete_trusted_device",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    params(("id" = inline(TrustedDeviceId), Path)),
    responses(
        (status = 204, description = "Device removed"),
        (status = 404, body = AuthError, description = "Not found"),
        Writing,
    ),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(in super::super) async fn delete_trusted_device(
    Authenticated { caller, request }: Authenticated,
    PathId(id): PathId<TrustedDevice>,
    State(Area { app, .. }): State<Area>,
    change: Change<NoBody>,
) -> ApiResult<Response> {
    login_only(&caller)?;
    let origin = Origin::caller(&caller, &request);
    let user = caller.user;
    change
        .run(&app, &caller, "delete_trusted_device", move |tx, _| {
            let row = rows::lock_one(tx, user, id)?.ok_or_else(ApiError::not_found)?;
            rows::delete(tx, user, id)?;
            let event = Event {
                action: "trusted_device.removed",
                resource_type: "trusted_device",
                resource_id: id.cast(),
                resource_name: row.name,
                description: "Trusted device removed".to_owned(),
                changes: Changes::default(),
                status: AuditStatus::Success,
            };
            tx.audit(&origin, None, None, &event)?;
            Ok(Answer::empty())
        })
        .await
}

/// [MFA] Remove every trusted device
///
/// Asks for the second factor everywhere again.
#[utoipa::path(
    delete,
    path = "/v1/auth/mfa/trusted-devices",
    operation_id = "delete_all_trusted_devices",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    responses((status = 204, description = "Devices removed"), Writing),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(in super::super) async fn delete_all_trusted_devices(
    Authenticated { caller, request }: Authenticated,
    State(Area { app, .. }): State<Area>,
    change: Change<NoBody>,
) -> ApiResult<Response> {
    login_only(&caller)?;
    let origin = Origin::caller(&caller, &request);
    let (user, email) = (caller.user, caller.email.clone());
    change
        .run(&app, &caller, "delete_all_trusted_devices", move |tx, _| {
            let removed = rows::forget_trusted_devices(tx, user)?;
            if removed > 0 {
                let event = Event {
                    action: "user.trusted_devices_removed",
                    resource_type: "user",
                    resource_id: user.cast(),
                    resource_name: email.clone(),
                    description: format!("Trusted devices removed: {removed}"),
                    changes: Changes::default(),
                    status: AuditStatus::Success,
                };
                tx.audit(&origin, None, None, &event)?;
            }
            Ok::<_, ApiError>(Answer::empty())
        })
        .await
}
