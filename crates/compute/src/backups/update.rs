//! `update_backup`: its labels and its protection.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{self, Answer, ApiError, ApiResult, PathId},
    store::Tx,
};

use super::{
    BackupsManage,
    api::{BackupKind, InstanceBackup, PatchedInstanceBackup},
    rows,
};
use crate::{Compute, tasks::InstancePath};

/// [Backups] Update a backup
///
/// Change name, description or protection.
#[utoipa::path(
    patch,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{instance_id}/backups/{id}",
    tag = "Compute", operation_id = "update_backup",
    params(
        ("instance_id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("id" = uuid::Uuid, Path, description = "UUID of the backup."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = PatchedInstanceBackup),
    responses(
        (status = 200, description = "Done", body = InstanceBackup),
        (status = 400, description = "Invalid request parameters"),
        (status = 409, description = "A request with the same Idempotency-Key is still running"),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BackupsManage::NAME)), ("x-minimum-role" = json!(BackupsManage::ROLE.as_str())),
        ("x-scope" = json!(BackupsManage::SCOPE))),
)]
pub(crate) async fn update_backup(
    scope: ProjectScope<BackupsManage>,
    InstancePath(instance): InstancePath,
    PathId(id): PathId<BackupKind>,
    State(compute): State<Compute>,
    change: http::Change<PatchedInstanceBackup>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>,
                     change: &http::Change<PatchedInstanceBackup>|
          -> ApiResult<Answer<InstanceBackup>> {
        let mut row = rows::find_locked(tx, scope.project, instance, id)?.ok_or_else(ApiError::not_found)?;
        change.check_version(row.modified.micros())?;
        let wanted = change.body()?;
        let before = row.clone();
        row.name = wanted.name.clone().unwrap_or(row.name);
        row.description = wanted.description.clone().unwrap_or(row.description);
        row.is_protected = wanted.is_protected.unwrap_or(row.is_protected);
        let mut changes = Changes::default();
        changes.note("name", &before.name, &row.name);
        changes.note("description", &before.description, &row.description);
        changes.note("is_protected", &before.is_protected, &row.is_protected);
        if !changes.is_empty() {
            rows::save(tx, &mut row)?;
            let event = Event {
                action: "backup.updated",
                resource_type: "backup",
                resource_id: id.cast(),
                resource_name: row.name.clone(),
                description: format!("Changed backup {}", row.name),
                changes,
                status: AuditStatus::Success,
            };
            let origin = Origin::caller(&scope.caller, &scope.request);
            tx.audit(&origin, Some(scope.organization), Some(scope.project), &event)?;
        }
        let found = rows::find(tx.conn(), scope.project, instance, id)?.ok_or_else(ApiError::not_found)?;
        let version = found.0.modified.micros();
        Ok(Answer::ok(InstanceBackup::of(found), version))
    };
    change.run(&compute.app, &caller, "update_backup", work).await
}
