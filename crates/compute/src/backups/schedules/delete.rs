//! `delete_backup_schedule`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    audit::Changes,
    http::{self, Answer, ApiError, ApiResult, NoBody, PathId},
    store::Tx,
};

use super::{api::ScheduleKind, rows};
use crate::{Compute, backups::BackupsManage, instances::actions::Action, tasks::InstancePath};

/// [Backups] Delete a backup schedule
///
/// Stop planning. Backups already made stay until their own expiry.
#[utoipa::path(
    delete,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{instance_id}/backup-schedules/{id}",
    tag = "Compute", operation_id = "delete_backup_schedule",
    params(
        ("instance_id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("id" = uuid::Uuid, Path, description = "UUID of the schedule."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 204, description = "Deleted"),
        (status = 409, description = "A request with the same Idempotency-Key is still running"),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BackupsManage::NAME)), ("x-minimum-role" = json!(BackupsManage::ROLE.as_str())),
        ("x-scope" = json!(BackupsManage::SCOPE))),
)]
pub(crate) async fn delete_backup_schedule(
    scope: ProjectScope<BackupsManage>,
    InstancePath(instance): InstancePath,
    PathId(id): PathId<ScheduleKind>,
    State(compute): State<Compute>,
    change: http::Change<NoBody>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &http::Change<NoBody>| -> ApiResult<Answer<()>> {
        let action = Action::begin(tx, &scope, instance)?;
        let row = rows::find_locked(tx, scope.project, instance, id)?.ok_or_else(ApiError::not_found)?;
        change.check_version(row.modified.micros())?;
        rows::delete(tx, id)?;
        let mut changes = Changes::default();
        changes.note("schedule_id", &Some(id), &None);
        changes.note("name", &Some(&row.name), &None);
        let text = format!("Deleted schedule {} of instance {}", row.name, action.row.name);
        action.audit(tx, "instance.backup_schedule_deleted", text, changes)?;
        Ok(Answer::empty())
    };
    change
        .run(&compute.app, &caller, "delete_backup_schedule", work)
        .await
}
