//! `cancel_instance_task`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Change, NoBody, PathId},
    store::Tx,
    tasks::{self as queue, Task, TaskRow, TaskStatus},
};

use super::{
    api::InstanceTask,
    list::{find_row, show},
};
use crate::{
    Compute,
    instances::{
        InstancesOperate,
        rows::{self, InstanceRow},
    },
    product,
};

/// [Tasks] Cancel instance task
///
/// Cancel a task that has not started: what was asked for with it is taken back.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/tasks/{id}/cancel",
    tag = "Compute", operation_id = "cancel_instance_task",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the task."),
        ("organization_id" = uuid::Uuid, Path, description = "Organization that owns the resource."),
        ("project_id" = uuid::Uuid, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 200, description = "Task cancelled", body = InstanceTask),
        (status = 409, description = "The task has started or ended"),
        kernel::http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesOperate::NAME)), ("x-minimum-role" = json!(InstancesOperate::ROLE.as_str())),
        ("x-scope" = json!(InstancesOperate::SCOPE))),
)]
pub(crate) async fn cancel_instance_task(
    scope: ProjectScope<InstancesOperate>,
    PathId(id): PathId<Task>,
    State(compute): State<Compute>,
    change: Change<NoBody>,
) -> ApiResult<Response> {
    let (app, caller) = (compute.app.clone(), scope.caller.clone());
    let work = move |tx: &mut Tx<'_>, change: &Change<NoBody>| -> ApiResult<Answer<InstanceTask>> {
        let (task, instance) = find_both(tx, &compute, &scope, id)?;
        change.check_version(task.modified.micros())?;
        if task.created_by.is_none() && task.status == TaskStatus::Pending {
            return Err(ApiError::conflict(
                "Nobody has asked for this task: it follows from the instance's billing.",
            ));
        }
        if !queue::withdraw(tx, id)? {
            let is = match task.status {
                TaskStatus::Pending | TaskStatus::Running => "has started",
                TaskStatus::Completed | TaskStatus::Failed | TaskStatus::Cancelled => "has ended",
            };
            return Err(ApiError::conflict(format!(
                "The task {is}: it can't be cancelled any more."
            )));
        }
        let verdict = compute
            .kind_of(&task)
            .map(|kind| kind.withdrawn(tx, &task))
            .transpose()?;
        verdict
            .unwrap_or(Err("Nothing is known of this kind of task."))
            .map_err(ApiError::conflict)?;
        tell(
            tx,
            &scope,
            &instance,
            ("instance.task_cancelled", "Cancelled"),
            &task,
        )?;
        answer(tx, &scope, id)
    };
    change.run(&app, &caller, "cancel_instance_task", work).await
}

/// The task, and its instance, locked behind the account: what is taken back may have been paid.
pub(super) fn find_both(
    tx: &mut Tx<'_>,
    compute: &Compute,
    scope: &ProjectScope<InstancesOperate>,
    id: queue::TaskId,
) -> ApiResult<(TaskRow, InstanceRow)> {
    let task = find_row(tx.conn(), scope.project, id)?.ok_or_else(ApiError::not_found)?;
    let instance = task.resource_id.cast();
    product::lock_service(tx, &compute.billing, scope.organization, instance)?;
    let instance = rows::lock_row(tx, scope.project, instance)?.ok_or_else(ApiError::not_found)?;
    // As it is behind the lock.
    let task = find_row(tx.conn(), scope.project, id)?.ok_or_else(ApiError::not_found)?;
    Ok((task, instance))
}

/// The audit record of what is done to a task.
pub(super) fn tell(
    tx: &mut Tx<'_>,
    scope: &ProjectScope<InstancesOperate>,
    instance: &InstanceRow,
    (action, done): (&'static str, &str),
    task: &TaskRow,
) -> ApiResult<()> {
    let event = Event {
        action,
        resource_type: "instance",
        resource_id: instance.id.cast(),
        resource_name: instance.name.clone(),
        description: format!("{done} the task {} of instance {}", task.kind, instance.name),
        changes: Changes::default(),
        status: AuditStatus::Success,
    };
    let origin = Origin::caller(&scope.caller, &scope.request);
    Ok(tx.audit(
        &origin,
        Some(instance.organization_id),
        Some(instance.project_id),
        &event,
    )?)
}

/// The task as it now is.
fn answer(
    tx: &mut Tx<'_>,
    scope: &ProjectScope<InstancesOperate>,
    id: queue::TaskId,
) -> ApiResult<Answer<InstanceTask>> {
    let row = find_row(tx.conn(), scope.project, id)?.ok_or_else(ApiError::not_found)?;
    let version = row.modified.micros();
    let task = show(tx.conn(), row)?.ok_or_else(ApiError::not_found)?;
    Ok(Answer::ok(task, version))
}
