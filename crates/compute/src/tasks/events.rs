//! The progress of a task as server-sent events: an addition to the published API.

use std::time::Duration;

use axum::{extract::State, response::Response};
use kernel::{
    App,
    access::{Permission, Project, ProjectScope},
    http::{ApiResult, Events, PathId},
    id::Id,
    tasks::{Task, TaskId},
};
use tokio::time::Instant;

use super::{
    api::InstanceTask,
    get::{Pause, has_ended, look},
};
use crate::{Compute, instances::InstancesRead};

/// How long a stream lasts at most. Clients come again by themselves, and their rights are looked at anew.
const LONGEST: Duration = Duration::from_mins(5);
/// How often something is sent to a client that would hear nothing.
const BREATH: Duration = Duration::from_secs(15);

/// [Tasks] Watch instance task
///
/// Server-sent events: `task` with the task as it is now and each time it changes, and a last one, `end`, when it has
/// ended. Secrets are not among them. The stream lasts five minutes at most; clients connect again. An addition to the
/// published API.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/tasks/{id}/events",
    tag = "Compute", operation_id = "watch_instance_task",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the task."),
        ("organization_id" = uuid::Uuid, Path, description = "Organization that owns the resource."),
        ("project_id" = uuid::Uuid, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 200, description = "Events", content_type = "text/event-stream", body = String),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesRead::NAME)), ("x-minimum-role" = json!(InstancesRead::ROLE.as_str())),
        ("x-scope" = json!(InstancesRead::SCOPE)), ("x-addition" = json!(true))),
)]
pub(crate) async fn watch_instance_task(
    scope: ProjectScope<InstancesRead>,
    PathId(id): PathId<Task>,
    State(compute): State<Compute>,
) -> ApiResult<Response> {
    let first = look(&compute.app, scope.project, None, id).await?;
    let (events, response) = Events::open();
    let app = compute.app.clone();
    tokio::spawn(async move {
        // A database that is away ends the stream: the client comes again.
        if let Err(error) = tell(&app, scope.project, id, first, &events).await {
            tracing::debug!(%error, "a stream of events has ended early");
        }
    });
    Ok(response)
}

async fn tell(
    app: &App,
    project: Id<Project>,
    id: TaskId,
    (mut task, mut version): (InstanceTask, i64),
    events: &Events,
) -> ApiResult<()> {
    let end = Instant::now() + LONGEST;
    let mut pause = Pause::default();
    loop {
        let is_over = has_ended(task.status);
        let listened = events.send(if is_over { "end" } else { "task" }, &task).await?;
        if is_over || !listened {
            return Ok(());
        }
        let mut heard = Instant::now();
        let known = version;
        while version == known {
            if !events.pause(pause.next()).await || app.is_stopping() || Instant::now() >= end {
                return Ok(());
            }
            if heard.elapsed() >= BREATH {
                heard = Instant::now();
                events.breathe().await;
            }
            (task, version) = look(app, project, None, id).await?;
        }
        pause = Pause::default();
    }
}
