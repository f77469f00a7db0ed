//! `list_snapshots`, `list_project_snapshots` and `get_snapshot`.

use axum::{Json, extract::State};
use diesel::{ExpressionMethods, JoinOnDsl, QueryDsl, RunQueryDsl, SelectableHelper};
use kernel::{
    access::{Permission, Project, ProjectScope},
    http::{ApiError, ApiResult, Page, PathId, Query, Versioned},
    id::Id,
};

use super::{
    SnapshotsRead,
    api::{InstanceSnapshot, InstanceSnapshotPage, SnapshotKind, SnapshotStatus},
    rows::{self, Found, SnapshotRow, joined},
};
use crate::{
    Compute,
    instances::{api::InstanceKind, rows as instance_rows, rows::VolumeRow},
    schema::{instances, snapshots, volumes},
    tasks::InstancePath,
};

#[derive(Clone, Copy)]
enum Order {
    Name,
    Created,
}

/// [Snapshots] List snapshots of an instance
///
/// Snapshots of the instance, newest first.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{instance_id}/snapshots",
    tag = "Compute", operation_id = "list_snapshots",
    params(
        ("page" = Option<i64>, Query, description = "Page number, starting at 1.", minimum = 1),
        ("page_size" = Option<i64>, Query, description = "Items on a page.", minimum = 1, maximum = 100),
        ("status" = Option<String>, Query, description = "Only snapshots of this status."),
        ("ordering" = Option<String>, Query, description = "One of `name`, `created`; prefix `-` for descending."),
        ("instance_id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 200, description = "Snapshots", body = InstanceSnapshotPage),
        (status = 400, description = "A filter that can't be read"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(SnapshotsRead::NAME)), ("x-minimum-role" = json!(SnapshotsRead::ROLE.as_str())),
        ("x-scope" = json!(SnapshotsRead::SCOPE))),
)]
pub(crate) async fn list_snapshots(
    scope: ProjectScope<SnapshotsRead>,
    InstancePath(instance): InstancePath,
    State(compute): State<Compute>,
    query: Query,
    page: Page,
) -> ApiResult<Json<InstanceSnapshotPage>> {
    list(
        &compute,
        "list_snapshots",
        scope.project,
        Some(instance),
        query,
        page,
    )
    .await
}

/// [Snapshots] List snapshots of the project
///
/// Snapshots of every instance of the project, newest first.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/snapshots",
    tag = "Compute", operation_id = "list_project_snapshots",
    params(
        ("page" = Option<i64>, Query, description = "Page number, starting at 1.", minimum = 1),
        ("page_size" = Option<i64>, Query, description = "Items on a page.", minimum = 1, maximum = 100),
        ("instance_id" = Option<uuid::Uuid>, Query, description = "Only snapshots of this instance."),
        ("status" = Option<String>, Query, description = "Only snapshots of this status."),
        ("ordering" = Option<String>, Query, description = "One of `name`, `created`; prefix `-` for descending."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 200, description = "Snapshots", body = InstanceSnapshotPage),
        (status = 400, description = "A filter that can't be read"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(SnapshotsRead::NAME)), ("x-minimum-role" = json!(SnapshotsRead::ROLE.as_str())),
        ("x-scope" = json!(SnapshotsRead::SCOPE))),
)]
pub(crate) async fn list_project_snapshots(
    scope: ProjectScope<SnapshotsRead>,
    State(compute): State<Compute>,
    query: Query,
    page: Page,
) -> ApiResult<Json<InstanceSnapshotPage>> {
    list(
        &compute,
        "list_project_snapshots",
        scope.project,
        None,
        query,
        page,
    )
    .await
}

/// Those of one instance, which must be there, or those of all.
async fn list(
    compute: &Compute,
    operation: &'static str,
    project: Id<Project>,
    within: Option<Id<InstanceKind>>,
    mut query: Query,
    page: Page,
) -> ApiResult<Json<InstanceSnapshotPage>> {
    let status = query.choice("status", SnapshotStatus::from_word);
    let instance = match within {
        Some(instance) => Some(instance),
        None => query.id::<InstanceKind>("instance_id"),
    };
    let order = query.ordering(&[("name", Order::Name), ("created", Order::Created)]);
    query.check()?;
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let read = compute.app.store().read(operation, move |conn| {
        if let Some(instance) = within
            && !instance_rows::exists(conn, project, instance)?
        {
            return Err(ApiError::not_found());
        }
        let filtered = || {
            let mut query = joined!().filter(snapshots::project_id.eq(project)).into_boxed();
            if let Some(instance) = instance {
                query = query.filter(snapshots::instance_id.eq(instance));
            }
            if let Some(status) = status {
                query = query.filter(snapshots::status.eq(status));
            }
            query
        };
        let count = filtered().count().get_result(conn)?;
        let (skip, take) = page.window(count)?;
        let ordered = match order {
            Some((Order::Name, false)) => filtered().order(snapshots::name.asc()),
            Some((Order::Name, true)) => filtered().order(snapshots::name.desc()),
            Some((Order::Created, false)) => filtered().order(snapshots::created.asc()),
            Some((Order::Created, true)) | None => filtered().order(snapshots::created.desc()),
        };
        let found: Vec<Found> = ordered
            .then_order_by(snapshots::id.desc())
            .offset(skip)
            .limit(take)
            .load(conn)?;
        let shown: ApiResult<Vec<InstanceSnapshot>> = found
            .into_iter()
            .map(|found| InstanceSnapshot::of(found, &catalogue))
            .collect();
        page.of(count, shown?).map(Json)
    });
    read.await
}

/// [Snapshots] Get a snapshot
///
/// Read one snapshot.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{instance_id}/snapshots/{id}",
    tag = "Compute", operation_id = "get_snapshot",
    params(
        ("instance_id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("id" = uuid::Uuid, Path, description = "UUID of the snapshot."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses((status = 200, description = "Done", body = InstanceSnapshot), kernel::http::Refusals),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(SnapshotsRead::NAME)), ("x-minimum-role" = json!(SnapshotsRead::ROLE.as_str())),
        ("x-scope" = json!(SnapshotsRead::SCOPE))),
)]
pub(crate) async fn get_snapshot(
    scope: ProjectScope<SnapshotsRead>,
    InstancePath(instance): InstancePath,
    PathId(id): PathId<SnapshotKind>,
    State(compute): State<Compute>,
) -> ApiResult<Versioned<InstanceSnapshot>> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let read = compute.app.store().read("get_snapshot", move |conn| {
        let found = rows::find(conn, scope.project, instance, id)?.ok_or_else(ApiError::not_found)?;
        Ok(Versioned {
            version: found.0.modified.micros(),
            body: InstanceSnapshot::of(found, &catalogue)?,
        })
    });
    read.await
}
