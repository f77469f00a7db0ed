//! `update_ip_address` and `update_instance_ip_address`: the name of an address.

use std::{net::IpAddr, time::Duration};

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Change, Faults, NestedId, PathId},
    id::Id,
    store::Tx,
    tasks::NewTask,
};

use super::{
    AddressesManage,
    api::{PatchedIPAddress, PatchedIPAddressReverseDNS},
    rows, rules,
    steps::SetReverseDns,
};
use crate::{
    Compute,
    instances::{
        api::{Address, IPAddress, InstanceKind},
        rows::AddressRow,
    },
};

/// [IP Addresses] Update an IP address
///
/// Set the reverse DNS name. The name must resolve to the address. An empty name resets it to the default name.
#[utoipa::path(
    patch,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/ip-addresses/{id}",
    tag = "Compute", operation_id = "update_ip_address",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the address."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = PatchedIPAddress),
    responses(
        (status = 200, description = "Done", body = IPAddress),
        (status = 400, description = "The request does not validate"),
        (status = 409, description = "A request with the same Idempotency-Key is still running"),
        (status = 412, description = "If-Match names another version"),
        (status = 413, description = "The body is too large"),
        (status = 415, description = "The body is no JSON"),
        (status = 422, description = "The Idempotency-Key was used for another request"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(AddressesManage::NAME)), ("x-minimum-role" = json!(AddressesManage::ROLE.as_str())),
        ("x-scope" = json!(AddressesManage::SCOPE))),
)]
pub(crate) async fn update_ip_address(
    scope: ProjectScope<AddressesManage>,
    PathId(id): PathId<Address>,
    State(compute): State<Compute>,
    change: Change<PatchedIPAddressReverseDNS>,
) -> ApiResult<Response> {
    set_name(&compute, scope, None, id, change, "update_ip_address").await
}

/// [Instances] Set reverse DNS of an IP address
///
/// Set or, with an empty string, clear the reverse DNS name. The name must be a full host name that resolves forward to
/// the address.
#[utoipa::path(
    patch,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/ip-addresses/{ip_id}",
    tag = "Compute", operation_id = "update_instance_ip_address",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("ip_id" = uuid::Uuid, Path, description = "UUID of the address."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = PatchedIPAddressReverseDNS),
    responses(
        (status = 200, description = "Address updated", body = IPAddress),
        (status = 400, description = "The request does not validate"),
        (status = 409, description = "A request with the same Idempotency-Key is still running"),
        (status = 412, description = "If-Match names another version"),
        (status = 413, description = "The body is too large"),
        (status = 415, description = "The body is no JSON"),
        (status = 422, description = "The Idempotency-Key was used for another request"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(AddressesManage::NAME)), ("x-minimum-role" = json!(AddressesManage::ROLE.as_str())),
        ("x-scope" = json!(AddressesManage::SCOPE))),
)]
pub(crate) async fn update_instance_ip_address(
    scope: ProjectScope<AddressesManage>,
    PathId(instance): PathId<InstanceKind>,
    NestedId(id): NestedId<Address>,
    State(compute): State<Compute>,
    change: Change<PatchedIPAddressReverseDNS>,
) -> ApiResult<Response> {
    set_name(
        &compute,
        scope,
        Some(instance),
        id,
        change,
        "update_instance_ip_address",
    )
    .await
}

async fn set_name(
    compute: &Compute,
    scope: ProjectScope<AddressesManage>,
    instance: Option<Id<InstanceKind>>,
    id: Id<Address>,
    change: Change<PatchedIPAddressReverseDNS>,
    operation: &'static str,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let unresolved = unresolved_name(compute, &scope, instance, id, &change).await?;
    let work = move |tx: &mut Tx<'_>, change: &Change<PatchedIPAddressReverseDNS>| {
        let mut row = rows::find_locked(tx, scope.project, instance, id)?.ok_or_else(ApiError::not_found)?;
        change.check_version(row.modified.micros())?;
        let name = change.body()?.reverse_dns.as_ref();
        let name = name.map_or(row.reverse_dns.as_str(), |name| rules::without_root(name));
        rules::check_name(name)?;
        if unresolved.as_deref() == Some(name) {
            let message = format!(
                "This name does not resolve to {}: publish that first.",
                row.address
            );
            return Err(Faults::one("reverse_dns", message).into());
        }
        if name != row.reverse_dns {
            let mut changes = Changes::default();
            changes.note("reverse_dns", &row.reverse_dns.as_str(), &name);
            row.reverse_dns = name.to_owned();
            row.modified = tx.now().max(row.modified + Duration::from_micros(1));
            rows::save_name(tx, &row)?;
            let origin = Origin::caller(&scope.caller, &scope.request);
            let (organization, project) = (Some(scope.organization), Some(scope.project));
            tx.audit(&origin, organization, project, &updated(&row, changes))?;
            tx.enqueue(&NewTask {
                created_by: Some(scope.caller.user),
                request: Some(scope.request.id),
                ..SetReverseDns::task(&row)
            })?;
        }
        let version = row.modified.micros();
        Ok(Answer::ok(IPAddress::from(row), version))
    };
    change.run(&compute.app, &caller, operation, work).await
}

/// The new name that is asked for, if it does not lead to the address. Looked up before the transaction, which touches
/// nothing but the database; what else is wrong is said there.
async fn unresolved_name(
    compute: &Compute,
    scope: &ProjectScope<AddressesManage>,
    instance: Option<Id<InstanceKind>>,
    id: Id<Address>,
    change: &Change<PatchedIPAddressReverseDNS>,
) -> ApiResult<Option<String>> {
    let name = change.body().ok().and_then(|body| body.reverse_dns.as_deref());
    let name = name.map_or("", rules::without_root).to_owned();
    let is_checked = compute.app.config().compute.reverse_dns_forward_check;
    if !is_checked || name.is_empty() || rules::check_name(&name).is_err() {
        return Ok(None);
    }
    let project = scope.project;
    let find = move |conn: &mut _| rows::find(conn, project, instance, id);
    let row = compute.app.store().read("find_ip_address", find).await?;
    let Some(row) = row.filter(|row| row.reverse_dns != name) else {
        return Ok(None);
    };
    let Ok(address) = row.address.parse::<IpAddr>() else {
        return Ok(None);
    };
    Ok((!leads_to(&name, address).await?).then_some(name))
}

/// Whether a name resolves to an address, perhaps beside others.
async fn leads_to(name: &str, address: IpAddr) -> ApiResult<bool> {
    const LONGEST: Duration = Duration::from_secs(5);
    // The dot at the end keeps the resolver from trying the domains of this host.
    let look_up = tokio::net::lookup_host((format!("{name}."), 0));
    match tokio::time::timeout(LONGEST, look_up).await {
        Ok(Ok(mut found)) => Ok(found.any(|known| known.ip().to_canonical() == address)),
        Ok(Err(_)) => Ok(false),
        Err(_) => Err(ApiError::unavailable(
            "The name could not be resolved in time. Try again.",
        )),
    }
}

fn updated(row: &AddressRow, changes: Changes) -> Event {
    Event {
        action: "ip_address.updated",
        resource_type: "ip_address",
        resource_id: row.id.cast(),
        resource_name: row.address.clone(),
        description: format!("Changed reverse_dns of address {}", row.address),
        changes,
        status: AuditStatus::Success,
    }
}
