//! `change_instance_hostname`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    audit::Changes,
    http::{self, Answer, ApiResult, Faults, PathId},
    store::Tx,
};
use serde_json::json;

use super::{
    InstancesOperate,
    actions::{self, Action},
    api::InstanceKind,
    requests::InstanceHostname,
    rows::InstanceRow,
    rules::is_hostname,
};
use crate::{Compute, machines::kinds::name, tasks::api::InstanceTask};

/// [Instances] Change hostname of a compute instance
///
/// Set the host name in the guest configuration; takes effect in the guest after the next start. Queues a
/// `change_hostname` task.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/hostname",
    tag = "Compute", operation_id = "change_instance_hostname",
    params(
        ("id" = uuid::Uuid, Path, description = "A UUID string identifying this Instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = InstanceHostname),
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
pub(crate) async fn change_instance_hostname(
    scope: ProjectScope<InstancesOperate>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
    change: http::Change<InstanceHostname>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work =
        move |tx: &mut Tx<'_>, change: &http::Change<InstanceHostname>| -> ApiResult<Answer<InstanceTask>> {
            let mut action = Action::begin(tx, &scope, id)?;
            change.check_version(action.row.version)?;
            let hostname = &change.body()?.hostname;
            if !is_hostname(hostname) {
                return Err(Faults::one("hostname", "Enter a valid host name (RFC 1123).").into());
            }
            action.must_be_active()?;
            let machine = action.machine_to_change()?;
            let mut row = action.row.clone();
            row.hostname.clone_from(hostname);
            row.search = InstanceRow::search_text(&row.name, &row.hostname);
            let mut changes = Changes::default();
            changes.note("hostname", &action.row.hostname, hostname);
            let text = format!("Changed the host name of instance {}", row.name);
            action.audit(tx, "instance.hostname_changed", text, changes)?;
            let parameters = json!({ "hostname": hostname, "previous_hostname": action.row.hostname });
            action.change(tx, name::HOSTNAME, parameters, Some(row), machine)
        };
    change.run(&compute.app, &caller, name::HOSTNAME, work).await
}
