//! `update_snapshot`: its name and description.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{self, Answer, ApiError, ApiResult, PathId},
    store::Tx,
};

use super::{
    SnapshotsManage,
    api::{InstanceSnapshot, PatchedInstanceSnapshot, SnapshotKind},
    rows,
};
use crate::{Compute, tasks::InstancePath};

/// [Snapshots] Update a snapshot
///
/// Change its name or description.
#[utoipa::path(
    patch,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{instance_id}/snapshots/{id}",
    tag = "Compute", operation_id = "update_snapshot",
    params(
        ("instance_id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("id" = uuid::Uuid, Path, description = "UUID of the snapshot."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = PatchedInstanceSnapshot),
    responses(
        (status = 200, description = "Done", body = InstanceSnapshot),
        (status = 400, description = "Invalid request parameters"),
        (status = 409, description = "A request with the same Idempotency-Key is still running"),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(SnapshotsManage::NAME)), ("x-minimum-role" = json!(SnapshotsManage::ROLE.as_str())),
        ("x-scope" = json!(SnapshotsManage::SCOPE))),
)]
pub(crate) async fn update_snapshot(
    scope: ProjectScope<SnapshotsManage>,
    InstancePath(instance): InstancePath,
    PathId(id): PathId<SnapshotKind>,
    State(compute): State<Compute>,
    change: http::Change<PatchedInstanceSnapshot>,
) -> ApiResult<Response> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>,
                     change: &http::Change<PatchedInstanceSnapshot>|
          -> ApiResult<Answer<InstanceSnapshot>> {
        let mut row = rows::find_locked(tx, scope.project, instance, id)?.ok_or_else(ApiError::not_found)?;
        change.check_version(row.modified.micros())?;
        let wanted = change.body()?;
        let before = row.clone();
        row.name = wanted.name.clone().unwrap_or(row.name);
        row.description = wanted.description.clone().unwrap_or(row.description);
        let mut changes = Changes::default();
        changes.note("name", &before.name, &row.name);
        changes.note("description", &before.description, &row.description);
        if !changes.is_empty() {
            rows::save(tx, &mut row)?;
            let event = Event {
                action: "snapshot.updated",
                resource_type: "snapshot",
                resource_id: id.cast(),
                resource_name: row.name.clone(),
                description: format!("Changed snapshot {}", row.name),
                changes,
                status: AuditStatus::Success,
            };
            let origin = Origin::caller(&scope.caller, &scope.request);
            tx.audit(&origin, Some(scope.organization), Some(scope.project), &event)?;
        }
        let found = rows::find(tx.conn(), scope.project, instance, id)?.ok_or_else(ApiError::not_found)?;
        let version = found.0.modified.micros();
        Ok(Answer::ok(InstanceSnapshot::of(found, &catalogue)?, version))
    };
    change.run(&compute.app, &caller, "update_snapshot", work).await
}
