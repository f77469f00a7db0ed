//! `release_instance_ip_address`.

use axum::{extract::State, response::Response};
use billing::services;
use kernel::{
    access::{Permission, ProjectScope},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Change, NestedId, NoBody, PathId},
    store::Tx,
    tasks::NewTask,
};

use super::{AddressesManage, allocation, product::KIND, rows, rules, steps::ReleaseIp};
use crate::{
    Compute,
    instances::{
        api::{Address, InstanceKind},
        rows::{self as instance_rows, AddressRow, InstanceRow},
    },
    product,
};

/// [Instances] Release an additional IP address
///
/// Give an additional address back. The primary address cannot be released. What it costs a month ends at once; what is
/// left of a paid month is not given back.
#[utoipa::path(
    delete,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/ip-addresses/{ip_id}",
    tag = "Compute", operation_id = "release_instance_ip_address",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("ip_id" = uuid::Uuid, Path, description = "UUID of the address."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 204, description = "Address released"),
        (status = 409, description = "The instance is in a state, or has a running task, that forbids this action"),
        (status = 412, description = "If-Match names another version"),
        (status = 422, description = "The Idempotency-Key was used for another request"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(AddressesManage::NAME)), ("x-minimum-role" = json!(AddressesManage::ROLE.as_str())),
        ("x-scope" = json!(AddressesManage::SCOPE))),
)]
pub(crate) async fn release_instance_ip_address(
    scope: ProjectScope<AddressesManage>,
    PathId(instance): PathId<InstanceKind>,
    NestedId(id): NestedId<Address>,
    State(compute): State<Compute>,
    change: Change<NoBody>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let billing = compute.billing.clone();
    let work = move |tx: &mut Tx<'_>, change: &Change<NoBody>| {
        // Whoever moves money locks the account before the instance.
        let service = product::lock_service_of(tx, &billing, scope.organization, (KIND, id.cast()))?;
        let (owner, ..) =
            instance_rows::find_locked(tx, scope.project, instance)?.ok_or_else(ApiError::not_found)?;
        let row =
            rows::find_locked(tx, scope.project, Some(instance), id)?.ok_or_else(ApiError::not_found)?;
        change.check_version(row.modified.micros())?;
        rules::check_can_go(&row)?;
        allocation::release(tx, std::slice::from_ref(&row))?;
        let origin = Origin::caller(&scope.caller, &scope.request);
        let (organization, project) = (Some(scope.organization), Some(scope.project));
        tx.audit(&origin, organization, project, &released(&owner, &row))?;
        tx.enqueue(&NewTask {
            created_by: Some(scope.caller.user),
            request: Some(scope.request.id),
            ..ReleaseIp::task(&owner, &row)
        })?;
        if let Some(service) = service {
            // Told of the end, the product finds no address any more and leaves the rest to this.
            let user = Some(scope.caller.user);
            services::cancel_now(tx, &billing, service.id, ("released", false), user)?;
        }
        Ok(Answer::empty())
    };
    change
        .run(&compute.app, &caller, "release_instance_ip_address", work)
        .await
}

fn released(instance: &InstanceRow, row: &AddressRow) -> Event {
    let mut changes = Changes::default();
    changes.note("instance_id", &Some(instance.id), &None);
    Event {
        action: "ip_address.released",
        resource_type: "ip_address",
        resource_id: row.id.cast(),
        resource_name: row.address.clone(),
        description: format!("Address {} of instance {} released", row.address, instance.name),
        changes,
        status: AuditStatus::Success,
    }
}
