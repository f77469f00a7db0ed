//! Many machines: how fast they are made, what looking at them costs, and who notices.
//!
//! The host is onet's sandbox, whose machines are files: what is measured is onet, not a hypervisor.

use std::{
    net::SocketAddr,
    path::Path,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::json;
use tokio::task::LocalSet;

use crate::{
    client::Connection,
    load::{Outcome, sequence},
    onetd::{Installation, Running},
    options::Plan,
    report::{self, Goal, Limit, figure},
    requests::Tenant,
};

const SETTINGS: [(&str, &str); 7] = [
    ("ONET_COMPUTE__HYPERVISOR", "sandbox"),
    ("ONET_COMPUTE__HOST_CPUS", "100000"),
    ("ONET_COMPUTE__HOST_MEMORY_MB", "100000000"),
    ("ONET_COMPUTE__HOST_DISK_GB", "10000000"),
    ("ONET_COMPUTE__LOCATION", "par1"),
    ("ONET_COMPUTE__SYNC_SECONDS", "2"),
    // A listening socket for each machine would be the sandbox's cost, not onet's.
    ("ONET_COMPUTE__USER_FORWARDS", "[]"),
];
/// Looks that are averaged.
const LOOKS: f64 = 5.0;
const PATIENCE: Duration = Duration::from_secs(300);
/// Requests that one reader sends while nothing is done, and in each round while tasks run.
const READS: usize = 400;

#[derive(Deserialize)]
struct Page {
    count: usize,
    results: Vec<Found>,
}

#[derive(Deserialize)]
struct Found {
    id: String,
    #[serde(default)]
    slug: String,
}

/// The installation at work.
pub(super) struct Yard {
    pub(super) running: Running,
    tenant: Rc<Tenant>,
    connection: Connection,
    /// The body of an order, without its end.
    order: String,
    image: String,
}

/// Machines are made, looked at, restarted all at once, and held in memory.
pub(crate) async fn run(plan: &Plan) -> Result<Vec<Goal>> {
    report::step(format!("making {} machines in a sandbox", plan.machines));
    let installation = Installation::load(&plan.onetd, None, 1, 1)?;
    let disk = installation.folder().join("disk.raw");
    std::fs::write(&disk, vec![7; 1 << 20])?;
    furnish(&installation, &disk, &SETTINGS)?;
    let mut yard = Yard::open(&installation, &SETTINGS).await?;
    let begun = Instant::now();
    let accepted = yard.create(plan).await?;
    let rest = yard.rest("create_vps").await?;
    let made = begun.elapsed();
    anyhow::ensure!(
        rest >= plan.machines,
        "{rest} of {} machines were made",
        plan.machines
    );
    let rate = |time: Duration| {
        #[expect(clippy::cast_precision_loss, reason = "a thousand machines")]
        let machines = plan.machines as f64;
        machines / time.as_secs_f64()
    };
    let look = yard.look().await?;
    let mut tenant = Tenant::read(yard.running.address, &installation.facts, true).await?;
    tenant.keep_of_image(&yard.image);
    yard.tenant = Rc::new(tenant);
    report::step("reading while nothing is done, and while all machines are restarted");
    let quiet = yard.read(READS).await?;
    let (busy, restarts) = yard.read_while_restarting(plan).await?;
    let (now, most) = yard.running.memory()?;
    yard.running.stop()?;

    let row = |name: &str, value: String| [name.to_owned(), value];
    let milliseconds = |seconds: f64| format!("{} ms", figure(seconds * 1000.0));
    let rows = [
        row("orders accepted, a second", figure(rate(accepted))),
        row(
            "machines that run, a second, from the first order on",
            figure(rate(made)),
        ),
        row("restarts done, a second", figure(rate(restarts))),
        row("a look at all of them", milliseconds(look)),
        row(
            "GET, median: nothing done",
            milliseconds(quiet.get.median() / 1000.0),
        ),
        row(
            "GET, median: all are restarted",
            milliseconds(busy.get.median() / 1000.0),
        ),
        row(
            "list of 100, median: nothing done",
            milliseconds(quiet.list.median() / 1000.0),
        ),
        row(
            "list of 100, median: all are restarted",
            milliseconds(busy.list.median() / 1000.0),
        ),
        row(
            "memory in RAM, MB (at most)",
            format!("{} ({})", figure(now), figure(most)),
        ),
    ];
    let title = format!(
        "{} machines in a sandbox, SQLite, {} clients",
        plan.machines, plan.clients
    );
    report::table(&title, ["", ""], rows);
    Ok(vec![
        Goal::of("machines made, a second", Limit::AtLeast(100.0), "", rate(made)),
        Goal::of("a look at all machines", Limit::Below(1.0), " s", look),
        Goal::of(
            "median of GET, tasks ÷ none",
            Limit::AtMost(1.2),
            "",
            busy.get.median() / quiet.get.median(),
        ),
        Goal::of(
            "median of list, tasks ÷ none",
            Limit::AtMost(1.2),
            "",
            busy.list.median() / quiet.list.median(),
        ),
        Goal::of("memory with all machines", Limit::Below(120.0), " MB", now),
    ])
}

/// What machines need: an image, addresses, and a customer who can pay.
pub(super) fn furnish(installation: &Installation, disk: &Path, settings: &[(&str, &str)]) -> Result<()> {
    let disk = disk.to_str().context("a folder that is not UTF-8")?;
    let organization = installation.facts.organization_id.as_str();
    let pool = "addresses add-pool --location par1 --cidr 100.80.0.0/20 --gateway 100.80.0.1";
    let import = "images import --slug bench --os-name onet --public --file";
    let commands: [Vec<&str>; 4] = [
        pool.split(' ').collect(),
        import.split(' ').chain([disk]).collect(),
        vec!["billing", "add-credit", organization, "1000000"],
        vec!["billing", "set-quota", organization, "instances", "1000000"],
    ];
    for command in commands {
        installation.run(&command, settings)?;
    }
    Ok(())
}

/// What one reader waited.
struct Reads {
    get: Outcome,
    list: Outcome,
}

impl Yard {
    pub(super) async fn open(installation: &Installation, settings: &[(&str, &str)]) -> Result<Self> {
        let running = installation.serve_with(&["serve"], settings)?;
        let tenant = Tenant::read(running.address, &installation.facts, false).await?;
        let mut connection = Connection::open(running.address).await?;
        let mut order = serde_json::Map::new();
        for (noun, slug, field) in [
            ("/sizes", "vps-s", "size_id"),
            ("/locations", "par1", "location_id"),
            ("/images", "bench", "image_id"),
        ] {
            let path = format!("{noun}?page_size=100");
            let page: Page = tenant.read_compute(&mut connection, &path).await?;
            let found = page.results.into_iter().find(|found| found.slug == slug);
            order.insert(field.to_owned(), json!(found.context(slug)?.id));
        }
        let image = order["image_id"].as_str().unwrap_or_default().to_owned();
        let mut yard = Self {
            image,
            running,
            tenant: Rc::new(tenant),
            connection,
            order: serde_json::Value::Object(order).to_string(),
        };
        yard.until_the_host_is_known().await?;
        Ok(yard)
    }

    /// An order is refused until there is room for it.
    async fn until_the_host_is_known(&mut self) -> Result<()> {
        #[derive(Deserialize)]
        struct Place {
            is_available: bool,
        }
        let begun = Instant::now();
        loop {
            let places: Vec<Place> = self
                .tenant
                .read_compute(&mut self.connection, "/availability")
                .await?;
            if places.iter().any(|place| place.is_available) {
                return Ok(());
            }
            anyhow::ensure!(begun.elapsed() < PATIENCE, "there is no host");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Orders one machine; the answer.
    pub(super) async fn order(&mut self, name: &str) -> Result<Vec<u8>> {
        let body = format!(r#"{},"name":"{name}"}}"#, self.order.trim_end_matches('}'));
        let mut request = Vec::new();
        self.tenant.post(&mut request, "/instances", &body);
        self.expect(&request, 201).await
    }

    /// Deletes an instance.
    pub(super) async fn delete(&mut self, id: &str) -> Result<()> {
        let mut request = Vec::new();
        self.tenant.delete(&mut request, &format!("/instances/{id}"));
        self.expect(&request, 202).await.map(drop)
    }

    async fn expect(&mut self, request: &[u8], expected: u16) -> Result<Vec<u8>> {
        let status = self.connection.send(request).await?;
        let body = self.connection.body().to_vec();
        anyhow::ensure!(status == expected, "{status}: {}", String::from_utf8_lossy(&body));
        Ok(body)
    }

    /// Orders all machines, by several clients; the time until the last order was accepted.
    async fn create(&self, plan: &Plan) -> Result<Duration> {
        let body = self.order.trim_end_matches('}').to_owned();
        let requests = (0..plan.machines).map(|number| {
            let mut request = Vec::new();
            let body = format!(r#"{body},"name":"bench-{number}"}}"#);
            self.tenant.post(&mut request, "/instances", &body);
            request
        });
        send_all(self.running.address, plan.clients, requests.collect(), 201).await
    }

    /// Waits until no task waits or runs; how many of this kind are completed.
    pub(super) async fn rest(&mut self, kind: &str) -> Result<usize> {
        let begun = Instant::now();
        loop {
            let mut left = 0;
            for status in ["pending", "running"] {
                left += self.tasks(&format!("status={status}")).await?;
            }
            if left == 0 {
                return self.tasks(&format!("status=completed&task_type={kind}")).await;
            }
            anyhow::ensure!(begun.elapsed() < PATIENCE, "{left} tasks are left");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn tasks(&mut self, filter: &str) -> Result<usize> {
        let path = format!("/tasks?page_size=1&{filter}");
        let page: Page = self.tenant.read_compute(&mut self.connection, &path).await?;
        Ok(page.count)
    }

    /// How long a look takes, seconds, on the average of some.
    async fn look(&mut self) -> Result<f64> {
        let (mut sum, mut count) = self.looks().await?;
        let begun = (sum, count);
        let started = Instant::now();
        while count - begun.1 < LOOKS {
            anyhow::ensure!(started.elapsed() < PATIENCE, "nobody looks");
            tokio::time::sleep(Duration::from_millis(200)).await;
            (sum, count) = self.looks().await?;
        }
        Ok((sum - begun.0) / (count - begun.1))
    }

    /// The seconds that looks took so far, and their number.
    async fn looks(&mut self) -> Result<(f64, f64)> {
        let status = self
            .connection
            .send(b"GET /metrics HTTP/1.1\r\nHost: bench\r\n\r\n")
            .await?;
        anyhow::ensure!(status == 200, "/metrics answers {status}");
        let text = String::from_utf8_lossy(self.connection.body());
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|value| value.trim().parse().ok()).unwrap_or(0.0)
        };
        Ok((value("onet_look_seconds_sum "), value("onet_look_seconds_count ")))
    }

    /// What one reader waits who asks for instances and lists in turns.
    async fn read(&mut self, count: usize) -> Result<Reads> {
        let tenant = Rc::clone(&self.tenant);
        let get = sequence(&mut self.connection, count, |request| {
            tenant.get(request, tenant.any())
        })
        .await?;
        let list = sequence(&mut self.connection, count / 4, |request| tenant.list(request)).await?;
        Ok(Reads { get, list })
    }

    /// The same while the tasks of all machines run, and how long these took.
    async fn read_while_restarting(&mut self, plan: &Plan) -> Result<(Reads, Duration)> {
        let requests = self.tenant.instances.iter().map(|instance| {
            let mut request = Vec::new();
            self.tenant
                .post(&mut request, &format!("/instances/{}/reboot", instance.id), "{}");
            request
        });
        let begun = Instant::now();
        send_all(self.running.address, plan.clients, requests.collect(), 202).await?;
        let reads = self.read(READS).await?;
        self.rest("reboot_vps").await?;
        Ok((reads, begun.elapsed()))
    }
}

/// Sends requests by several clients; the time until the last answer. Each must be answered as expected.
async fn send_all(
    address: SocketAddr,
    clients: usize,
    requests: Vec<Vec<u8>>,
    expected: u16,
) -> Result<Duration> {
    let requests = Rc::new(std::cell::RefCell::new(requests));
    let begun = Instant::now();
    let local = LocalSet::new();
    let tasks: Vec<_> = (0..clients)
        .map(|_| {
            let requests = Rc::clone(&requests);
            local.spawn_local(async move {
                let mut connection = Connection::open(address).await?;
                loop {
                    let Some(request) = requests.borrow_mut().pop() else {
                        return Ok(());
                    };
                    let status = connection.send(&request).await?;
                    if status != expected {
                        let body = String::from_utf8_lossy(connection.body()).into_owned();
                        bail!("{status} instead of {expected}: {body}");
                    }
                }
            })
        })
        .collect();
    local
        .run_until(async {
            for task in tasks {
                task.await??;
            }
            Ok(begun.elapsed())
        })
        .await
}
