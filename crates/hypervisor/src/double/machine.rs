//! A machine of the double.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::guest::{self, Page, System};
use crate::{
    error::{HypervisorError, Result},
    model::{
        BootDisk, BoundForward, Connection, CopyForm, CopyId, DiskCopy, DiskMode, Ended, ImageId, Interface,
        InterfaceId, Observed, RequestId, RootDisk, Size, Statistics, VmId, VmSpec,
    },
    seed::Seed,
};

/// What is known of a machine.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Machine {
    pub(super) spec: Option<VmSpec>,
    pub(super) disk: Option<RootDisk>,
    pub(super) rescue: Option<ImageId>,
    pub(super) seed: Option<Seed>,
    pub(super) done: Option<RequestId>,
    /// How often the root disk was booted: what a system would keep on it.
    pub(super) boots: u32,
    pub(super) rescue_boots: u32,
    /// Whether its system looks away.
    pub(super) hangs: bool,
    #[serde(skip)]
    pub(super) log: Vec<u8>,
    #[serde(skip)]
    pub(super) run: Option<Run>,
    /// How the last run ended.
    pub(super) ended: Option<Ended>,
}

/// A copy of a disk: what it was made of, and what was written to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Copy {
    disk: RootDisk,
    boots: u32,
}

impl Copy {
    pub(super) fn describe(&self, id: CopyId) -> DiskCopy {
        DiskCopy {
            id,
            size_bytes: self.disk.size_bytes,
            taken_bytes: self.disk.size_bytes / 8,
        }
    }

    pub(super) fn uses(&self, image: &ImageId) -> bool {
        self.disk.mode == DiskMode::Overlay && self.disk.image == *image
    }
}

/// A machine that has power. Dropping it ends its pages.
#[derive(Debug)]
pub(super) struct Run {
    since: Instant,
    pub(super) system: System,
    /// What it has used, where a test says so.
    pub(super) counted: Option<Statistics>,
    pages: Vec<(InterfaceId, BoundForward, Page)>,
}

impl Machine {
    pub(super) fn uses(&self, image: &ImageId) -> bool {
        let root = self
            .disk
            .as_ref()
            .is_some_and(|disk| disk.mode == DiskMode::Overlay && disk.image == *image);
        root || self.rescue.as_ref() == Some(image)
    }

    /// A copy of its disk as it is now.
    pub(super) fn copy(&self, form: CopyForm) -> Option<Copy> {
        let disk = self.disk.clone()?;
        let mode = match form {
            CopyForm::Changes => disk.mode,
            CopyForm::Whole => DiskMode::Copy,
        };
        Some(Copy {
            disk: RootDisk { mode, ..disk },
            boots: self.boots,
        })
    }

    /// Its disk is what the copy has.
    pub(super) fn restore(&mut self, copy: Copy, size_bytes: u64) -> Result<()> {
        if size_bytes < copy.disk.size_bytes {
            return Err(HypervisorError::last(
                "The disk is smaller than the copied one.",
                format!("the copy has {} bytes", copy.disk.size_bytes),
            ));
        }
        self.disk = Some(RootDisk {
            size_bytes,
            ..copy.disk
        });
        self.boots = copy.boots;
        self.rescue = None;
        Ok(())
    }

    /// The run is over, if there is one.
    pub(super) fn end(&mut self, how: Ended) {
        if self.run.take().is_some() {
            self.ended = Some(how);
        }
    }

    pub(super) fn start(&mut self, vm: VmId) -> Result<()> {
        if self.run.is_some() {
            return Ok(());
        }
        if self.disk.is_none() {
            return Err(HypervisorError::last(
                "The instance has no disk.",
                format!("{vm} has no root disk"),
            ));
        }
        self.power_on(Instant::now())?;
        self.boot();
        Ok(())
    }

    /// It has been running all the time, for so long: nobody looked.
    pub(super) fn run_on(&mut self, time: Duration) -> Result<()> {
        let now = Instant::now();
        self.power_on(now.checked_sub(time).unwrap_or(now))?;
        self.show();
        Ok(())
    }

    /// How long its power has been on.
    pub(super) fn on_for(&self) -> Option<Duration> {
        self.run.as_ref().map(|run| run.since.elapsed())
    }

    fn power_on(&mut self, since: Instant) -> Result<()> {
        self.run = Some(Run {
            since,
            system: System::default(),
            counted: None,
            pages: Vec::new(),
        });
        for interface in self.interfaces() {
            self.serve(&interface)?;
        }
        Ok(())
    }

    /// The system comes up: counts, tells its name, shows its page.
    pub(super) fn boot(&mut self) {
        let boots = match self.rescue {
            Some(_) => &mut self.rescue_boots,
            None => &mut self.boots,
        };
        *boots += 1;
        let boots = *boots;
        let seed = self.seed.clone().unwrap_or_default();
        let line = format!(
            "{} is up: instance {}, boot {boots}\r\n",
            seed.hostname, seed.instance_id
        );
        self.log.extend_from_slice(line.as_bytes());
        self.show();
    }

    /// What the system that is up says of itself.
    fn show(&self) {
        let Some(run) = &self.run else {
            return;
        };
        let seed = self.seed.clone().unwrap_or_default();
        let boots = match self.rescue {
            Some(_) => self.rescue_boots,
            None => self.boots,
        };
        let spec = self.spec.as_ref();
        run.system.set(
            seed.hostname,
            seed.instance_id,
            boots,
            self.rescue.as_ref().map(|_| self.boots),
            [
                spec.map_or(0, |spec| u64::from(spec.cpus)),
                spec.map_or(0, |spec| u64::from(spec.memory_mib) << 10),
                self.disk.as_ref().map_or(0, |disk| disk.size_bytes / 512),
                seed.ssh_keys.len() as u64,
            ],
            self.interfaces().iter().map(|interface| interface.mac).collect(),
        );
    }

    pub(super) fn resize(&mut self, size: Size) -> Result<()> {
        if self.run.is_some() {
            return Err(HypervisorError::must_be_stopped("a resize"));
        }
        let Some(disk) = &mut self.disk else {
            return Err(HypervisorError::last(
                "The instance has no disk.",
                "there is no root disk",
            ));
        };
        if size.disk_bytes < disk.size_bytes {
            return Err(HypervisorError::last(
                "A disk can't be made smaller.",
                format!("the disk has {} bytes", disk.size_bytes),
            ));
        }
        let mut spec = self.spec.clone();
        if let Some(spec) = &mut spec {
            (spec.cpus, spec.memory_mib) = (size.cpus, size.memory_mib);
            spec.check()?;
        }
        disk.size_bytes = size.disk_bytes;
        self.spec = spec;
        Ok(())
    }

    pub(super) fn attach(&mut self, interface: &Interface) -> Result<()> {
        let Some(spec) = &mut self.spec else {
            return Ok(());
        };
        match spec.interfaces.iter().find(|known| known.id == interface.id) {
            Some(known) if known == interface => return Ok(()),
            Some(_) => {
                return Err(HypervisorError::last(
                    "The interface is attached already, in another way.",
                    format!("interface {} is another one", interface.id),
                ));
            }
            None => {}
        }
        let mut wanted = spec.clone();
        wanted.interfaces.push(interface.clone());
        wanted.check()?;
        self.spec = Some(wanted);
        self.serve(interface)?;
        self.tell_interfaces();
        Ok(())
    }

    pub(super) fn detach(&mut self, id: InterfaceId) -> Result<()> {
        let Some(spec) = &mut self.spec else {
            return Ok(());
        };
        let attached = spec.interfaces.iter().any(|interface| interface.id == id);
        if attached && self.hangs && self.run.is_some() {
            return Err(HypervisorError::passing(
                "The instance's system does not release the interface.",
                format!("the system did not release {id}"),
            ));
        }
        spec.interfaces.retain(|interface| interface.id != id);
        if let Some(run) = &mut self.run {
            run.pages.retain(|(interface, _, _)| *interface != id);
        }
        self.tell_interfaces();
        Ok(())
    }

    pub(super) fn observe(&self, id: VmId) -> Observed {
        let memory = self
            .spec
            .as_ref()
            .map_or(0, |spec| u64::from(spec.memory_mib) << 20);
        let counted = |run: &Run| {
            let uptime = run.since.elapsed();
            run.counted.unwrap_or(Statistics {
                uptime,
                cpu_time: uptime / 10 + Duration::from_millis(1),
                memory_total_bytes: memory,
                memory_used_bytes: Some(memory / 4),
                memory_host_bytes: memory / 2,
                disk_read_bytes: 1 << 20,
                disk_reads: 1,
                ..Statistics::default()
            })
        };
        Observed {
            id,
            state: self.power(),
            ended: self.ended.filter(|_| self.run.is_none()),
            boot: if self.rescue.is_some() {
                BootDisk::Rescue
            } else {
                BootDisk::Root
            },
            defined: self.spec.is_some(),
            interfaces: self.interfaces().iter().map(|interface| interface.id).collect(),
            forwards: self
                .run
                .iter()
                .flat_map(|run| run.pages.iter().map(|(_, forward, _)| *forward))
                .collect(),
            disk_bytes: self.disk.as_ref().map(|disk| disk.size_bytes / 4),
            statistics: self.run.as_ref().map(counted),
        }
    }

    fn interfaces(&self) -> Vec<Interface> {
        self.spec
            .as_ref()
            .map(|spec| spec.interfaces.clone())
            .unwrap_or_default()
    }

    fn tell_interfaces(&self) {
        if let Some(run) = &self.run {
            let macs = self.interfaces().iter().map(|interface| interface.mac).collect();
            run.system.set_interfaces(macs);
        }
    }

    /// Opens the forwards of an interface.
    fn serve(&mut self, interface: &Interface) -> Result<()> {
        let (Some(run), Connection::User { forwards }) = (&mut self.run, &interface.connection) else {
            return Ok(());
        };
        for forward in forwards {
            let (host, page) = guest::serve(forward.host, &run.system)
                .map_err(|error| HypervisorError::host(format!("can't listen on {}", forward.host), error))?;
            let bound = BoundForward {
                host,
                guest_port: forward.guest_port,
            };
            run.pages.push((interface.id, bound, page));
        }
        Ok(())
    }
}
