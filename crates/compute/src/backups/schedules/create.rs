//! `create_backup_schedule`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    audit::Changes,
    http::{self, Answer, ApiError, ApiResult},
    id::Id,
    store::Tx,
};

use super::{
    api::{BackupSchedule, Complete, Frequency, LastStatus},
    calendar, plan,
    rows::{self, ScheduleRow},
};
use crate::{
    Compute,
    backups::BackupsManage,
    copies::{BACKUP_ADDON, must_be_bought},
    instances::actions::Action,
    tasks::InstancePath,
};

/// Schedules of an instance.
const MOST: i64 = 10;

/// [Backups] Create a backup schedule
///
/// Plan recurring backups with a retention rule. `weekday` is needed for weekly, `day_of_month` for monthly.
#[utoipa::path(
    post,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{instance_id}/backup-schedules",
    tag = "Compute", operation_id = "create_backup_schedule",
    params(
        ("instance_id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = BackupSchedule),
    responses(
        (status = 201, description = "Created", body = BackupSchedule),
        (status = 400, description = "Invalid request parameters"),
        (status = 402, description = "The backup addon is needed: activate it first"),
        (status = 409, description = "The state of the object, or a running task, forbids this action"),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BackupsManage::NAME)), ("x-minimum-role" = json!(BackupsManage::ROLE.as_str())),
        ("x-scope" = json!(BackupsManage::SCOPE))),
)]
pub(crate) async fn create_backup_schedule(
    scope: ProjectScope<BackupsManage>,
    InstancePath(instance): InstancePath,
    State(compute): State<Compute>,
    change: http::Change<Complete>,
) -> ApiResult<Response> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &http::Change<Complete>| -> ApiResult<Answer<BackupSchedule>> {
        let action = Action::begin(tx, &scope, instance)?;
        let now = tx.now();
        let mut row = ScheduleRow {
            id: Id::new(),
            organization_id: scope.organization,
            project_id: scope.project,
            instance_id: instance,
            name: String::new(),
            frequency: Frequency::Daily,
            run_at: String::new(),
            weekday: None,
            day_of_month: None,
            timezone: String::new(),
            retention_count: 0,
            retention_days: None,
            is_active: true,
            last_run_at: None,
            last_backup_id: None,
            last_status: LastStatus::Never,
            next_run_at: None,
            created: now,
            modified: now,
        };
        plan::apply(&mut row, &change.body()?.0, true)?;
        action.must_be_active()?;
        let of = (instance, action.row.size_id);
        must_be_bought(tx.conn(), &catalogue, of, BACKUP_ADDON)?;
        if rows::count(tx.conn(), instance)? >= MOST {
            return Err(ApiError::conflict(format!(
                "An instance has at most {MOST} schedules: delete one first."
            )));
        }
        if row.is_active {
            row.next_run_at = calendar::next(&row, now);
        }
        rows::insert(tx, &row)?;
        let mut changes = Changes::default();
        changes.note("schedule_id", &None, &Some(row.id));
        changes.note("name", &None, &Some(&row.name));
        changes.note("frequency", &None, &Some(row.frequency));
        let text = format!("Planned backups ({}) of instance {}", row.name, action.row.name);
        action.audit(tx, "instance.backup_schedule_created", text, changes)?;
        let path = format!(
            "/v1/organizations/{}/projects/{}/compute/instances/{instance}/backup-schedules/{}",
            scope.organization, scope.project, row.id
        );
        let version = row.modified.micros();
        Ok(Answer::created(row.into(), Some(version), path))
    };
    change
        .run(&compute.app, &caller, "create_backup_schedule", work)
        .await
}
