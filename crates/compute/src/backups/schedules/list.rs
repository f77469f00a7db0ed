//! `list_backup_schedules` and `get_backup_schedule`.

use axum::{Json, extract::State};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl, SelectableHelper};
use kernel::{
    access::{Permission, ProjectScope},
    http::{ApiError, ApiResult, Page, PathId, Versioned},
};

use super::{
    api::{BackupSchedule, BackupSchedulePage, ScheduleKind},
    rows::{self, ScheduleRow},
};
use crate::{
    Compute, backups::BackupsRead, instances::rows as instances, schema::backup_schedules,
    tasks::InstancePath,
};

/// [Backups] List backup schedules of an instance
///
/// Schedules of the instance, oldest first.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{instance_id}/backup-schedules",
    tag = "Compute", operation_id = "list_backup_schedules",
    params(
        ("page" = Option<i64>, Query, description = "Page number, starting at 1.", minimum = 1),
        ("page_size" = Option<i64>, Query, description = "Items on a page.", minimum = 1, maximum = 100),
        ("instance_id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses((status = 200, description = "Schedules", body = BackupSchedulePage), kernel::http::Refusals),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BackupsRead::NAME)), ("x-minimum-role" = json!(BackupsRead::ROLE.as_str())),
        ("x-scope" = json!(BackupsRead::SCOPE))),
)]
pub(crate) async fn list_backup_schedules(
    scope: ProjectScope<BackupsRead>,
    InstancePath(instance): InstancePath,
    State(compute): State<Compute>,
    page: Page,
) -> ApiResult<Json<BackupSchedulePage>> {
    let read = compute.app.store().read("list_backup_schedules", move |conn| {
        if !instances::exists(conn, scope.project, instance)? {
            return Err(ApiError::not_found());
        }
        let filtered = || {
            backup_schedules::table
                .filter(backup_schedules::instance_id.eq(instance))
                .filter(backup_schedules::project_id.eq(scope.project))
        };
        let count = filtered().count().get_result(conn)?;
        let (skip, take) = page.window(count)?;
        let rows: Vec<ScheduleRow> = filtered()
            .order((backup_schedules::created, backup_schedules::id))
            .select(ScheduleRow::as_select())
            .offset(skip)
            .limit(take)
            .load(conn)?;
        page.of(count, rows.into_iter().map(BackupSchedule::from).collect())
            .map(Json)
    });
    read.await
}

/// [Backups] Get a backup schedule
///
/// Read one schedule.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{instance_id}/backup-schedules/{id}",
    tag = "Compute", operation_id = "get_backup_schedule",
    params(
        ("instance_id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("id" = uuid::Uuid, Path, description = "UUID of the schedule."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses((status = 200, description = "Done", body = BackupSchedule), kernel::http::Refusals),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BackupsRead::NAME)), ("x-minimum-role" = json!(BackupsRead::ROLE.as_str())),
        ("x-scope" = json!(BackupsRead::SCOPE))),
)]
pub(crate) async fn get_backup_schedule(
    scope: ProjectScope<BackupsRead>,
    InstancePath(instance): InstancePath,
    PathId(id): PathId<ScheduleKind>,
    State(compute): State<Compute>,
) -> ApiResult<Versioned<BackupSchedule>> {
    let read = compute.app.store().read("get_backup_schedule", move |conn| {
        let row = rows::find(conn, scope.project, instance, id)?.ok_or_else(ApiError::not_found)?;
        Ok(Versioned {
            version: row.modified.micros(),
            body: row.into(),
        })
    });
    read.await
}
