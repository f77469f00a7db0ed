//! A machine's folder, and the record in it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;

use crate::{
    error::{HypervisorError, Result},
    images::write_atomically,
    model::{DiskMode, ImageId, Interface, InterfaceId, RequestId, VmId, VmSpec},
};

/// QEMU's monitor for changes. Names of sockets are relative to the folder, which is QEMU's working directory.
pub(super) const CONTROL: &str = "control.sock";
/// QEMU's monitor for looking, so that a change that takes long blinds nobody.
pub(super) const OBSERVE: &str = "observe.sock";
/// The serial console.
pub(super) const SERIAL: &str = "serial.sock";
/// What the serial console has said.
pub(super) const SERIAL_LOG: &str = "serial.log";
/// The screen.
pub(super) const SCREEN: &str = "screen.sock";

/// Everything that a machine has on the host, taps and rules of the firewall apart.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

/// What was decided about a machine: enough to start it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) spec: Option<VmSpec>,
    pub(super) disk: Option<Disk>,
    pub(super) rescue: Option<ImageId>,
    /// Which port each interface is plugged into: it keeps its place, and so its name in the guest.
    #[serde(default)]
    pub(super) ports: BTreeMap<InterfaceId, u8>,
    /// The forwards of the present or last run.
    #[serde(default)]
    pub(super) bound: Vec<Bound>,
    /// The last request that is done.
    pub(super) done: Option<RequestId>,
    /// A reboot under way, and whether the machine was off already.
    pub(super) reboot: Option<Reboot>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Disk {
    pub(super) image: ImageId,
    pub(super) mode: DiskMode,
    pub(super) size_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bound {
    pub(super) interface: InterfaceId,
    pub(super) host: SocketAddr,
    pub(super) guest_port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reboot {
    pub(super) request: RequestId,
    pub(super) off: bool,
}

impl Folder {
    pub(super) fn new(machines: &Path, vm: VmId) -> Self {
        Self {
            path: machines.join(vm.to_string()),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn disk(&self) -> PathBuf {
        self.path.join("disk.qcow2")
    }

    pub(super) fn rescue_disk(&self) -> PathBuf {
        self.path.join("rescue.qcow2")
    }

    pub(super) fn seed(&self) -> PathBuf {
        self.path.join("seed.img")
    }

    pub(super) fn pid(&self) -> PathBuf {
        self.path.join("pid")
    }

    pub(super) fn serial_log(&self) -> PathBuf {
        self.path.join(SERIAL_LOG)
    }

    /// What QEMU complains of.
    pub(super) fn complaints(&self) -> PathBuf {
        self.path.join("qemu.log")
    }

    /// What only a running machine has, and one that was killed leaves behind.
    pub(super) fn leftovers(&self) -> [PathBuf; 5] {
        let names = ["pid", CONTROL, OBSERVE, SERIAL, SCREEN];
        names.map(|name| self.path.join(name))
    }

    /// Connects to a socket of the machine. Its path is given by way of the folder's descriptor: the path of a socket
    /// has at most 107 bytes (unix(7)), and a data folder may be anywhere.
    pub(super) async fn connect(&self, socket: &str) -> std::io::Result<UnixStream> {
        let folder = std::fs::File::open(&self.path)?;
        UnixStream::connect(format!("/proc/self/fd/{}/{socket}", folder.as_raw_fd())).await
    }

    fn record(&self) -> PathBuf {
        self.path.join("machine.json")
    }

    pub(super) async fn make(&self) -> Result<()> {
        make_private(&self.path).await
    }

    pub(super) async fn load(&self) -> Result<Record> {
        let path = self.record();
        match tokio::fs::read(&path).await {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                HypervisorError::host(format!("{} can't be understood", path.display()), error)
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Record::default()),
            Err(error) => Err(HypervisorError::host(
                format!("{} can't be read", path.display()),
                error,
            )),
        }
    }

    pub(super) async fn save(&self, record: &Record) -> Result<()> {
        self.make().await?;
        write_atomically(&self.record(), record).await
    }
}

impl Record {
    /// The specification, which must be there.
    pub(super) fn spec(&self, vm: VmId) -> Result<&VmSpec> {
        self.spec.as_ref().ok_or_else(|| {
            HypervisorError::last(
                "The instance does not exist on its host.",
                format!("{vm} was never defined"),
            )
        })
    }

    /// Gives every interface a port, and forgets those of interfaces that are gone.
    pub(super) fn assign_ports(&mut self) -> Result<()> {
        let interfaces = self.spec.as_ref().map_or(&[][..], |spec| &spec.interfaces);
        self.ports
            .retain(|id, _| interfaces.iter().any(|interface| interface.id == *id));
        for Interface { id, .. } in interfaces {
            if self.ports.contains_key(id) {
                continue;
            }
            let free = (0..VmSpec::MAX_INTERFACES)
                .filter_map(|port| u8::try_from(port).ok())
                .find(|port| !self.ports.values().any(|taken| taken == port));
            let Some(free) = free else {
                return Err(HypervisorError::last(
                    format!("An instance has at most {} interfaces.", VmSpec::MAX_INTERFACES),
                    "all ports for interfaces are taken",
                ));
            };
            self.ports.insert(*id, free);
        }
        Ok(())
    }
}

/// Where the earlier part of a log is kept.
pub(super) fn older(log: &Path) -> PathBuf {
    log.with_extension("log.old")
}

/// Makes a folder for its owner alone, with those above it.
pub(super) async fn make_private(path: &Path) -> Result<()> {
    tokio::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .await
        .map_err(|error| HypervisorError::host(format!("can't make {}", path.display()), error))
}
