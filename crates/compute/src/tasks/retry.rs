//! `retry_instance_task`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    http::{Answer, ApiError, ApiResult, Change, NoBody, PathId},
    store::Tx,
    tasks::{self as queue, Task, TaskStatus},
};

use super::{
    api::InstanceTask,
    cancel::{find_both, tell},
    list::{find, has_unfinished},
};
use crate::{
    Compute,
    instances::{InstancesOperate, actions, api::InstanceStatus},
};

/// [Tasks] Retry instance task
///
/// Queue a failed task again with the same parameters.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/tasks/{id}/retry",
    tag = "Compute", operation_id = "retry_instance_task",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the task."),
        ("organization_id" = uuid::Uuid, Path, description = "Organization that owns the resource."),
        ("project_id" = uuid::Uuid, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 202, description = actions::ACCEPTED, body = InstanceTask),
        (status = 409, description = "The task has not failed, or another task is active on the instance"),
        kernel::http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesOperate::NAME)), ("x-minimum-role" = json!(InstancesOperate::ROLE.as_str())),
        ("x-scope" = json!(InstancesOperate::SCOPE))),
)]
pub(crate) async fn retry_instance_task(
    scope: ProjectScope<InstancesOperate>,
    PathId(id): PathId<Task>,
    State(compute): State<Compute>,
    change: Change<NoBody>,
) -> ApiResult<Response> {
    let (app, caller) = (compute.app.clone(), scope.caller.clone());
    let work = move |tx: &mut Tx<'_>, change: &Change<NoBody>| -> ApiResult<Answer<InstanceTask>> {
        let (task, instance) = find_both(tx, &compute, &scope, id)?;
        change.check_version(task.modified.micros())?;
        if task.status != TaskStatus::Failed {
            let text = format!(
                "The task is {}: only a failed one can be tried again.",
                task.status.as_str()
            );
            return Err(ApiError::conflict(text));
        }
        if instance.status != InstanceStatus::Active {
            let text = format!(
                "The instance is {}; it must be active for this.",
                instance.status.as_str()
            );
            return Err(ApiError::conflict(text));
        }
        if has_unfinished(tx.conn(), scope.project, instance.id)? {
            return Err(ApiError::conflict("Another task of the instance has not ended."));
        }
        let verdict = compute
            .kind_of(&task)
            .map(|kind| kind.renewed(tx, &task))
            .transpose()?;
        verdict
            .unwrap_or(Err("Nothing is known of this kind of task."))
            .map_err(ApiError::conflict)?;
        if !queue::again(tx, id)? {
            return Err(ApiError::conflict("The task has not failed."));
        }
        tell(
            tx,
            &scope,
            &instance,
            ("instance.task_retried", "Tried again"),
            &task,
        )?;
        let shown = find(tx.conn(), scope.project, id)?.ok_or_else(ApiError::not_found)?;
        let path = format!(
            "/v1/organizations/{}/projects/{}/compute/tasks/{id}",
            scope.organization, scope.project
        );
        Ok(Answer::accepted(shown, path))
    };
    change.run(&app, &caller, "retry_instance_task", work).await
}
