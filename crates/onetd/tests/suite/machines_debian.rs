//! Debian with cloud-init, OpenSSH and netplan, as customers have it: what a real system makes of its seed.
//!
//! These boot for minutes without hardware acceleration: `cargo xtask test --long` runs them. The disk is made by
//! `tests/debian_disk.sh` once and kept beside the other results of builds.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::process::Process;

use crate::yard::{Yard, loopback};

const RECIPE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/debian_disk.sh");
/// A system boots in two minutes on a processor of its own. This is for one that others work on as well.
const BOOT_LIMIT: Duration = Duration::from_secs(900);
/// Another one after each boot.
const BOOT_ID: &str = "cat /proc/sys/kernel/random/boot_id";

/// The disk, made now or earlier. Processes that want it at the same time wait for each other.
fn debian_disk() -> PathBuf {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian-disk");
    fs::create_dir_all(&cache).unwrap();
    let lock = File::create(cache.join("lock")).unwrap();
    lock.lock().unwrap();
    let recipe = Sha256::digest(fs::read(RECIPE).unwrap());
    let name: String = recipe[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let disk = cache.join(format!("debian-{name}.img"));
    if !disk.exists() {
        let begun = Instant::now();
        run(Command::new(RECIPE).arg(&disk));
        println!("made the disk: {:?}", begun.elapsed());
    }
    disk
}

/// Runs a program to its end and returns what it said.
fn run(command: &mut Command) -> String {
    try_to_run(command).unwrap_or_else(|said| panic!("{command:?}: {said}"))
}

fn try_to_run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| error.to_string())?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        Ok(said(&output.stdout))
    } else {
        Err(format!("{} {}", said(&output.stdout), said(&output.stderr)))
    }
}

/// A customer at a terminal: the `ssh` of this machine and a key of the test's own.
struct Terminal {
    folder: tempfile::TempDir,
    /// Where to: options of `ssh`, without the name of the user.
    destination: Vec<String>,
    /// The network namespace that the machine is reached from.
    namespace: Option<&'static str>,
}

impl Terminal {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        run(Command::new("ssh-keygen")
            .args([
                "-q",
                "-t",
                "ed25519",
                "-N",
                "",
                "-C",
                "customer@example.net",
                "-f",
            ])
            .arg(key));
        Self {
            folder,
            destination: Vec::new(),
            namespace: None,
        }
    }

    fn public_key(&self) -> String {
        fs::read_to_string(self.folder.path().join("key.pub")).unwrap()
    }

    /// What a command in the guest says. The guest must have the host key that it had the first time.
    fn try_to_say(&self, user: &str, command: &str) -> Result<String, String> {
        // A guest that takes a connection and then says nothing is given up by ssh itself, or in the end from outside.
        let mut words = vec!["timeout", "120", "ssh"];
        if let Some(namespace) = self.namespace {
            words.splice(0..0, ["ip", "netns", "exec", namespace]);
        }
        let file = |name: &str| self.folder.path().join(name).display().to_string();
        let (key, hosts) = (file("key"), format!("UserKnownHostsFile={}", file("hosts")));
        let ssh = Command::new(words[0])
            .args(&words[1..])
            .args(["-F", "none", "-i", &key, "-l", user, "-o", &hosts])
            .args(
                "-o BatchMode=yes -o StrictHostKeyChecking=accept-new -o ConnectTimeout=20 -o LogLevel=ERROR"
                    .split(' '),
            )
            .args(&self.destination)
            .args(["--", command])
            .output();
        let output = ssh.map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if output.status.success() {
            Ok(said)
        } else {
            Err(format!(
                "{said} {}",
                String::from_utf8_lossy(&output.stderr).trim()
            ))
        }
    }

    fn says(&self, command: &str) -> String {
        self.try_to_say("root", command)
            .unwrap_or_else(|said| panic!("{command}: {said}"))
    }

    /// Logs in as soon as the guest lets us, once it is one that has been booted since `before`, and waits for
    /// cloud-init, which must be content.
    fn log_in(&self, before: Option<&str>) {
        let begun = Instant::now();
        loop {
            match self.try_to_say("root", BOOT_ID) {
                Ok(boot) if before != Some(&boot) => break,
                other => assert!(begun.elapsed() < BOOT_LIMIT, "no login: {other:?}"),
            }
            std::thread::sleep(Duration::from_secs(1));
        }
        println!("waited for a login: {:?}", begun.elapsed());
        // A call may not take as long as it does, and asking cloud-init itself would make it wait.
        while self
            .try_to_say("root", "test -e /run/cloud-init/result.json")
            .is_err()
        {
            assert!(begun.elapsed() < BOOT_LIMIT, "cloud-init does not end");
            std::thread::sleep(Duration::from_secs(5));
        }
        println!("waited for cloud-init: {:?}", begun.elapsed());
        let warnings = "grep -hE 'WARNING|ERROR|CRITICAL' /var/log/cloud-init.log; cloud-init status --long";
        assert_eq!(
            self.says("cloud-init status"),
            "status: done",
            "{}",
            self.says(warnings)
        );
    }

    /// Whether this is root's password.
    fn has_password(&self, password: &str) -> bool {
        let check = format!(
            r#"perl -e 'my $hash = (getpwnam("root"))[1]; print crypt("{password}", $hash) eq $hash ? "yes" : "no"'"#
        );
        self.says(&check) == "yes"
    }
}

/// Stores the terminal's key and orders a machine with it.
async fn order(yard: &Yard, server: &Process, terminal: &Terminal, more: Value) -> Value {
    let keys = yard.site.instances().replace("/instances", "/ssh-keys");
    let key = json!({"name": "laptop", "public_key": terminal.public_key()});
    let (status, key) = yard
        .site
        .send(server, Method::POST, &keys, &key)
        .await
        .expect("an answer");
    assert_eq!(status, 201, "{key}");
    let mut wanted = yard.wanted(server, "debian").await;
    wanted["ssh_key_ids"] = json!([key["id"]]);
    for (field, value) in more.as_object().unwrap() {
        wanted[field] = value.clone();
    }
    let made = yard.order_this(server, &wanted).await.unwrap();
    yard.until(server, &made, "it runs", |now| now["status"] == "active")
        .await
}

async fn delete(yard: &Yard, server: &Process, instance: &Value) {
    yard.act(server, Method::DELETE, instance, "", json!({})).await;
    yard.until(server, instance, "it is gone", |now| {
        now["status"] == "terminated" && now["ip_addresses"] == json!([])
    })
    .await;
    assert_eq!(yard.machines(), Vec::<PathBuf>::new());
    assert_eq!(yard.processes(), Vec::<u32>::new());
}

fn address_of(instance: &Value, family: &str) -> String {
    let all = instance["ip_addresses"].as_array().unwrap();
    let found = all.iter().find(|address| address["ip_type"] == family);
    found.expect(family)["address"].as_str().unwrap().to_owned()
}

/// Writes a file, and counts how often it is carried out.
const USER_DATA: &str = "#cloud-config
write_files:
- path: /etc/onet-was-here
  content: as ordered
runcmd:
- echo again >>/root/runs
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "boots Debian for minutes: `cargo xtask test --long`"]
async fn long_a_customer_logs_in_with_the_key_of_the_order() {
    let disk = debian_disk();
    let yard = Yard::with(&disk, &[loopback()], &[]).await;
    let server = yard.program.serve();
    yard.host_is_known(&server).await;
    let mut terminal = Terminal::new();
    let more = json!({"hostname": "lighthouse", "password": "Rocks-and-Waves-1", "user_data": USER_DATA});
    let instance = order(&yard, &server, &terminal, more).await;
    terminal.destination = vec!["-p".to_owned(), "2222".to_owned(), address_of(&instance, "ipv4")];
    terminal.log_in(None);

    // Name, keys, password, the customer's own document.
    assert_eq!(terminal.says("hostname"), "lighthouse");
    assert_eq!(terminal.says("cat /etc/onet-was-here"), "as ordered");
    assert_eq!(
        terminal.try_to_say("debian", "sudo id -un"),
        Ok("root".to_owned())
    );
    assert!(terminal.has_password("Rocks-and-Waves-1"));
    assert!(!terminal.has_password("Rocks-and-Waves-2"));
    // Without this key nobody gets in.
    let mut stranger = Terminal::new();
    stranger.destination.clone_from(&terminal.destination);
    for user in ["root", "debian"] {
        let refused = stranger.try_to_say(user, "id").unwrap_err();
        assert!(refused.contains("Permission denied"), "{refused}");
    }

    // The size, and a root file system that has taken the whole disk.
    let size = &instance["size"];
    assert_eq!(terminal.says("nproc"), size["vcpu"].to_string());
    let bytes: u64 = terminal
        .says("df --block-size=1 --output=size / | tail -n 1")
        .parse()
        .unwrap();
    let disk_gb = instance["volumes"][0]["size_gb"].as_u64().unwrap();
    assert!(
        bytes > (disk_gb << 30) / 100 * 95,
        "{bytes} bytes of {disk_gb} GB"
    );

    // A new name and a new password arrive with the next boot, and nothing else is done again.
    let beacon = json!({"hostname": "beacon"});
    yard.act(&server, Method::POST, &instance, "/hostname", beacon)
        .await;
    let password = json!({"password": "Fog-and-Horns-2"});
    yard.act(&server, Method::POST, &instance, "/password", password)
        .await;
    let before = terminal.says(BOOT_ID);
    yard.act(&server, Method::POST, &instance, "/reboot", json!({}))
        .await;
    terminal.log_in(Some(&before));
    assert_eq!(terminal.says("hostname"), "beacon");
    assert!(terminal.has_password("Fog-and-Horns-2"));
    assert_eq!(terminal.says("cat /root/runs"), "again");

    delete(&yard, &server, &instance).await;
    assert_eq!(server.terminate(), Some(0));
}

const NAMESPACE: &str = "onet-debian";
const BRIDGE: &str = "br-debian";

/// Where a customer is at home: beyond the router.
const HOME_4: &str = "198.51.100.7";
const HOME_6: &str = "2001:db8:100::7";

/// A network with a router at 10.78.0.1 and fe80::1, which goes with the test.
struct Network;

impl Network {
    fn new() -> Self {
        // One that a test left behind when it was killed.
        let _ = Command::new("ip").args(["netns", "delete", NAMESPACE]).output();
        run(Command::new("ip").args(["netns", "add", NAMESPACE]));
        let network = Self;
        for line in [
            format!("link add {BRIDGE} type bridge"),
            format!("address add 10.78.0.1/24 dev {BRIDGE}"),
            format!("address add fe80::1/64 dev {BRIDGE} nodad"),
            format!("link set {BRIDGE} up"),
            "link set lo up".to_owned(),
            // The way to the machines' IPv6; the router's address there is not theirs to know.
            format!("route add fd78::/64 dev {BRIDGE}"),
            format!("address add {HOME_4}/32 dev lo"),
            format!("address add {HOME_6}/128 dev lo"),
        ] {
            run(Command::new("ip").args(["-n", NAMESPACE]).args(line.split(' ')));
        }
        network
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", NAMESPACE]).output();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "boots Debian for minutes: `cargo xtask test --long`"]
async fn long_on_a_bridge_a_system_has_the_addresses_of_its_instance() {
    if run(Command::new("id").arg("-u")) != "0" {
        println!("skipped: only root makes bridges");
        return;
    }
    let disk = debian_disk();
    let settings = [
        ("ONET_COMPUTE__NETWORK", "bridge".to_owned()),
        ("ONET_COMPUTE__BRIDGE", BRIDGE.to_owned()),
        ("ONET_COMPUTE__NETWORK_NAMESPACE", NAMESPACE.to_owned()),
    ];
    let networks = [("10.78.0.0/24", "10.78.0.1"), ("fd78::/64", "fe80::1")]
        .map(|(cidr, gateway)| (cidr.to_owned(), gateway.to_owned()));
    let yard = Yard::with(&disk, &networks, &settings).await;
    let _network = Network::new();
    let server = yard.program.serve();
    yard.host_is_known(&server).await;
    let mut terminal = Terminal::new();
    terminal.namespace = Some(NAMESPACE);
    let more = json!({"hostname": "bridged", "enable_ipv6": true});
    let instance = order(&yard, &server, &terminal, more).await;
    let (four, six) = (address_of(&instance, "ipv4"), address_of(&instance, "ipv6"));
    // From elsewhere: answers have to find the gateway. There is a key and no password.
    terminal.destination = vec!["-b".to_owned(), HOME_4.to_owned(), four.clone()];
    terminal.log_in(None);
    assert_eq!(terminal.says("hostname"), "bridged");

    let own = terminal.says("ip -brief address show scope global");
    for address in [format!("{four}/24"), format!("{six}/64")] {
        assert!(own.contains(&address), "{own}");
    }
    let routes = terminal.says("ip -4 route show default; ip -6 route show default");
    for gateway in ["default via 10.78.0.1 ", "default via fe80::1 "] {
        assert!(routes.contains(gateway), "{routes}");
    }
    let resolvers = terminal.says("resolvectl dns");
    for resolver in ["9.9.9.9", "2620:fe::fe"] {
        assert!(resolvers.contains(resolver), "{resolvers}");
    }
    terminal.destination = vec!["-b".to_owned(), HOME_6.to_owned(), six];
    assert_eq!(terminal.says("hostname"), "bridged");

    delete(&yard, &server, &instance).await;
    assert_eq!(server.terminate(), Some(0));
    let links = run(Command::new("ip").args(["-n", NAMESPACE, "link", "show"]));
    assert!(!links.contains("on-"), "{links}");
}
