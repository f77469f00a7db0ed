//! Interfaces on bridges, in a network namespace of the test's own. Root only: others say that they were skipped.

use std::{net::IpAddr, os::unix::fs::MetadataExt, path::PathBuf, process::Command};

use hypervisor::{Address, Connection, seed};

use super::{
    bench::{Bench, PASSWORD, QemuBench, disk, machine, seed as plain_seed},
    client::{log_in, runs},
};

const NAMESPACE: &str = "onet-hv-test";
const BRIDGE: &str = "br-test";

/// A namespace that goes with the test.
struct Namespace;

impl Namespace {
    fn new() -> Self {
        // One that a test left behind when it was killed.
        let _ = Command::new("ip").args(["netns", "delete", NAMESPACE]).output();
        run("ip", &["netns", "add", NAMESPACE]);
        let namespace = Self;
        for args in [
            &["link", "add", BRIDGE, "type", "bridge"][..],
            &["address", "add", "10.77.0.1/24", "dev", BRIDGE],
            &["address", "add", "fd77::1/64", "dev", BRIDGE, "nodad"],
            &["link", "set", BRIDGE, "up"],
            &["link", "set", "lo", "up"],
        ] {
            inside("ip", args);
        }
        namespace
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", NAMESPACE]).output();
    }
}

/// A control group that goes with the test, where there are any. Its own: one that was killed may have left a guest in its.
struct Group(PathBuf);

impl Group {
    fn new() -> Option<Self> {
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        let mount = mounts
            .lines()
            .find(|line| line.split(' ').nth(2) == Some("cgroup2"))?;
        let folder =
            PathBuf::from(mount.split(' ').nth(1)?).join(format!("onet-hv-test-{}", std::process::id()));
        let made = std::fs::create_dir(&folder);
        if made.is_err() && !folder.exists() {
            println!("without control groups: {made:?}");
            return None;
        }
        Some(Self(folder))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

fn run(program: &str, args: &[&str]) -> String {
    let done = Command::new(program).args(args).output().unwrap();
    assert!(
        done.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8_lossy(&done.stdout).into_owned()
}

fn inside(program: &str, args: &[&str]) -> String {
    run("ip", &[&["netns", "exec", NAMESPACE, program], args].concat())
}

#[tokio::test]
async fn a_guest_on_a_bridge_speaks_for_itself_alone() {
    if run("id", &["-u"]).trim() != "0" {
        println!("skipped: only root makes bridges");
        return;
    }
    let group = Group::new();
    let bench = QemuBench::with(|settings| {
        settings.network_namespace = Some(NAMESPACE.to_owned());
        settings.run_as = Some("nobody".to_owned());
        settings.control_group = group.as_ref().map(|group| group.0.clone());
    })
    .await;
    let _namespace = Namespace::new();
    let driver = bench.driver();
    let mut spec = machine(4);
    let vm = spec.id;
    let address = |ip: &str, prefix| Address {
        ip: ip.parse::<IpAddr>().unwrap(),
        prefix,
    };
    spec.interfaces[0].connection = Connection::Bridge {
        bridge: BRIDGE.to_owned(),
    };
    spec.interfaces[0].addresses = vec![address("10.77.0.2", 24), address("fd77::2", 64)];
    let mut told = plain_seed("bridged", "first");
    told.network = Some(seed::Network {
        interfaces: spec.interfaces.clone(),
        gateways: vec!["10.77.0.1".parse().unwrap()],
        nameservers: Vec::new(),
    });
    driver.prepare_disk(vm, &disk(bench.image())).await.unwrap();
    driver.define(&spec).await.unwrap();
    driver.set_seed(vm, &told).await.unwrap();
    driver.start(vm).await.unwrap();
    let mut shell = driver.serial(vm).await.unwrap();
    log_in(&mut shell, "bridged", PASSWORD).await;

    let ping = |options: &str| format!("ping -c 1 -W 2 {options} 2>&1 && echo pa''ssed || echo lo''st");
    // It is nobody's process, in a group of its own.
    let folder = bench.settings.data_dir.join("machines").join(vm.to_string());
    let pid = std::fs::read_to_string(folder.join("pid")).unwrap();
    let owner = std::fs::metadata(format!("/proc/{}", pid.trim())).unwrap().uid();
    assert_ne!(owner, 0);
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.trim())).unwrap();
    for held in ["NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000"] {
        assert!(status.contains(held), "{held}: {status}");
    }
    let members = group
        .as_ref()
        .map(|group| group.0.join(format!("vm-{vm}/cgroup.procs")));
    if let Some(members) = &members {
        assert_eq!(std::fs::read_to_string(members).unwrap(), pid);
    }

    // Its own addresses, once they are set up: IPv6 looks for duplicates first.
    let tries =
        |host: &str| format!("for i in 1 2 3 4 5 6 7 8 9; do ping -c 1 -W 1 {host} && break; sleep 1; done");
    runs(&mut shell, &tries("10.77.0.1")).await;
    runs(&mut shell, &tries("fd77::1")).await;
    assert!(runs(&mut shell, &ping("10.77.0.1")).await.contains("passed"));
    let answered = runs(&mut shell, &ping("fd77::1")).await;
    assert!(answered.contains("passed"), "{answered}");
    let page = inside("curl", &["-sS", "--max-time", "20", "http://10.77.0.2/"]);
    assert!(page.contains("<h1>bridged</h1>"), "{page}");

    // Somebody else's: by IPv4 and ARP, by IPv6, by Ethernet.
    runs(
        &mut shell,
        "ip address add 10.77.0.9/24 dev eth0; ip -6 address add fd77::9/64 dev eth0; sleep 2",
    )
    .await;
    assert!(
        runs(&mut shell, &ping("-I 10.77.0.9 10.77.0.1"))
            .await
            .contains("lost")
    );
    assert!(
        runs(&mut shell, &ping("-I fd77::9 fd77::1"))
            .await
            .contains("lost")
    );
    runs(
        &mut shell,
        "arping -c 2 -w 3 -I eth0 -s 10.77.0.9 10.77.0.1 >/dev/null 2>&1",
    )
    .await;
    let neighbours = inside("ip", &["neighbour", "show", "dev", BRIDGE]);
    assert!(
        neighbours.contains("10.77.0.2") && !neighbours.contains("10.77.0.9"),
        "{neighbours}"
    );
    assert!(!neighbours.contains("fd77::9 lladdr"), "{neighbours}");
    runs(
        &mut shell,
        "ip link set eth0 down; ip link set eth0 address 52:54:00:99:99:99; ip link set eth0 up; \
         ip address add 10.77.0.2/24 dev eth0 2>/dev/null; sleep 1",
    )
    .await;
    assert!(runs(&mut shell, &ping("10.77.0.1")).await.contains("lost"));
    let learnt = inside("bridge", &["fdb", "show", "br", BRIDGE]);
    assert!(!learnt.contains("52:54:00:99:99:99"), "{learnt}");
    let mac = spec.interfaces[0].mac;
    runs(
        &mut shell,
        &format!("ip link set eth0 down; ip link set eth0 address {mac}; ip link set eth0 up; sleep 1"),
    )
    .await;
    assert!(
        runs(&mut shell, &ping("10.77.0.1")).await.contains("passed"),
        "it may speak again"
    );

    let used = driver.find(vm).await.unwrap().unwrap().statistics.unwrap();
    assert!(
        used.network_received_bytes > Some(0) && used.network_sent_bytes > Some(0),
        "{used:?}"
    );
    for _ in 0..2 {
        driver.destroy(vm).await.unwrap();
    }
    assert_eq!(bench.leftovers(vm).await, Vec::<String>::new());
    assert!(!members.is_some_and(|members| members.exists()));
    let links = inside("ip", &["link", "show"]);
    assert!(!links.contains("on-"), "{links}");
    let rules = inside("nft", &["list", "ruleset"]);
    assert!(!rules.contains("on-"), "{rules}");
}
