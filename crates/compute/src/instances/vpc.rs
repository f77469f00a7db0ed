//! The VPC of an instance: into another one, or back into the project's default one. An instance always is in one.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    audit::Changes,
    http::{self, Answer, ApiError, ApiResult, Faults, NoBody, PathId},
    store::Tx,
    tasks::NewTask,
};

use super::{
    InstancesOperate,
    actions::{self, Action},
    api::InstanceKind,
    requests::InstanceVpcAttach,
    rows,
    steps::AttachVpc,
};
use crate::{
    Compute,
    catalogue::Catalogue,
    tasks::api::InstanceTask,
    vpcs::{
        self,
        private::{self, Wish},
        rows::VpcRow,
    },
};

/// [Instances] Attach compute instance to a VPC
///
/// Add a private interface in the VPC. VPC and instance must share the location; an instance is in at most one VPC: it
/// leaves the one that it is in.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/vpc/attach",
    tag = "Compute", operation_id = "attach_instance_vpc",
    params(
        ("id" = uuid::Uuid, Path, description = "A UUID string identifying this Instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = InstanceVpcAttach),
    responses(
        (status = 202, description = actions::ACCEPTED, body = InstanceTask),
        (status = 400, description = "The request does not validate"),
        (status = 409, description = actions::CONFLICT),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesOperate::NAME)), ("x-minimum-role" = json!(InstancesOperate::ROLE.as_str())),
        ("x-scope" = json!(InstancesOperate::SCOPE))),
)]
pub(crate) async fn attach_instance_vpc(
    scope: ProjectScope<InstancesOperate>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
    change: http::Change<InstanceVpcAttach>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work =
        move |tx: &mut Tx<'_>, change: &http::Change<InstanceVpcAttach>| -> ApiResult<Answer<InstanceTask>> {
            let action = Action::begin(tx, &scope, id)?;
            change.check_version(action.row.version)?;
            let body = change.body()?;
            let mut faults = Faults::default();
            let found = vpcs::rows::find(tx.conn(), scope.organization, scope.project, body.vpc_id)?;
            match &found {
                None => faults.add(
                    "vpc_id",
                    format!("Invalid pk \"{}\" - object does not exist.", body.vpc_id),
                ),
                Some(vpc) if vpc.location_id != action.row.location_id => {
                    faults.add("vpc_id", "This VPC is in another location than the instance.");
                }
                Some(vpc) => faults.check("vpc_id", vpc.is_active, "This VPC is not active."),
            }
            faults.into_result()?;
            action.must_be_in_force()?;
            let vpc = found.ok_or_else(ApiError::not_found)?;
            if vpc.id == action.row.vpc_id {
                return Err(ApiError::conflict("The instance is in this VPC already."));
            }
            let wish = Wish {
                subnet: None,
                address: body.private_ip.clone(),
            };
            let task = move_to(tx, &scope, action, &vpc, None, (&wish, "private_ip"))?;
            Ok(task)
        };
    change.run(&compute.app, &caller, "attach_vpc", work).await
}

/// [Instances] Detach compute instance from its VPC
///
/// Remove the private interface from the VPC. An instance always is in one: it goes to the default VPC of its project in
/// its location.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/vpc/detach",
    tag = "Compute", operation_id = "detach_instance_vpc",
    params(
        ("id" = uuid::Uuid, Path, description = "A UUID string identifying this Instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 202, description = actions::ACCEPTED, body = InstanceTask),
        (status = 409, description = actions::CONFLICT),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesOperate::NAME)), ("x-minimum-role" = json!(InstancesOperate::ROLE.as_str())),
        ("x-scope" = json!(InstancesOperate::SCOPE))),
)]
pub(crate) async fn detach_instance_vpc(
    scope: ProjectScope<InstancesOperate>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
    change: http::Change<NoBody>,
) -> ApiResult<Response> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &http::Change<NoBody>| -> ApiResult<Answer<InstanceTask>> {
        let action = Action::begin(tx, &scope, id)?;
        change.check_version(action.row.version)?;
        move_to_default(tx, &scope, action, &catalogue)
    };
    change.run(&compute.app, &caller, AttachVpc::DETACH, work).await
}

/// Moves an instance back to the default VPC of its project in its location.
///
/// # Errors
/// 409 if it is there, or not in force.
pub(crate) fn move_to_default<P: Permission>(
    tx: &mut Tx<'_>,
    scope: &ProjectScope<P>,
    action: Action<'_, P>,
    catalogue: &Catalogue,
) -> ApiResult<Answer<InstanceTask>> {
    action.must_be_in_force()?;
    let location = action.row.location_id;
    let slug = catalogue
        .location(location)
        .map_or("", |location| location.slug.as_str());
    let vpc = vpcs::rows::default_for(tx, scope.organization, scope.project, location, slug)?;
    if vpc.id == action.row.vpc_id {
        let text = "The instance is in its project's default VPC: it can only be attached to another one.";
        return Err(ApiError::conflict(text));
    }
    let wish = (&Wish::default(), "vpc_id");
    move_to(tx, scope, action, &vpc, Some(AttachVpc::DETACH), wish)
}

/// Gives an instance an address in another VPC, and enqueues the task that moves its interface there.
///
/// # Errors
/// 400 if the address that is wished for can't be had; 409 if none is free.
pub(crate) fn move_to<P: Permission>(
    tx: &mut Tx<'_>,
    scope: &ProjectScope<P>,
    mut action: Action<'_, P>,
    vpc: &VpcRow,
    kind: Option<&'static str>,
    (wish, field): (&Wish, &'static str),
) -> ApiResult<Answer<InstanceTask>> {
    let previous = action.row.vpc_id;
    private::assign(tx, action.row.id, vpc.id, wish, field)?;
    let mut changes = Changes::default();
    changes.note("vpc_id", &previous, &vpc.id);
    let text = format!("Moved instance {} to VPC {}", action.row.name, vpc.name);
    action.audit(tx, "instance.vpc_changed", text, changes)?;
    action.row.vpc_id = vpc.id;
    rows::save(tx, &mut action.row)?;
    let task = AttachVpc::task(&action.row, previous);
    let id = tx.enqueue(&NewTask {
        kind: kind.unwrap_or(task.kind),
        created_by: Some(scope.caller.user),
        request: Some(scope.request.id),
        ..task
    })?;
    action.answer(tx, id)
}
