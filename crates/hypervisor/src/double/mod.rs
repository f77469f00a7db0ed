//! A hypervisor that runs nothing: for tests of what is built on the trait, and for sandboxes.
//!
//! It keeps the trait's promises as a real one does (the behaviour suite says so), simulates the system of the demo
//! image, and fails as told: before an effect, after it, in passing or for good, late. [`Double::new`] is in memory
//! only; [`Double::open`] has a folder, and finds its machines again after its process was killed.

mod guest;
mod kept;
mod machine;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

use self::{
    kept::Kept,
    machine::{Copy, Machine, Run},
};
use crate::{
    driver::{Hypervisor, Stream},
    error::{HypervisorError, Result},
    images::{ExportOptions, Format, Image, ImportOptions, Progress, Source, examine, hex, too_large},
    model::{
        CopyForm, CopyId, DiskCopy, Ended, HostReport, ImageId, Interface, InterfaceId, Observed, PowerState,
        RequestId, RootDisk, Shutdown, Size, Statistics, VmId, VmSpec,
    },
    seed::Seed,
};

/// A failure to be met by calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing was done; another try may succeed.
    Passing,
    /// Nothing was done, and never will be.
    Last,
    /// It was done, and its answer was lost: what a worker sees that dies, or a host whose connection breaks.
    AnswerLost,
}

/// The double. Clones share the host: dropping one and making another is what a restart of onetd is.
#[derive(Clone, Debug, Default)]
pub struct Double {
    host: Arc<Mutex<Host>>,
}

#[derive(Debug, Default)]
struct Host {
    images: BTreeMap<ImageId, Image>,
    /// How often the disks were booted that images were made of.
    boots: BTreeMap<ImageId, u32>,
    machines: BTreeMap<VmId, Machine>,
    copies: BTreeMap<CopyId, Copy>,
    calls: Vec<(&'static str, Option<VmId>)>,
    faults: Vec<(&'static str, Fault)>,
    delays: BTreeMap<&'static str, Duration>,
    kept: Option<Kept>,
}

impl Double {
    /// A host with nothing on it.
    pub fn new() -> Self {
        Self::default()
    }

    /// A host with what is in this folder, which is made if need be. The machines that ran run on.
    ///
    /// # Errors
    /// The folder can't be used, or holds something else.
    pub fn open(folder: &Path) -> Result<Self> {
        let kept = Kept::open(folder)?;
        let host = Host {
            machines: kept.machines()?,
            copies: kept.copies()?,
            kept: Some(kept),
            ..Host::default()
        };
        Ok(Self {
            host: Arc::new(Mutex::new(host)),
        })
    }

    /// The next call of this name (a method of the trait) meets the fault. Several wait in line.
    pub fn fail(&self, call: &'static str, fault: Fault) {
        self.host().faults.push((call, fault));
    }

    /// Calls of this name take so long from now on.
    pub fn delay(&self, call: &'static str, time: Duration) {
        self.host().delays.insert(call, time);
    }

    /// The calls so far that were about changes, by name and machine.
    pub fn calls(&self) -> Vec<(&'static str, Option<VmId>)> {
        self.host().calls.clone()
    }

    /// The machine's process dies, as by `kill -9` or a host that ran out of memory.
    pub fn crash(&self, vm: VmId) {
        if let Some(machine) = self.host().machines.get_mut(&vm) {
            machine.end(Ended::Cut);
        }
    }

    /// The machine's system switches itself off, as by `poweroff` typed into it.
    pub fn power_off(&self, vm: VmId) {
        if let Some(machine) = self.host().machines.get_mut(&vm) {
            machine.end(Ended::Orderly);
        }
    }

    /// What the machine has used since its power came on, from now on until it goes off.
    pub fn count(&self, vm: VmId, used: Statistics) {
        if let Some(run) = self
            .host()
            .machines
            .get_mut(&vm)
            .and_then(|machine| machine.run.as_mut())
        {
            run.counted = Some(used);
        }
    }

    /// The machine's system looks away when its power button is pressed, or an interface is to be released.
    pub fn hang(&self, vm: VmId, hangs: bool) {
        if let Some(machine) = self.host().machines.get_mut(&vm) {
            machine.hangs = hangs;
        }
    }

    /// An image without a file behind it, for tests that only need one to exist.
    pub fn add_image(&self, image: Image) {
        self.host().images.insert(image.id.clone(), image);
    }

    /// The seed that the machine would read at its next start.
    pub fn seed(&self, vm: VmId) -> Option<Seed> {
        self.host().machines.get(&vm)?.seed.clone()
    }

    /// The machine as defined.
    pub fn spec(&self, vm: VmId) -> Option<VmSpec> {
        self.host().machines.get(&vm)?.spec.clone()
    }

    /// The size of its root disk, bytes.
    pub fn disk_bytes(&self, vm: VmId) -> Option<u64> {
        Some(self.host().machines.get(&vm)?.disk.as_ref()?.size_bytes)
    }

    fn host(&self) -> MutexGuard<'_, Host> {
        // A test that panicked elsewhere has its own message.
        self.host.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every call goes through here: it is noted, delayed, and fails if it is told to.
    async fn call<T>(
        &self,
        name: &'static str,
        vm: Option<VmId>,
        work: impl FnOnce(&mut Host) -> Result<T> + Send,
    ) -> Result<T> {
        let delay = {
            let mut host = self.host();
            host.calls.push((name, vm));
            host.delays.get(name).copied()
        };
        if let Some(delay) = delay {
            tokio::time::sleep(delay).await;
        }
        let mut host = self.host();
        let fault = host
            .faults
            .iter()
            .position(|(call, _)| *call == name)
            .map(|at| host.faults.remove(at).1);
        let told = |passing: bool| {
            let (public, operator) = (
                "The host could not carry this out.",
                format!("{name} was told to fail"),
            );
            if passing {
                HypervisorError::passing(public, operator)
            } else {
                HypervisorError::last(public, operator)
            }
        };
        match fault {
            Some(Fault::Passing) => Err(told(true)),
            Some(Fault::Last) => Err(told(false)),
            Some(Fault::AnswerLost) => work(&mut host).and_then(|_| Err(told(true))),
            None => work(&mut host),
        }
    }

    /// A call that changes the machine.
    async fn change<T>(
        &self,
        name: &'static str,
        vm: VmId,
        work: impl FnOnce(&mut Host) -> Result<T> + Send,
    ) -> Result<T> {
        let work = |host: &mut Host| {
            let done = work(host)?;
            host.keep(vm)?;
            Ok(done)
        };
        self.call(name, Some(vm), work).await
    }

    /// Waits for the system to switch itself off.
    async fn powers_off(&self, vm: VmId, limit: Duration) -> Result<Shutdown> {
        if self
            .host()
            .machines
            .get(&vm)
            .is_some_and(|machine| machine.hangs && machine.run.is_some())
        {
            tokio::time::sleep(limit).await;
        }
        let mut host = self.host();
        match host.machines.get_mut(&vm) {
            Some(machine) if machine.hangs && machine.run.is_some() => return Ok(Shutdown::StillRunning),
            Some(machine) => machine.end(Ended::Orderly),
            None => {}
        }
        host.keep(vm)?;
        Ok(Shutdown::Off)
    }
}

impl Host {
    /// Writes down what has become of a machine, where there is a folder. The caller holds the host: what a file says
    /// is in the order of what happened.
    fn keep(&self, vm: VmId) -> Result<()> {
        let kept = self.kept.as_ref();
        kept.map_or(Ok(()), |kept| kept.keep(vm, self.machines.get(&vm)))
    }

    fn images(&self) -> Result<BTreeMap<ImageId, Image>> {
        let kept = self.kept.as_ref().map(Kept::images);
        kept.unwrap_or_else(|| Ok(self.images.clone()))
    }

    fn image(&self, id: &ImageId) -> Result<Image> {
        self.images()?.remove(id).ok_or_else(|| {
            HypervisorError::last("The image is not available.", format!("there is no image {id}"))
        })
    }

    /// Adds an image, unless it is there.
    fn take_image(&mut self, image: Image) -> Result<Image> {
        if let Some(known) = self.images()?.remove(&image.id) {
            return Ok(known);
        }
        if let Some(kept) = &self.kept {
            kept.keep_image(&image)?;
        }
        self.images.insert(image.id.clone(), image.clone());
        Ok(image)
    }

    /// The machine, defined.
    fn defined(&mut self, vm: VmId) -> Result<&mut Machine> {
        self.machines
            .get_mut(&vm)
            .filter(|machine| machine.spec.is_some())
            .ok_or_else(|| {
                HypervisorError::last(
                    "The instance does not exist on its host.",
                    format!("{vm} was never defined"),
                )
            })
    }

    fn running(&mut self, vm: VmId, what: &str) -> Result<&mut Run> {
        self.machines
            .get_mut(&vm)
            .and_then(|machine| machine.run.as_mut())
            .ok_or_else(|| HypervisorError::must_run(what))
    }

    fn fitting(&self, disk: &RootDisk) -> Result<()> {
        if disk.size_bytes >= self.image(&disk.image)?.min_disk_bytes {
            return Ok(());
        }
        Err(HypervisorError::last(
            "The disk is too small for the image.",
            format!("{} bytes are too small", disk.size_bytes),
        ))
    }

    fn boots_of(&self, image: &ImageId) -> u32 {
        self.boots.get(image).copied().unwrap_or(0)
    }

    fn machine(&mut self, vm: VmId) -> &mut Machine {
        self.machines.entry(vm).or_default()
    }
}

#[async_trait]
impl Hypervisor for Double {
    async fn check(&self) -> Result<HostReport> {
        self.call("check", None, |_| {
            Ok(HostReport {
                version: "in memory".to_owned(),
                hardware_acceleration: false,
                acceleration_note: "nothing is run".to_owned(),
                free_disk_bytes: u64::MAX,
            })
        })
        .await
    }

    async fn import_image(
        &self,
        source: Source,
        options: &ImportOptions,
        progress: &Progress,
    ) -> Result<Image> {
        let unreadable = |error: std::io::Error| {
            HypervisorError::passing("The image could not be read.", error.to_string())
        };
        let mut reader = match source {
            Source::File(path) => Box::new(tokio::fs::File::open(path).await.map_err(unreadable)?),
            Source::Reader(reader) => reader,
        };
        let mut bytes = Vec::new();
        (&mut reader)
            .take(options.max_bytes.saturating_add(1))
            .read_to_end(&mut bytes)
            .await
            .map_err(unreadable)?;
        let size = bytes.len() as u64;
        progress.add(size);
        self.call("import_image", None, |host| {
            if size > options.max_bytes {
                return Err(too_large(options.max_bytes));
            }
            let id = ImageId::try_from(hex(&Sha256::digest(&bytes)))?;
            if options.sha256.as_ref().is_some_and(|wanted| *wanted != id) {
                return Err(HypervisorError::last(
                    "The image does not have the expected checksum.",
                    format!("the image has SHA-256 {id}"),
                ));
            }
            let (format, virtual_size) = examine(&bytes, size, options.format)?;
            if virtual_size > options.max_virtual_bytes {
                return Err(too_large(options.max_virtual_bytes));
            }
            let image = Image {
                id,
                format,
                virtual_size,
                min_disk_bytes: options.min_disk_bytes.max(virtual_size),
                min_memory_mib: options.min_memory_mib,
            };
            host.take_image(image)
        })
        .await
    }

    async fn images(&self) -> Result<Vec<Image>> {
        Ok(self.host().images()?.into_values().collect())
    }

    async fn remove_image(&self, image: &ImageId) -> Result<()> {
        self.call("remove_image", None, |host| {
            let is_used = host.machines.values().any(|machine| machine.uses(image))
                || host.copies.values().any(|copy| copy.uses(image));
            if is_used {
                return Err(HypervisorError::last(
                    "The image is in use.",
                    format!("a disk builds on {image}"),
                ));
            }
            host.images.remove(image);
            host.kept.as_ref().map_or(Ok(()), |kept| kept.forget_image(image))
        })
        .await
    }

    async fn export_disk(&self, vm: VmId, options: &ExportOptions) -> Result<Image> {
        self.call("export_disk", Some(vm), |host| {
            let machine = host.machines.get(&vm);
            if machine.is_some_and(|machine| machine.run.is_some()) {
                return Err(HypervisorError::must_be_stopped("an image of its disk"));
            }
            let Some((disk, boots)) =
                machine.and_then(|machine| Some((machine.disk.clone()?, machine.boots)))
            else {
                return Err(HypervisorError::last(
                    "The instance has no disk.",
                    format!("{vm} has no root disk"),
                ));
            };
            if disk.size_bytes > options.max_virtual_bytes {
                return Err(too_large(options.max_virtual_bytes));
            }
            // What is on it: its image, and what the system has written.
            let contents = format!("{} {} {boots}", disk.image, disk.size_bytes);
            let id = ImageId::try_from(hex(&Sha256::digest(contents)))?;
            let image = Image {
                id: id.clone(),
                format: Format::Qcow2,
                virtual_size: disk.size_bytes,
                min_disk_bytes: disk.size_bytes,
                min_memory_mib: options.min_memory_mib,
            };
            host.boots.insert(id, boots);
            host.take_image(image)
        })
        .await
    }

    async fn save_copy(&self, vm: VmId, id: CopyId, form: CopyForm, _limit: Duration) -> Result<DiskCopy> {
        self.call("save_copy", Some(vm), |host| {
            if let Some(copy) = host.copies.get(&id) {
                return Ok(copy.describe(id));
            }
            let copy = host.machines.get(&vm).and_then(|machine| machine.copy(form));
            let copy = copy.ok_or_else(|| {
                HypervisorError::last("The instance has no disk.", format!("{vm} has no root disk"))
            })?;
            if let Some(kept) = &host.kept {
                kept.keep_copy(id, Some(&copy))?;
            }
            let shown = copy.describe(id);
            host.copies.insert(id, copy);
            Ok(shown)
        })
        .await
    }

    async fn restore_copy(&self, vm: VmId, request: RequestId, id: CopyId, size_bytes: u64) -> Result<()> {
        self.change("restore_copy", vm, |host| {
            let copy = host.copies.get(&id).cloned();
            let machine = host.defined(vm)?;
            if machine.done == Some(request) {
                return Ok(());
            }
            if machine.run.is_some() {
                return Err(HypervisorError::must_be_stopped("a restoration"));
            }
            let copy = copy.ok_or_else(|| {
                HypervisorError::last(
                    "The copy is not there any more.",
                    format!("there is no copy {id}"),
                )
            })?;
            machine.restore(copy, size_bytes)?;
            machine.done = Some(request);
            Ok(())
        })
        .await
    }

    async fn remove_copy(&self, id: CopyId) -> Result<()> {
        self.call("remove_copy", None, |host| {
            host.copies.remove(&id);
            host.kept.as_ref().map_or(Ok(()), |kept| kept.keep_copy(id, None))
        })
        .await
    }

    async fn copies(&self) -> Result<Vec<DiskCopy>> {
        self.call("copies", None, |host| {
            Ok(host.copies.iter().map(|(id, copy)| copy.describe(*id)).collect())
        })
        .await
    }

    async fn prepare_disk(&self, vm: VmId, disk: &RootDisk) -> Result<()> {
        self.change("prepare_disk", vm, |host| {
            if host
                .machines
                .get(&vm)
                .is_some_and(|machine| machine.disk.is_some())
            {
                return Ok(());
            }
            host.fitting(disk)?;
            let boots = host.boots_of(&disk.image);
            let machine = host.machine(vm);
            machine.disk = Some(disk.clone());
            machine.boots = boots;
            Ok(())
        })
        .await
    }

    async fn define(&self, spec: &VmSpec) -> Result<()> {
        self.change("define", spec.id, |host| {
            spec.check()?;
            let machine = host.machine(spec.id);
            if machine.spec.as_ref() != Some(spec) && machine.run.is_some() {
                return Err(HypervisorError::must_be_stopped("another definition"));
            }
            machine.spec = Some(spec.clone());
            Ok(())
        })
        .await
    }

    async fn set_seed(&self, vm: VmId, seed: &Seed) -> Result<()> {
        self.change("set_seed", vm, |host| {
            seed.disk()?;
            host.machine(vm).seed = Some(seed.clone());
            Ok(())
        })
        .await
    }

    async fn start(&self, vm: VmId) -> Result<()> {
        self.change("start", vm, |host| host.defined(vm)?.start(vm)).await
    }

    async fn shutdown(&self, vm: VmId, limit: Duration) -> Result<Shutdown> {
        self.call("shutdown", Some(vm), |_| Ok(())).await?;
        self.powers_off(vm, limit).await
    }

    async fn stop(&self, vm: VmId) -> Result<()> {
        self.change("stop", vm, |host| {
            if let Some(machine) = host.machines.get_mut(&vm) {
                machine.end(Ended::Cut);
            }
            Ok(())
        })
        .await
    }

    async fn reboot(&self, vm: VmId, request: RequestId, limit: Duration) -> Result<()> {
        let done = self
            .call("reboot", Some(vm), |host| {
                Ok(host.defined(vm)?.done == Some(request))
            })
            .await?;
        if done {
            return Ok(());
        }
        self.powers_off(vm, limit).await?;
        let mut host = self.host();
        let machine = host.defined(vm)?;
        machine.end(Ended::Cut);
        machine.start(vm)?;
        machine.done = Some(request);
        host.keep(vm)
    }

    async fn reset(&self, vm: VmId, request: RequestId) -> Result<()> {
        self.change("reset", vm, |host| {
            let machine = host.defined(vm)?;
            if machine.done == Some(request) {
                return Ok(());
            }
            if machine.run.is_none() {
                return Err(HypervisorError::must_run("a reset"));
            }
            machine.boot();
            machine.done = Some(request);
            Ok(())
        })
        .await
    }

    async fn resize(&self, vm: VmId, size: Size) -> Result<()> {
        self.change("resize", vm, |host| host.defined(vm)?.resize(size))
            .await
    }

    async fn reinstall(&self, vm: VmId, request: RequestId, disk: &RootDisk) -> Result<()> {
        self.change("reinstall", vm, |host| {
            if host.defined(vm)?.done == Some(request) {
                return Ok(());
            }
            if host.defined(vm)?.run.is_some() {
                return Err(HypervisorError::must_be_stopped("a reinstallation"));
            }
            host.fitting(disk)?;
            let boots = host.boots_of(&disk.image);
            let machine = host.machine(vm);
            machine.disk = Some(disk.clone());
            machine.boots = boots;
            machine.rescue = None;
            machine.done = Some(request);
            Ok(())
        })
        .await
    }

    async fn enter_rescue(&self, vm: VmId, image: &ImageId) -> Result<()> {
        self.change("enter_rescue", vm, |host| {
            host.image(image)?;
            let machine = host.defined(vm)?;
            if machine.run.is_some() {
                return Err(HypervisorError::must_be_stopped("rescue"));
            }
            if machine.rescue.as_ref() != Some(image) {
                machine.rescue = Some(image.clone());
                machine.rescue_boots = 0;
            }
            Ok(())
        })
        .await
    }

    async fn leave_rescue(&self, vm: VmId) -> Result<()> {
        self.change("leave_rescue", vm, |host| {
            let Some(machine) = host
                .machines
                .get_mut(&vm)
                .filter(|machine| machine.rescue.is_some())
            else {
                return Ok(());
            };
            if machine.run.is_some() {
                return Err(HypervisorError::must_be_stopped("the end of a rescue"));
            }
            machine.rescue = None;
            Ok(())
        })
        .await
    }

    async fn attach_interface(&self, vm: VmId, interface: &Interface) -> Result<()> {
        self.change("attach_interface", vm, |host| host.defined(vm)?.attach(interface))
            .await
    }

    async fn ensure_bridge(&self, _bridge: &str) -> Result<()> {
        self.call("ensure_bridge", None, |_| Ok(())).await
    }

    async fn detach_interface(&self, vm: VmId, interface: InterfaceId) -> Result<()> {
        self.change("detach_interface", vm, |host| match host.machines.get_mut(&vm) {
            Some(machine) => machine.detach(interface),
            None => Ok(()),
        })
        .await
    }

    async fn list(&self) -> Result<Vec<Observed>> {
        self.call("list", None, |host| {
            Ok(host
                .machines
                .iter()
                .map(|(vm, machine)| machine.observe(*vm))
                .collect())
        })
        .await
    }

    async fn find(&self, vm: VmId) -> Result<Option<Observed>> {
        self.call("find", Some(vm), |host| {
            Ok(host.machines.get(&vm).map(|machine| machine.observe(vm)))
        })
        .await
    }

    async fn serial(&self, vm: VmId) -> Result<Stream> {
        self.call("serial", Some(vm), |host| {
            let run = host.running(vm, "the serial console")?;
            Ok(guest::serial(&run.system))
        })
        .await
    }

    async fn serial_log(&self, vm: VmId, limit: usize) -> Result<Vec<u8>> {
        self.call("serial_log", Some(vm), |host| {
            let mut log = host
                .machines
                .get(&vm)
                .map(|machine| machine.log.clone())
                .unwrap_or_default();
            Ok(log.split_off(log.len().saturating_sub(limit)))
        })
        .await
    }

    async fn screen(&self, vm: VmId) -> Result<Stream> {
        self.call("screen", Some(vm), |host| {
            host.running(vm, "the screen")?;
            Ok(guest::screen())
        })
        .await
    }

    async fn destroy(&self, vm: VmId) -> Result<()> {
        self.change("destroy", vm, |host| {
            host.machines.remove(&vm);
            Ok(())
        })
        .await
    }
}

impl Machine {
    fn power(&self) -> PowerState {
        if self.run.is_some() {
            PowerState::Running
        } else {
            PowerState::Stopped
        }
    }
}
