//! `get_instance_state` and `sync_instance_state`: what the reconciler has seen of an instance, and what it sees now.

use std::time::Duration;

use axum::extract::State;
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, RunQueryDsl};
use kernel::{
    access::{Permission, Project, ProjectScope},
    http::{self, ApiError, ApiResult, NoBody, PathId, Versioned},
    id::Id,
    store::Conn,
};

use crate::{
    Compute,
    hosts::HostId,
    instances::{
        InstancesOperate, InstancesRead,
        api::{InstanceKind, InstanceStateSync},
        rows, views,
    },
    schema::machines,
};

/// How long a request waits for a look.
const WAIT: Duration = Duration::from_secs(10);

/// [Instances] Get synchronised state of a compute instance
///
/// Last state read from the hypervisor.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/state",
    tag = "Compute", operation_id = "get_instance_state",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses((status = 200, description = "State", body = InstanceStateSync), http::Refusals),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesRead::NAME)), ("x-minimum-role" = json!(InstancesRead::ROLE.as_str())),
        ("x-scope" = json!(InstancesRead::SCOPE))),
)]
pub(crate) async fn get_instance_state(
    scope: ProjectScope<InstancesRead>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
) -> ApiResult<Versioned<InstanceStateSync>> {
    compute
        .app
        .store()
        .read("get_instance_state", move |conn| find(conn, scope.project, id))
        .await
}

/// [Instances] Synchronise state of a compute instance
///
/// Read power state and usage from the hypervisor now. Requests at the same time share one look at the host. An instance
/// for which no machine was made yet, or whose machine is gone, has the state that was written last.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/sync",
    tag = "Compute", operation_id = "sync_instance_state",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 200, description = "Fresh state", body = InstanceStateSync),
        http::WriteRefusals,
        (status = 503, description = "The hypervisor is not reachable"),
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesOperate::NAME)),
        ("x-minimum-role" = json!(InstancesOperate::ROLE.as_str())), ("x-scope" = json!(InstancesOperate::SCOPE))),
)]
pub(crate) async fn sync_instance_state(
    scope: ProjectScope<InstancesOperate>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
    _change: http::Change<NoBody>,
) -> ApiResult<Versioned<InstanceStateSync>> {
    let project = scope.project;
    let host = compute
        .app
        .store()
        .read("host_of_instance", move |conn| host_of(conn, project, id))
        .await?;
    if let Some(host) = host {
        let looker = compute.clone();
        // A look goes on if the client goes away: others wait for it, too.
        let look = tokio::spawn(async move { looker.reconciler.look(&looker, host).await });
        match tokio::time::timeout(WAIT, look).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => {
                tracing::warn!(%host, %error, "an instance could not be looked at");
                return Err(unreachable());
            }
            Ok(Err(_)) | Err(_) => return Err(unreachable()),
        }
    }
    compute
        .app
        .store()
        .read("sync_instance_state", move |conn| find(conn, project, id))
        .await
}

fn unreachable() -> ApiError {
    ApiError::unavailable("The instance's host can't be reached at the moment.")
}

/// Where an instance's machine is, if it has one.
fn host_of(conn: &mut Conn, project: Id<Project>, id: Id<InstanceKind>) -> ApiResult<Option<HostId>> {
    if !rows::exists(conn, project, id)? {
        return Err(ApiError::not_found());
    }
    let host = machines::table
        .filter(machines::instance_id.eq(id))
        .select(machines::host_id)
        .first(conn);
    Ok(host.optional()?)
}

fn find(
    conn: &mut Conn,
    project: Id<Project>,
    id: Id<InstanceKind>,
) -> ApiResult<Versioned<InstanceStateSync>> {
    let (row, _, state) = rows::find(conn, project, id)?.ok_or_else(ApiError::not_found)?;
    let body = views::state_of(state, id, row.created);
    Ok(Versioned {
        version: body.last_synced_at.micros(),
        body,
    })
}
