//! The tasks of snapshots.

use hypervisor::CopyForm;
use kernel::{
    id::{Any, Id},
    store::{Conn, StoreError, Tx},
    time::Time,
};
use serde_json::{Value, json};

use super::{
    api::{SnapshotKind, SnapshotStatus},
    rows::{self, SnapshotRow},
};
use crate::{
    catalogue::api::Image,
    copies::{CopyRow, Standing},
    hosts::HostId,
};

/// What a task is told.
pub(super) fn about(id: Id<SnapshotKind>) -> Value {
    json!({ "snapshot_id": id })
}

impl CopyRow for SnapshotRow {
    const FORM: CopyForm = CopyForm::Changes;
    const CREATE: &'static str = "create_snapshot";
    const RESTORE: &'static str = "restore_snapshot";
    const DELETE: &'static str = "delete_snapshot";

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
            SnapshotStatus::Pending => Some(Standing::Pending),
            SnapshotStatus::Creating => Some(Standing::Making),
            SnapshotStatus::Available => Some(Standing::Available),
            SnapshotStatus::Error => Some(Standing::Error),
            SnapshotStatus::Restoring | SnapshotStatus::Deleting | SnapshotStatus::Deleted => None,
        }
    }

    fn stand(&mut self, standing: Standing, reason: String, _now: Time) {
        self.status = match standing {
            Standing::Pending => SnapshotStatus::Pending,
            Standing::Making => SnapshotStatus::Creating,
            Standing::Available => SnapshotStatus::Available,
            Standing::Error => SnapshotStatus::Error,
        };
        self.error_message = reason;
    }

    fn set_size(&mut self, bytes: Option<i64>) {
        self.size_bytes = bytes;
    }

    fn note_restored(&mut self, now: Time) {
        self.restored_at = Some(now);
    }

    fn system(&self) -> (Id<Image>, &str) {
        (self.image_id, &self.os_name)
    }

    fn called(&self) -> String {
        format!("snapshot {}", self.name)
    }
}
