//! `add_instance_ip_address`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Change, Faults, PathId},
    store::{StoreError, Tx},
    tasks::{NewTask, TaskId},
};

use super::{
    AddressesManage,
    allocation::{Allocation, Claim, claim},
    api::InstanceIPAddressCreate,
    price::price_of_additional_address,
    priced, product, rows, rules,
    steps::{AddIp, SetReverseDns},
};
use crate::{
    Compute,
    instances::{
        api::{InstanceKind, IpType},
        rows::{self as instance_rows, AddressRow, InstanceRow},
    },
    orders::{InstanceOrder, InstanceOrderedAction},
    tasks,
};

/// [Instances] Order an additional IP address
///
/// Order one more public address for the instance, from the pools of its location. Account credit is used first, then the
/// stored payment method; nothing is ordered if neither pays for it. Once it is paid the address is the instance's, and
/// the task gives it to the guest; until then `task` is null. Where an address costs nothing, `order` is null.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/ip-addresses",
    tag = "Compute", operation_id = "add_instance_ip_address",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = InstanceIPAddressCreate),
    responses(
        (status = 202, description = "Accepted; order and, once paid, task", body = InstanceOrderedAction),
        (status = 400, description = "The request does not validate"),
        (status = 402, description = "Payment needed or payment method refused"),
        (status = 409, description = "The instance is in a state, or has a running task, that forbids this action"),
        (status = 413, description = "The body is too large"),
        (status = 415, description = "The body is no JSON"),
        (status = 422, description = "The Idempotency-Key was used for another request"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(AddressesManage::NAME)), ("x-minimum-role" = json!(AddressesManage::ROLE.as_str())),
        ("x-scope" = json!(AddressesManage::SCOPE))),
)]
pub(crate) async fn add_instance_ip_address(
    scope: ProjectScope<AddressesManage>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
    change: Change<InstanceIPAddressCreate>,
) -> ApiResult<Response> {
    let (app, caller) = (compute.app.clone(), scope.caller.clone());
    let most = app.config().compute.addresses_per_instance;
    let price = price_of_additional_address(&app);
    let work = move |tx: &mut Tx<'_>, change: &Change<InstanceIPAddressCreate>| {
        if price.is_positive() {
            // Whoever moves money locks the account before the instance.
            billing::lock_account(tx, &compute.billing, scope.organization)?;
        }
        let (instance, ..) =
            instance_rows::find_locked(tx, scope.project, id)?.ok_or_else(ApiError::not_found)?;
        let wanted = change.body()?;
        let name = rules::without_root(&wanted.reverse_dns);
        rules::check_name(name)?;
        rules::check_can_grow(&instance)?;
        // What is ordered and not paid counts: it would be one too many once it is paid.
        let has = rows::of_instance(tx.conn(), scope.project, id)?.len() + priced::waiting(tx.conn(), id)?;
        if has >= most {
            let detail = format!("An instance has at most {most} addresses: release one first.");
            return Err(ApiError::refused(detail));
        }
        let row = get(tx, &scope, &instance, wanted.ip_type)?;
        let (order, task) = if price.is_positive() {
            audit(
                tx,
                &scope,
                ("ip_address.ordered", "ordered for"),
                (&instance, &row, name),
            )?;
            let placed = product::order(tx, &compute.billing, &scope, &instance, (&row, name, price))?;
            (Some(InstanceOrder::of(&placed)), product::task_of(tx, &row)?)
        } else {
            audit(
                tx,
                &scope,
                ("ip_address.added", "added to"),
                (&instance, &row, name),
            )?;
            (None, Some(give(tx, &scope, &instance, row, name)?))
        };
        let path = task.map(|task| tasks::path(scope.organization, scope.project, task));
        let task = match task {
            Some(task) => Some(tasks::one(tx.conn(), scope.project, task)?),
            None => None,
        };
        let body = InstanceOrderedAction { order, task };
        Ok(match path {
            Some(path) => Answer::accepted(body, path),
            None => Answer::noted(body),
        })
    };
    change.run(&app, &caller, "add_instance_ip_address", work).await
}

/// Enqueues the tasks of an address that costs nothing and is the instance's already.
fn give(
    tx: &mut Tx<'_>,
    scope: &ProjectScope<AddressesManage>,
    instance: &InstanceRow,
    mut row: AddressRow,
    name: &str,
) -> Result<TaskId, StoreError> {
    let by = |task: NewTask| NewTask {
        created_by: Some(scope.caller.user),
        request: Some(scope.request.id),
        ..task
    };
    if !name.is_empty() {
        name.clone_into(&mut row.reverse_dns);
        rows::save_name(tx, &row)?;
        tx.enqueue(&by(SetReverseDns::task(&row)))?;
    }
    tx.enqueue(&by(AddIp::task(instance, &row)))
}

/// An address for the instance, or why there is none.
fn get(
    tx: &mut Tx<'_>,
    scope: &ProjectScope<AddressesManage>,
    instance: &InstanceRow,
    family: IpType,
) -> ApiResult<AddressRow> {
    let wanted = Claim {
        location: instance.location_id,
        organization: scope.organization,
        project: scope.project,
        instance: instance.id,
        family,
        primary: false,
    };
    let name = rules::name_of(family);
    let message = match claim(tx, &wanted)? {
        Allocation::Given(row) => return Ok(*row),
        Allocation::NoPool => format!("There are no additional {name} addresses at this location."),
        Allocation::Exhausted => {
            format!("All {name} addresses of this location are in use. Try again later.")
        }
    };
    Err(Faults::one("ip_type", message).into())
}

fn audit(
    tx: &mut Tx<'_>,
    scope: &ProjectScope<AddressesManage>,
    (action, done): (&'static str, &str),
    (instance, row, name): (&InstanceRow, &AddressRow, &str),
) -> Result<(), StoreError> {
    let mut changes = Changes::default();
    changes.note("instance_id", &None, &Some(instance.id));
    if !name.is_empty() {
        changes.note("reverse_dns", &"", &name);
    }
    let event = Event {
        action,
        resource_type: "ip_address",
        resource_id: row.id.cast(),
        resource_name: row.address.clone(),
        description: format!("Address {} {done} instance {}", row.address, instance.name),
        changes,
        status: AuditStatus::Success,
    };
    let origin = Origin::caller(&scope.caller, &scope.request);
    tx.audit(&origin, Some(scope.organization), Some(scope.project), &event)
}
