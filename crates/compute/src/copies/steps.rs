//! The steps of tasks about copies of disks.

use std::{marker::PhantomData, sync::Arc, time::Duration};

use hypervisor::{CopyId, RequestId};
use kernel::{
    id::{Any, Id},
    store::{Conn, StoreError, Tx},
    tasks::{Done, Step, StepError, Work},
};
use serde::{Deserialize, Serialize};

use super::{CopyRow, Standing};
use crate::{
    hosts::Hosts,
    images::Turns,
    machines::{
        plan,
        steps::{failed, read},
    },
};

/// What the step that made a copy notes: what it takes of the host, bytes.
pub(crate) const TAKEN_BYTES: &str = "taken_bytes";

/// Which copy a task is about; customers see it, by its own name.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct About {
    #[serde(alias = "snapshot_id", alias = "backup_id")]
    pub(crate) copy_id: Id<Any>,
}

/// What the steps share.
#[derive(Clone, Debug)]
struct Tools {
    hosts: Hosts,
    turns: Arc<Turns>,
}

pub(crate) struct Save<R>(Tools, PhantomData<fn() -> R>);

pub(crate) struct Restore<R>(Tools, PhantomData<fn() -> R>);

pub(crate) struct Remove<R>(Tools, PhantomData<fn() -> R>);

/// The step that copies the disk.
pub(crate) fn save<R: CopyRow>(hosts: &Hosts, turns: &Arc<Turns>) -> Arc<dyn Step> {
    Arc::new(Save::<R>(tools(hosts, turns), PhantomData))
}

/// The step that makes the disk what the copy has.
pub(crate) fn restore<R: CopyRow>(hosts: &Hosts, turns: &Arc<Turns>) -> Arc<dyn Step> {
    Arc::new(Restore::<R>(tools(hosts, turns), PhantomData))
}

/// The step that deletes the copy.
pub(crate) fn remove<R: CopyRow>(hosts: &Hosts, turns: &Arc<Turns>) -> Arc<dyn Step> {
    Arc::new(Remove::<R>(tools(hosts, turns), PhantomData))
}

fn tools(hosts: &Hosts, turns: &Arc<Turns>) -> Tools {
    Tools {
        hosts: hosts.clone(),
        turns: Arc::clone(turns),
    }
}

fn copy_of(work: &Work) -> Result<CopyId, StepError> {
    let About { copy_id } = work.parameters()?;
    Ok(CopyId(copy_id.uuid()))
}

fn gone() -> StepError {
    StepError::fatal(
        "The instance does not exist any more.",
        "the machine's row is gone",
    )
}

/// Says that a copy is being made. `false`: nobody wants it any more.
fn begin<R: CopyRow>(tx: &mut Tx<'_>, copy: Id<Any>) -> Result<bool, StoreError> {
    let Some(mut row) = R::lock(tx, copy)? else {
        return Ok(false);
    };
    if row.standing() == Some(Standing::Pending) {
        let now = tx.now();
        row.stand(Standing::Making, String::new(), now);
        row.save(tx)?;
    }
    Ok(row.standing() == Some(Standing::Making))
}

impl Tools {
    /// Deletes the task's copy where it is; one that was never made is fine.
    async fn remove<R: CopyRow>(&self, work: &Work) -> Result<(), StepError> {
        let copy = copy_of(work)?;
        let id: Id<Any> = Id::from_uuid(copy.0);
        let host = work
            .app
            .store()
            .read("host_of_copy", move |conn: &mut Conn| R::host_of(conn, id));
        let Some(host) = host.await.map_err(|error: StoreError| StepError::from(error))? else {
            return Ok(());
        };
        let driver = self.hosts.driver(host).await?;
        driver.remove_copy(copy).await.map_err(failed)
    }
}

impl<R: CopyRow> Step for Save<R> {
    fn name(&self) -> &'static str {
        "save_copy"
    }

    fn run<'a>(&'a self, work: &'a mut Work) -> Done<'a> {
        Box::pin(async move {
            let copy = copy_of(work)?;
            let Some(facts) = read(work).await? else {
                return Err(gone());
            };
            let _turn = self.0.turns.take(&work.app)?;
            let id: Id<Any> = Id::from_uuid(copy.0);
            let begin = work.app.store().write("begin_copy", move |tx| begin::<R>(tx, id));
            if !begin.await.map_err(|error: StoreError| StepError::from(error))? {
                return Ok(());
            }
            let driver = self.0.hosts.driver(facts.machine.host_id).await?;
            let minutes = u64::from(work.app.config().images.convert_minutes);
            let limit = Duration::from_secs(minutes * 60);
            let vm = plan::vm_of(facts.instance.id);
            let made = driver.save_copy(vm, copy, R::FORM, limit).await.map_err(failed)?;
            work.notes.insert(TAKEN_BYTES.to_owned(), made.taken_bytes.into());
            Ok(())
        })
    }

    fn undo<'a>(&'a self, work: &'a mut Work) -> Done<'a> {
        Box::pin(self.0.remove::<R>(work))
    }
}

impl<R: CopyRow> Step for Restore<R> {
    fn name(&self) -> &'static str {
        "restore_copy"
    }

    fn run<'a>(&'a self, work: &'a mut Work) -> Done<'a> {
        Box::pin(async move {
            let copy = copy_of(work)?;
            let Some(facts) = read(work).await? else {
                return Err(gone());
            };
            let _turn = self.0.turns.take(&work.app)?;
            let driver = self.0.hosts.driver(facts.machine.host_id).await?;
            let (vm, request) = (plan::vm_of(facts.instance.id), RequestId(work.task.uuid()));
            let size = plan::size(&facts).disk_bytes;
            driver.restore_copy(vm, request, copy, size).await.map_err(failed)
        })
    }

    /// What the disk held is lost: there is nothing to go back to.
    fn undo<'a>(&'a self, _work: &'a mut Work) -> Done<'a> {
        Box::pin(async { Ok(()) })
    }
}

impl<R: CopyRow> Step for Remove<R> {
    fn name(&self) -> &'static str {
        "remove_copy"
    }

    fn run<'a>(&'a self, work: &'a mut Work) -> Done<'a> {
        Box::pin(self.0.remove::<R>(work))
    }

    fn undo<'a>(&'a self, _work: &'a mut Work) -> Done<'a> {
        Box::pin(async { Ok(()) })
    }
}
