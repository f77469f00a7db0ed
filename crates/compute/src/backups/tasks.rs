//! The tasks of backups.

use hypervisor::CopyForm;
use identity::notifications::{Notice, notify};
use kernel::{
    id::{Any, Id},
    store::{Conn, StoreError, Tx},
    tasks::{Outcome, TaskRow},
    time::Time,
};
use serde_json::{Value, json};

use super::{
    api::{BackupId, BackupKind, BackupStatus},
    rows::{self, BackupRow},
    schedules::{api::LastStatus, rows as schedules},
};
use crate::{
    catalogue::api::Image,
    copies::{CopyRow, Standing},
    events::BACKUP_FAILED,
    hosts::HostId,
    instances::rows::{self as instances, InstanceRow},
    machines::{Power, kinds, rows as machines},
};

/// What a task is told.
pub(super) fn about(id: Id<BackupKind>) -> Value {
    json!({ "backup_id": id })
}

impl CopyRow for BackupRow {
    const FORM: CopyForm = CopyForm::Whole;
    const CREATE: &'static str = "create_backup";
    const RESTORE: &'static str = "restore_backup";
    const DELETE: &'static str = "delete_backup";

    fn lock(tx: &mut Tx<'_>, copy: Id<Any>) -> Result<Option<Self>, StoreError> {
        rows::lock_of_task(tx, copy)
    }

    fn host_of(conn: &mut Conn, copy: Id<Any>) -> Result<Option<HostId>, StoreError> {
        rows::host_of(conn, copy)
    }

    fn save(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        rows::save(tx, self)
    }

    fn delete(self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        rows::delete(tx, self.id)
    }

    fn standing(&self) -> Option<Standing> {
        match self.status {
            BackupStatus::Pending => Some(Standing::Pending),
            BackupStatus::Running => Some(Standing::Making),
            BackupStatus::Available => Some(Standing::Available),
            BackupStatus::Error => Some(Standing::Error),
            BackupStatus::Restoring
            | BackupStatus::Deleting
            | BackupStatus::Deleted
            | BackupStatus::Expired => None,
        }
    }

    fn stand(&mut self, standing: Standing, reason: String, now: Time) {
        let is_new = matches!(self.status, BackupStatus::Pending | BackupStatus::Running);
        self.status = match standing {
            Standing::Pending => BackupStatus::Pending,
            Standing::Making => BackupStatus::Running,
            Standing::Available => BackupStatus::Available,
            Standing::Error => BackupStatus::Error,
        };
        self.error_message = reason;
        match standing {
            Standing::Making => self.started_at = Some(now),
            Standing::Available | Standing::Error if is_new => self.completed_at = Some(now),
            _ => {}
        }
    }

    fn set_size(&mut self, bytes: Option<i64>) {
        self.size_bytes = bytes;
    }

    fn system(&self) -> (Id<Image>, &str) {
        (self.image_id, &self.os_name)
    }

    fn called(&self) -> String {
        format!("backup {}", self.name)
    }

    /// Its schedule hears of it, and what that has no room for any more goes. If it could not be made, the organization
    /// is told.
    fn created(&self, tx: &mut Tx<'_>, _task: &TaskRow, outcome: Outcome) -> Result<(), StoreError> {
        if outcome == Outcome::Failed {
            tell_failure(tx, self)?;
        }
        let Some(schedule) = self.schedule_id else {
            return Ok(());
        };
        let Some(mut schedule) = schedules::lock_of_task(tx, schedule)? else {
            return Ok(());
        };
        schedule.last_status = match outcome {
            Outcome::Completed => LastStatus::Success,
            Outcome::Failed => LastStatus::Failed,
        };
        schedules::save(tx, &mut schedule)?;
        if outcome == Outcome::Completed {
            for id in rows::superfluous(tx.conn(), schedule.id, schedule.retention_count)? {
                expire(tx, id)?;
            }
        }
        Ok(())
    }

    /// The instance is started if that was asked for.
    fn after_restoration(tx: &mut Tx<'_>, task: &TaskRow, on: &InstanceRow) -> Result<(), StoreError> {
        let parameters: Value = task.parameters.read().unwrap_or_default();
        if parameters["start_after_restore"] == true {
            machines::set_power(tx, on.id, Power::On)?;
            tx.enqueue(&kinds::task(kinds::name::START, on, None))?;
        }
        Ok(())
    }
}

/// Has a backup deleted whose time is over. `false`: it is not there, or something is done to it.
pub(super) fn expire(tx: &mut Tx<'_>, id: BackupId) -> Result<bool, StoreError> {
    let row = rows::lock_of_task(tx, id.cast())?;
    let Some(mut row) = row.filter(|row| rows::AT_REST.contains(&row.status)) else {
        return Ok(false);
    };
    let Some(instance) = instances::find_anywhere(tx.conn(), row.instance_id)? else {
        return Ok(false);
    };
    let mut wanted = kinds::task(BackupRow::DELETE, &instance, None);
    wanted.parameters = about(id);
    wanted.max_retries = i32::MAX;
    row.task_id = Some(tx.enqueue(&wanted)?);
    row.status = BackupStatus::Expired;
    rows::save(tx, &mut row)?;
    Ok(true)
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
