//! The steps of machines' tasks: each one call of the driver, which makes its effect true or finds it true.

use std::{sync::Arc, time::Duration};

use hypervisor::{CopyId, Hypervisor, HypervisorError, PowerState, RequestId, Shutdown, VmId};
use kernel::{
    App,
    config::Compute,
    id::Id,
    store::{Conn, StoreError},
    tasks::{Done, Step, StepError, Work},
};

use super::{
    Power,
    facts::{self, Facts},
    plan, rows, state,
};
use crate::{backups, hosts::Hosts, instances::api::InstanceKind, snapshots};

/// What is done with the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Makes its root disk out of the image. Undone by deleting everything: only creation has it.
    PrepareDisk,
    /// Says what it is.
    Define,
    /// Sets what cloud-init reads at its next start.
    SetSeed,
    /// Switches it on.
    Start,
    /// Switches it on if it should run.
    StartIfWanted,
    /// Pulls the plug.
    Stop,
    /// Asks its system to end, and fails if that does not.
    Shutdown,
    /// Asks its system to end, and pulls the plug if that does not: before what needs it off. Undone by
    /// [`Act::StartIfWanted`].
    SwitchOff,
    /// Ends and starts its system.
    Reboot,
    /// Presses the reset button.
    Reset,
    /// Changes processors, memory and disk.
    Resize,
    /// Replaces its root disk by a new one.
    Reinstall,
    /// Boots the rescue system from its next start on, or its own disk, as is written.
    ChooseBoot,
    /// Writes down what the host says of it, so that the answer to "does it run" does not wait for the next round.
    Look,
    /// Deletes all that it has on the host.
    Destroy,
    /// Deletes the snapshots of its disk. Its backups stay for a while.
    RemoveCopies,
}

impl Act {
    /// What a start makes final. A machine that runs was started with it: by this very task, if it was lost after that
    /// and begins again with an earlier step, or before. What was asked for since comes with its next start.
    const fn is_for_one_that_is_off(self) -> bool {
        matches!(self, Self::Define | Self::Resize | Self::ChooseBoot)
    }
}

/// A step on a host.
#[derive(Debug)]
pub struct MachineStep {
    act: Act,
    hosts: Hosts,
}

/// The steps of a task, in order.
pub fn steps(hosts: &Hosts, acts: &[Act]) -> Vec<Arc<dyn Step>> {
    let step = |act: &Act| {
        Arc::new(MachineStep {
            act: *act,
            hosts: hosts.clone(),
        }) as Arc<dyn Step>
    };
    acts.iter().map(step).collect()
}

/// What a driver's failure means for a task.
pub(crate) fn failed(error: HypervisorError) -> StepError {
    let public = error.public().to_owned();
    if error.is_passing() {
        StepError::passing(public, error)
    } else {
        StepError::fatal(public, error)
    }
}

/// Reads what is written of the task's machine.
pub(crate) async fn read(work: &Work) -> Result<Option<Facts>, StepError> {
    let id: Id<InstanceKind> = work.resource.cast();
    let found = work
        .app
        .store()
        .read("machine_facts", move |conn: &mut Conn| facts::find(conn, id));
    found.await.map_err(|error: StoreError| error.into())
}

/// Writes what cloud-init reads at the machine's next start.
pub(crate) async fn renew_seed(app: &App, hosts: &Hosts, facts: &Facts) -> Result<(), StepError> {
    let driver = hosts.driver(facts.machine.host_id).await?;
    let seed = plan::seed(facts, &app.config().compute, app.sealer())?;
    driver
        .set_seed(plan::vm_of(facts.instance.id), &seed)
        .await
        .map_err(failed)
}

impl Step for MachineStep {
    fn name(&self) -> &'static str {
        match self.act {
            Act::PrepareDisk => "prepare_disk",
            Act::Define => "define",
            Act::SetSeed => "set_seed",
            Act::Start => "start",
            Act::StartIfWanted => "start_if_wanted",
            Act::Stop => "stop",
            Act::Shutdown => "shutdown",
            Act::SwitchOff => "switch_off",
            Act::Reboot => "reboot",
            Act::Reset => "reset",
            Act::Resize => "resize",
            Act::Reinstall => "reinstall",
            Act::ChooseBoot => "choose_boot",
            Act::Look => "look",
            Act::Destroy => "destroy",
            Act::RemoveCopies => "remove_copies",
        }
    }

    fn run<'a>(&'a self, work: &'a mut Work) -> Done<'a> {
        Box::pin(async move {
            let Some(facts) = read(work).await? else {
                return if matches!(self.act, Act::Destroy | Act::RemoveCopies) {
                    Ok(())
                } else {
                    Err(gone())
                };
            };
            if self.act == Act::Reinstall && is_replaced(work) {
                // Done at an earlier try of the same task, and the new system may have been used since.
                return Ok(());
            }
            self.carry_out(work, &facts).await?;
            if self.act == Act::Reinstall {
                work.notes.insert(REPLACED.to_owned(), true.into());
            }
            Ok(())
        })
    }

    fn undo<'a>(&'a self, work: &'a mut Work) -> Done<'a> {
        Box::pin(async move {
            let Some(facts) = read(work).await? else {
                return Ok(());
            };
            let driver = self.hosts.driver(facts.machine.host_id).await?;
            let vm = plan::vm_of(facts.instance.id);
            if self.act != Act::PrepareDisk {
                let seen = driver.find(vm).await.map_err(failed)?;
                if !seen.is_some_and(|seen| seen.defined) {
                    // Nothing is there to be put back; and what waits behind this task must not wait for it.
                    return Ok(());
                }
            }
            match self.act {
                Act::PrepareDisk => driver.destroy(vm).await.map_err(failed),
                Act::StartIfWanted => {
                    let limit = work.app.config().compute.switch_off_limit();
                    switch_off(driver.as_ref(), vm, limit).await.map_err(failed)
                }
                Act::SwitchOff => start_again(work, driver.as_ref(), &facts).await,
                Act::Define | Act::SetSeed | Act::ChooseBoot | Act::Resize => {
                    self.put_back(work, &facts).await
                }
                _ => Ok(()),
            }
        })
    }
}

/// What a step notes when the old system is gone for good: nothing before it can be had back.
pub(crate) const REPLACED: &str = "replaced";
/// What a step notes when a disk that has grown stays so, since disks don't shrink.
pub(crate) const DISK_KEPT: &str = "disk_kept";

fn is_replaced(work: &Work) -> bool {
    work.notes.contains_key(REPLACED)
}

async fn switch_off(driver: &dyn Hypervisor, vm: VmId, limit: Duration) -> Result<(), HypervisorError> {
    match driver.shutdown(vm, limit).await? {
        Shutdown::Off => Ok(()),
        Shutdown::StillRunning => driver.stop(vm).await,
    }
}

/// Switches a machine on again that was switched off for a task that has failed. One that can't be started now must not
/// keep the task, and all those behind it, for ever: whether it should run is written down.
async fn start_again(work: &Work, driver: &dyn Hypervisor, facts: &Facts) -> Result<(), StepError> {
    let before = read_before(work).await?;
    let machine = before.as_ref().map_or(&facts.machine, |before| &before.machine);
    if machine.power != Power::On {
        return Ok(());
    }
    match driver.start(plan::vm_of(facts.instance.id)).await {
        Err(error) if error.is_passing() => Err(failed(error)),
        Err(error) => {
            tracing::warn!(%error, "a machine could not be started again");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Reads what was written of the task's machine before the task; `None` when it has changed nothing of that.
async fn read_before(work: &Work) -> Result<Option<Facts>, StepError> {
    let (id, task): (Id<InstanceKind>, _) = (work.resource.cast(), work.task);
    let found = work
        .app
        .store()
        .read("machine_facts_before", move |conn: &mut Conn| {
            facts::find_before(conn, id, task)
        });
    found.await.map_err(|error: StoreError| error.into())
}

fn gone() -> StepError {
    StepError::fatal(
        "The instance does not exist any more.",
        "the machine's row is gone",
    )
}

impl MachineStep {
    async fn carry_out(&self, work: &Work, facts: &Facts) -> Result<(), StepError> {
        let driver = self.hosts.driver(facts.machine.host_id).await?;
        let settings = &work.app.config().compute;
        let vm: VmId = plan::vm_of(facts.instance.id);
        // The same task asks for the same thing, however often its step is repeated.
        let request = RequestId(work.task.uuid());
        if self.act.is_for_one_that_is_off() {
            let seen = driver.find(vm).await.map_err(failed)?;
            if seen.is_some_and(|seen| seen.state != PowerState::Stopped) {
                return Ok(());
            }
        }
        let done = match self.act {
            Act::PrepareDisk => driver.prepare_disk(vm, &plan::root_disk(facts)?).await,
            Act::SetSeed => return renew_seed(&work.app, &self.hosts, facts).await,
            Act::Define => return self.define(driver.as_ref(), facts, settings).await,
            Act::Start => driver.start(vm).await,
            Act::StartIfWanted if facts.machine.power == Power::On => driver.start(vm).await,
            Act::StartIfWanted => Ok(()),
            Act::Stop => driver.stop(vm).await,
            Act::Shutdown => match driver.shutdown(vm, settings.shutdown_limit()).await {
                Ok(Shutdown::Off) => Ok(()),
                Ok(Shutdown::StillRunning) => {
                    let message = "The system did not shut down in time. Use stop_instance to cut its power.";
                    return Err(StepError::fatal(message, "the guest ignored the power button"));
                }
                Err(error) => Err(error),
            },
            Act::SwitchOff => switch_off(driver.as_ref(), vm, settings.switch_off_limit()).await,
            Act::Reboot => driver.reboot(vm, request, settings.shutdown_limit()).await,
            Act::Reset => driver.reset(vm, request).await,
            Act::Resize => driver.resize(vm, plan::size(facts)).await,
            Act::Reinstall => driver.reinstall(vm, request, &plan::root_disk(facts)?).await,
            Act::ChooseBoot => match plan::rescue_image(facts)? {
                Some(image) => driver.enter_rescue(vm, &image).await,
                None => driver.leave_rescue(vm).await,
            },
            Act::Destroy => driver.destroy(vm).await,
            Act::RemoveCopies => return remove_copies(work, driver.as_ref()).await,
            Act::Look => return look(work, driver.as_ref(), vm).await,
        };
        done.map_err(failed)
    }

    /// Makes the machine on the host again what it was before the task.
    async fn put_back(&self, work: &mut Work, after: &Facts) -> Result<(), StepError> {
        if is_replaced(work) {
            return Ok(());
        }
        let Some(before) = read_before(work).await? else {
            return Ok(());
        };
        if self.act != Act::Resize {
            return self.carry_out(work, &before).await;
        }
        let driver = self.hosts.driver(after.machine.host_id).await?;
        let vm = plan::vm_of(after.instance.id);
        let old = plan::size(&before);
        match driver.resize(vm, old).await {
            Err(error) if !error.is_passing() => {
                let kept = hypervisor::Size {
                    disk_bytes: plan::size(after).disk_bytes,
                    ..old
                };
                driver.resize(vm, kept).await.map_err(failed)?;
                work.notes.insert(DISK_KEPT.to_owned(), true.into());
                Ok(())
            }
            done => done.map_err(failed),
        }
    }
}

impl MachineStep {
    async fn define(
        &self,
        driver: &dyn Hypervisor,
        facts: &Facts,
        settings: &Compute,
    ) -> Result<(), StepError> {
        let spec = plan::spec(facts, settings)?;
        for bridge in plan::private_bridges(&spec, settings) {
            driver.ensure_bridge(bridge).await.map_err(failed)?;
        }
        driver.define(&spec).await.map_err(failed)
    }
}

async fn remove_copies(work: &Work, driver: &dyn Hypervisor) -> Result<(), StepError> {
    let id: Id<InstanceKind> = work.resource.cast();
    let found = work.app.store().read("find_snapshots", move |conn: &mut Conn| {
        snapshots::rows::ids_of_instance(conn, id)
    });
    for snapshot in found.await.map_err(|error: StoreError| StepError::from(error))? {
        driver
            .remove_copy(CopyId(snapshot.uuid()))
            .await
            .map_err(failed)?;
    }
    let days = u64::from(work.app.config().compute.backup_days_after_end);
    let expire = work.app.store().write("expire_backups", move |tx| {
        let until = tx.now() + Duration::from_secs(days * 24 * 3600);
        backups::rows::expire_all(tx, id, until)
    });
    expire.await.map_err(|error: StoreError| error.into())
}

/// What can't be seen now the next round sees: no work is taken back for that.
async fn look(work: &Work, driver: &dyn Hypervisor, vm: VmId) -> Result<(), StepError> {
    let seen = match driver.find(vm).await {
        Ok(seen) => seen,
        Err(error) => {
            tracing::warn!(%error, "a machine could not be looked at");
            return Ok(());
        }
    };
    let id: Id<InstanceKind> = work.resource.cast();
    let write = work.app.store().write("record_state", move |tx| {
        // Deleted meanwhile: nothing to be said of it.
        match rows::find(tx.conn(), id)? {
            Some(_) => state::record(tx, id, seen.as_ref(), "task"),
            None => Ok(()),
        }
    });
    write.await.map_err(|error: StoreError| error.into())
}
