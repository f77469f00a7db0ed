//! `delete_instance`.

use axum::{extract::State, response::Response};
use billing::services;
use kernel::{
    access::{Permission, ProjectScope},
    audit::Changes,
    http::{self, Answer, ApiError, ApiResult, NoBody, PathId},
    store::Tx,
};

use super::{
    InstancesDelete,
    actions::{self, Action},
    api::{InstanceKind, InstanceStatus},
    rows,
};
use crate::{
    Compute,
    machines::{Power, kinds::name, rows as machines},
    product,
    tasks::{self, api::InstanceTask},
};

/// [Instances] Delete compute instance
///
/// Destroy the instance and its root volume at once: queues a `delete_vps` task, ends billing, and releases addresses.
/// Extra volumes are detached, not deleted. Refused while deletion protection or another task is active.
#[utoipa::path(
    delete, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}",
    tag = "Compute", operation_id = "delete_instance",
    params(
        ("id" = uuid::Uuid, Path, description = "A UUID string identifying this Instance."),
        ("organization_id" = uuid::Uuid, Path, description = "Organization that owns the resource."),
        ("project_id" = uuid::Uuid, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 202, description = actions::ACCEPTED, body = InstanceTask),
        (status = 409, description = actions::CONFLICT),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesDelete::NAME)), ("x-minimum-role" = json!(InstancesDelete::ROLE.as_str())),
        ("x-scope" = json!(InstancesDelete::SCOPE))),
)]
pub(crate) async fn delete_instance(
    scope: ProjectScope<InstancesDelete>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
    change: http::Change<NoBody>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let billing = compute.billing.clone();
    let work = move |tx: &mut Tx<'_>, change: &http::Change<NoBody>| -> ApiResult<Answer<InstanceTask>> {
        // Whoever moves money locks the account before the instance.
        billing::lock_account(tx, &billing, scope.organization)?;
        let service = services::of_resource(tx.conn(), scope.organization, product::KIND, id.cast())?;
        let mut action = Action::begin(tx, &scope, id)?;
        change.check_version(action.row.version)?;
        if action.row.status.is_over() {
            return Err(ApiError::conflict(format!(
                "The instance is {} already.",
                action.row.status.as_str()
            )));
        }
        if action.machine().is_ok_and(|machine| machine.is_protected) {
            return Err(ApiError::conflict("The instance is protected from deletion."));
        }
        if tasks::has_unfinished(tx.conn(), scope.project, id)? {
            return Err(ApiError::conflict("Another task of the instance has not ended."));
        }
        let text = format!("Deleted instance {}", action.row.name);
        let mut changes = Changes::default();
        changes.note("status", &action.row.status, &InstanceStatus::Terminated);
        action.audit(tx, "instance.deleted", text, changes)?;
        action.row.status = InstanceStatus::Terminated;
        action.row.is_active = false;
        rows::save(tx, &mut action.row)?;
        if let Some(service) = service {
            // Told of the end, the product finds the instance terminated and leaves the rest to this.
            services::cancel_now(
                tx,
                &billing,
                service.id,
                ("deleted", false),
                Some(scope.caller.user),
            )?;
            action.row = rows::lock_row(tx, scope.project, id)?.ok_or_else(ApiError::not_found)?;
        } else {
            product::end_dependents(tx, &billing, scope.organization, id)?;
        }
        machines::set_power(tx, id, Power::Off)?;
        action.enqueue(tx, name::DELETE, serde_json::json!({}))
    };
    change.run(&compute.app, &caller, "delete_instance", work).await
}
