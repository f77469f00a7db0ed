//! `remove_vpc_member`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    http::{self, Answer, ApiError, ApiResult, NestedId, NoBody, PathId},
    store::Tx,
};

use crate::{
    Compute,
    instances::{
        actions::{self, Action},
        api::InstanceKind,
        vpc::move_to_default,
    },
    tasks::api::InstanceTask,
    vpcs::{VpcsManage, api::VpcKind, rows as vpcs},
};

/// [VPCs] Detach an instance from a VPC
///
/// Take the private interface away. An instance always is in a VPC: it goes to the default one of its project in its
/// location.
#[utoipa::path(
    delete, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/vpcs/{vpc_id}/members/{id}",
    tag = "Compute", operation_id = "remove_vpc_member",
    params(
        ("vpc_id" = uuid::Uuid, Path, description = "UUID of the VPC."),
        ("id" = uuid::Uuid, Path, description = "UUID of the member."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 202, description = actions::ACCEPTED, body = InstanceTask),
        (status = 409, description = "The VPC is the project's default one, or the instance is not in force"),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(VpcsManage::NAME)), ("x-minimum-role" = json!(VpcsManage::ROLE.as_str())),
        ("x-scope" = json!(VpcsManage::SCOPE))),
)]
pub(crate) async fn remove_vpc_member(
    scope: ProjectScope<VpcsManage>,
    NestedId(vpc): NestedId<VpcKind>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
    change: http::Change<NoBody>,
) -> ApiResult<Response> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, _: &http::Change<NoBody>| -> ApiResult<Answer<InstanceTask>> {
        vpcs::find(tx.conn(), scope.organization, scope.project, vpc)?.ok_or_else(ApiError::not_found)?;
        let action = Action::begin(tx, &scope, id)?;
        if action.row.vpc_id != vpc {
            return Err(ApiError::not_found());
        }
        move_to_default(tx, &scope, action, &catalogue)
    };
    change.run(&compute.app, &caller, "remove_vpc_member", work).await
}
