//! `replace_vpc_subnet` and `update_vpc_subnet`.

use std::time::Duration;

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    audit::Changes,
    http::{self, Answer, ApiError, ApiResult, Faults, NestedId, PathId},
    id::Id,
    json::JsonText,
    store::Tx,
};

use super::{
    api::{NewSubnet, PatchedVPCSubnet, SubnetKind, VPCSubnet},
    list, rows, rules,
};
use crate::{
    Compute,
    vpcs::{VpcsManage, api::VpcKind, change::own, private, record},
};

/// [VPCs] Replace a subnet
///
/// Write every changeable field of the subnet; the range must equal the stored one.
#[utoipa::path(
    put, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/vpcs/{vpc_id}/subnets/{id}",
    tag = "Compute", operation_id = "replace_vpc_subnet",
    params(
        ("vpc_id" = uuid::Uuid, Path, description = "UUID of the VPC."),
        ("id" = uuid::Uuid, Path, description = "UUID of the subnet."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = VPCSubnet),
    responses(
        (status = 200, description = "Done", body = VPCSubnet),
        (status = 400, description = "Invalid request parameters"),
        (status = 409, description = "A request with the same Idempotency-Key is still running"),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(VpcsManage::NAME)), ("x-minimum-role" = json!(VpcsManage::ROLE.as_str())),
        ("x-scope" = json!(VpcsManage::SCOPE))),
)]
pub(crate) async fn replace_vpc_subnet(
    scope: ProjectScope<VpcsManage>,
    NestedId(vpc): NestedId<VpcKind>,
    PathId(id): PathId<SubnetKind>,
    State(compute): State<Compute>,
    change: http::Change<NewSubnet>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &http::Change<NewSubnet>| {
        write(tx, &scope, (vpc, id), change, |body| {
            let wanted = PatchedVPCSubnet {
                name: Some(body.name.clone()),
                gateway: Some(body.gateway.clone()),
                dhcp_enabled: Some(body.dhcp_enabled),
                dns_servers: Some(body.dns_servers.clone()),
                is_active: Some(body.is_active),
            };
            (wanted, Some(body.cidr_block.clone()))
        })
    };
    change
        .run(&compute.app, &caller, "replace_vpc_subnet", work)
        .await
}

/// [VPCs] Update a subnet
///
/// Write only the fields given.
#[utoipa::path(
    patch, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/vpcs/{vpc_id}/subnets/{id}",
    tag = "Compute", operation_id = "update_vpc_subnet",
    params(
        ("vpc_id" = uuid::Uuid, Path, description = "UUID of the VPC."),
        ("id" = uuid::Uuid, Path, description = "UUID of the subnet."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = PatchedVPCSubnet),
    responses(
        (status = 200, description = "Done", body = VPCSubnet),
        (status = 400, description = "Invalid request parameters"),
        (status = 409, description = "A request with the same Idempotency-Key is still running"),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(VpcsManage::NAME)), ("x-minimum-role" = json!(VpcsManage::ROLE.as_str())),
        ("x-scope" = json!(VpcsManage::SCOPE))),
)]
pub(crate) async fn update_vpc_subnet(
    scope: ProjectScope<VpcsManage>,
    NestedId(vpc): NestedId<VpcKind>,
    PathId(id): PathId<SubnetKind>,
    State(compute): State<Compute>,
    change: http::Change<PatchedVPCSubnet>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &http::Change<PatchedVPCSubnet>| {
        write(tx, &scope, (vpc, id), change, |body| (body.clone(), None))
    };
    change.run(&compute.app, &caller, "update_vpc_subnet", work).await
}

/// Writes what `wanted` reads from the body; with the range that it must have, if one was sent.
fn write<B>(
    tx: &mut Tx<'_>,
    scope: &ProjectScope<VpcsManage>,
    (vpc, id): (Id<VpcKind>, Id<SubnetKind>),
    change: &http::Change<B>,
    wanted: impl FnOnce(&B) -> (PatchedVPCSubnet, Option<String>),
) -> ApiResult<Answer<VPCSubnet>> {
    let vpc = own(tx, scope, vpc)?;
    let mut row = rows::find_locked(tx, vpc.id, id)?.ok_or_else(ApiError::not_found)?;
    change.check_version(row.modified.micros())?;
    let before = row.clone();
    let (wanted, range) = wanted(change.body()?);
    row.name = wanted.name.unwrap_or(row.name);
    row.gateway = wanted.gateway.unwrap_or(row.gateway);
    row.dhcp_enabled = wanted.dhcp_enabled.unwrap_or(row.dhcp_enabled);
    row.is_active = wanted.is_active.unwrap_or(row.is_active);
    if let Some(resolvers) = &wanted.dns_servers {
        row.dns_servers = JsonText::of(resolvers);
    }
    let mut faults = Faults::default();
    faults.check(
        "cidr_block",
        range.is_none_or(|range| range == row.cidr_block),
        "A subnet's range can't be changed: create another one.",
    );
    rules::check(&row, &wanted.dns_servers.unwrap_or_default(), &mut faults);
    if rules::gateway(&row) != rules::gateway(&before) {
        let free = private::is_free(tx.conn(), &row, rules::gateway(&row))?;
        faults.check("gateway", free, "A member has this address.");
    }
    faults.into_result()?;
    if row != before {
        row.modified = tx.now().max(before.modified + Duration::from_micros(1));
        rows::save(tx, &row)?;
        let mut changes = Changes::default();
        changes.note("name", &before.name, &row.name);
        changes.note("gateway", &before.gateway, &row.gateway);
        changes.note("dhcp_enabled", &before.dhcp_enabled, &row.dhcp_enabled);
        changes.note("dns_servers", &before.dns_servers, &row.dns_servers);
        changes.note("is_active", &before.is_active, &row.is_active);
        let text = format!("Changed subnet {} of VPC {}", row.name, vpc.name);
        record(tx, scope, &vpc, "vpc.subnet_updated", text, changes)?;
    }
    let version = row.modified.micros();
    Ok(Answer::ok(list::one(tx.conn(), row)?, version))
}
