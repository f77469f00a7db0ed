//! The command line of a machine. Pure: from what was decided to words.
//!
//! Whatever QEMU reads as JSON is given as JSON. In the rest, commas are doubled, which is QEMU's way of escaping.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{
    folder::{CONTROL, Folder, OBSERVE, Record, SCREEN, SERIAL, SERIAL_LOG},
    network::tap_name,
};
use crate::{
    error::{HypervisorError, Result},
    model::{Connection, DiskLimits, DiskMode, ImageId, Interface, InterfaceId, VmId, VmSpec},
};

/// What QEMU notes on its standard error, with the reason, when a machine's power goes off in order. It is there also
/// if onetd is not, and gone with the log at the next start.
pub(super) const SHUTDOWN_REQUEST: &str = "qemu_system_shutdown_request";

/// What a host adds to a machine.
pub(super) struct Host<'a> {
    /// Whether the processor runs the guest.
    pub(super) kvm: bool,
    /// QEMU's version, major and minor.
    pub(super) version: (u32, u32),
    /// The account to become.
    pub(super) run_as: Option<&'a str>,
    /// Whether the machine has a seed.
    pub(super) seed: bool,
    /// Where an image is.
    pub(super) image: &'a (dyn Fn(&ImageId) -> PathBuf + Sync),
}

/// The whole command line, without the program.
pub(super) fn arguments(vm: VmId, record: &Record, folder: &Folder, host: &Host<'_>) -> Result<Vec<String>> {
    let spec = record.spec(vm)?;
    let mut words = Words::default();
    identity(&mut words, spec, folder);
    hardware(&mut words, spec, host);
    containment(&mut words, host);
    consoles(&mut words);
    disks(&mut words, record, folder, host, spec.disk_limits)?;
    for port in 0..VmSpec::MAX_INTERFACES {
        words.json(
            "-device",
            &json!({"driver": "pcie-root-port", "id": format!("nic{port}"), "bus": "pcie.0",
                "chassis": port + 1, "addr": format!("0x10.{port:#x}"), "multifunction": port == 0}),
        );
    }
    for interface in &spec.interfaces {
        words.json("-netdev", &netdev(interface, record)?);
        words.json("-device", &nic(interface, record)?);
    }
    Ok(words.0)
}

fn identity(words: &mut Words, spec: &VmSpec, folder: &Folder) {
    words.add("-name", format!("guest={},debug-threads=on", escape(&spec.name)));
    words.add("-uuid", spec.id.to_string());
    words.add("-pidfile", path(&folder.pid()));
}

fn hardware(words: &mut Words, spec: &VmSpec, host: &Host<'_>) {
    words.add("-trace", SHUTDOWN_REQUEST.to_owned());
    words.flag("-nodefaults");
    words.flag("-no-user-config");
    words.add("-machine", "q35,vmport=off,dump-guest-core=off".to_owned());
    if host.kvm {
        words.add("-accel", "kvm".to_owned());
        words.add("-cpu", "host".to_owned());
    } else {
        // The cache of translated code is a gigabyte otherwise.
        words.add("-accel", "tcg,tb-size=128".to_owned());
        words.add("-cpu", "max".to_owned());
    }
    words.add("-smp", format!("cpus={}", spec.cpus));
    words.add("-m", format!("size={}M", spec.memory_mib));
    words.add("-rtc", "base=utc".to_owned());
    words.add("-boot", "menu=off,strict=on".to_owned());
    words.json(
        "-object",
        &json!({"qom-type": "rng-random", "id": "entropy", "filename": "/dev/urandom"}),
    );
    words.json("-device", &json!({"driver": "virtio-rng-pci", "rng": "entropy"}));
    words.json(
        "-device",
        &json!({"driver": "virtio-balloon-pci", "id": "balloon"}),
    );
}

/// What QEMU may not do, should its guest take it over.
fn containment(words: &mut Words, host: &Host<'_>) {
    // QEMU must be able to become another account, once. After that it has no capability that would let it do so again,
    // and the filter itself has set `no_new_privs`.
    let privileges = if host.run_as.is_some() { "allow" } else { "deny" };
    words.add(
        "-sandbox",
        format!("on,obsolete=deny,elevateprivileges={privileges},spawn=deny,resourcecontrol=deny"),
    );
    if let Some(account) = host.run_as {
        if host.version >= (9, 1) {
            words.add("-run-with", format!("user={}", escape(account)));
        } else {
            words.add("-runas", account.to_owned());
        }
    }
}

fn consoles(words: &mut Words) {
    // Relative to the machine's folder, where QEMU runs: see `Folder::connect`.
    let socket = |id: &str, name: &str| format!("socket,id={id},path={name},server=on,wait=off");
    for (id, name) in [("control", CONTROL), ("observe", OBSERVE)] {
        words.add("-chardev", socket(id, name));
        words.add("-mon", format!("chardev={id},mode=control"));
    }
    words.add(
        "-chardev",
        format!("{},logfile={SERIAL_LOG},logappend=on", socket("serial", SERIAL)),
    );
    words.add("-serial", "chardev:serial".to_owned());
    words.add("-display", "none".to_owned());
    words.add("-vga", "none".to_owned());
    words.json("-device", &json!({"driver": "VGA", "vgamem_mb": 16}));
    words.json("-device", &json!({"driver": "qemu-xhci"}));
    words.json("-device", &json!({"driver": "usb-tablet"}));
    words.add("-vnc", format!("unix:{SCREEN}"));
}

fn disks(
    words: &mut Words,
    record: &Record,
    folder: &Folder,
    host: &Host<'_>,
    limits: DiskLimits,
) -> Result<()> {
    let Some(disk) = &record.disk else {
        return Err(HypervisorError::last(
            "The instance has no disk.",
            "there is no root disk",
        ));
    };
    words.json(
        "-object",
        &json!({"qom-type": "throttle-group", "id": "limits", "limits": {
            "iops-total": limits.operations_per_second.unwrap_or(0),
            "bps-total": limits.bytes_per_second.unwrap_or(0)}}),
    );
    let base = |image: &ImageId, mode| match mode {
        DiskMode::Overlay => Some((host.image)(image)),
        DiskMode::Copy => None,
    };
    let mut index = 0;
    let mut add = |words: &mut Words, name: &str, node: Value, read_only: bool| {
        words.json("-blockdev", &node);
        // virtio's serial numbers have at most 20 characters.
        words.json(
            "-device",
            &json!({"driver": "virtio-blk-pci", "id": format!("{name}-disk"), "drive": name,
                "serial": format!("onet-{name}"), "bootindex": index, "write-cache": if read_only { "off" } else { "on" }}),
        );
        index += 1;
    };
    if let Some(image) = &record.rescue {
        let node = writable(
            "rescue",
            &folder.rescue_disk(),
            base(image, DiskMode::Overlay).as_deref(),
        );
        add(words, "rescue", node, false);
    }
    let node = writable("root", &folder.disk(), base(&disk.image, disk.mode).as_deref());
    add(words, "root", node, false);
    if host.seed {
        let node = json!({"driver": "raw", "node-name": "seed", "read-only": true,
            "file": {"driver": "file", "filename": path(&folder.seed())}});
        add(words, "seed", node, true);
    }
    Ok(())
}

/// A disk behind the machine's limits. What it builds on is said here, whatever the file's header says.
fn writable(name: &str, file: &Path, base: Option<&Path>) -> Value {
    let backing = base.map_or(Value::Null, |base| {
        json!({"driver": "qcow2", "read-only": true, "backing": null,
            "file": {"driver": "file", "filename": path(base), "read-only": true}})
    });
    json!({"driver": "throttle", "node-name": name, "throttle-group": "limits", "discard": "unmap",
        "file": {"driver": "qcow2", "discard": "unmap", "backing": backing,
            "file": {"driver": "file", "filename": path(file), "discard": "unmap"}}})
}

/// The host's side of an interface: an argument, and of `netdev_add` too.
pub(super) fn netdev(interface: &Interface, record: &Record) -> Result<Value> {
    let id = netdev_id(interface.id);
    match &interface.connection {
        Connection::Bridge { .. } => Ok(json!({"type": "tap", "id": id, "ifname": tap_name(interface.id),
            "script": "no", "downscript": "no"})),
        Connection::User { .. } => {
            let mut forwards = Vec::new();
            for bound in record
                .bound
                .iter()
                .filter(|bound| bound.interface == interface.id)
            {
                let SocketAddr::V4(host) = bound.host else {
                    return Err(HypervisorError::last(
                        "Ports are forwarded from IPv4 addresses only.",
                        format!("{} is no IPv4 address", bound.host),
                    ));
                };
                forwards
                    .push(json!({"str": format!("tcp:{}:{}-:{}", host.ip(), host.port(), bound.guest_port)}));
            }
            // Each port is a network of its own: two interfaces in the same one would confuse the guest's routes.
            let network = 2 + port(interface.id, record)?;
            Ok(json!({"type": "user", "id": id, "restrict": true, "ipv6": false,
                "net": format!("10.0.{network}.0/24"), "hostfwd": forwards}))
        }
    }
}

/// The machine's side of an interface: an argument, and of `device_add` too.
pub(super) fn nic(interface: &Interface, record: &Record) -> Result<Value> {
    Ok(
        json!({"driver": "virtio-net-pci", "id": nic_id(interface.id), "netdev": netdev_id(interface.id),
        "mac": interface.mac.to_string(), "bus": format!("nic{}", port(interface.id, record)?), "romfile": ""}),
    )
}

fn port(interface: InterfaceId, record: &Record) -> Result<u8> {
    record.ports.get(&interface).copied().ok_or_else(|| {
        HypervisorError::last(
            "The interface can't be plugged in.",
            format!("interface {interface} has no port"),
        )
    })
}

pub(super) fn nic_id(interface: InterfaceId) -> String {
    format!("nic-{}", interface.0.simple())
}

pub(super) fn netdev_id(interface: InterfaceId) -> String {
    format!("net-{}", interface.0.simple())
}

/// Doubles commas, as QEMU's option parser wants them.
fn escape(text: &str) -> String {
    text.replace(',', ",,")
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

#[derive(Default)]
struct Words(Vec<String>);

impl Words {
    fn flag(&mut self, option: &str) {
        self.0.push(option.to_owned());
    }

    fn add(&mut self, option: &str, value: String) {
        self.flag(option);
        self.0.push(value);
    }

    fn json(&mut self, option: &str, value: &Value) {
        self.add(option, value.to_string());
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::qemu::folder::{Bound, Disk};

    fn record() -> Record {
        let interface = InterfaceId(Uuid::from_u128(7));
        Record {
            spec: Some(VmSpec {
                id: VmId(Uuid::from_u128(1)),
                name: "web,readonly=on".to_owned(),
                cpus: 2,
                memory_mib: 512,
                disk_limits: DiskLimits {
                    operations_per_second: Some(100),
                    bytes_per_second: None,
                },
                interfaces: vec![Interface {
                    id: interface,
                    mac: "52:54:00:00:00:01".parse().unwrap(),
                    connection: Connection::User { forwards: Vec::new() },
                    addresses: Vec::new(),
                }],
            }),
            disk: Some(Disk {
                image: ImageId::try_from("ab".repeat(32)).unwrap(),
                mode: DiskMode::Overlay,
                size_bytes: 1 << 30,
            }),
            ports: [(interface, 3)].into(),
            bound: vec![Bound {
                interface,
                host: "127.0.0.1:8080".parse().unwrap(),
                guest_port: 80,
            }],
            ..Record::default()
        }
    }

    fn line(record: &Record, run_as: Option<&str>, version: (u32, u32)) -> Vec<String> {
        let folder = Folder::new(Path::new("/a,b"), VmId(Uuid::from_u128(1)));
        let host = Host {
            kvm: false,
            version,
            run_as,
            seed: true,
            image: &|id| PathBuf::from(format!("/images/{id}")),
        };
        arguments(VmId(Uuid::from_u128(1)), record, &folder, &host).unwrap()
    }

    fn after<'a>(words: &'a [String], option: &str) -> Vec<&'a str> {
        words
            .windows(2)
            .filter(|pair| pair[0] == option)
            .map(|pair| pair[1].as_str())
            .collect()
    }

    #[test]
    fn commas_end_no_value() {
        let words = line(&record(), None, (10, 0));
        assert_eq!(
            after(&words, "-name"),
            ["guest=web,,readonly=on,debug-threads=on"]
        );
        assert!(after(&words, "-pidfile")[0].starts_with("/a,b/"));
    }

    #[test]
    fn sockets_are_named_by_less_than_their_path() {
        let words = line(&record(), None, (10, 0));
        for option in ["-chardev", "-vnc"] {
            assert!(
                after(&words, option).iter().all(|value| !value.contains('/')),
                "{option}"
            );
        }
    }

    #[test]
    fn a_guest_on_user_networking_reaches_nothing() {
        let words = line(&record(), None, (10, 0));
        let netdev: Value = serde_json::from_str(after(&words, "-netdev")[0]).unwrap();
        assert_eq!(netdev["restrict"], true);
        assert_eq!(netdev["net"], "10.0.5.0/24");
        assert_eq!(netdev["hostfwd"], json!([{"str": "tcp:127.0.0.1:8080-:80"}]));
    }

    #[test]
    fn what_a_disk_builds_on_is_never_read_from_the_disk() {
        let mut record = record();
        let backing = |record: &Record| {
            let words = line(record, None, (10, 0));
            let root = after(&words, "-blockdev")
                .into_iter()
                .find(|node| node.contains("\"root\""))
                .unwrap();
            serde_json::from_str::<Value>(root).unwrap()["file"]["backing"].clone()
        };
        assert_eq!(
            backing(&record)["file"]["filename"],
            format!("/images/{}", "ab".repeat(32))
        );
        assert_eq!(backing(&record)["backing"], Value::Null);
        record.disk.as_mut().unwrap().mode = DiskMode::Copy;
        assert_eq!(backing(&record), Value::Null);
    }

    #[test]
    fn the_rescue_system_is_the_first_disk() {
        let mut record = record();
        record.rescue = Some(ImageId::try_from("cd".repeat(32)).unwrap());
        let words = line(&record, None, (10, 0));
        let disks: Vec<Value> = after(&words, "-device")
            .into_iter()
            .map(|device| serde_json::from_str::<Value>(device).unwrap())
            .filter(|device| device["driver"] == "virtio-blk-pci")
            .collect();
        let names: Vec<&str> = disks.iter().filter_map(|disk| disk["drive"].as_str()).collect();
        assert_eq!(names, ["rescue", "root", "seed"]);
        assert_eq!(disks[0]["bootindex"].as_u64(), Some(0));
    }

    #[test]
    fn privileges_are_given_up() {
        let words = line(&record(), None, (10, 0));
        assert!(after(&words, "-sandbox")[0].contains("elevateprivileges=deny,spawn=deny"));
        assert_eq!(
            after(&line(&record(), Some("vm"), (10, 0)), "-run-with"),
            ["user=vm"]
        );
        assert_eq!(after(&line(&record(), Some("vm"), (7, 2)), "-runas"), ["vm"]);
    }
}
