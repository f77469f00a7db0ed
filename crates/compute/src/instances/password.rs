//! `reset_instance_password`.

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
    requests::InstancePasswordReset,
    secrets::{self, Place, Secrets},
};
use crate::{
    Compute,
    machines::{MachineRow, kinds::name},
    tasks::api::InstanceTask,
};

/// [Instances] Reset root password of a compute instance
///
/// Set a new administrator password through cloud-init: it holds from the next start on. Without a password in the body
/// one is generated and can be read once from the task result, by who has asked for it.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/password",
    tag = "Compute", operation_id = "reset_instance_password",
    params(
        ("id" = uuid::Uuid, Path, description = "A UUID string identifying this Instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = InstancePasswordReset),
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
pub(crate) async fn reset_instance_password(
    scope: ProjectScope<InstancesOperate>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
    change: http::Change<InstancePasswordReset>,
) -> ApiResult<Response> {
    let made = match change.body() {
        Ok(body) => Secrets::make(&compute, id, Place::Own, body.password.as_ref(), true).await?,
        // It will be refused.
        Err(_) => Secrets::default(),
    };
    let (app, caller) = (compute.app.clone(), scope.caller.clone());
    let work = move |tx: &mut Tx<'_>,
                     change: &http::Change<InstancePasswordReset>|
          -> ApiResult<Answer<InstanceTask>> {
        let mut action = Action::begin(tx, &scope, id)?;
        change.check_version(action.row.version)?;
        let mut faults = Faults::default();
        secrets::check(change.body()?.password.as_ref(), None, &mut faults);
        faults.into_result()?;
        action.must_be_active()?;
        let machine = MachineRow {
            password: made.password.clone(),
            ..action.machine_to_change()?
        };
        let text = format!(
            "Reset the administrator's password of instance {}",
            action.row.name
        );
        action.audit(tx, "instance.password_reset", text, Changes::default())?;
        let parameters = json!({ "generated": made.is_generated() });
        let task = action.wish(tx, name::PASSWORD, parameters, None, machine)?;
        made.hand_over(tx, &compute, &scope, task)?;
        action.answer(tx, task)
    };
    change.run(&app, &caller, name::PASSWORD, work).await
}
