//! The machine's switches.

use std::{
    net::{SocketAddr, TcpListener},
    time::{Duration, Instant},
};

use serde_json::json;

use super::{
    Qemu, arguments,
    control_group::{self, OVERHEAD_MIB},
    disks::no_disk,
    folder::{Bound, CONTROL, Folder, Reboot, Record, older},
    qmp::Qmp,
    statistics, sweep,
};
use crate::{
    error::{HypervisorError, Result},
    images::remove_file,
    model::{Connection, Interface, RequestId, Shutdown, VmId, VmSpec},
};

/// A system that is still booting does not see the button: it is pressed again.
const PRESS_AGAIN: Duration = Duration::from_secs(4);
const START_LIMIT: Duration = Duration::from_secs(60);
const START_POLL: Duration = Duration::from_millis(20);
/// From a fork to QEMU's own command line, on a busy host.
const EXEC_LIMIT: Duration = Duration::from_secs(10);
/// A port that was free may be taken before QEMU has it.
const PORT_ATTEMPTS: usize = 3;

impl Qemu {
    pub(super) async fn switch_on(&self, vm: VmId) -> Result<()> {
        let _lock = self.lock(vm).await?;
        self.switch_on_locked(vm).await
    }

    async fn switch_on_locked(&self, vm: VmId) -> Result<()> {
        let folder = self.folder(vm);
        let mut record = folder.load().await?;
        let spec = record.spec(vm)?.clone();
        if self.host.processes.find(vm)?.is_some() {
            return self.bound_resources(&spec).await;
        }
        if record.disk.is_none() || !folder.disk().exists() {
            return Err(no_disk(vm));
        }
        sweep(&folder).await?;
        for interface in &spec.interfaces {
            self.host.network.plug_anew(vm, interface).await?;
        }
        let mut attempt = 0;
        loop {
            attempt += 1;
            record.bound = spec
                .interfaces
                .iter()
                .map(choose_ports)
                .collect::<Result<Vec<_>>>()?
                .concat();
            folder.save(&record).await?;
            match self.launch(vm, &folder, &record).await {
                Ok(()) => break,
                Err(error) if attempt < PORT_ATTEMPTS && error.to_string().contains("host forwarding") => {}
                Err(error) => return Err(error),
            }
        }
        self.bound_resources(&spec).await
    }

    /// Puts a machine that runs into its control group.
    async fn bound_resources(&self, spec: &VmSpec) -> Result<()> {
        if let Some(parent) = &self.host.settings.control_group
            && let Some(process) = self.host.processes.find(spec.id)?
        {
            control_group::enter(parent, spec, process.pid).await?;
        }
        Ok(())
    }

    /// Runs QEMU, and waits until the machine is set up.
    async fn launch(&self, vm: VmId, folder: &Folder, record: &Record) -> Result<()> {
        let probe = self.probe().await?;
        let settings = &self.host.settings;
        let spec = record.spec(vm)?;
        let host = arguments::Host {
            kvm: probe.kvm,
            version: probe.number,
            run_as: settings.run_as.as_deref(),
            seed: folder.seed().exists(),
            image: &|image| self.host.images.path(image),
        };
        let data = (u64::from(spec.memory_mib) + 2 * OVERHEAD_MIB) << 20;
        let mut words = vec![
            format!("--data={data}"),
            "--core=0".to_owned(),
            "--".to_owned(),
            settings.program.clone(),
        ];
        words.extend(arguments::arguments(vm, record, folder, &host)?);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let log = folder.complaints();
        for path in [&log, &older(&log)] {
            remove_file(path).await?;
        }
        self.host
            .programs
            .detach("prlimit", &words, folder.path(), &log)
            .await?;
        self.comes_up(vm, folder).await
    }

    /// Waits for the monitor. A machine that can't be set up tells why, and is gone.
    async fn comes_up(&self, vm: VmId, folder: &Folder) -> Result<()> {
        let begun = Instant::now();
        let mut seen = false;
        while begun.elapsed() < START_LIMIT {
            if self.host.processes.find(vm)?.is_some() {
                seen = true;
                if let Ok(mut qmp) = Qmp::connect(folder, CONTROL).await {
                    // Only the statistics suffer where the guest has no balloon.
                    if let Err(error) = statistics::ask_for_memory(&mut qmp).await {
                        tracing::warn!(%vm, %error, "a machine's memory will not be known");
                    }
                    return Ok(());
                }
            } else {
                let said = tokio::fs::read(folder.complaints()).await.unwrap_or_default();
                if seen || !said.is_empty() || begun.elapsed() > EXEC_LIMIT {
                    let said = String::from_utf8_lossy(&said).trim().to_owned();
                    return Err(HypervisorError::passing(
                        "The instance could not be started.",
                        format!("QEMU did not start {vm}"),
                    )
                    .because(said));
                }
            }
            tokio::time::sleep(START_POLL).await;
        }
        if let Some(process) = self.host.processes.find(vm)? {
            process.kill().await?;
        }
        Err(HypervisorError::passing(
            "The instance could not be started.",
            format!("the monitor of {vm} did not answer within {START_LIMIT:?}"),
        ))
    }

    pub(super) async fn press_power(&self, vm: VmId, limit: Duration) -> Result<Shutdown> {
        let deadline = Instant::now() + limit;
        loop {
            let lock = self.lock(vm).await?;
            let Some(process) = self.host.processes.find(vm)? else {
                return Ok(Shutdown::Off);
            };
            let pressed = async {
                Qmp::connect(&self.folder(vm), CONTROL)
                    .await?
                    .execute("system_powerdown", json!({}))
                    .await
            };
            if let Err(error) = pressed.await
                && !process.wait(Duration::ZERO).await?
            {
                return Err(error.into());
            }
            // Others may look after the machine while its system goes down.
            drop(lock);
            let left = deadline.saturating_duration_since(Instant::now());
            if process.wait(left.min(PRESS_AGAIN)).await? {
                return Ok(Shutdown::Off);
            }
            if Instant::now() >= deadline {
                return Ok(Shutdown::StillRunning);
            }
        }
    }

    pub(super) async fn pull_plug(&self, vm: VmId) -> Result<()> {
        let _lock = self.lock(vm).await?;
        self.pull_plug_locked(vm).await
    }

    async fn pull_plug_locked(&self, vm: VmId) -> Result<()> {
        if let Some(process) = self.host.processes.find(vm)? {
            process.kill().await?;
            sweep(&self.folder(vm)).await?;
        }
        Ok(())
    }

    pub(super) async fn off_and_on(&self, vm: VmId, request: RequestId, limit: Duration) -> Result<()> {
        let folder = self.folder(vm);
        let lock = self.lock(vm).await?;
        let mut record = folder.load().await?;
        record.spec(vm)?;
        if record.done == Some(request) {
            return Ok(());
        }
        // A repetition goes on where the first one was: a machine that was off already is not switched off again.
        let known = record.reboot.filter(|reboot| reboot.request == request);
        if known.is_none() {
            record.reboot = Some(Reboot { request, off: false });
            folder.save(&record).await?;
        }
        drop(lock);
        if !known.is_some_and(|reboot| reboot.off) {
            self.press_power(vm, limit).await?;
        }
        let _lock = self.lock(vm).await?;
        let mut record = folder.load().await?;
        if !known.is_some_and(|reboot| reboot.off) {
            self.pull_plug_locked(vm).await?;
            record.reboot = Some(Reboot { request, off: true });
            folder.save(&record).await?;
        }
        self.switch_on_locked(vm).await?;
        let mut record = folder.load().await?;
        record.reboot = None;
        record.done = Some(request);
        folder.save(&record).await
    }

    pub(super) async fn press_reset(&self, vm: VmId, request: RequestId) -> Result<()> {
        let _lock = self.lock(vm).await?;
        let folder = self.folder(vm);
        let mut record = folder.load().await?;
        record.spec(vm)?;
        if record.done == Some(request) {
            return Ok(());
        }
        if self.host.processes.find(vm)?.is_none() {
            return Err(HypervisorError::must_run("a reset"));
        }
        Qmp::connect(&folder, CONTROL)
            .await?
            .execute("system_reset", json!({}))
            .await?;
        record.done = Some(request);
        folder.save(&record).await
    }
}

/// The forwards of an interface, with free ports where none was asked for.
pub(super) fn choose_ports(interface: &Interface) -> Result<Vec<Bound>> {
    let Connection::User { forwards } = &interface.connection else {
        return Ok(Vec::new());
    };
    let mut bound = Vec::new();
    for forward in forwards {
        let host = if forward.host.port() == 0 {
            free_port(forward.host)?
        } else {
            forward.host
        };
        bound.push(Bound {
            interface: interface.id,
            host,
            guest_port: forward.guest_port,
        });
    }
    Ok(bound)
}

fn free_port(host: SocketAddr) -> Result<SocketAddr> {
    TcpListener::bind(host)
        .and_then(|listener| listener.local_addr())
        .map_err(|error| HypervisorError::host(format!("can't listen on {host}"), error))
}
