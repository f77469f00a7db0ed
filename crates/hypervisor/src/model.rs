//! The words: what a machine is, and what is seen of it.

use std::{fmt, net::IpAddr, net::SocketAddr, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::HypervisorError;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
    )*};
}

ids! {
    /// A machine, by the id of onet's instance.
    VmId;
    /// An interface of a machine, by onet's id.
    InterfaceId;
    /// A copy of a disk, by the id of onet's snapshot or backup.
    CopyId;
    /// One request for something that happens (a reboot, a reinstallation): repeated with the same id, it happens once.
    /// A task's id serves well.
    RequestId;
}

impl FromStr for VmId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text).map(Self)
    }
}

impl FromStr for CopyId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text).map(Self)
    }
}

/// An image in a host's store: the SHA-256 of what was imported, 64 lowercase hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageId(String);

impl ImageId {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ImageId {
    type Error = HypervisorError;

    /// # Errors
    /// When it is no SHA-256 in lowercase hexadecimal digits: the text becomes the name of a file.
    fn try_from(text: String) -> Result<Self, HypervisorError> {
        let plain = text.len() == 64
            && text
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if !plain {
            return Err(HypervisorError::last(
                "There is no such image.",
                format!("{text:?} is no SHA-256 in lowercase hexadecimal digits"),
            ));
        }
        Ok(Self(text))
    }
}

impl From<ImageId> for String {
    fn from(id: ImageId) -> Self {
        id.0
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MacAddress(pub [u8; 6]);

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for MacAddress {
    type Err = HypervisorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            HypervisorError::last(
                "This is not a MAC address.",
                format!("{text:?} is not a MAC address such as 52:54:00:12:34:56"),
            )
        };
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts
                .next()
                .filter(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()))
                .ok_or_else(wrong)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        // The lowest bit of the first byte marks a group, which is nobody's own address.
        if parts.next().is_some() || bytes[0] & 1 == 1 {
            return Err(wrong());
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for MacAddress {
    type Error = HypervisorError;

    fn try_from(text: String) -> Result<Self, HypervisorError> {
        text.parse()
    }
}

impl From<MacAddress> for String {
    fn from(mac: MacAddress) -> Self {
        mac.to_string()
    }
}

/// An address of a machine in its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// How many of its bits name the network.
    pub prefix: u8,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

/// A TCP port of the host that leads into a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// Where the host listens. Port 0: the driver chooses a free one at each start.
    pub host: SocketAddr,
    /// The port in the machine.
    pub guest_port: u16,
}

/// A forward as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundForward {
    /// Where the host listens.
    pub host: SocketAddr,
    /// The port in the machine.
    pub guest_port: u16,
}

/// What an interface is plugged into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Connection {
    /// A network of its own inside the hypervisor's process, for hosts where onet is not root. The machine gets an
    /// address by DHCP and reaches nothing: neither the host nor the world. The forwards reach it.
    User {
        /// Ports that lead into it.
        forwards: Vec<Forward>,
    },
    /// A bridge of the host, which exists already. Only frames from the interface's own addresses pass.
    Bridge {
        /// The bridge's name.
        bridge: String,
    },
}

/// A network interface of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Onet's id.
    pub id: InterfaceId,
    /// Its Ethernet address.
    pub mac: MacAddress,
    /// What it is plugged into.
    pub connection: Connection,
    /// The addresses that it may use. On a bridge, frames from others are dropped.
    pub addresses: Vec<Address>,
}

/// Limits of a machine's disk; none where `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskLimits {
    /// Operations a second, reading and writing together.
    pub operations_per_second: Option<u64>,
    /// Bytes a second, reading and writing together.
    pub bytes_per_second: Option<u64>,
}

/// What a machine may be, whatever it is asked for.
const MEMORY_MIB: std::ops::RangeInclusive<u32> = 32..=4 << 20;
const CPUS: std::ops::RangeInclusive<u16> = 1..=255;

/// A machine without its disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmSpec {
    /// Onet's instance.
    pub id: VmId,
    /// What an operator sees in the list of processes.
    pub name: String,
    /// Virtual processors.
    pub cpus: u16,
    /// Memory, MiB.
    pub memory_mib: u32,
    /// What its disk may do.
    pub disk_limits: DiskLimits,
    /// Its interfaces, at most [`VmSpec::MAX_INTERFACES`].
    pub interfaces: Vec<Interface>,
}

impl VmSpec {
    /// Ports for interfaces that every machine has, taken or not.
    pub const MAX_INTERFACES: usize = 8;

    /// Whether a specification can be carried out at all.
    pub(crate) fn check(&self) -> Result<(), HypervisorError> {
        let refused = |public: &'static str, why: String| Err(HypervisorError::last(public, why));
        if !MEMORY_MIB.contains(&self.memory_mib) || !CPUS.contains(&self.cpus) {
            return refused(
                "The instance's size is not available.",
                format!("{} processors, {} MiB", self.cpus, self.memory_mib),
            );
        }
        if self.name.is_empty() || self.name.len() > 128 || self.name.chars().any(char::is_control) {
            return refused(
                "The instance's name can't be used.",
                format!("{:?} is no name for a process", self.name),
            );
        }
        if self.interfaces.len() > Self::MAX_INTERFACES {
            return refused(
                "The instance has too many interfaces.",
                format!("{} interfaces", self.interfaces.len()),
            );
        }
        for (index, interface) in self.interfaces.iter().enumerate() {
            let twice = |other: &Interface| other.id == interface.id || other.mac == interface.mac;
            if self.interfaces[..index].iter().any(twice) {
                return refused(
                    "Two interfaces have the same address.",
                    format!("interface {} or its address is there twice", interface.id),
                );
            }
        }
        Ok(())
    }
}

/// How a root disk comes out of its image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskMode {
    /// What was written is kept apart, the rest is read from the image: made at once, and small.
    Overlay,
    /// A copy, which needs the image no more.
    Copy,
}

/// A root disk to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootDisk {
    /// The image that it begins as.
    pub image: ImageId,
    /// Its size in bytes, at least the image's.
    pub size_bytes: u64,
    /// How it is made.
    pub mode: DiskMode,
}

/// What is in a copy of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyForm {
    /// What was written since the disk was made of its image, which is kept as long as the copy: made soon, and small.
    Changes,
    /// Everything: it needs no other file.
    Whole,
}

/// A copy of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskCopy {
    /// Which.
    pub id: CopyId,
    /// The size of the disk in it, bytes.
    pub size_bytes: u64,
    /// What it takes of the host, bytes.
    pub taken_bytes: u64,
}

/// What a resize asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Virtual processors.
    pub cpus: u16,
    /// Memory, MiB.
    pub memory_mib: u32,
    /// Root disk, bytes: not less than it is.
    pub disk_bytes: u64,
}

/// How an orderly shutdown ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// The machine is off.
    Off,
    /// The machine still runs: its system did not react in time.
    StillRunning,
}

/// Whether a machine has power. The words are those of `vm_status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerState {
    /// It runs.
    Running,
    /// It is held: by an operator, or because its disk failed (a full host).
    Paused,
    /// It is off.
    Stopped,
}

impl PowerState {
    /// The API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

/// How a machine that is off came to be off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Its system switched itself off: by its own decision, or because the power button was pressed.
    Orderly,
    /// Its power was cut: its process was killed, or died.
    Cut,
}

/// Which disk a machine boots from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootDisk {
    /// Its own.
    Root,
    /// A rescue system; its own disk is the second one.
    Rescue,
}

/// What a running machine has used since its power came on. Counters only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// How long the power has been on.
    pub uptime: Duration,
    /// Processor time, of all processors and of the hypervisor's own work.
    pub cpu_time: Duration,
    /// Memory that the machine has, bytes.
    pub memory_total_bytes: u64,
    /// Memory in use by its own account (its balloon driver); `None` when its system does not tell.
    pub memory_used_bytes: Option<u64>,
    /// Memory of the host that it takes.
    pub memory_host_bytes: u64,
    /// Bytes read from its disks.
    pub disk_read_bytes: u64,
    /// Bytes written to its disks.
    pub disk_written_bytes: u64,
    /// Read operations.
    pub disk_reads: u64,
    /// Write operations.
    pub disk_writes: u64,
    /// Bytes that it received; `None` where the connection does not count ([`Connection::User`]).
    pub network_received_bytes: Option<u64>,
    /// Bytes that it sent; `None` where the connection does not count.
    pub network_sent_bytes: Option<u64>,
}

/// A machine as found on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Whose it is.
    pub id: VmId,
    /// Whether it has power.
    pub state: PowerState,
    /// How its last run ended; `None` while it runs, and before its first start.
    pub ended: Option<Ended>,
    /// Which disk it boots from.
    pub boot: BootDisk,
    /// Whether the host knows how to start it. A process without definition is a leftover to be destroyed.
    pub defined: bool,
    /// Its interfaces.
    pub interfaces: Vec<InterfaceId>,
    /// Ports of the host that lead into it, while it runs.
    pub forwards: Vec<BoundForward>,
    /// What its disks take of the host, bytes: what was written to them, not what they may hold.
    pub disk_bytes: Option<u64>,
    /// What it has used, while it runs and answers.
    pub statistics: Option<Statistics>,
}

/// What a host is able to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostReport {
    /// The hypervisor and its version.
    pub version: String,
    /// Whether the processor runs guests itself. Without it machines are many times slower.
    pub hardware_acceleration: bool,
    /// Why not, if it does not.
    pub acceleration_note: String,
    /// Free space for disks, bytes.
    pub free_disk_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_strictly() {
        assert_eq!(
            "52:54:00:Ab:cd:0e".parse::<MacAddress>().unwrap().to_string(),
            "52:54:00:ab:cd:0e"
        );
        for wrong in [
            "",
            "52:54:00:ab:cd",
            "52:54:00:ab:cd:0e:1",
            "53:54:00:ab:cd:0e",
            "52:54:00:ab:cd:+1",
        ] {
            assert!(wrong.parse::<MacAddress>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_image_id_is_never_a_path() {
        assert!(ImageId::try_from("0a".repeat(32)).is_ok());
        for wrong in [
            "../../etc/passwd".to_owned(),
            "0A".repeat(32),
            "0a".repeat(31),
            String::new(),
        ] {
            assert!(ImageId::try_from(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
