//! `add_instance_ip_address`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Change, Faults, PathId},
    store::Tx,
};

use super::{
    AddressesManage,
    allocation::{Allocation, Claim, claim},
    api::InstanceIPAddressCreate,
    price::price_of_additional_address,
    rows, rules,
    steps::{AddIp, SetReverseDns},
};
use crate::{
    Compute,
    instances::{
        api::{InstanceKind, IpType},
        rows::{self as instance_rows, AddressRow, InstanceRow},
    },
    orders::InstanceOrderedAction,
    tasks,
};

/// [Instances] Order an additional IP address
///
/// Order one more public address for the instance, from the pools of its location. The address is the instance's at
/// once; the task gives it to the guest. Where an address costs nothing there is no order: `order` is null.
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
    let caller = scope.caller.clone();
    let most = compute.app.config().compute.addresses_per_instance;
    let is_free = price_of_additional_address(&compute.app).is_zero();
    let work = move |tx: &mut Tx<'_>, change: &Change<InstanceIPAddressCreate>| {
        let (instance, ..) =
            instance_rows::find_locked(tx, scope.project, id)?.ok_or_else(ApiError::not_found)?;
        let wanted = change.body()?;
        let name = rules::without_root(&wanted.reverse_dns);
        rules::check_name(name)?;
        rules::check_can_grow(&instance)?;
        if rows::of_instance(tx.conn(), scope.project, id)?.len() >= most {
            let detail = format!("An instance has at most {most} addresses: release one first.");
            return Err(ApiError::refused(detail));
        }
        if !is_free {
            // Never given away: until it can be ordered here, a priced address is not to be had.
            return Err(ApiError::refused(
                "Additional addresses have a price here and can't be ordered by this operation yet: ask support.",
            ));
        }
        let mut row = get(tx, &scope, &instance, wanted.ip_type)?;
        if !name.is_empty() {
            name.clone_into(&mut row.reverse_dns);
            rows::save_name(tx, &row)?;
            tx.enqueue(&kernel::tasks::NewTask {
                created_by: Some(scope.caller.user),
                request: Some(scope.request.id),
                ..SetReverseDns::task(&row)
            })?;
        }
        let origin = Origin::caller(&scope.caller, &scope.request);
        let (organization, project) = (Some(scope.organization), Some(scope.project));
        tx.audit(&origin, organization, project, &added(&instance, &row))?;
        let task = tx.enqueue(&kernel::tasks::NewTask {
            created_by: Some(scope.caller.user),
            request: Some(scope.request.id),
            ..AddIp::task(&instance, &row)
        })?;
        let path = tasks::path(scope.organization, scope.project, task);
        let body = InstanceOrderedAction {
            order: None,
            task: Some(tasks::one(tx.conn(), scope.project, task)?),
        };
        Ok(Answer::accepted(body, path))
    };
    change
        .run(&compute.app, &caller, "add_instance_ip_address", work)
        .await
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

fn added(instance: &InstanceRow, row: &AddressRow) -> Event {
    let mut changes = Changes::default();
    changes.note("instance_id", &None, &Some(instance.id));
    if !row.reverse_dns.is_empty() {
        changes.note("reverse_dns", &String::new(), &row.reverse_dns);
    }
    Event {
        action: "ip_address.added",
        resource_type: "ip_address",
        resource_id: row.id.cast(),
        resource_name: row.address.clone(),
        description: format!("Address {} added to instance {}", row.address, instance.name),
        changes,
        status: AuditStatus::Success,
    }
}
