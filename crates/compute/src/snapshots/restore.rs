//! `restore_snapshot`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    audit::Changes,
    http::{self, Answer, ApiError, ApiResult, NoBody, PathId},
    store::Tx,
};

use super::{
    SnapshotsManage,
    api::{SnapshotKind, SnapshotStatus},
    rows::{self, SnapshotRow},
    tasks::about,
};
use crate::{
    Compute,
    copies::{CopyRow, must_be_free, must_be_off},
    instances::actions::{self, Action},
    tasks::{InstancePath, api::InstanceTask},
};

/// [Snapshots] Restore an instance from a snapshot
///
/// Put the disks of the instance back to the state held in the snapshot. Only a stopped instance can be restored. It
/// cannot be undone: what the disks hold now is lost. A disk that has grown since stays as large as it is.
#[utoipa::path(
    post,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{instance_id}/snapshots/{id}/restore",
    tag = "Compute", operation_id = "restore_snapshot",
    params(
        ("instance_id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("id" = uuid::Uuid, Path, description = "UUID of the snapshot."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 202, description = actions::ACCEPTED, body = InstanceTask),
        (status = 409, description = "The state of the object, or a running task, forbids this action"),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(SnapshotsManage::NAME)), ("x-minimum-role" = json!(SnapshotsManage::ROLE.as_str())),
        ("x-scope" = json!(SnapshotsManage::SCOPE))),
)]
pub(crate) async fn restore_snapshot(
    scope: ProjectScope<SnapshotsManage>,
    InstancePath(instance): InstancePath,
    PathId(id): PathId<SnapshotKind>,
    State(compute): State<Compute>,
    change: http::Change<NoBody>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &http::Change<NoBody>| -> ApiResult<Answer<InstanceTask>> {
        let action = Action::begin(tx, &scope, instance)?;
        let mut row = rows::find_locked(tx, scope.project, instance, id)?.ok_or_else(ApiError::not_found)?;
        change.check_version(row.modified.micros())?;
        action.must_be_active()?;
        if row.status != SnapshotStatus::Available {
            return Err(ApiError::conflict(format!(
                "The snapshot is {}; it must be available to be restored.",
                row.status.as_str()
            )));
        }
        must_be_free(tx, instance)?;
        must_be_off(&action)?;
        let mut changes = Changes::default();
        changes.note("snapshot_id", &None, &Some(id));
        let text = format!(
            "Asked for instance {} to go back to snapshot {}",
            action.row.name, row.name
        );
        action.audit(tx, "instance.snapshot_restored", text, changes)?;
        let task = action.ask(tx, SnapshotRow::RESTORE, about(id))?;
        row.status = SnapshotStatus::Restoring;
        row.task_id = Some(task);
        rows::save(tx, &mut row)?;
        action.answer(tx, task)
    };
    change
        .run(&compute.app, &caller, SnapshotRow::RESTORE, work)
        .await
}
