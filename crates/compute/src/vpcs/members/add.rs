//! `add_vpc_member`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    http::{self, Answer, ApiError, ApiResult, Faults, NestedId},
    store::Tx,
};

use super::{
    api::{NewMember, VPCMember},
    list,
};
use crate::{
    Compute,
    instances::{actions::Action, rows as instances, vpc::move_to},
    vpcs::{VpcsManage, api::VpcKind, private::Wish, rows as vpcs},
};

/// [VPCs] Attach an instance to a VPC
///
/// Give the instance a private interface. Same location only; one VPC per instance (Instance.vpc is single), so that it
/// leaves the one that it was in. Same effect as the attach action on the instance.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/vpcs/{vpc_id}/members",
    tag = "Compute", operation_id = "add_vpc_member",
    params(
        ("vpc_id" = uuid::Uuid, Path, description = "UUID of the VPC."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = VPCMember),
    responses(
        (status = 201, description = "Created in state `pending`; `task_id` names the task", body = VPCMember),
        (status = 400, description = "Invalid request parameters"),
        (status = 409, description = "The state of the object, or a running task, forbids this action"),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(VpcsManage::NAME)), ("x-minimum-role" = json!(VpcsManage::ROLE.as_str())),
        ("x-scope" = json!(VpcsManage::SCOPE))),
)]
pub(crate) async fn add_vpc_member(
    scope: ProjectScope<VpcsManage>,
    NestedId(vpc): NestedId<VpcKind>,
    State(compute): State<Compute>,
    change: http::Change<NewMember>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &http::Change<NewMember>| -> ApiResult<Answer<VPCMember>> {
        let vpc = vpcs::find(tx.conn(), scope.organization, scope.project, vpc)?;
        let vpc = vpc.ok_or_else(ApiError::not_found)?;
        let body = change.body()?;
        let id = body.instance_id;
        if !instances::exists(tx.conn(), scope.project, id)? {
            let text = format!("Invalid pk \"{id}\" - object does not exist.");
            return Err(Faults::one("instance_id", text).into());
        }
        let action = Action::begin(tx, &scope, id)?;
        let mut faults = Faults::default();
        faults.check(
            "instance_id",
            action.row.location_id == vpc.location_id,
            "The instance is in another location than the VPC.",
        );
        faults.into_result()?;
        if !vpc.is_active {
            return Err(ApiError::conflict("This VPC is not active."));
        }
        action.must_be_in_force()?;
        if vpc.id == action.row.vpc_id {
            return Err(ApiError::conflict("The instance is in this VPC already."));
        }
        let wish = Wish {
            subnet: body.subnet_id,
            address: body.ip_address.clone(),
        };
        move_to(tx, &scope, action, &vpc, None, (&wish, "ip_address"))?;
        let member = list::one(tx.conn(), vpc.id, id)?;
        let path = format!(
            "/v1/organizations/{}/projects/{}/compute/vpcs/{}/members/{id}",
            scope.organization, scope.project, vpc.id
        );
        Ok(Answer::created(member, None, path))
    };
    change.run(&compute.app, &caller, "add_vpc_member", work).await
}
