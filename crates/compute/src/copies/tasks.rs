//! The tasks of copies: what their ends mean in the tables.

use std::{marker::PhantomData, sync::Arc};

use kernel::{
    audit::{AuditStatus, Changes},
    store::{StoreError, Tx},
    tasks::{Kind, Outcome, Step, TaskRow, Verdict},
};
use serde_json::Value;

use super::{
    CopyRow, Standing,
    steps::{self, About, TAKEN_BYTES},
};
use crate::{
    hosts::Hosts,
    images::Turns,
    instances::rows::{self as instances, InstanceRow},
    machines::kinds,
};

#[derive(Clone, Copy)]
enum Act {
    Create,
    Restore,
    Delete,
}

/// A kind of task of copies.
struct CopyTask<R> {
    name: &'static str,
    act: Act,
    steps: Vec<Arc<dyn Step>>,
    of: PhantomData<fn() -> R>,
}

/// All kinds of tasks of these copies, on these hosts.
pub(crate) fn kinds<R: CopyRow>(hosts: &Hosts, turns: &Arc<Turns>) -> Vec<Arc<dyn Kind>> {
    let kind = |name, act, step| {
        Arc::new(CopyTask::<R> {
            name,
            act,
            steps: vec![step],
            of: PhantomData,
        }) as Arc<dyn Kind>
    };
    vec![
        kind(R::CREATE, Act::Create, steps::save::<R>(hosts, turns)),
        kind(R::RESTORE, Act::Restore, steps::restore::<R>(hosts, turns)),
        kind(R::DELETE, Act::Delete, steps::remove::<R>(hosts, turns)),
    ]
}

fn row_of<R: CopyRow>(tx: &mut Tx<'_>, task: &TaskRow) -> Result<Option<R>, StoreError> {
    let Ok(About { copy_id }) = task.parameters.read() else {
        return Ok(None);
    };
    R::lock(tx, copy_id)
}

impl<R: CopyRow> Kind for CopyTask<R> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn steps(&self) -> &[Arc<dyn Step>] {
        &self.steps
    }

    fn ended(&self, tx: &mut Tx<'_>, task: &TaskRow, outcome: Outcome) -> Result<(), StoreError> {
        // The instance before its copies, as everywhere.
        let instance = instances::lock_row(tx, task.project_id, task.resource_id.cast())?;
        let Some(mut row) = row_of::<R>(tx, task)? else {
            return Ok(());
        };
        let reason = task.error.clone().unwrap_or_default();
        let now = tx.now();
        match (self.act, outcome) {
            (Act::Create, Outcome::Completed) => {
                let notes: Value = task.notes.read().unwrap_or_default();
                row.stand(Standing::Available, String::new(), now);
                row.set_size(notes[TAKEN_BYTES].as_i64());
            }
            (Act::Create | Act::Delete, Outcome::Failed) => row.stand(Standing::Error, reason, now),
            // The disk is as it was, and the copy is there.
            (Act::Restore, Outcome::Failed) => row.stand(Standing::Available, reason, now),
            (Act::Restore, Outcome::Completed) => {
                row.stand(Standing::Available, String::new(), now);
                row.note_restored(now);
            }
            (Act::Delete, Outcome::Completed) => return row.delete(tx),
        }
        row.save(tx)?;
        match (self.act, outcome) {
            (Act::Create, _) => row.created(tx, task, outcome),
            (Act::Restore, Outcome::Completed) => match instance {
                Some(instance) => restored(tx, task, &row, instance),
                None => Ok(()),
            },
            _ => kinds::tell_failure(tx, task),
        }
    }

    fn withdrawn(&self, tx: &mut Tx<'_>, task: &TaskRow) -> Result<Verdict, StoreError> {
        let Some(mut row) = row_of::<R>(tx, task)? else {
            return Ok(Ok(()));
        };
        let now = tx.now();
        match self.act {
            Act::Create => row.stand(Standing::Error, "It was cancelled.".to_owned(), now),
            Act::Restore => row.stand(Standing::Available, String::new(), now),
            Act::Delete => return Ok(Err("The deletion of a copy can't be cancelled.")),
        }
        row.save(tx).map(Ok)
    }

    fn renewed(&self, tx: &mut Tx<'_>, task: &TaskRow) -> Result<Verdict, StoreError> {
        match (self.act, row_of::<R>(tx, task)?) {
            (Act::Create, Some(mut row)) if row.standing() == Some(Standing::Error) => {
                let now = tx.now();
                row.stand(Standing::Pending, String::new(), now);
                row.save(tx).map(Ok)
            }
            (Act::Create, _) => Ok(Err("The copy is not there any more: make it anew.")),
            (Act::Restore, _) => Ok(Err("Ask for it anew, once the instance is stopped.")),
            (Act::Delete, _) => Ok(Err("Delete it anew.")),
        }
    }
}

/// The instance has the system that the copy holds.
fn restored<R: CopyRow>(
    tx: &mut Tx<'_>,
    task: &TaskRow,
    row: &R,
    mut instance: InstanceRow,
) -> Result<(), StoreError> {
    let (image_id, os_name) = row.system();
    let mut changes = Changes::default();
    changes.note("image_id", &instance.image_id, &image_id);
    changes.note("os_name", &instance.os_name.as_str(), &os_name);
    if !changes.is_empty() {
        instance.image_id = image_id;
        os_name.clone_into(&mut instance.os_name);
        instances::save(tx, &mut instance)?;
    }
    let text = format!("Instance {} has the disk of {}", instance.name, row.called());
    let made = (changes, AuditStatus::Success);
    kinds::tell(tx, &instance, "instance.restored", text, made)?;
    R::after_restoration(tx, task, &instance)
}
