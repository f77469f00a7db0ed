//! `list_backups`, `list_project_backups` and `get_backup`.

use axum::{Json, extract::State};
use diesel::{ExpressionMethods, JoinOnDsl, QueryDsl, RunQueryDsl, SelectableHelper};
use kernel::{
    access::{Permission, Project, ProjectScope},
    http::{ApiError, ApiResult, Page, PathId, Query, Versioned},
    id::Id,
};

use super::{
    BackupsRead,
    api::{BackupKind, BackupStatus, BackupType, InstanceBackup, InstanceBackupPage},
    rows::{self, BackupRow, joined},
};
use crate::{
    Compute,
    instances::{api::InstanceKind, rows as instance_rows},
    schema::{backups, instances},
    tasks::InstancePath,
};

#[derive(Clone, Copy)]
enum Order {
    Name,
    Created,
}

/// [Backups] List backups of an instance
///
/// Backups of the instance, newest first.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{instance_id}/backups",
    tag = "Compute", operation_id = "list_backups",
    params(
        ("page" = Option<i64>, Query, description = "Page number, starting at 1.", minimum = 1),
        ("page_size" = Option<i64>, Query, description = "Items on a page.", minimum = 1, maximum = 100),
        ("status" = Option<String>, Query, description = "Only backups of this status."),
        ("backup_type" = Option<String>, Query, description = "`manual` or `scheduled`."),
        ("ordering" = Option<String>, Query, description = "One of `name`, `created`; prefix `-` for descending."),
        ("instance_id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 200, description = "Backups", body = InstanceBackupPage),
        (status = 400, description = "A filter that can't be read"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BackupsRead::NAME)), ("x-minimum-role" = json!(BackupsRead::ROLE.as_str())),
        ("x-scope" = json!(BackupsRead::SCOPE))),
)]
pub(crate) async fn list_backups(
    scope: ProjectScope<BackupsRead>,
    InstancePath(instance): InstancePath,
    State(compute): State<Compute>,
    query: Query,
    page: Page,
) -> ApiResult<Json<InstanceBackupPage>> {
    list(
        &compute,
        "list_backups",
        scope.project,
        Some(instance),
        query,
        page,
    )
    .await
}

/// [Backups] List backups of the project
///
/// Backups of every instance of the project, those of ended ones too, newest first.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/backups",
    tag = "Compute", operation_id = "list_project_backups",
    params(
        ("page" = Option<i64>, Query, description = "Page number, starting at 1.", minimum = 1),
        ("page_size" = Option<i64>, Query, description = "Items on a page.", minimum = 1, maximum = 100),
        ("instance_id" = Option<uuid::Uuid>, Query, description = "Only backups of this instance."),
        ("status" = Option<String>, Query, description = "Only backups of this status."),
        ("backup_type" = Option<String>, Query, description = "`manual` or `scheduled`."),
        ("ordering" = Option<String>, Query, description = "One of `name`, `created`; prefix `-` for descending."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 200, description = "Backups", body = InstanceBackupPage),
        (status = 400, description = "A filter that can't be read"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BackupsRead::NAME)), ("x-minimum-role" = json!(BackupsRead::ROLE.as_str())),
        ("x-scope" = json!(BackupsRead::SCOPE))),
)]
pub(crate) async fn list_project_backups(
    scope: ProjectScope<BackupsRead>,
    State(compute): State<Compute>,
    query: Query,
    page: Page,
) -> ApiResult<Json<InstanceBackupPage>> {
    list(&compute, "list_project_backups", scope.project, None, query, page).await
}

/// Those of one instance, which must be there, or those of all.
async fn list(
    compute: &Compute,
    operation: &'static str,
    project: Id<Project>,
    within: Option<Id<InstanceKind>>,
    mut query: Query,
    page: Page,
) -> ApiResult<Json<InstanceBackupPage>> {
    let status = query.choice("status", BackupStatus::from_word);
    let kind = query.choice("backup_type", BackupType::from_word);
    let instance = match within {
        Some(instance) => Some(instance),
        None => query.id::<InstanceKind>("instance_id"),
    };
    let order = query.ordering(&[("name", Order::Name), ("created", Order::Created)]);
    query.check()?;
    let read = compute.app.store().read(operation, move |conn| {
        if let Some(instance) = within
            && !instance_rows::exists(conn, project, instance)?
        {
            return Err(ApiError::not_found());
        }
        let filtered = || {
            let mut query = joined!().filter(backups::project_id.eq(project)).into_boxed();
            if let Some(instance) = instance {
                query = query.filter(backups::instance_id.eq(instance));
            }
            if let Some(status) = status {
                query = query.filter(backups::status.eq(status));
            }
            if let Some(kind) = kind {
                query = query.filter(backups::backup_type.eq(kind));
            }
            query
        };
        let count = filtered().count().get_result(conn)?;
        let (skip, take) = page.window(count)?;
        let ordered = match order {
            Some((Order::Name, false)) => filtered().order(backups::name.asc()),
            Some((Order::Name, true)) => filtered().order(backups::name.desc()),
            Some((Order::Created, false)) => filtered().order(backups::created.asc()),
            Some((Order::Created, true)) | None => filtered().order(backups::created.desc()),
        };
        let found: Vec<(BackupRow, String)> = ordered
            .then_order_by(backups::id.desc())
            .offset(skip)
            .limit(take)
            .load(conn)?;
        page.of(count, found.into_iter().map(InstanceBackup::of).collect())
            .map(Json)
    });
    read.await
}

/// [Backups] Get a backup
///
/// Read one backup.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{instance_id}/backups/{id}",
    tag = "Compute", operation_id = "get_backup",
    params(
        ("instance_id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("id" = uuid::Uuid, Path, description = "UUID of the backup."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses((status = 200, description = "Done", body = InstanceBackup), kernel::http::Refusals),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BackupsRead::NAME)), ("x-minimum-role" = json!(BackupsRead::ROLE.as_str())),
        ("x-scope" = json!(BackupsRead::SCOPE))),
)]
pub(crate) async fn get_backup(
    scope: ProjectScope<BackupsRead>,
    InstancePath(instance): InstancePath,
    PathId(id): PathId<BackupKind>,
    State(compute): State<Compute>,
) -> ApiResult<Versioned<InstanceBackup>> {
    let read = compute.app.store().read("get_backup", move |conn| {
        let found = rows::find(conn, scope.project, instance, id)?.ok_or_else(ApiError::not_found)?;
        Ok(Versioned {
            version: found.0.modified.micros(),
            body: InstanceBackup::of(found),
        })
    });
    read.await
}
