//! Machines in a storm: customers change everything at once, and the process dies again and again, at named points of
//! tasks and transactions or by `kill -9`. In the end every machine is what its instance says, and there is no other.
//!
//! The host is the sandbox, which has its machines in files as a hypervisor has them in processes. The seed is printed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{
    process::{Process, Program},
    server::postgres_database,
};

use crate::crash::Site;

const ONETD: &str = env!("CARGO_BIN_EXE_onetd");
const ROUNDS: usize = 14;
const CUSTOMERS: usize = 3;
/// Machines of a customer at a time.
const MOST: usize = 4;
const LIMIT: Duration = Duration::from_secs(120);
/// Where the process aborts, with the most passes that are let by before.
const POINTS: [(&str, u32); 22] = [
    ("task.enqueued", 6),
    ("task.step", 12),
    ("task.recorded", 12),
    ("store.commit", 20),
    ("store.committed", 20),
    ("billing.order_paid", 3),
    ("prepare_disk", 3),
    ("define", 3),
    ("set_seed", 3),
    ("start", 3),
    ("look", 4),
    ("switch_off", 1),
    ("resize", 1),
    ("reinstall", 1),
    ("reboot", 1),
    ("choose_boot", 1),
    ("start_if_wanted", 1),
    ("destroy", 1),
    ("save_copy", 2),
    ("restore_copy", 1),
    ("remove_copy", 1),
    ("remove_copies", 1),
];

/// An installation whose machines are files.
struct Sandbox {
    program: Program,
    site: Site,
    wanted: Value,
    /// Another size, and a network.
    larger: String,
    vpc: String,
    /// The add-on that snapshots need.
    addon: String,
    folder: tempfile::TempDir,
}

/// What a customer knows of its machines.
#[derive(Default)]
struct Known {
    alive: Vec<String>,
    /// Acknowledged deletions.
    deleted: BTreeSet<String>,
    made: usize,
    acknowledged: usize,
}

impl Sandbox {
    async fn open(settings: &[(&str, String)]) -> Self {
        let folder = tempfile::Builder::new().prefix("onet-storm").tempdir().unwrap();
        let settings = settings.iter().map(|(name, value)| (*name, value.as_str()));
        let own = [
            ("ONET_COMPUTE__HYPERVISOR", "sandbox"),
            ("ONET_COMPUTE__HOST_CPUS", "64"),
            ("ONET_COMPUTE__HOST_MEMORY_MB", "262144"),
            ("ONET_COMPUTE__HOST_DISK_GB", "4000"),
            ("ONET_COMPUTE__LOCATION", "par1"),
            ("ONET_COMPUTE__SYNC_SECONDS", "1"),
            ("ONET_TASKS__POLL_MS", "50"),
            ("ONET_TASKS__LEASE_SECONDS", "5"),
        ];
        let program = settings
            .chain(own)
            .fold(Program::new(ONETD, folder.path()), |program, (name, value)| {
                program.with(name, value)
            });
        let (site, _) = Site::load(&program);
        let file = folder.path().join("disk.raw");
        std::fs::write(&file, vec![7; 1 << 20]).unwrap();
        let file = file.to_str().unwrap().to_owned();
        let import = "images import --slug storm --os-name onet --public --file";
        for arguments in [
            import.split(' ').chain([file.as_str()]).collect::<Vec<_>>(),
            vec!["billing", "add-credit", &site.organization, "100000"],
            vec!["billing", "set-quota", &site.organization, "instances", "1000"],
        ] {
            let output = program.run(&arguments);
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{arguments:?}: {told}");
        }
        let server = program.serve();
        let of = async |noun: &str, field: &str, word: &str| {
            let path = site
                .instances()
                .replace("/instances", &format!("/{noun}?page_size=100"));
            let page = site.get(&server, &path).await;
            let all = page["results"].as_array().unwrap();
            let found = all.iter().find(|item| item[field] == word);
            found.expect(word)["id"].as_str().unwrap().to_owned()
        };
        let location = of("locations", "slug", "par1").await;
        let wanted = json!({
            "size_id": of("sizes", "slug", "vps-s").await,
            "image_id": of("images", "slug", "storm").await,
            "location_id": location,
        });
        let larger = of("sizes", "slug", "vps-m").await;
        let addon = of("addons", "slug", "snapshot").await;
        let path = site.instances().replace("/instances", "/vpcs?page_size=100");
        let vpcs = site.get(&server, &path).await;
        let vpc = vpcs["results"]
            .as_array()
            .unwrap()
            .iter()
            .find(|vpc| {
                vpc["location"]["id"] == location.as_str()
                    && vpc["name"].as_str().unwrap().starts_with("backend")
            })
            .expect("a VPC")["id"]
            .as_str()
            .unwrap()
            .to_owned();
        assert_eq!(server.terminate(), Some(0));
        Self {
            program,
            site,
            wanted,
            larger,
            vpc,
            addon,
            folder,
        }
    }

    /// Sends one thing; `None` when no answer came. An answer is never that something broke.
    async fn send(&self, server: &Process, method: Method, path: &str, body: &Value) -> Option<(u16, Value)> {
        let path = format!("{}{path}", self.site.instances());
        let (status, answer) = self.site.send(server, method, &path, body).await?;
        assert!(status < 500 || status == 503, "{path} {body}: {status} {answer}");
        Some((status, answer))
    }

    /// What a customer does next. `None`: the server is gone.
    async fn act(
        &self,
        server: &Process,
        random: &mut StdRng,
        known: &mut Known,
        customer: usize,
    ) -> Option<()> {
        if known.alive.len() < MOST && random.random_bool(0.5) {
            known.made += 1;
            let mut body = self.wanted.clone();
            body["name"] = json!(format!("storm-{customer}-{}", known.made));
            let (status, answer) = self.send(server, Method::POST, "", &body).await?;
            assert!(matches!(status, 201 | 503), "{status} {answer}");
            if status == 201 {
                known.acknowledged += 1;
                known.alive.push(answer["id"].as_str().unwrap().to_owned());
            }
            return Some(());
        }
        if known.alive.is_empty() {
            return Some(());
        }
        let at = random.random_range(0..known.alive.len());
        let id = known.alive[at].clone();
        let image = &self.wanted["image_id"];
        let number = random.random_range(0..100_u32);
        let copies = random.random_range(0..5_u32);
        if copies == 0 {
            return self.copy(server, random, &id).await;
        }
        let (method, action, body) = match random.random_range(0..15_u32) {
            0 => (Method::POST, "/stop", json!({})),
            1 | 2 => (Method::POST, "/start", json!({})),
            3 => (Method::POST, "/reboot", json!({})),
            4 | 5 => (Method::POST, "/resize", json!({"size_id": self.larger})),
            6 => (
                Method::POST,
                "/reinstall",
                json!({"image_id": image, "hostname": format!("anew{number}")}),
            ),
            7 => (Method::POST, "/rescue", json!({})),
            8 => (Method::DELETE, "/rescue", json!({})),
            9 => (
                Method::PATCH,
                "",
                json!({"hostname": format!("host{number}"), "vpc_id": self.vpc}),
            ),
            10 => (Method::POST, "/vpc/detach", json!({})),
            11 => (Method::POST, "/ip-addresses", json!({"ip_type": "ipv4"})),
            12 => (Method::POST, "/password", json!({})),
            13 => (Method::PATCH, "", json!({"hostname": format!("name{number}")})),
            _ => (Method::DELETE, "", json!({})),
        };
        let is_deletion = (&method, action) == (&Method::DELETE, "");
        let (status, _) = self
            .send(server, method, &format!("/{id}{action}"), &body)
            .await?;
        if is_deletion && status < 300 {
            known.alive.remove(at);
            known.deleted.insert(id);
        }
        Some(())
    }

    /// A customer takes a snapshot, goes back to one or deletes one.
    async fn copy(&self, server: &Process, random: &mut StdRng, id: &str) -> Option<()> {
        let path = format!("/{id}/snapshots");
        let (status, page) = self.send(server, Method::GET, &path, &json!(null)).await?;
        let all = page["results"].as_array().cloned().unwrap_or_default();
        let one = all.first().map(|one| one["id"].as_str().unwrap().to_owned());
        let (method, action, body) = match (random.random_range(0..5_u32), one) {
            (0, _) => (
                Method::POST,
                format!("/{id}/addons/activate"),
                json!({"addon_id": self.addon}),
            ),
            (1, Some(one)) => (Method::DELETE, format!("{path}/{one}"), json!({})),
            (2, Some(one)) => (Method::POST, format!("{path}/{one}/restore"), json!({})),
            _ => (Method::POST, path, json!({"name": "storm"})),
        };
        if status == 200 {
            self.send(server, method, &action, &body).await?;
        }
        Some(())
    }

    /// The copies of disks on the host.
    fn copies(&self) -> BTreeSet<String> {
        let folder = self.folder.path().join("sandbox").join("copies");
        let files = std::fs::read_dir(folder).unwrap().flatten();
        files
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect()
    }

    /// Every snapshot has its copy, and no copy is nobody's.
    async fn check_copies(&self, server: &Process) {
        let path = self
            .site
            .instances()
            .replace("/instances", "/snapshots?page_size=100");
        let page = self.site.get(server, &path).await;
        assert!(page["next"].is_null(), "more snapshots than looked at");
        let mut there = BTreeSet::new();
        for snapshot in page["results"].as_array().unwrap() {
            match snapshot["status"].as_str() {
                Some("available") => {
                    there.insert(snapshot["id"].as_str().unwrap().to_owned());
                }
                Some("error") => {}
                _ => panic!("nothing is done to {snapshot}"),
            }
        }
        assert_eq!(self.copies(), there);
        println!("{} snapshots", there.len());
    }

    /// Customers at work until the process is gone: where it was told to abort, or after a while.
    async fn round(&self, random: &mut StdRng, known: &mut [Known]) {
        let (point, passes) = POINTS[random.random_range(0..POINTS.len())];
        let plan = format!("{point}:{}", random.random_range(1..=passes));
        // Half of the time a step is written down however quick it was.
        let record = if random.random() { "0" } else { "100" };
        let program = self
            .program
            .clone()
            .with("ONET_CRASH_AT", &plan)
            .with("ONET_TASKS__RECORD_MS", record);
        let mut server = program.serve();
        let patience = Duration::from_millis(random.random_range(300..3000));
        let seeds: Vec<u64> = known.iter().map(|_| random.random()).collect();
        let customers = known
            .iter_mut()
            .zip(seeds)
            .enumerate()
            .map(|(customer, (known, seed))| {
                let server = &server;
                async move {
                    let mut random = StdRng::seed_from_u64(seed);
                    while self.act(server, &mut random, known, customer).await.is_some() {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            });
        let all = futures_util::future::join_all(customers);
        let _ = tokio::time::timeout(patience, all).await;
        let aborted = !server.is_running();
        println!("{plan}: {}", if aborted { "aborted" } else { "killed" });
        server.kill();
    }

    /// Waits until no task is left.
    async fn rest(&self, server: &Process) {
        let begun = Instant::now();
        let tasks = self.site.instances().replace("/instances", "/tasks");
        loop {
            let mut left = Vec::new();
            for status in ["pending", "running"] {
                let page = self
                    .site
                    .get(server, &format!("{tasks}?status={status}&page_size=5"))
                    .await;
                left.extend(page["results"].as_array().unwrap().clone());
            }
            if left.is_empty() {
                return;
            }
            assert!(begun.elapsed() < LIMIT, "tasks are left: {left:#?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// The machines on the host, by id.
    fn machines(&self) -> BTreeMap<String, Value> {
        let folder = self.folder.path().join("sandbox").join("machines");
        let files = std::fs::read_dir(folder)
            .unwrap()
            .flatten()
            .map(|entry| entry.path());
        files
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .map(|path| {
                let id = path.file_stem().unwrap().to_str().unwrap().to_owned();
                (
                    id,
                    serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap(),
                )
            })
            .collect()
    }

    async fn instances(&self, server: &Process) -> Vec<Value> {
        let mut all = Vec::new();
        for page in 1.. {
            let path = format!(
                "{}?search=storm-&page_size=100&page={page}",
                self.site.instances()
            );
            let found = self.site.get(server, &path).await;
            all.extend(found["results"].as_array().unwrap().clone());
            if found["next"].is_null() {
                break;
            }
        }
        all
    }

    /// Whether everything is as it should be now that nothing happens any more.
    async fn check(&self, server: &Process, known: &[Known]) {
        let instances = self.instances(server).await;
        let machines = self.machines();
        let of = |instance: &Value| instance["id"].as_str().unwrap().to_owned();
        let is_over =
            |instance: &Value| matches!(instance["status"].as_str(), Some("terminated" | "cancelled"));
        let ids: BTreeMap<String, &Value> = instances
            .iter()
            .map(|instance| (of(instance), instance))
            .collect();
        for known in known {
            for id in &known.alive {
                assert!(ids.contains_key(id), "{id} was acknowledged, and is gone");
            }
            for id in &known.deleted {
                let path = format!("{}/{id}", self.site.instances());
                let instance = self.site.get(server, &path).await;
                assert!(is_over(&instance), "{id} was deleted: {instance}");
            }
        }
        for id in machines.keys() {
            assert!(ids.contains_key(id), "machine {id} is nobody's");
        }
        let (mut addresses, mut taken) = (BTreeSet::new(), [0_i64; 3]);
        for instance in &instances {
            let id = of(instance);
            let Some(machine) = machines.get(&id) else {
                assert!(is_over(instance), "there is no machine for {instance}");
                assert_eq!(instance["ip_addresses"], json!([]), "{instance}");
                continue;
            };
            assert_eq!(instance["status"], "active", "with machine {machine}: {instance}");
            let (kept, on) = (&machine["machine"], !machine["on_since"].is_null());
            let gb = instance["volumes"][0]["size_gb"].as_i64().unwrap();
            assert_eq!(
                kept["spec"]["cpus"], instance["size"]["vcpu"],
                "{instance} {machine}"
            );
            assert_eq!(
                kept["spec"]["memory_mib"], instance["size"]["ram_mb"],
                "{instance} {machine}"
            );
            assert_eq!(kept["disk"]["size_bytes"], gb << 30, "{instance} {machine}");
            assert_eq!(
                kept["seed"]["hostname"], instance["hostname"],
                "{instance} {machine}"
            );
            let shown = instance["state_sync"]["vm_status"] == "running";
            assert_eq!(shown, on, "{instance} {machine}");
            assert_eq!(
                kept["spec"]["interfaces"].as_array().unwrap().len(),
                2,
                "{machine}"
            );
            for address in instance["ip_addresses"].as_array().unwrap() {
                assert!(
                    addresses.insert(address["address"].as_str().unwrap().to_owned()),
                    "{address} is there twice"
                );
            }
            let size = [&instance["size"]["vcpu"], &instance["size"]["ram_mb"], &json!(gb)];
            for (sum, part) in taken.iter_mut().zip(size) {
                *sum += part.as_i64().unwrap();
            }
        }
        self.check_copies(server).await;
        let made: usize = known.iter().map(|known| known.acknowledged).sum();
        println!(
            "{made} acknowledged, {} there, {} machines",
            instances.len(),
            machines.len()
        );
        assert!(made > 0, "nobody got anything");
        let run = |arguments: &[&str]| {
            let output = self.program.run(arguments);
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
            text(&output.stdout)
        };
        let hosts = run(&["hosts", "list"]);
        let [cpus, memory, disk] = taken;
        for expected in [format!("\t{cpus}/"), format!("\t{memory}/"), format!("\t{disk}/")] {
            assert!(hosts.contains(&expected), "{taken:?} is taken: {hosts}");
        }
        run(&["ledger", "verify"]);
        run(&["audit", "verify"]);
    }
}

async fn storm(settings: &[(&str, String)]) {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let sandbox = Sandbox::open(settings).await;
    let mut known: Vec<Known> = (0..CUSTOMERS).map(|_| Known::default()).collect();
    for _ in 0..ROUNDS {
        sandbox.round(&mut random, &mut known).await;
    }
    let server = sandbox.program.serve();
    sandbox.rest(&server).await;
    // What is shown follows within a look or two.
    tokio::time::sleep(Duration::from_secs(4)).await;
    sandbox.rest(&server).await;
    sandbox.check(&server, &known).await;
    assert_eq!(server.terminate(), Some(0));
}

/// The process dies when a machine runs and before that is written down. Its next worker begins before the start again,
/// and by then something else is asked for, which only a machine that is off can have.
async fn lost_after_a_start(settings: &[(&str, String)]) {
    let sandbox = Sandbox::open(settings).await;
    let mut server = sandbox.program.clone().with("ONET_CRASH_AT", "look:1").serve();
    let mut body = sandbox.wanted.clone();
    body["name"] = json!("storm-lost");
    let (status, answer) = sandbox
        .send(&server, Method::POST, "", &body)
        .await
        .expect("an answer");
    assert_eq!(status, 201, "{answer}");
    let id = answer["id"].as_str().unwrap().to_owned();
    let begun = Instant::now();
    while server.is_running() {
        assert!(begun.elapsed() < LIMIT, "the process never came to the point");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Well before the dead worker's lease ends.
    let server = sandbox.program.serve();
    let (path, body) = (
        format!("/{id}"),
        json!({"hostname": "anew", "vpc_id": sandbox.vpc}),
    );
    let (status, answer) = sandbox
        .send(&server, Method::PATCH, &path, &body)
        .await
        .expect("an answer");
    assert_eq!(status, 200, "{answer}");
    sandbox.rest(&server).await;
    let known = Known {
        alive: vec![id.clone()],
        made: 1,
        acknowledged: 1,
        ..Known::default()
    };
    sandbox.check(&server, &[known]).await;
    let instance = sandbox
        .site
        .get(&server, &format!("{}/{id}", sandbox.site.instances()))
        .await;
    assert_eq!(instance["status"], "active", "{instance}");
    assert_eq!(server.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_creation_that_is_lost_after_its_start_goes_on_on_sqlite() {
    lost_after_a_start(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_creation_that_is_lost_after_its_start_goes_on_on_postgres() {
    lost_after_a_start(&[("ONET_STORE__URL", postgres_database())]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_machine_is_what_its_instance_says_on_sqlite() {
    storm(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_machine_is_what_its_instance_says_on_postgres() {
    storm(&[("ONET_STORE__URL", postgres_database())]).await;
}
