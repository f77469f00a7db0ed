//! `delete_vpc_subnet`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    audit::Changes,
    http::{self, Answer, ApiError, ApiResult, NestedId, NoBody, PathId},
    store::Tx,
};

use super::{api::SubnetKind, rows};
use crate::{
    Compute,
    vpcs::{VpcsManage, api::VpcKind, change::own, record},
};

/// [VPCs] Delete a subnet
///
/// Remove a subnet that no member uses.
#[utoipa::path(
    delete, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/vpcs/{vpc_id}/subnets/{id}",
    tag = "Compute", operation_id = "delete_vpc_subnet",
    params(
        ("vpc_id" = uuid::Uuid, Path, description = "UUID of the VPC."),
        ("id" = uuid::Uuid, Path, description = "UUID of the subnet."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 204, description = "Deleted"),
        (status = 409, description = "A member has an address of the subnet"),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(VpcsManage::NAME)), ("x-minimum-role" = json!(VpcsManage::ROLE.as_str())),
        ("x-scope" = json!(VpcsManage::SCOPE))),
)]
pub(crate) async fn delete_vpc_subnet(
    scope: ProjectScope<VpcsManage>,
    NestedId(vpc): NestedId<VpcKind>,
    PathId(id): PathId<SubnetKind>,
    State(compute): State<Compute>,
    change: http::Change<NoBody>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &http::Change<NoBody>| -> ApiResult<Answer<()>> {
        let vpc = own(tx, &scope, vpc)?;
        let row = rows::find_locked(tx, vpc.id, id)?.ok_or_else(ApiError::not_found)?;
        change.check_version(row.modified.micros())?;
        if !rows::taken(tx.conn(), vec![id])?.is_empty() {
            return Err(ApiError::conflict(
                "Members have addresses of this subnet: move them to another VPC first.",
            ));
        }
        rows::delete(tx, id)?;
        let mut changes = Changes::default();
        changes.note("subnet_id", &Some(id), &None);
        changes.note("cidr_block", &Some(&row.cidr_block), &None);
        let text = format!("Deleted subnet {} of VPC {}", row.name, vpc.name);
        record(tx, &scope, &vpc, "vpc.subnet_deleted", text, changes)?;
        Ok(Answer::empty())
    };
    change.run(&compute.app, &caller, "delete_vpc_subnet", work).await
}
