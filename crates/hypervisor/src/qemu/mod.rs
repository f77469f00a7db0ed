//! Machines as QEMU processes on this host.
//!
//! A machine is a folder below the data folder (its record, disks, seed, sockets) and, while it runs, a process that
//! does not belong to us: it goes on when onetd stops, and is found again by its command line. Nothing is kept in
//! memory but what the host can do, so that any number of processes may drive the same folder.

mod acceleration;
mod arguments;
mod command;
mod control_group;
mod copies;
mod disks;
mod folder;
mod interfaces;
mod locks;
mod network;
mod observe;
mod power;
mod process;
mod qmp;
mod settings;
mod statistics;

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::sync::OnceCell;

pub use self::settings::{Acceleration, QemuSettings};
use self::{
    acceleration::Probe,
    command::Programs,
    folder::{Folder, Record, SCREEN, SERIAL, make_private},
    locks::{Lock, Locks},
    network::HostNetwork,
    process::Processes,
};
use crate::{
    driver::{Hypervisor, Stream},
    error::{HypervisorError, Result},
    images::{ExportOptions, Image, ImageStore, ImageTool, ImportOptions, Progress, Source, remove_file},
    model::{
        CopyForm, CopyId, DiskCopy, HostReport, ImageId, Interface, InterfaceId, Observed, RequestId,
        RootDisk, Shutdown, Size, VmId, VmSpec,
    },
    seed::Seed,
};

/// The driver. Clones share everything.
#[derive(Clone, Debug)]
pub struct Qemu {
    host: Arc<Host>,
}

#[derive(Debug)]
struct Host {
    settings: QemuSettings,
    machines: PathBuf,
    copies: PathBuf,
    images: ImageStore,
    tool: ImageTool,
    locks: Locks,
    processes: Processes,
    programs: Programs,
    network: HostNetwork,
    probe: OnceCell<Probe>,
}

impl Qemu {
    /// Opens a data folder. No machine is touched.
    ///
    /// # Errors
    /// When the folder can't be used: it is not ours to write, or its path is not UTF-8.
    pub async fn open(settings: QemuSettings) -> Result<Self> {
        make_private(&settings.data_dir).await?;
        let data = tokio::fs::canonicalize(&settings.data_dir)
            .await
            .map_err(|error| HypervisorError::host("can't use the data folder", error))?;
        if data.to_str().is_none() {
            return Err(HypervisorError::last(
                "The host is not ready.",
                format!("{} is not UTF-8", data.display()),
            ));
        }
        let [machines, images, copies] = ["machines", "images", "copies"].map(|name| data.join(name));
        for folder in [&machines, &images, &copies] {
            make_private(folder).await?;
        }
        let tool = ImageTool::new(settings.image_program.clone());
        let programs = Programs::new(settings.network_namespace.clone());
        let images = ImageStore::new(images, tool.clone());
        images.sweep().await?;
        let host = Host {
            images,
            tool,
            locks: Locks::new(data.join("locks")).await?,
            processes: Processes::new(machines.clone(), &settings.program),
            network: HostNetwork::new(programs.clone(), settings.run_as.clone()),
            programs,
            machines,
            copies,
            settings,
            probe: OnceCell::new(),
        };
        Ok(Self { host: Arc::new(host) })
    }

    fn folder(&self, vm: VmId) -> Folder {
        Folder::new(&self.host.machines, vm)
    }

    async fn lock(&self, vm: VmId) -> Result<Lock> {
        self.host.locks.exclusive(&vm.to_string()).await
    }

    /// Locks a machine that must be off, and reads its record.
    async fn stopped(&self, vm: VmId, what: &str) -> Result<(Lock, Folder, Record)> {
        let lock = self.lock(vm).await?;
        if self.host.processes.find(vm)?.is_some() {
            return Err(HypervisorError::must_be_stopped(what));
        }
        let folder = self.folder(vm);
        let record = folder.load().await?;
        Ok((lock, folder, record))
    }

    /// What the host can do, found out once.
    async fn probe(&self) -> Result<&Probe> {
        let settings = &self.host.settings;
        let try_kvm = settings.acceleration == Acceleration::Auto;
        self.host
            .probe
            .get_or_try_init(|| acceleration::probe(&settings.program, &self.host.machines, try_kvm))
            .await
    }

    async fn connect(&self, vm: VmId, what: &str, socket: &str) -> Result<Stream> {
        if self.host.processes.find(vm)?.is_none() {
            return Err(HypervisorError::must_run(what));
        }
        let stream =
            self.folder(vm).connect(socket).await.map_err(|error| {
                HypervisorError::host(format!("can't connect to {socket} of {vm}"), error)
            })?;
        Ok(Box::new(stream))
    }

    async fn define_machine(&self, spec: &VmSpec) -> Result<()> {
        spec.check()?;
        let _lock = self.lock(spec.id).await?;
        let folder = self.folder(spec.id);
        let mut record = folder.load().await?;
        if record.spec.as_ref() == Some(spec) {
            return Ok(());
        }
        if self.host.processes.find(spec.id)?.is_some() {
            return Err(HypervisorError::must_be_stopped("another definition"));
        }
        let before = record.spec.replace(spec.clone());
        record.assign_ports()?;
        folder.save(&record).await?;
        for interface in before.map(|spec| spec.interfaces).unwrap_or_default() {
            if !spec.interfaces.contains(&interface) {
                self.host.network.unplug(&interface).await?;
            }
        }
        Ok(())
    }

    async fn destroy_machine(&self, vm: VmId) -> Result<()> {
        let lock = self.lock(vm).await?;
        for process in self.host.processes.all()? {
            if process.vm == vm {
                process.kill().await?;
            }
        }
        let folder = self.folder(vm);
        // A record that can't be read must not keep a machine for ever; its taps are found by their names.
        let record = folder.load().await.unwrap_or_default();
        let interfaces = record.spec.map(|spec| spec.interfaces).unwrap_or_default();
        self.host.network.unplug_all(vm, &interfaces).await?;
        if let Some(parent) = &self.host.settings.control_group {
            control_group::remove(parent, vm).await?;
        }
        match tokio::fs::remove_dir_all(folder.path()).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(HypervisorError::host(
                    format!("can't delete {}", folder.path().display()),
                    error,
                ));
            }
            _ => {}
        }
        lock.retire();
        Ok(())
    }
}

#[async_trait]
impl Hypervisor for Qemu {
    async fn check(&self) -> Result<HostReport> {
        self.host.tool.version().await?;
        let probe = self.probe().await?;
        Ok(HostReport {
            version: probe.version.clone(),
            hardware_acceleration: probe.kvm,
            acceleration_note: probe.note.clone(),
            free_disk_bytes: observe::free_space(&self.host.machines)?,
        })
    }

    async fn import_image(
        &self,
        source: Source,
        options: &ImportOptions,
        progress: &Progress,
    ) -> Result<Image> {
        self.host.images.import(source, options, progress).await
    }

    async fn images(&self) -> Result<Vec<Image>> {
        self.host.images.list().await
    }

    async fn remove_image(&self, image: &ImageId) -> Result<()> {
        self.remove_unused_image(image).await
    }

    async fn export_disk(&self, vm: VmId, options: &ExportOptions) -> Result<Image> {
        self.copy_disk(vm, options).await
    }

    async fn save_copy(&self, vm: VmId, copy: CopyId, form: CopyForm, limit: Duration) -> Result<DiskCopy> {
        self.save_disk(vm, copy, form, limit).await
    }

    async fn restore_copy(&self, vm: VmId, request: RequestId, copy: CopyId, size_bytes: u64) -> Result<()> {
        self.restore_disk(vm, request, copy, size_bytes).await
    }

    async fn remove_copy(&self, copy: CopyId) -> Result<()> {
        self.delete_copy(copy).await
    }

    async fn copies(&self) -> Result<Vec<DiskCopy>> {
        self.list_copies().await
    }

    async fn prepare_disk(&self, vm: VmId, disk: &RootDisk) -> Result<()> {
        self.make_disk(vm, disk).await
    }

    async fn define(&self, spec: &VmSpec) -> Result<()> {
        self.define_machine(spec).await
    }

    async fn set_seed(&self, vm: VmId, seed: &Seed) -> Result<()> {
        self.write_seed(vm, seed).await
    }

    async fn start(&self, vm: VmId) -> Result<()> {
        self.switch_on(vm).await
    }

    async fn shutdown(&self, vm: VmId, limit: Duration) -> Result<Shutdown> {
        self.press_power(vm, limit).await
    }

    async fn stop(&self, vm: VmId) -> Result<()> {
        self.pull_plug(vm).await
    }

    async fn reboot(&self, vm: VmId, request: RequestId, limit: Duration) -> Result<()> {
        self.off_and_on(vm, request, limit).await
    }

    async fn reset(&self, vm: VmId, request: RequestId) -> Result<()> {
        self.press_reset(vm, request).await
    }

    async fn resize(&self, vm: VmId, size: Size) -> Result<()> {
        self.change_size(vm, size).await
    }

    async fn reinstall(&self, vm: VmId, request: RequestId, disk: &RootDisk) -> Result<()> {
        self.replace_disk(vm, request, disk).await
    }

    async fn enter_rescue(&self, vm: VmId, image: &ImageId) -> Result<()> {
        self.make_rescue_disk(vm, image).await
    }

    async fn leave_rescue(&self, vm: VmId) -> Result<()> {
        self.delete_rescue_disk(vm).await
    }

    async fn attach_interface(&self, vm: VmId, interface: &Interface) -> Result<()> {
        self.plug_in(vm, interface).await
    }

    async fn ensure_bridge(&self, bridge: &str) -> Result<()> {
        self.host.network.ensure_bridge(bridge).await
    }

    async fn detach_interface(&self, vm: VmId, interface: InterfaceId) -> Result<()> {
        self.plug_out(vm, interface).await
    }

    async fn list(&self) -> Result<Vec<Observed>> {
        self.observe_all().await
    }

    async fn find(&self, vm: VmId) -> Result<Option<Observed>> {
        self.observe_one(vm).await
    }

    async fn serial(&self, vm: VmId) -> Result<Stream> {
        self.connect(vm, "the serial console", SERIAL).await
    }

    async fn serial_log(&self, vm: VmId, limit: usize) -> Result<Vec<u8>> {
        self.read_serial_log(vm, limit).await
    }

    async fn screen(&self, vm: VmId) -> Result<Stream> {
        self.connect(vm, "the screen", SCREEN).await
    }

    async fn destroy(&self, vm: VmId) -> Result<()> {
        self.destroy_machine(vm).await
    }
}

/// Deletes what a machine that was killed left behind.
async fn sweep(folder: &Folder) -> Result<()> {
    for path in folder.leftovers() {
        remove_file(&path).await?;
    }
    Ok(())
}
