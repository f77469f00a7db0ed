//! `create_backup`, and how any backup begins.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope, User},
    audit::Changes,
    http::{self, Answer, ApiError, ApiResult, Request},
    id::Id,
    store::{StoreError, Tx},
    time::Time,
};

use super::{
    BackupsManage,
    api::{BackupId, BackupStatus, BackupType, InstanceBackup, NewBackup},
    rows::{self, BackupRow},
    schedules::api::ScheduleId,
    tasks::about,
};
use crate::{
    Compute,
    copies::{BACKUP_ADDON, CopyRow, must_be_bought, must_be_free},
    instances::{actions::Action, rows::InstanceRow},
    machines::{MachineRow, kinds},
    tasks::InstancePath,
};

/// [Backups] Create a backup
///
/// Back the instance up now. Needs the backup addon where the size does not include it; does not stop the machine.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{instance_id}/backups",
    tag = "Compute", operation_id = "create_backup",
    params(
        ("instance_id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = InstanceBackup),
    responses(
        (status = 201, description = "Created", body = InstanceBackup),
        (status = 400, description = "Invalid request parameters"),
        (status = 402, description = "The backup addon is needed: activate it first"),
        (status = 409, description = "The state of the object, or a running task, forbids this action"),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BackupsManage::NAME)), ("x-minimum-role" = json!(BackupsManage::ROLE.as_str())),
        ("x-scope" = json!(BackupsManage::SCOPE))),
)]
pub(crate) async fn create_backup(
    scope: ProjectScope<BackupsManage>,
    InstancePath(instance): InstancePath,
    State(compute): State<Compute>,
    change: http::Change<NewBackup>,
) -> ApiResult<Response> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let most = compute.app.config().compute.backups_per_instance;
    let caller = scope.caller.clone();
    let work =
        move |tx: &mut Tx<'_>, change: &http::Change<NewBackup>| -> ApiResult<Answer<InstanceBackup>> {
            let action = Action::begin(tx, &scope, instance)?;
            let wanted = change.body()?;
            action.must_be_active()?;
            let of = (instance, action.row.size_id);
            must_be_bought(tx.conn(), &catalogue, of, BACKUP_ADDON)?;
            must_be_free(tx, instance)?;
            if rows::count_manual(tx.conn(), instance)? >= i64::from(most) {
                return Err(ApiError::conflict(format!(
                    "An instance has at most {most} backups made on demand: delete one first."
                )));
            }
            let new = New {
                name: wanted.name.clone(),
                description: wanted.description.clone(),
                is_protected: wanted.is_protected,
                schedule: None,
                expires_at: None,
                by: Some((scope.caller.user, scope.request.id)),
            };
            answer(tx, &action, new).map(|(_, answer)| answer)
        };
    change.run(&compute.app, &caller, BackupRow::CREATE, work).await
}

/// A backup to be made.
pub(super) struct New {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) is_protected: bool,
    pub(super) schedule: Option<ScheduleId>,
    pub(super) expires_at: Option<Time>,
    pub(super) by: Option<(Id<User>, Id<Request>)>,
}

/// Begins it, with its record, and answers it.
pub(super) fn answer(
    tx: &mut Tx<'_>,
    action: &Action<'_, BackupsManage>,
    new: New,
) -> ApiResult<(BackupId, Answer<InstanceBackup>)> {
    let instance = &action.row;
    let row = begin(tx, instance, action.machine()?, new)?;
    let mut changes = Changes::default();
    changes.note("backup_id", &None, &Some(row.id));
    changes.note("name", &None, &Some(&row.name));
    let text = format!("Asked for backup {} of instance {}", row.name, instance.name);
    action.audit(tx, "instance.backup_created", text, changes)?;
    let path = format!(
        "/v1/organizations/{}/projects/{}/compute/instances/{}/backups/{}",
        row.organization_id, row.project_id, row.instance_id, row.id
    );
    let (id, version) = (row.id, row.modified.micros());
    let shown = InstanceBackup::of((row, instance.name.clone()));
    Ok((id, Answer::created(shown, Some(version), path)))
}

/// Writes the row, and enqueues the task.
///
/// # Errors
/// The database refused.
pub(super) fn begin(
    tx: &mut Tx<'_>,
    instance: &InstanceRow,
    machine: &MachineRow,
    new: New,
) -> Result<BackupRow, StoreError> {
    let New {
        name,
        description,
        is_protected,
        schedule,
        expires_at,
        by,
    } = new;
    let id = Id::new();
    let mut wanted = kinds::task(BackupRow::CREATE, instance, by);
    wanted.parameters = about(id);
    let row = BackupRow {
        id,
        organization_id: instance.organization_id,
        project_id: instance.project_id,
        instance_id: instance.id,
        host_id: machine.host_id,
        schedule_id: schedule,
        name,
        description,
        backup_type: match schedule {
            Some(_) => BackupType::Scheduled,
            None => BackupType::Manual,
        },
        status: BackupStatus::Pending,
        is_protected,
        expires_at,
        disk_gb: machine.disk_gb,
        image_id: instance.image_id,
        os_name: instance.os_name.clone(),
        size_bytes: None,
        started_at: None,
        completed_at: None,
        task_id: Some(tx.enqueue(&wanted)?),
        error_message: String::new(),
        created: tx.now(),
        modified: tx.now(),
    };
    rows::insert(tx, &row)?;
    Ok(row)
}
