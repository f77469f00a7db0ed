//! Machines on the real QEMU, seen as a customer sees them: through the API, and by what the guest itself serves.
//!
//! Software emulation, user-mode networks, addresses of this machine alone: nothing of the host is needed or changed.

use std::{
    fs::File,
    path::PathBuf,
    time::{Duration, Instant},
};

use hypervisor::demo_image;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{
    process::{Process, Program},
    server::postgres_database,
};

use crate::crash::Site;

const ONETD: &str = env!("CARGO_BIN_EXE_onetd");
/// Generous: software emulation, beside other tests.
const LIMIT: Duration = Duration::from_secs(180);

/// An installation with a host, an image, a network and a customer who can pay.
struct Yard {
    program: Program,
    site: Site,
    folder: tempfile::TempDir,
    _turn: File,
}

impl Yard {
    async fn open(settings: &[(&str, String)]) -> Self {
        let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        // Each machine takes a processor: one such test at a time.
        let turn = File::create(target.join("hypervisor.lock")).unwrap();
        let turn = tokio::task::spawn_blocking(move || turn.lock().map(|()| turn));
        let turn = turn.await.unwrap().unwrap();
        let image = tokio::task::spawn_blocking(move || demo_image::build(&target.join("demo-image")));
        let image = image.await.unwrap().expect("the demo image can be built");
        let folder = tempfile::Builder::new().prefix("onet-real").tempdir().unwrap();
        // A network of this process alone: test processes may run side by side.
        let process = std::process::id();
        let network = format!("127.{}.{}", 100 + (process >> 8) % 100, process % 256);
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
        let run = |arguments: &[&str]| {
            let output = program.run(arguments);
            assert!(
                output.status.success(),
                "{arguments:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        };
        let image = image.to_str().unwrap();
        run(&[
            "images",
            "import",
            "--file",
            image,
            "--slug",
            "onet-demo",
            "--os-name",
            "onet",
            "--public",
        ]);
        let (cidr, gateway) = (format!("{network}.0/24"), format!("{network}.1"));
        // The demo data's own network leads nowhere.
        run(&["addresses", "disable-pool", "100.127.1.0/24"]);
        run(&[
            "addresses",
            "add-pool",
            "--location",
            "par1",
            "--cidr",
            &cidr,
            "--gateway",
            &gateway,
        ]);
        run(&["billing", "add-credit", &site.organization, "500"]);
        Self {
            program,
            site,
            folder,
            _turn: turn,
        }
    }

    /// The body of an order.
    async fn wanted(&self, server: &Process, name: &str) -> Value {
        let compute = self.site.instances();
        let compute = compute.strip_suffix("/instances").unwrap();
        let mut body = json!({ "name": name });
        for (noun, slug, field) in [
            ("sizes", "vps-s", "size_id"),
            ("locations", "par1", "location_id"),
            ("images", "onet-demo", "image_id"),
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
    async fn host_is_known(&self, server: &Process) {
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

    async fn order(&self, server: &Process, name: &str) -> Option<Value> {
        let wanted = self.wanted(server, name).await;
        let answer = self
            .site
            .send(server, Method::POST, &self.site.instances(), &wanted)
            .await;
        answer.map(|(status, body)| {
            assert_eq!(status, 201, "{body}");
            body
        })
    }

    fn path(&self, instance: &Value) -> String {
        format!("{}/{}", self.site.instances(), instance["id"].as_str().unwrap())
    }

    /// Reads the instance until it is as it should be.
    async fn until(
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

    async fn act(&self, server: &Process, method: Method, instance: &Value, action: &str, body: Value) {
        let path = format!("{}{action}", self.path(instance));
        let (status, answer) = self
            .site
            .send(server, method, &path, &body)
            .await
            .expect("an answer");
        assert!(status < 300, "{action}: {status} {answer}");
    }

    /// The folders of machines on the host.
    fn machines(&self) -> Vec<PathBuf> {
        let folder = self.folder.path().join("hypervisor").join("machines");
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| path.is_dir())
            .collect()
    }

    /// The processes of machines of this installation.
    fn processes(&self) -> Vec<u32> {
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

fn kill(pid: u32) {
    let _ = std::process::Command::new("kill")
        .args(["-KILL", &pid.to_string()])
        .status();
}

/// What the guest serves at its own address, once that is as it should be.
async fn page(instance: &Value, holds: &str) -> String {
    let address = instance["ip_addresses"][0]["address"]
        .as_str()
        .expect("an address");
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(5))
        .build()
        .unwrap();
    let begun = Instant::now();
    loop {
        if let Ok(answer) = client.get(format!("http://{address}:8080/")).send().await
            && let Ok(text) = answer.text().await
            && text.contains(holds)
        {
            return text;
        }
        assert!(
            begun.elapsed() < LIMIT,
            "http://{address}:8080/ does not say {holds}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_order_to_deletion() {
    let yard = Yard::open(&[]).await;
    let server = yard.program.serve();
    yard.host_is_known(&server).await;
    let begun = Instant::now();
    let created = yard.order(&server, "front").await.unwrap();
    let running = yard
        .until(&server, &created, "it runs", |now| now["status"] == "active")
        .await;
    println!("ordered to running process: {:?}", begun.elapsed());
    page(&running, "<h1>front</h1>").await;
    println!("ordered to page served: {:?}", begun.elapsed());

    // The metadata reaches the guest at its next boot.
    yard.act(
        &server,
        Method::PATCH,
        &created,
        "",
        json!({"hostname": "lighthouse"}),
    )
    .await;
    yard.act(&server, Method::POST, &created, "/reboot", json!({}))
        .await;
    page(&running, "<h1>lighthouse</h1>").await;

    // onetd dies as hard as can be: the guest does not notice, and is found again.
    server.kill();
    page(&running, "<h1>lighthouse</h1>").await;
    let server = yard.program.serve();
    yard.host_is_known(&server).await;

    // The guest's process dies: seen within seconds, and started again.
    let processes = yard.processes();
    assert_eq!(processes.len(), 1);
    kill(processes[0]);
    yard.until(&server, &created, "it was missed", |now| {
        now["state_sync"]["vm_status"] != "running"
    })
    .await;
    yard.until(&server, &created, "it runs again", |now| {
        now["state_sync"]["vm_status"] == "running"
    })
    .await;
    page(&running, "<h1>lighthouse</h1>").await;
    assert_ne!(yard.processes(), processes);

    yard.act(&server, Method::POST, &created, "/stop", json!({}))
        .await;
    yard.until(&server, &created, "it is off", |now| {
        now["state_sync"]["vm_status"] == "stopped"
    })
    .await;
    assert_eq!(yard.processes(), Vec::<u32>::new());

    yard.act(&server, Method::DELETE, &created, "", json!({})).await;
    yard.until(&server, &created, "it is gone", |now| {
        now["status"] == "terminated" && now["ip_addresses"] == json!([])
    })
    .await;
    assert_eq!(yard.machines(), Vec::<PathBuf>::new());
    assert_eq!(server.terminate(), Some(0));
}

/// Where the process aborts while a machine is made: before each step's effect, after it, and after its record.
const POINTS: [&str; 11] = [
    "task.enqueued:1",
    "prepare_disk:1",
    "task.step:1",
    "define:1",
    "task.step:2",
    "set_seed:1",
    "task.recorded:3",
    "start:1",
    "task.step:4",
    "look:1",
    "task.step:5",
];

/// An order that is interrupted at `point` is one machine in the end, or nothing if it was never acknowledged.
async fn crash_at(yard: &Yard, point: &str) {
    let server = yard
        .program
        .clone()
        .with("ONET_CRASH_AT", point)
        .with("ONET_TASKS__CHORES", "false")
        .serve();
    yard.host_is_known(&server).await;
    let acknowledged = yard.order(&server, point).await;
    let mut server = server;
    assert_eq!(server.wait(), None, "{point}: the process was to abort");

    let server = yard.program.serve();
    yard.host_is_known(&server).await;
    let path = format!("{}?search={point}&ordering=-created", yard.site.instances());
    let found = yard.site.get(&server, &path).await;
    let Some(made) = found["results"].as_array().unwrap().first().cloned() else {
        assert!(acknowledged.is_none(), "{point}: an acknowledged order is gone");
        assert_eq!(yard.machines().len(), 0, "{point}");
        assert_eq!(server.terminate(), Some(0));
        return;
    };
    yard.until(&server, &made, point, |now| now["status"] == "active")
        .await;
    assert_eq!(yard.machines().len(), 1, "{point}");
    assert_eq!(yard.processes().len(), 1, "{point}");
    yard.act(&server, Method::DELETE, &made, "", json!({})).await;
    yard.until(&server, &made, point, |now| now["ip_addresses"] == json!([]))
        .await;
    assert_eq!(yard.machines().len(), 0, "{point}");
    assert_eq!(yard.processes().len(), 0, "{point}");
    assert_eq!(server.terminate(), Some(0));
}

async fn crashes(settings: &[(&str, String)]) {
    let yard = Yard::open(settings).await;
    for point in POINTS {
        crash_at(&yard, point).await;
    }
    let books = yard.program.run(&["ledger", "verify"]);
    assert!(
        books.status.success(),
        "{}",
        String::from_utf8_lossy(&books.stderr)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_step_is_made_good_on_sqlite() {
    crashes(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_step_is_made_good_on_postgres() {
    crashes(&[("ONET_STORE__URL", postgres_database())]).await;
}
