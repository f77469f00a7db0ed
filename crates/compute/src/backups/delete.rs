//! `delete_backup`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    audit::Changes,
    http::{self, Answer, ApiError, ApiResult, NoBody, PathId},
    store::Tx,
};

use super::{
    BackupsManage,
    api::{BackupKind, BackupStatus},
    rows::{self, BackupRow},
    tasks::about,
};
use crate::{
    Compute,
    copies::CopyRow,
    instances::actions::{self, Action},
    tasks::{InstancePath, api::InstanceTask},
};

/// [Backups] Delete a backup
///
/// Remove a backup for good; a protected one gives 409.
#[utoipa::path(
    delete,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{instance_id}/backups/{id}",
    tag = "Compute", operation_id = "delete_backup",
    params(
        ("instance_id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("id" = uuid::Uuid, Path, description = "UUID of the backup."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 202, description = actions::ACCEPTED, body = InstanceTask),
        (status = 409, description = "The backup is protected, or is being made, restored or deleted"),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BackupsManage::NAME)), ("x-minimum-role" = json!(BackupsManage::ROLE.as_str())),
        ("x-scope" = json!(BackupsManage::SCOPE))),
)]
pub(crate) async fn delete_backup(
    scope: ProjectScope<BackupsManage>,
    InstancePath(instance): InstancePath,
    PathId(id): PathId<BackupKind>,
    State(compute): State<Compute>,
    change: http::Change<NoBody>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &http::Change<NoBody>| -> ApiResult<Answer<InstanceTask>> {
        let action = Action::begin(tx, &scope, instance)?;
        let mut row = rows::find_locked(tx, scope.project, instance, id)?.ok_or_else(ApiError::not_found)?;
        change.check_version(row.modified.micros())?;
        if !matches!(row.status, BackupStatus::Available | BackupStatus::Error) {
            return Err(ApiError::conflict(format!(
                "The backup is {}: wait for the end of its task.",
                row.status.as_str()
            )));
        }
        if row.is_protected {
            return Err(ApiError::conflict(
                "The backup is protected: take its protection off first.",
            ));
        }
        let mut changes = Changes::default();
        changes.note("backup_id", &Some(id), &None);
        changes.note("name", &Some(&row.name), &None);
        let text = format!("Deleted backup {} of instance {}", row.name, action.row.name);
        action.audit(tx, "instance.backup_deleted", text, changes)?;
        let task = action.ask(tx, BackupRow::DELETE, about(id))?;
        row.status = BackupStatus::Deleting;
        row.task_id = Some(task);
        rows::save(tx, &mut row)?;
        action.answer(tx, task)
    };
    change.run(&compute.app, &caller, BackupRow::DELETE, work).await
}
