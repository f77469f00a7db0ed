//! Reads one task, at once or when it has ended; and hands over, once, a secret that it has made up.

use std::time::Duration;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, Method, header};
use kernel::{
    App,
    access::{Caller, Permission, Project, ProjectScope, Role},
    http::{ApiError, ApiResult, PathId, Query, Versioned},
    id::Id,
    store::Conn,
    tasks::{Task, TaskId, TaskStatus},
};
use serde_json::json;
use tokio::time::Instant;

use super::{
    api::InstanceTask,
    list::{find_row, show},
    path::InstancePath,
    secrets,
};
use crate::{
    Compute,
    instances::{InstancesOperate, InstancesRead, api::InstanceKind},
};

/// The longest that a request may ask to wait.
const LONGEST: u64 = 60;
/// What is left of a request's time for its answer.
const MARGIN: Duration = Duration::from_secs(2);

/// Get instance task
///
/// Read one task: what it does, its state, its parameters and its result. With `wait` the answer comes when the task has
/// ended, at the latest after so many seconds (and before the server's own limit of a request's time).
///
/// A password that the task has made up is in `result` of one answer: the first that who has asked for the task gets once
/// it has completed, with a credential that may operate instances. It is erased after that, and after a day.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/tasks/{id}",
    tag = "Compute", operation_id = "get_instance_task",
    params(
        ("wait" = Option<i64>, Query, description = "Answer when the task has ended, or after so many seconds. An addition to the published API.", minimum = 0, maximum = 60,
            extensions(("x-addition" = json!(true)))),
        ("id" = uuid::Uuid, Path, description = "UUID of the task."),
        ("organization_id" = uuid::Uuid, Path, description = "Organization that owns the resource."),
        ("project_id" = uuid::Uuid, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 200, description = "Task", body = InstanceTask),
        (status = 400, description = "`wait` can't be read"),
        (status = 401, description = "No credentials, or invalid ones"),
        (status = 403, description = "Insufficient permissions"),
        (status = 404, description = "Not found"),
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesRead::NAME)), ("x-minimum-role" = json!(InstancesRead::ROLE.as_str())),
        ("x-scope" = json!(InstancesRead::SCOPE))),
)]
pub(crate) async fn get_instance_task(
    scope: ProjectScope<InstancesRead>,
    PathId(id): PathId<Task>,
    State(compute): State<Compute>,
    method: Method,
    query: Query,
) -> ApiResult<Response> {
    read(scope, &compute, None, id, &method, query).await
}

/// [Tasks] Get instance task (nested)
///
/// Read one task below its instance.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{instance_id}/tasks/{id}",
    tag = "Compute", operation_id = "get_instance_task_nested",
    params(
        ("wait" = Option<i64>, Query, description = "Answer when the task has ended, or after so many seconds. An addition to the published API.", minimum = 0, maximum = 60,
            extensions(("x-addition" = json!(true)))),
        ("instance_id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("id" = uuid::Uuid, Path, description = "UUID of the task."),
        ("organization_id" = uuid::Uuid, Path, description = "Organization that owns the resource."),
        ("project_id" = uuid::Uuid, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 200, description = "Task", body = InstanceTask),
        (status = 400, description = "`wait` can't be read"),
        (status = 401, description = "No credentials, or invalid ones"),
        (status = 403, description = "Insufficient permissions"),
        (status = 404, description = "Not found"),
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesRead::NAME)), ("x-minimum-role" = json!(InstancesRead::ROLE.as_str())),
        ("x-scope" = json!(InstancesRead::SCOPE))),
)]
pub(crate) async fn get_instance_task_nested(
    scope: ProjectScope<InstancesRead>,
    InstancePath(instance): InstancePath,
    PathId(id): PathId<Task>,
    State(compute): State<Compute>,
    method: Method,
    query: Query,
) -> ApiResult<Response> {
    read(scope, &compute, Some(instance), id, &method, query).await
}

async fn read(
    scope: ProjectScope<InstancesRead>,
    compute: &Compute,
    instance: Option<Id<InstanceKind>>,
    id: TaskId,
    method: &Method,
    mut query: Query,
) -> ApiResult<Response> {
    let wait = wait(&mut query);
    query.check()?;
    let app = &compute.app;
    let limit = Duration::from_secs(app.config().server.request_timeout_seconds).saturating_sub(MARGIN);
    let until = Instant::now() + wait.min(limit);
    let mut pause = Pause::default();
    let (task, version) = loop {
        let (task, version) = look(app, scope.project, instance, id).await?;
        let left = until.saturating_duration_since(Instant::now());
        if has_ended(task.status) || left.is_zero() || app.is_stopping() {
            break (task, version);
        }
        tokio::time::sleep(pause.next().min(left)).await;
    };
    // A HEAD has no body to put it into.
    if *method == Method::GET && may_read_secret(&scope, &task) {
        return reveal(app, &scope.caller, task, version).await;
    }
    Ok(Versioned { body: task, version }.into_response())
}

/// `wait`, in seconds.
fn wait(query: &mut Query) -> Duration {
    let Some(text) = query.text("wait") else {
        return Duration::ZERO;
    };
    match text.parse::<u64>() {
        Ok(seconds) if seconds <= LONGEST => Duration::from_secs(seconds),
        Ok(_) => {
            query.fault(
                "wait",
                format!("Ensure this value is less than or equal to {LONGEST}."),
            );
            Duration::ZERO
        }
        Err(_) => {
            query.fault("wait", "A valid integer is required.");
            Duration::ZERO
        }
    }
}

/// Pauses between looks, growing: most tasks end soon or late.
#[derive(Debug, Default)]
pub(super) struct Pause(u32);

impl Pause {
    pub(super) fn next(&mut self) -> Duration {
        self.0 = (self.0 + 1).min(10);
        Duration::from_millis(50) * self.0
    }
}

/// Whether nothing of it will change.
pub(super) const fn has_ended(status: TaskStatus) -> bool {
    matches!(
        status,
        TaskStatus::Completed | TaskStatus::Failed | TaskStatus::Cancelled
    )
}

/// The task as it is now, with its version.
pub(super) async fn look(
    app: &App,
    project: Id<Project>,
    instance: Option<Id<InstanceKind>>,
    id: TaskId,
) -> ApiResult<(InstanceTask, i64)> {
    let found = app.store().read("get_instance_task", move |conn: &mut Conn| {
        let row = find_row(conn, project, id)?.ok_or_else(ApiError::not_found)?;
        if instance.is_some_and(|instance| row.resource_id != instance.cast()) {
            return Err(ApiError::not_found());
        }
        let version = row.modified.micros();
        let task = show(conn, row)?.ok_or_else(ApiError::not_found)?;
        Ok((task, version))
    });
    found.await
}

/// Who has asked for the task, and may still do what the secret lets them do.
fn may_read_secret(scope: &ProjectScope<InstancesRead>, task: &InstanceTask) -> bool {
    let is_own = task
        .created_by
        .as_ref()
        .is_some_and(|user| user.id == scope.caller.user);
    let may_operate = scope.role >= Role::Editor && scope.caller.has_scope(InstancesOperate::SCOPE);
    is_own && may_operate && task.status == TaskStatus::Completed
}

/// The task, with its secret if there is one that nobody has read.
async fn reveal(app: &App, caller: &Caller, mut task: InstanceTask, version: i64) -> ApiResult<Response> {
    let (id, user) = (task.id, caller.user);
    let waits = app
        .store()
        .read("find_task_secret", move |conn: &mut Conn| {
            Ok::<_, ApiError>(secrets::waits_for(conn, id, user)?)
        })
        .await?;
    if !waits {
        return Ok(Versioned { body: task, version }.into_response());
    }
    let sealer = app.sealer().clone();
    let secret = app
        .store()
        .write("take_task_secret", move |tx| secrets::take(tx, &sealer, id, user))
        .await?;
    let Some(secret) = secret else {
        return Ok(Versioned { body: task, version }.into_response());
    };
    task.result = Some(json!({ "user": "root", "password": secret }));
    // No entity tag: it would be a hash of the secret, and this answer is never given again.
    let mut response = axum::Json(task).into_response();
    response.headers_mut().insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-store"),
    );
    Ok(response)
}
