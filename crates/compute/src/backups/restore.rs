//! `restore_backup`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    audit::Changes,
    http::{self, Answer, ApiError, ApiResult, Faults, PathId},
    id::Id,
    store::Tx,
};
use serde_json::json;

use super::{
    BackupsManage,
    api::{BackupKind, BackupRestore, BackupStatus, Restore},
    rows::{self, BackupRow},
};
use crate::{
    Compute,
    copies::{CopyRow, must_be_free, must_be_off},
    instances::{
        actions::{self, Action},
        api::InstanceKind,
        rows as instances,
    },
    tasks::{InstancePath, api::InstanceTask},
};

/// [Backups] Restore from a backup
///
/// Overwrite the disk of a stopped instance with the backup: of the instance that was backed up, or of another one of the
/// project, even when the first is gone. Cannot be undone.
#[utoipa::path(
    post,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{instance_id}/backups/{id}/restore",
    tag = "Compute", operation_id = "restore_backup",
    params(
        ("instance_id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("id" = uuid::Uuid, Path, description = "UUID of the backup."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = BackupRestore),
    responses(
        (status = 202, description = actions::ACCEPTED, body = InstanceTask),
        (status = 400, description = "Invalid request parameters"),
        (status = 409, description = "The state of the object, or a running task, forbids this action"),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BackupsManage::NAME)), ("x-minimum-role" = json!(BackupsManage::ROLE.as_str())),
        ("x-scope" = json!(BackupsManage::SCOPE))),
)]
pub(crate) async fn restore_backup(
    scope: ProjectScope<BackupsManage>,
    InstancePath(instance): InstancePath,
    PathId(id): PathId<BackupKind>,
    State(compute): State<Compute>,
    change: http::Change<Restore>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work =
        move |tx: &mut Tx<'_>, change: &http::Change<Restore>| restore(tx, &scope, (instance, id), change);
    change.run(&compute.app, &caller, BackupRow::RESTORE, work).await
}

fn restore(
    tx: &mut Tx<'_>,
    scope: &ProjectScope<BackupsManage>,
    (instance, id): (Id<InstanceKind>, Id<BackupKind>),
    change: &http::Change<Restore>,
) -> ApiResult<Answer<InstanceTask>> {
    if rows::find(tx.conn(), scope.project, instance, id)?.is_none() {
        return Err(ApiError::not_found());
    }
    let body = change.body()?;
    let target = body.target_instance_id.unwrap_or(instance);
    if !instances::exists(tx.conn(), scope.project, target)? {
        let text = format!("Invalid pk \"{target}\" - object does not exist.");
        return Err(Faults::one("target_instance_id", text).into());
    }
    // The instance before the backup, as everywhere.
    let action = Action::begin(tx, scope, target)?;
    let mut row = rows::find_locked(tx, scope.project, instance, id)?.ok_or_else(ApiError::not_found)?;
    change.check_version(row.modified.micros())?;
    must_fit(&action, &row)?;
    action.must_be_active()?;
    if row.status != BackupStatus::Available {
        return Err(ApiError::conflict(format!(
            "The backup is {}; it must be available to be restored.",
            row.status.as_str()
        )));
    }
    must_be_free(tx, target)?;
    must_be_off(&action)?;
    let mut changes = Changes::default();
    changes.note("backup_id", &None, &Some(id));
    let text = format!(
        "Asked for instance {} to be overwritten by backup {}",
        action.row.name, row.name
    );
    action.audit(tx, "instance.backup_restored", text, changes)?;
    let parameters = json!({ "backup_id": id, "start_after_restore": body.start_after_restore });
    let task = action.ask(tx, BackupRow::RESTORE, parameters)?;
    row.status = BackupStatus::Restoring;
    row.task_id = Some(task);
    rows::save(tx, &mut row)?;
    action.answer(tx, task)
}

/// Refuses a target that is elsewhere, or too small.
fn must_fit(action: &Action<'_, BackupsManage>, row: &BackupRow) -> ApiResult<()> {
    let Ok(machine) = action.machine() else {
        return Ok(());
    };
    let mut faults = Faults::default();
    let field = "target_instance_id";
    faults.check(
        field,
        machine.disk_gb >= row.disk_gb,
        format!(
            "Its disk has {} GB; the backup needs {} GB.",
            machine.disk_gb, row.disk_gb
        ),
    );
    faults.check(
        field,
        machine.host_id == row.host_id,
        "The backup is on another host than this instance.",
    );
    Ok(faults.into_result()?)
}
