//! An installation whose machines are real: QEMU without acceleration, on data of the test's own.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use hypervisor::demo_image;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::process::{Process, Program};

use crate::crash::Site;

const ONETD: &str = env!("CARGO_BIN_EXE_onetd");
/// The slug of the image.
const IMAGE: &str = "onet-test";
/// Generous: software emulation, beside other tests.
pub(crate) const LIMIT: Duration = Duration::from_secs(180);

/// An installation with a host, an image, a network and a customer who can pay.
pub(crate) struct Yard {
    pub(crate) program: Program,
    pub(crate) site: Site,
    folder: tempfile::TempDir,
    _turn: File,
}

impl Yard {
    /// With the demo image, and addresses of this machine's loopback.
    pub(crate) async fn open(settings: &[(&str, String)]) -> Self {
        let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("demo-image");
        let image = tokio::task::spawn_blocking(move || demo_image::build(&cache));
        let image = image.await.unwrap().expect("the demo image can be built");
        Self::with(&image, &[loopback()], settings).await
    }

    /// With this image, and with addresses of these networks, each with its gateway.
    pub(crate) async fn with(
        image: &Path,
        networks: &[(String, String)],
        settings: &[(&str, String)],
    ) -> Self {
        // Each machine takes a processor: one such test at a time.
        let turn = File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("hypervisor.lock")).unwrap();
        let turn = tokio::task::spawn_blocking(move || turn.lock().map(|()| turn));
        let turn = turn.await.unwrap().unwrap();
        let folder = tempfile::Builder::new().prefix("onet-real").tempdir().unwrap();
        let program = settings
            .iter()
            .fold(Program::new(ONETD, folder.path()), |program, (name, value)| {
                program.with(name, value)
            })
            .with("ONET_COMPUTE__HYPERVISOR", "qemu")
            .with("ONET_COMPUTE__QEMU_ACCELERATION", "false")
            .with("ONET_COMPUTE__HOST_CPUS", "16")
            .with("ONET_COMPUTE__HOST_MEMORY_MB", "65536")
            .with("ONET_COMPUTE__HOST_DISK_GB", "1000")
            .with("ONET_COMPUTE__LOCATION", "par1")
            .with("ONET_TASKS__POLL_MS", "50")
            .with("ONET_TASKS__LEASE_SECONDS", "5");
        let (site, _) = Site::load(&program);
        let run = |line: &str| {
            let arguments: Vec<&str> = line.split(' ').collect();
            let output = program.run(&arguments);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{line}: {said}");
        };
        let image = image.display();
        run(&format!(
            "images import --file {image} --slug {IMAGE} --os-name onet --public"
        ));
        // The demo data's own networks lead nowhere.
        run("addresses disable-pool 100.127.1.0/24");
        run("addresses disable-pool 2001:db8:1::/64");
        for (cidr, gateway) in networks {
            run(&format!(
                "addresses add-pool --location par1 --cidr {cidr} --gateway {gateway}"
            ));
        }
        run(&format!("billing add-credit {} 500", site.organization));
        Self {
            program,
            site,
            folder,
            _turn: turn,
        }
    }

    /// The body of an order.
    pub(crate) async fn wanted(&self, server: &Process, name: &str) -> Value {
        let compute = self.site.instances();
        let compute = compute.strip_suffix("/instances").unwrap();
        let mut body = json!({ "name": name });
        for (noun, slug, field) in [
            ("sizes", "vps-s", "size_id"),
            ("locations", "par1", "location_id"),
            ("images", IMAGE, "image_id"),
        ] {
            let page = self
                .site
                .get(server, &format!("{compute}/{noun}?page_size=100"))
                .await;
            let found = page["results"]
                .as_array()
                .unwrap()
                .iter()
                .find(|item| item["slug"] == slug);
            body[field] = found.expect(slug)["id"].clone();
        }
        body
    }

    /// Waits until this host takes machines.
    pub(crate) async fn host_is_known(&self, server: &Process) {
        let path = self.site.instances().replace("/instances", "/availability");
        let begun = Instant::now();
        loop {
            let all = self.site.get(server, &path).await;
            let free = all
                .as_array()
                .unwrap()
                .iter()
                .any(|entry| entry["is_available"] == true);
            if free {
                return;
            }
            assert!(begun.elapsed() < LIMIT, "no host: {all}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn order(&self, server: &Process, name: &str) -> Option<Value> {
        let wanted = self.wanted(server, name).await;
        self.order_this(server, &wanted).await
    }

    /// Orders what the body says; `None` when no answer came.
    pub(crate) async fn order_this(&self, server: &Process, wanted: &Value) -> Option<Value> {
        let answer = self
            .site
            .send(server, Method::POST, &self.site.instances(), wanted)
            .await;
        answer.map(|(status, body)| {
            assert_eq!(status, 201, "{body}");
            body
        })
    }

    pub(crate) fn path(&self, instance: &Value) -> String {
        format!("{}/{}", self.site.instances(), instance["id"].as_str().unwrap())
    }

    /// Reads the instance until it is as it should be.
    pub(crate) async fn until(
        &self,
        server: &Process,
        instance: &Value,
        what: &str,
        is_so: impl Fn(&Value) -> bool,
    ) -> Value {
        let begun = Instant::now();
        loop {
            let now = self.site.get(server, &self.path(instance)).await;
            if is_so(&now) {
                return now;
            }
            assert!(begun.elapsed() < LIMIT, "{what}: {now}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(crate) async fn act(
        &self,
        server: &Process,
        method: Method,
        instance: &Value,
        action: &str,
        body: Value,
    ) {
        let path = format!("{}{action}", self.path(instance));
        let (status, answer) = self
            .site
            .send(server, method, &path, &body)
            .await
            .expect("an answer");
        assert!(status < 300, "{action}: {status} {answer}");
    }

    /// The folders of machines on the host.
    pub(crate) fn machines(&self) -> Vec<PathBuf> {
        let folder = self.folder.path().join("hypervisor").join("machines");
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| path.is_dir())
            .collect()
    }

    /// The copies of disks on the host, by id.
    pub(crate) fn copies(&self) -> Vec<String> {
        let folder = self.folder.path().join("hypervisor").join("copies");
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| {
                let name = entry.file_name().to_str()?.to_owned();
                name.strip_suffix(".qcow2").map(str::to_owned)
            })
            .collect()
    }

    /// The processes of machines of this installation.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let ours = self.folder.path().to_str().unwrap().to_owned();
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid: &u32| {
                let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                let words = String::from_utf8_lossy(&words).into_owned();
                words.starts_with("qemu-system") && words.contains(&ours)
            })
            .collect()
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        for pid in self.processes() {
            kill(pid);
        }
    }
}

/// Ends a process as hard as can be.
pub(crate) fn kill(pid: u32) {
    let _ = std::process::Command::new("kill")
        .args(["-KILL", &pid.to_string()])
        .status();
}

/// A network of this process alone, since test processes may run side by side: machines answer at its addresses as long
/// as their own networks are QEMU's.
pub(crate) fn loopback() -> (String, String) {
    let process = std::process::id();
    let network = format!("127.{}.{}", 100 + (process >> 8) % 100, process % 256);
    (format!("{network}.0/24"), format!("{network}.1"))
}
