//! The tasks of backups: what their ends mean in the tables.

use std::sync::Arc;

use hypervisor::CopyForm;
use identity::notifications::{Notice, notify};
use kernel::{
    audit::{AuditStatus, Changes},
    id::{Any, Id},
    store::{Conn, StoreError, Tx},
    tasks::{Kind, Outcome, Step, TaskRow, Verdict},
};
use serde_json::{Value, json};

use super::{
    api::{BackupId, BackupKind, BackupStatus},
    rows::{self, BackupRow},
    schedules::{api::LastStatus, rows as schedules},
};
use crate::{
    copies::steps::{self, About, Shelf, TAKEN_BYTES},
    events::BACKUP_FAILED,
    hosts::{HostId, Hosts},
    images::Turns,
    instances::rows as instances,
    machines::{Power, kinds, rows as machines},
};

pub(crate) const CREATE: &str = "create_backup";
pub(crate) const RESTORE: &str = "restore_backup";
pub(crate) const DELETE: &str = "delete_backup";

/// What a task is told.
pub(super) fn about(id: Id<BackupKind>) -> Value {
    json!({ "backup_id": id })
}

/// Backups, for the steps.
struct Backups;

impl Shelf for Backups {
    const FORM: CopyForm = CopyForm::Whole;

    fn begin(tx: &mut Tx<'_>, copy: Id<Any>) -> Result<bool, StoreError> {
        let Some(mut row) = rows::lock_of_task(tx, copy)? else {
            return Ok(false);
        };
        if row.status == BackupStatus::Pending {
            row.status = BackupStatus::Running;
            row.started_at = Some(tx.now());
            rows::save(tx, &mut row)?;
        }
        Ok(row.status == BackupStatus::Running)
    }

    fn host_of(conn: &mut Conn, copy: Id<Any>) -> Result<Option<HostId>, StoreError> {
        rows::host_of(conn, copy)
    }
}

/// A kind of task of backups.
struct BackupTask {
    name: &'static str,
    steps: Vec<Arc<dyn Step>>,
}

/// All kinds, on these hosts.
pub(crate) fn kinds(hosts: &Hosts, turns: &Arc<Turns>) -> Vec<Arc<dyn Kind>> {
    let kind = |name, step| {
        Arc::new(BackupTask {
            name,
            steps: vec![step],
        }) as Arc<dyn Kind>
    };
    vec![
        kind(CREATE, steps::save::<Backups>(hosts, turns)),
        kind(RESTORE, steps::restore::<Backups>(hosts, turns)),
        kind(DELETE, steps::remove::<Backups>(hosts, turns)),
    ]
}

/// Has a backup deleted whose time is over. `false`: it is not there, or something is done to it.
pub(super) fn expire(tx: &mut Tx<'_>, id: BackupId) -> Result<bool, StoreError> {
    let row = rows::lock_of_task(tx, id.cast())?;
    let at_rest = |row: &BackupRow| matches!(row.status, BackupStatus::Available | BackupStatus::Error);
    let Some(mut row) = row.filter(at_rest) else {
        return Ok(false);
    };
    let Some(instance) = instances::find_anywhere(tx.conn(), row.instance_id)? else {
        return Ok(false);
    };
    let mut wanted = kinds::task(DELETE, &instance, None);
    wanted.parameters = about(id);
    wanted.max_retries = i32::MAX;
    row.task_id = Some(tx.enqueue(&wanted)?);
    row.status = BackupStatus::Expired;
    rows::save(tx, &mut row)?;
    Ok(true)
}

impl Kind for BackupTask {
    fn name(&self) -> &'static str {
        self.name
    }

    fn steps(&self) -> &[Arc<dyn Step>] {
        &self.steps
    }

    fn ended(&self, tx: &mut Tx<'_>, task: &TaskRow, outcome: Outcome) -> Result<(), StoreError> {
        match self.name {
            CREATE => created(tx, task, outcome),
            RESTORE => restored(tx, task, outcome),
            _ => deleted(tx, task, outcome),
        }
    }

    fn withdrawn(&self, tx: &mut Tx<'_>, task: &TaskRow) -> Result<Verdict, StoreError> {
        let Some(mut row) = row_of(tx, task)? else {
            return Ok(Ok(()));
        };
        match self.name {
            CREATE => {
                row.status = BackupStatus::Error;
                "It was cancelled.".clone_into(&mut row.error_message);
            }
            RESTORE => row.status = BackupStatus::Available,
            _ => return Ok(Err("The deletion of a backup can't be cancelled.")),
        }
        rows::save(tx, &mut row).map(Ok)
    }

    fn renewed(&self, tx: &mut Tx<'_>, task: &TaskRow) -> Result<Verdict, StoreError> {
        let row = row_of(tx, task)?;
        match (self.name, row) {
            (CREATE, Some(mut row)) if row.status == BackupStatus::Error => {
                row.status = BackupStatus::Pending;
                row.error_message.clear();
                rows::save(tx, &mut row).map(Ok)
            }
            (CREATE, _) => Ok(Err("The backup is not there any more: make it anew.")),
            (RESTORE, _) => Ok(Err("Ask for it anew, once the instance is stopped.")),
            _ => Ok(Err("A deletion is tried until it succeeds.")),
        }
    }
}

fn row_of(tx: &mut Tx<'_>, task: &TaskRow) -> Result<Option<BackupRow>, StoreError> {
    let Ok(About { copy_id }) = task.parameters.read() else {
        return Ok(None);
    };
    rows::lock_of_task(tx, copy_id)
}

fn reason(task: &TaskRow) -> String {
    task.error.clone().unwrap_or_default()
}

/// It is there, and what its schedule has no room for any more goes. Or it is not, and the organization is told.
fn created(tx: &mut Tx<'_>, task: &TaskRow, outcome: Outcome) -> Result<(), StoreError> {
    let Some(mut row) = row_of(tx, task)? else {
        return Ok(());
    };
    let notes: Value = task.notes.read().unwrap_or_default();
    row.completed_at = Some(tx.now());
    let status = match (outcome, notes[TAKEN_BYTES].as_i64()) {
        (Outcome::Completed, Some(bytes)) => {
            row.status = BackupStatus::Available;
            row.size_bytes = Some(bytes);
            LastStatus::Success
        }
        _ => {
            row.status = BackupStatus::Error;
            row.error_message = reason(task);
            tell_failure(tx, &row)?;
            LastStatus::Failed
        }
    };
    rows::save(tx, &mut row)?;
    let Some(schedule) = row.schedule_id else {
        return Ok(());
    };
    let Some(mut schedule) = schedules::lock_of_task(tx, schedule)? else {
        return Ok(());
    };
    schedule.last_status = status;
    schedules::save(tx, &mut schedule)?;
    if status == LastStatus::Success {
        for id in rows::superfluous(tx.conn(), schedule.id, schedule.retention_count)? {
            expire(tx, id)?;
        }
    }
    Ok(())
}

fn tell_failure(tx: &mut Tx<'_>, row: &BackupRow) -> Result<(), StoreError> {
    let Some(instance) = instances::find_anywhere(tx.conn(), row.instance_id)? else {
        return Ok(());
    };
    let facts = json!({
        "backup": row.name,
        "backup_id": row.id,
        "instance": instance.name,
        "instance_id": instance.id,
        "project_id": instance.project_id,
        "reason": row.error_message,
    });
    notify(tx, Notice::new(row.organization_id, &BACKUP_FAILED, facts))
}

/// The instance has the disk of the backup, and is started if that was asked for.
fn restored(tx: &mut Tx<'_>, task: &TaskRow, outcome: Outcome) -> Result<(), StoreError> {
    let target = instances::lock_row(tx, task.project_id, task.resource_id.cast())?;
    let Some(mut row) = row_of(tx, task)? else {
        return Ok(());
    };
    row.status = BackupStatus::Available;
    if outcome == Outcome::Failed {
        row.error_message = reason(task);
        rows::save(tx, &mut row)?;
        return kinds::tell_failure(tx, task);
    }
    row.error_message.clear();
    rows::save(tx, &mut row)?;
    let Some(mut instance) = target else {
        return Ok(());
    };
    let mut changes = Changes::default();
    changes.note("image_id", &instance.image_id, &row.image_id);
    changes.note("os_name", &instance.os_name, &row.os_name);
    if !changes.is_empty() {
        instance.image_id = row.image_id;
        instance.os_name.clone_from(&row.os_name);
        instances::save(tx, &mut instance)?;
    }
    let text = format!("Instance {} has the disk of backup {}", instance.name, row.name);
    let made = (changes, AuditStatus::Success);
    kinds::tell(tx, &instance, "instance.restored", text, made)?;
    let parameters: Value = task.parameters.read().unwrap_or_default();
    if parameters["start_after_restore"] == true {
        machines::set_power(tx, instance.id, Power::On)?;
        tx.enqueue(&kinds::task(kinds::name::START, &instance, None))?;
    }
    Ok(())
}

fn deleted(tx: &mut Tx<'_>, task: &TaskRow, outcome: Outcome) -> Result<(), StoreError> {
    let Some(mut row) = row_of(tx, task)? else {
        return Ok(());
    };
    if outcome == Outcome::Completed {
        return rows::delete(tx, row.id);
    }
    row.status = BackupStatus::Error;
    row.error_message = reason(task);
    rows::save(tx, &mut row)
}
