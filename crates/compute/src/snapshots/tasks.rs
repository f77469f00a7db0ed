//! The tasks of snapshots: what their ends mean in the tables.

use std::sync::Arc;

use hypervisor::CopyForm;
use kernel::{
    audit::{AuditStatus, Changes},
    id::{Any, Id},
    store::{Conn, StoreError, Tx},
    tasks::{Kind, Outcome, Step, TaskRow, Verdict},
};
use serde_json::{Value, json};

use super::{
    api::{SnapshotKind, SnapshotStatus},
    rows::{self, SnapshotRow},
};
use crate::{
    copies::steps::{self, About, Shelf, TAKEN_BYTES},
    hosts::{HostId, Hosts},
    images::Turns,
    instances::rows as instances,
    machines::kinds,
};

pub(crate) const CREATE: &str = "create_snapshot";
pub(crate) const RESTORE: &str = "restore_snapshot";
pub(crate) const DELETE: &str = "delete_snapshot";

/// What a task is told.
pub(super) fn about(id: Id<SnapshotKind>) -> Value {
    json!({ "snapshot_id": id })
}

/// Snapshots, for the steps.
struct Snapshots;

impl Shelf for Snapshots {
    const FORM: CopyForm = CopyForm::Changes;

    fn begin(tx: &mut Tx<'_>, copy: Id<Any>) -> Result<bool, StoreError> {
        let Some(mut row) = rows::lock_of_task(tx, copy)? else {
            return Ok(false);
        };
        if row.status == SnapshotStatus::Pending {
            row.status = SnapshotStatus::Creating;
            rows::save(tx, &mut row)?;
        }
        Ok(row.status == SnapshotStatus::Creating)
    }

    fn host_of(conn: &mut Conn, copy: Id<Any>) -> Result<Option<HostId>, StoreError> {
        rows::host_of(conn, copy)
    }
}

/// A kind of task of snapshots.
struct SnapshotTask {
    name: &'static str,
    steps: Vec<Arc<dyn Step>>,
}

/// All kinds, on these hosts.
pub(crate) fn kinds(hosts: &Hosts, turns: &Arc<Turns>) -> Vec<Arc<dyn Kind>> {
    let kind = |name, step| {
        Arc::new(SnapshotTask {
            name,
            steps: vec![step],
        }) as Arc<dyn Kind>
    };
    vec![
        kind(CREATE, steps::save::<Snapshots>(hosts, turns)),
        kind(RESTORE, steps::restore::<Snapshots>(hosts, turns)),
        kind(DELETE, steps::remove::<Snapshots>(hosts, turns)),
    ]
}

impl Kind for SnapshotTask {
    fn name(&self) -> &'static str {
        self.name
    }

    fn steps(&self) -> &[Arc<dyn Step>] {
        &self.steps
    }

    fn ended(&self, tx: &mut Tx<'_>, task: &TaskRow, outcome: Outcome) -> Result<(), StoreError> {
        let Some(row) = row_of(tx, task)? else {
            return Ok(());
        };
        match self.name {
            CREATE => created(tx, task, row, outcome)?,
            RESTORE => restored(tx, task, row, outcome)?,
            _ => deleted(tx, task, row, outcome)?,
        }
        match outcome {
            Outcome::Failed => kinds::tell_failure(tx, task),
            Outcome::Completed => Ok(()),
        }
    }

    fn withdrawn(&self, tx: &mut Tx<'_>, task: &TaskRow) -> Result<Verdict, StoreError> {
        let Some(mut row) = row_of(tx, task)? else {
            return Ok(Ok(()));
        };
        match self.name {
            CREATE => {
                row.status = SnapshotStatus::Error;
                "It was cancelled.".clone_into(&mut row.error_message);
            }
            RESTORE => row.status = SnapshotStatus::Available,
            _ => return Ok(Err("The deletion of a snapshot can't be cancelled.")),
        }
        rows::save(tx, &mut row).map(Ok)
    }

    fn renewed(&self, tx: &mut Tx<'_>, task: &TaskRow) -> Result<Verdict, StoreError> {
        let row = row_of(tx, task)?;
        match (self.name, row) {
            (CREATE, Some(mut row)) if row.status == SnapshotStatus::Error => {
                row.status = SnapshotStatus::Pending;
                row.error_message.clear();
                rows::save(tx, &mut row).map(Ok)
            }
            (CREATE, _) => Ok(Err("The snapshot is not there any more: take it anew.")),
            (RESTORE, _) => Ok(Err("Ask for it anew, once the instance is stopped.")),
            _ => Ok(Err("A deletion is tried until it succeeds.")),
        }
    }
}

fn row_of(tx: &mut Tx<'_>, task: &TaskRow) -> Result<Option<SnapshotRow>, StoreError> {
    let Ok(About { copy_id }) = task.parameters.read() else {
        return Ok(None);
    };
    rows::lock_of_task(tx, copy_id)
}

fn reason(task: &TaskRow) -> String {
    task.error.clone().unwrap_or_default()
}

fn created(
    tx: &mut Tx<'_>,
    task: &TaskRow,
    mut row: SnapshotRow,
    outcome: Outcome,
) -> Result<(), StoreError> {
    let notes: Value = task.notes.read().unwrap_or_default();
    match (outcome, notes[TAKEN_BYTES].as_i64()) {
        (Outcome::Completed, Some(bytes)) => {
            row.status = SnapshotStatus::Available;
            row.size_bytes = Some(bytes);
        }
        _ => {
            row.status = SnapshotStatus::Error;
            row.error_message = reason(task);
        }
    }
    rows::save(tx, &mut row)
}

/// The instance has the system that it had then. Or it has what it had, if the host refused, and the snapshot is there
/// either way.
fn restored(
    tx: &mut Tx<'_>,
    task: &TaskRow,
    mut row: SnapshotRow,
    outcome: Outcome,
) -> Result<(), StoreError> {
    row.status = SnapshotStatus::Available;
    if outcome == Outcome::Failed {
        row.error_message = reason(task);
        return rows::save(tx, &mut row);
    }
    row.error_message.clear();
    row.restored_at = Some(tx.now());
    rows::save(tx, &mut row)?;
    let Some(mut instance) = instances::lock_row(tx, task.project_id, row.instance_id)? else {
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
    let text = format!("Instance {} is back at snapshot {}", instance.name, row.name);
    let made = (changes, AuditStatus::Success);
    kinds::tell(tx, &instance, "instance.restored", text, made)
}

fn deleted(
    tx: &mut Tx<'_>,
    task: &TaskRow,
    mut row: SnapshotRow,
    outcome: Outcome,
) -> Result<(), StoreError> {
    if outcome == Outcome::Completed {
        return rows::delete(tx, row.id);
    }
    row.status = SnapshotStatus::Error;
    row.error_message = reason(task);
    rows::save(tx, &mut row)
}
