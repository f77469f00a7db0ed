//! `delete_snapshot`.

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
    copies::CopyRow,
    instances::actions::{self, Action},
    tasks::{InstancePath, api::InstanceTask},
};

/// [Snapshots] Delete a snapshot
///
/// Remove the snapshot and free its space; the instance is untouched.
#[utoipa::path(
    delete,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{instance_id}/snapshots/{id}",
    tag = "Compute", operation_id = "delete_snapshot",
    params(
        ("instance_id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("id" = uuid::Uuid, Path, description = "UUID of the snapshot."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 202, description = actions::ACCEPTED, body = InstanceTask),
        (status = 409, description = "The snapshot is being taken, restored or deleted"),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(SnapshotsManage::NAME)), ("x-minimum-role" = json!(SnapshotsManage::ROLE.as_str())),
        ("x-scope" = json!(SnapshotsManage::SCOPE))),
)]
pub(crate) async fn delete_snapshot(
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
        if !matches!(row.status, SnapshotStatus::Available | SnapshotStatus::Error) {
            return Err(ApiError::conflict(format!(
                "The snapshot is {}: wait for the end of its task.",
                row.status.as_str()
            )));
        }
        let mut changes = Changes::default();
        changes.note("snapshot_id", &Some(id), &None);
        changes.note("name", &Some(&row.name), &None);
        let text = format!("Deleted snapshot {} of instance {}", row.name, action.row.name);
        action.audit(tx, "instance.snapshot_deleted", text, changes)?;
        let task = action.ask(tx, SnapshotRow::DELETE, about(id))?;
        row.status = SnapshotStatus::Deleting;
        row.task_id = Some(task);
        rows::save(tx, &mut row)?;
        action.answer(tx, task)
    };
    change.run(&compute.app, &caller, SnapshotRow::DELETE, work).await
}
