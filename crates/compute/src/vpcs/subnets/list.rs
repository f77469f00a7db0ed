//! `list_vpc_subnets` and `get_vpc_subnet`.

use axum::{Json, extract::State};
use kernel::{
    access::{Permission, ProjectScope},
    http::{ApiError, ApiResult, NestedId, Page, PathId, Versioned},
    store::{Conn, StoreError},
};

use super::{
    api::{SubnetKind, VPCSubnet, VPCSubnetPage},
    rows::{self, SubnetRow},
};
use crate::{
    Compute,
    vpcs::{VpcsRead, api::VpcKind, rows as vpcs},
};

/// [VPCs] List subnets
///
/// All subnets of the VPC, oldest first.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/vpcs/{vpc_id}/subnets",
    tag = "Compute", operation_id = "list_vpc_subnets",
    params(
        ("page" = Option<i64>, Query, description = "Page number, starting at 1.", minimum = 1),
        ("page_size" = Option<i64>, Query, description = "Items on a page.", minimum = 1, maximum = 100),
        ("vpc_id" = uuid::Uuid, Path, description = "UUID of the VPC."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses((status = 200, description = "Subnets", body = VPCSubnetPage), kernel::http::Refusals),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(VpcsRead::NAME)), ("x-minimum-role" = json!(VpcsRead::ROLE.as_str())),
        ("x-scope" = json!(VpcsRead::SCOPE))),
)]
pub(crate) async fn list_vpc_subnets(
    scope: ProjectScope<VpcsRead>,
    NestedId(vpc): NestedId<VpcKind>,
    State(compute): State<Compute>,
    page: Page,
) -> ApiResult<Json<VPCSubnetPage>> {
    let read = compute.app.store().read("list_vpc_subnets", move |conn| {
        vpcs::find(conn, scope.organization, scope.project, vpc)?.ok_or_else(ApiError::not_found)?;
        // A VPC has few.
        let all = rows::of_vpc(conn, vpc)?;
        let count = i64::try_from(all.len()).unwrap_or(i64::MAX);
        let (skip, take) = page.window(count)?;
        let (skip, take) = (
            usize::try_from(skip).unwrap_or(0),
            usize::try_from(take).unwrap_or(0),
        );
        let rows: Vec<SubnetRow> = all.into_iter().skip(skip).take(take).collect();
        let taken = rows::taken(conn, rows.iter().map(|row| row.id).collect())?;
        let shown = rows.into_iter().map(|row| {
            let taken = taken.get(&row.id).copied().unwrap_or(0);
            VPCSubnet::of(row, taken)
        });
        page.of(count, shown.collect()).map(Json)
    });
    read.await
}

/// [VPCs] Get a subnet
///
/// Read one subnet.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/vpcs/{vpc_id}/subnets/{id}",
    tag = "Compute", operation_id = "get_vpc_subnet",
    params(
        ("vpc_id" = uuid::Uuid, Path, description = "UUID of the VPC."),
        ("id" = uuid::Uuid, Path, description = "UUID of the subnet."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses((status = 200, description = "Done", body = VPCSubnet), kernel::http::Refusals),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(VpcsRead::NAME)), ("x-minimum-role" = json!(VpcsRead::ROLE.as_str())),
        ("x-scope" = json!(VpcsRead::SCOPE))),
)]
pub(crate) async fn get_vpc_subnet(
    scope: ProjectScope<VpcsRead>,
    NestedId(vpc): NestedId<VpcKind>,
    PathId(id): PathId<SubnetKind>,
    State(compute): State<Compute>,
) -> ApiResult<Versioned<VPCSubnet>> {
    let read = compute.app.store().read("get_vpc_subnet", move |conn| {
        vpcs::find(conn, scope.organization, scope.project, vpc)?.ok_or_else(ApiError::not_found)?;
        let row = rows::find(conn, vpc, id)?.ok_or_else(ApiError::not_found)?;
        Ok(Versioned {
            version: row.modified.micros(),
            body: one(conn, row)?,
        })
    });
    read.await
}

/// One subnet with how many of its addresses are taken.
pub(super) fn one(conn: &mut Conn, row: SubnetRow) -> Result<VPCSubnet, StoreError> {
    let taken = rows::taken(conn, vec![row.id])?.get(&row.id).copied();
    Ok(VPCSubnet::of(row, taken.unwrap_or(0)))
}
