//! `rebuild_instance_network`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    audit::Changes,
    http::{self, Answer, ApiResult, NoBody, PathId},
    id::Id,
    store::Tx,
};
use serde_json::json;

use super::{
    InstancesOperate,
    actions::{self, Action},
    api::InstanceKind,
};
use crate::{
    Compute,
    machines::{MachineRow, kinds::name},
    tasks::api::InstanceTask,
    vpcs::private,
};

/// [Instances] Rebuild network configuration of a compute instance
///
/// Write the network configuration of the guest anew after addresses or VPC changed. A running machine is restarted.
/// cloud-init takes it for a new instance: it sets up addresses, keys and SSH host keys anew, and carries out the user data
/// again.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/rebuild-network",
    tag = "Compute", operation_id = "rebuild_instance_network",
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
pub(crate) async fn rebuild_instance_network(
    scope: ProjectScope<InstancesOperate>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
    change: http::Change<NoBody>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &http::Change<NoBody>| -> ApiResult<Answer<InstanceTask>> {
        let mut action = Action::begin(tx, &scope, id)?;
        change.check_version(action.row.version)?;
        action.must_be_active()?;
        // One from before VPCs had addresses has none yet.
        private::assign(tx, id, action.row.vpc_id, &private::Wish::default(), "vpc_id")?;
        let machine = MachineRow {
            seed_id: Id::new(),
            ..action.machine_to_change()?
        };
        let text = format!(
            "Asked for the network of instance {} to be set up anew",
            action.row.name
        );
        action.audit(tx, "instance.network_rebuilt", text, Changes::default())?;
        action.change(tx, name::REBUILD_NETWORK, json!({}), None, machine)
    };
    change
        .run(&compute.app, &caller, name::REBUILD_NETWORK, work)
        .await
}
