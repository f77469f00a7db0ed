//! `delete_vpc`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    audit::Changes,
    http::{self, Answer, ApiError, ApiResult, NoBody, PathId},
    store::Tx,
};

use super::{VpcsManage, api::VpcKind, change::own, record, rows};
use crate::Compute;

/// [VPCs] Delete a VPC
///
/// Remove a VPC without members; 409 otherwise. The default VPC of a project is made anew when it is needed again.
#[utoipa::path(
    delete, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/vpcs/{id}",
    tag = "Compute", operation_id = "delete_vpc",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the VPC."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 204, description = "Deleted"),
        (status = 409, description = "The VPC has members, or is shared by the organization"),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(VpcsManage::NAME)), ("x-minimum-role" = json!(VpcsManage::ROLE.as_str())),
        ("x-scope" = json!(VpcsManage::SCOPE))),
)]
pub(crate) async fn delete_vpc(
    scope: ProjectScope<VpcsManage>,
    PathId(id): PathId<VpcKind>,
    State(compute): State<Compute>,
    change: http::Change<NoBody>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &http::Change<NoBody>| -> ApiResult<Answer<()>> {
        let mut row = own(tx, &scope, id)?;
        change.check_version(row.version)?;
        if rows::has_members(tx.conn(), id)? {
            return Err(ApiError::conflict(
                "Instances are in this VPC: move them to another one, or delete them, first.",
            ));
        }
        rows::delete(tx, &mut row)?;
        let mut changes = Changes::default();
        changes.note("name", &Some(&row.name), &None);
        changes.note("cidr_block", &Some(&row.cidr_block), &None);
        let text = format!("Deleted VPC {}", row.name);
        record(tx, &scope, &row, "vpc.deleted", text, changes)?;
        Ok(Answer::empty())
    };
    change.run(&compute.app, &caller, "delete_vpc", work).await
}
