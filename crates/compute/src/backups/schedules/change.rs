//! `replace_backup_schedule` and `update_backup_schedule`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    audit::Changes,
    http::{self, Answer, ApiError, ApiResult, PathId},
    id::Id,
    store::Tx,
};

use super::{
    api::{BackupSchedule, Complete, Part, PatchedBackupSchedule, ScheduleKind, Wanted},
    calendar, plan,
    rows::{self, ScheduleRow},
};
use crate::{
    Compute,
    backups::BackupsManage,
    instances::{actions::Action, api::InstanceKind},
    tasks::InstancePath,
};

/// [Backups] Replace a backup schedule
///
/// Write every changeable field of the schedule.
#[utoipa::path(
    put,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{instance_id}/backup-schedules/{id}",
    tag = "Compute", operation_id = "replace_backup_schedule",
    params(
        ("instance_id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("id" = uuid::Uuid, Path, description = "UUID of the schedule."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = BackupSchedule),
    responses(
        (status = 200, description = "Done", body = BackupSchedule),
        (status = 400, description = "Invalid request parameters"),
        (status = 409, description = "A request with the same Idempotency-Key is still running"),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BackupsManage::NAME)), ("x-minimum-role" = json!(BackupsManage::ROLE.as_str())),
        ("x-scope" = json!(BackupsManage::SCOPE))),
)]
pub(crate) async fn replace_backup_schedule(
    scope: ProjectScope<BackupsManage>,
    InstancePath(instance): InstancePath,
    PathId(id): PathId<ScheduleKind>,
    State(compute): State<Compute>,
    change: http::Change<Complete>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &http::Change<Complete>| {
        write(tx, &scope, (instance, id), change, |body| (&body.0, true))
    };
    change
        .run(&compute.app, &caller, "replace_backup_schedule", work)
        .await
}

/// [Backups] Update a backup schedule
///
/// Write only the fields given.
#[utoipa::path(
    patch,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{instance_id}/backup-schedules/{id}",
    tag = "Compute", operation_id = "update_backup_schedule",
    params(
        ("instance_id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("id" = uuid::Uuid, Path, description = "UUID of the schedule."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = PatchedBackupSchedule),
    responses(
        (status = 200, description = "Done", body = BackupSchedule),
        (status = 400, description = "Invalid request parameters"),
        (status = 409, description = "A request with the same Idempotency-Key is still running"),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BackupsManage::NAME)), ("x-minimum-role" = json!(BackupsManage::ROLE.as_str())),
        ("x-scope" = json!(BackupsManage::SCOPE))),
)]
pub(crate) async fn update_backup_schedule(
    scope: ProjectScope<BackupsManage>,
    InstancePath(instance): InstancePath,
    PathId(id): PathId<ScheduleKind>,
    State(compute): State<Compute>,
    change: http::Change<Part>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &http::Change<Part>| {
        write(tx, &scope, (instance, id), change, |body| (&body.0, false))
    };
    change
        .run(&compute.app, &caller, "update_backup_schedule", work)
        .await
}

fn write<B>(
    tx: &mut Tx<'_>,
    scope: &ProjectScope<BackupsManage>,
    (instance, id): (Id<InstanceKind>, Id<ScheduleKind>),
    change: &http::Change<B>,
    wanted: impl FnOnce(&B) -> (&Wanted, bool),
) -> ApiResult<Answer<BackupSchedule>> {
    let action = Action::begin(tx, scope, instance)?;
    let mut row = rows::find_locked(tx, scope.project, instance, id)?.ok_or_else(ApiError::not_found)?;
    change.check_version(row.modified.micros())?;
    let before = row.clone();
    let (wanted, whole) = wanted(change.body()?);
    plan::apply(&mut row, wanted, whole)?;
    if row != before {
        row.next_run_at = row.is_active.then(|| calendar::next(&row, tx.now())).flatten();
        rows::save(tx, &mut row)?;
        let text = format!("Changed schedule {} of instance {}", row.name, action.row.name);
        let changes = noted(&before, &row);
        action.audit(tx, "instance.backup_schedule_updated", text, changes)?;
    }
    let version = row.modified.micros();
    Ok(Answer::ok(row.into(), version))
}

fn noted(before: &ScheduleRow, after: &ScheduleRow) -> Changes {
    let mut changes = Changes::default();
    changes.note("name", &before.name, &after.name);
    changes.note("frequency", &before.frequency, &after.frequency);
    changes.note("run_at", &before.run_at, &after.run_at);
    changes.note("weekday", &before.weekday, &after.weekday);
    changes.note("day_of_month", &before.day_of_month, &after.day_of_month);
    changes.note("timezone", &before.timezone, &after.timezone);
    changes.note("retention_count", &before.retention_count, &after.retention_count);
    changes.note("retention_days", &before.retention_days, &after.retention_days);
    changes.note("is_active", &before.is_active, &after.is_active);
    changes
}
