//! `deactivate_instance_addon`.

use axum::{extract::State, response::Response};
use billing::services;
use kernel::{
    access::{Permission, ProjectScope},
    audit::Changes,
    http::{self, Answer, ApiError, ApiResult, Faults, PathId},
    id::Id,
    store::Tx,
};

use super::{
    KIND,
    api::{InstanceAddon, InstanceAddonDeactivate},
    list::services_of,
    rows::{self, AddonState, InstanceAddonRow},
};
use crate::{
    Compute,
    catalogue::api::AddonId,
    instances::{
        InstancesOrder,
        actions::{self, Action},
        api::{InstanceKind, InstanceStatus},
    },
};

/// [Instances] Deactivate an addon of a compute instance
///
/// End an addon, at the end of its paid period unless `immediate` is true; what is left of that is not given back. An order
/// that is not paid is cancelled at once. Included addons cannot be ended.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/addons/deactivate",
    tag = "Compute", operation_id = "deactivate_instance_addon",
    params(
        ("id" = uuid::Uuid, Path, description = "A UUID string identifying this Instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = InstanceAddonDeactivate),
    responses(
        (status = 200, description = "Addon state", body = InstanceAddon),
        (status = 400, description = "The request does not validate"),
        (status = 409, description = actions::CONFLICT),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesOrder::NAME)), ("x-minimum-role" = json!(InstancesOrder::ROLE.as_str())),
        ("x-scope" = json!(InstancesOrder::SCOPE))),
)]
pub(crate) async fn deactivate_instance_addon(
    scope: ProjectScope<InstancesOrder>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
    change: http::Change<InstanceAddonDeactivate>,
) -> ApiResult<Response> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let (app, caller) = (compute.app.clone(), scope.caller.clone());
    let work = move |tx: &mut Tx<'_>,
                     change: &http::Change<InstanceAddonDeactivate>|
          -> ApiResult<Answer<InstanceAddon>> {
        let billing = &compute.billing;
        // Whoever moves money locks the account before the instance.
        billing::lock_account(tx, billing, scope.organization)?;
        let action = Action::begin(tx, &scope, id)?;
        change.check_version(action.row.version)?;
        let body = change.body()?;
        let size = catalogue.size(action.row.size_id).cloned();
        let size = size.ok_or_else(|| ApiError::unavailable("The catalogue is being refreshed."))?;
        let offer = size
            .available_addons
            .iter()
            .find(|offer| offer.addon.id == body.addon_id);
        let Some(offer) = offer else {
            let text = format!("The size does not offer the add-on \"{}\".", body.addon_id);
            return Err(Faults::one("addon_id", text).into());
        };
        let Some(row) = live(tx, id, body.addon_id)? else {
            return Err(ApiError::conflict(if offer.is_included {
                "The add-on is part of the instance's size: it can't be ended."
            } else {
                "The add-on is not active."
            }));
        };
        if !matches!(
            action.row.status,
            InstanceStatus::Active | InstanceStatus::Suspended
        ) {
            // Ordered together with the instance: both come to nothing together.
            let text = format!(
                "The instance is {}; it must be active for this.",
                action.row.status.as_str()
            );
            return Err(ApiError::conflict(text));
        }
        let ends_at_once = body.immediate || row.status == AddonState::Pending;
        if row.status == AddonState::Cancelling && !ends_at_once {
            return Err(ApiError::conflict(
                "The add-on ends already when its paid time is over.",
            ));
        }
        let service = services::of_resource(tx.conn(), scope.organization, KIND, row.id.cast())?;
        let service = service.ok_or_else(|| ApiError::internal("an add-on that is not billed"))?;
        let mut changes = Changes::default();
        changes.note("addon", &Some(&offer.addon.slug), &None);
        changes.note("immediate", &None, &Some(ends_at_once));
        let text = format!("Ended {} of instance {}", offer.addon.name, action.row.name);
        action.audit(tx, "instance.addon_ended", text, changes)?;
        let user = Some(scope.caller.user);
        if ends_at_once {
            services::cancel_now(tx, billing, service.id, (&body.reason, false), user)?;
        } else {
            services::cancel_at_end(tx, billing, service.id, &body.reason, user)?;
        }
        let after = live(tx, id, body.addon_id)?;
        let services = services_of(tx.conn(), scope.organization, after.as_slice())?;
        Ok(Answer::plain(InstanceAddon::of(offer, after.as_ref(), &services)))
    };
    change.run(&app, &caller, "deactivate_instance_addon", work).await
}

/// What was ordered of an add-on for an instance and is not over.
fn live(tx: &mut Tx<'_>, instance: Id<InstanceKind>, addon: AddonId) -> ApiResult<Option<InstanceAddonRow>> {
    let live = rows::live(tx.conn(), instance)?;
    Ok(live.into_iter().find(|row| row.addon_id == addon))
}
