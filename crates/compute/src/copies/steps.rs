//! The steps of tasks about copies of disks.

use std::{marker::PhantomData, sync::Arc, time::Duration};

use hypervisor::{CopyForm, CopyId, RequestId};
use kernel::{
    id::{Any, Id},
    store::{Conn, StoreError, Tx},
    tasks::{Done, Step, StepError, Work},
};
use serde::{Deserialize, Serialize};

use crate::{
    hosts::{HostId, Hosts},
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

/// Whose copies they are: what the steps ask of the tables.
pub(crate) trait Shelf: Send + Sync + 'static {
    /// What is in its copies.
    const FORM: CopyForm;

    /// Says that a copy is being made. `false`: nobody wants it any more.
    ///
    /// # Errors
    /// The database refused.
    fn begin(tx: &mut Tx<'_>, copy: Id<Any>) -> Result<bool, StoreError>;

    /// The host that has a copy.
    ///
    /// # Errors
    /// The database refused.
    fn host_of(conn: &mut Conn, copy: Id<Any>) -> Result<Option<HostId>, StoreError>;
}

/// What the steps share.
#[derive(Clone, Debug)]
struct Tools {
    hosts: Hosts,
    turns: Arc<Turns>,
}

pub(crate) struct Save<S>(Tools, PhantomData<S>);

pub(crate) struct Restore<S>(Tools, PhantomData<S>);

pub(crate) struct Remove<S>(Tools, PhantomData<S>);

/// The step that copies the disk.
pub(crate) fn save<S: Shelf>(hosts: &Hosts, turns: &Arc<Turns>) -> Arc<dyn Step> {
    Arc::new(Save::<S>(tools(hosts, turns), PhantomData))
}

/// The step that makes the disk what the copy has.
pub(crate) fn restore<S: Shelf>(hosts: &Hosts, turns: &Arc<Turns>) -> Arc<dyn Step> {
    Arc::new(Restore::<S>(tools(hosts, turns), PhantomData))
}

/// The step that deletes the copy.
pub(crate) fn remove<S: Shelf>(hosts: &Hosts, turns: &Arc<Turns>) -> Arc<dyn Step> {
    Arc::new(Remove::<S>(tools(hosts, turns), PhantomData))
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

impl Tools {
    /// Deletes the task's copy where it is; one that was never made is fine.
    async fn remove<S: Shelf>(&self, work: &Work) -> Result<(), StepError> {
        let copy = copy_of(work)?;
        let id: Id<Any> = Id::from_uuid(copy.0);
        let host = work
            .app
            .store()
            .read("host_of_copy", move |conn: &mut Conn| S::host_of(conn, id));
        let Some(host) = host.await.map_err(|error: StoreError| StepError::from(error))? else {
            return Ok(());
        };
        let driver = self.hosts.driver(host).await?;
        driver.remove_copy(copy).await.map_err(failed)
    }
}

impl<S: Shelf> Step for Save<S> {
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
            let begin = work.app.store().write("begin_copy", move |tx| S::begin(tx, id));
            if !begin.await.map_err(|error: StoreError| StepError::from(error))? {
                return Ok(());
            }
            let driver = self.0.hosts.driver(facts.machine.host_id).await?;
            let minutes = u64::from(work.app.config().images.convert_minutes);
            let limit = Duration::from_secs(minutes * 60);
            let vm = plan::vm_of(facts.instance.id);
            let made = driver.save_copy(vm, copy, S::FORM, limit).await.map_err(failed)?;
            work.notes.insert(TAKEN_BYTES.to_owned(), made.taken_bytes.into());
            Ok(())
        })
    }

    fn undo<'a>(&'a self, work: &'a mut Work) -> Done<'a> {
        Box::pin(self.0.remove::<S>(work))
    }
}

impl<S: Shelf> Step for Restore<S> {
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

impl<S: Shelf> Step for Remove<S> {
    fn name(&self) -> &'static str {
        "remove_copy"
    }

    fn run<'a>(&'a self, work: &'a mut Work) -> Done<'a> {
        Box::pin(self.0.remove::<S>(work))
    }

    fn undo<'a>(&'a self, _work: &'a mut Work) -> Done<'a> {
        Box::pin(async { Ok(()) })
    }
}
