//! `run_backup_schedule`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    http::{self, Answer, ApiError, ApiResult, NoBody, PathId},
    store::Tx,
};

use super::{api::ScheduleKind, clock, rows};
use crate::{
    Compute,
    backups::{BackupsManage, api::InstanceBackup, create},
    copies::{BACKUP_ADDON, must_be_bought, must_be_free},
    instances::actions::Action,
    tasks::InstancePath,
};

/// [Backups] Run a backup schedule now
///
/// Make the backup of this schedule at once; it counts for its retention. The schedule's next turn stays.
#[utoipa::path(
    post,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{instance_id}/backup-schedules/{id}/run",
    tag = "Compute", operation_id = "run_backup_schedule",
    params(
        ("instance_id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("id" = uuid::Uuid, Path, description = "UUID of the schedule."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 201, description = "Created", body = InstanceBackup),
        (status = 402, description = "The backup addon is needed: activate it first"),
        (status = 409, description = "The state of the object, or a running task, forbids this action"),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BackupsManage::NAME)), ("x-minimum-role" = json!(BackupsManage::ROLE.as_str())),
        ("x-scope" = json!(BackupsManage::SCOPE))),
)]
pub(crate) async fn run_backup_schedule(
    scope: ProjectScope<BackupsManage>,
    InstancePath(instance): InstancePath,
    PathId(id): PathId<ScheduleKind>,
    State(compute): State<Compute>,
    change: http::Change<NoBody>,
) -> ApiResult<Response> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &http::Change<NoBody>| -> ApiResult<Answer<InstanceBackup>> {
        let action = Action::begin(tx, &scope, instance)?;
        let mut row = rows::find_locked(tx, scope.project, instance, id)?.ok_or_else(ApiError::not_found)?;
        change.check_version(row.modified.micros())?;
        action.must_be_active()?;
        let of = (instance, action.row.size_id);
        must_be_bought(tx.conn(), &catalogue, of, BACKUP_ADDON)?;
        must_be_free(tx, instance)?;
        let by = Some((scope.caller.user, scope.request.id));
        let (backup, answer) = create::answer(tx, &action, clock::backup(&row, tx.now(), by))?;
        row.last_run_at = Some(tx.now());
        row.last_backup_id = Some(backup);
        rows::save(tx, &mut row)?;
        Ok(answer)
    };
    change
        .run(&compute.app, &caller, "run_backup_schedule", work)
        .await
}
