//! Crashes: whatever happens to the process, what was acknowledged is there, and nothing is half there.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use testkit::{
    process::{Process, Program},
    server::postgres_database,
};

const ONETD: &str = env!("CARGO_BIN_EXE_onetd");
/// How often the process is killed during a storm.
const KILLS: usize = 50;
const WRITERS: usize = 6;

/// Who writes, and to where.
#[derive(Clone)]
pub(crate) struct Site {
    client: reqwest::Client,
    key: String,
    pub(crate) organization: String,
    project: String,
}

impl Site {
    pub(crate) fn load(program: &Program) -> (Self, Value) {
        let loaded = program.run(&["demo"]);
        assert!(
            loaded.status.success(),
            "{}",
            String::from_utf8_lossy(&loaded.stderr)
        );
        let facts: Value = serde_json::from_slice(&loaded.stdout).unwrap();
        let text = |field: &str| facts[field].as_str().unwrap().to_owned();
        kernel::outbound::install_tls();
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(20))
            .build()
            .unwrap();
        let site = Self {
            client,
            key: text("api_key"),
            organization: text("organization_id"),
            project: text("project_id"),
        };
        (site, facts)
    }

    pub(crate) async fn get(&self, server: &Process, path: &str) -> Value {
        let url = format!("http://{}{path}", server.address);
        let answer = self
            .client
            .get(url)
            .bearer_auth(&self.key)
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.expect("JSON")
    }

    async fn log_in(&self, server: &Process, facts: &Value) -> String {
        let url = format!("http://{}/v1/auth/login", server.address);
        let body = json!({"email": facts["email"], "password": facts["password"]});
        let answer = self.client.post(url).json(&body).send().await.expect("an answer");
        let tokens: Value = answer.json().await.expect("JSON");
        tokens["access"].as_str().expect("an access token").to_owned()
    }

    pub(crate) fn instances(&self) -> String {
        format!(
            "/v1/organizations/{}/projects/{}/compute/instances",
            self.organization, self.project
        )
    }

    async fn patch(&self, address: &str, instance: &str, body: &Value) -> reqwest::Result<u16> {
        let url = format!("http://{address}{}/{instance}", self.instances());
        Ok(self
            .client
            .patch(url)
            .bearer_auth(&self.key)
            .json(body)
            .send()
            .await?
            .status()
            .as_u16())
    }

    /// Sends something; `None` when no answer came.
    pub(crate) async fn send(
        &self,
        server: &Process,
        method: reqwest::Method,
        path: &str,
        body: &Value,
    ) -> Option<(u16, Value)> {
        let url = format!("http://{}{path}", server.address);
        let request = self.client.request(method, url).bearer_auth(&self.key).json(body);
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.json().await.unwrap_or_default()))
    }

    async fn records(&self, server: &Process, instance: &str) -> i64 {
        let path = format!(
            "/v1/organizations/{}/audit-logs?action=instance.updated&resource_id={instance}",
            self.organization
        );
        self.get(server, &path).await["count"].as_i64().unwrap()
    }
}

/// One writer's account of its instance: the number that it last sent, and the last that was acknowledged.
#[derive(Clone, Copy, Default)]
struct Account {
    sent: i64,
    acknowledged: i64,
}

/// Writes one number after the other until the server is gone.
async fn write_on(site: Site, address: String, instance: String, mut account: Account) -> Account {
    loop {
        account.sent += 1;
        match site
            .patch(
                &address,
                &instance,
                &json!({"name": format!("n-{}", account.sent)}),
            )
            .await
        {
            Ok(200) => account.acknowledged = account.sent,
            Ok(status) => panic!("a plain write was answered {status}"),
            Err(_) => return account,
        }
    }
}

async fn storm(program: &Program, kills: usize) {
    let (site, _) = Site::load(program);
    let server = program.serve();
    let list = site
        .get(&server, &format!("{}?status=active", site.instances()))
        .await;
    let instances: Vec<String> = list["results"]
        .as_array()
        .unwrap()
        .iter()
        .take(WRITERS)
        .map(|i| i["id"].as_str().unwrap().to_owned())
        .collect();
    let mut accounts = vec![Account::default(); instances.len()];
    let mut server = server;
    for round in 0..kills {
        let writers: Vec<_> = instances
            .iter()
            .zip(&accounts)
            .map(|(instance, account)| {
                tokio::spawn(write_on(
                    site.clone(),
                    server.address.clone(),
                    instance.clone(),
                    *account,
                ))
            })
            .collect();
        // At another moment in each round.
        tokio::time::sleep(Duration::from_millis(20 + (round as u64 * 37) % 100)).await;
        server.kill();
        for (account, writer) in accounts.iter_mut().zip(writers) {
            *account = writer.await.expect("no writer saw a refusal");
        }
        server = program.serve();
        for (instance, account) in instances.iter().zip(&mut accounts) {
            let now = site
                .get(&server, &format!("{}/{instance}", site.instances()))
                .await;
            let name = now["name"].as_str().unwrap();
            let stored: i64 = name
                .strip_prefix("n-")
                .map_or(0, |number| number.parse().unwrap());
            assert!(
                stored >= account.acknowledged,
                "round {round}: an acknowledged change is gone"
            );
            assert!(
                stored <= account.sent,
                "round {round}: a change that nobody asked for"
            );
            // Every number is one change: there are as many records, none missing and none twice. The one that was
            // sent but not acknowledged may have been done or not; sent again it would be a change of nothing.
            assert_eq!(
                site.records(&server, instance).await,
                stored,
                "round {round}: one record a change"
            );
            *account = Account {
                sent: stored,
                acknowledged: stored,
            };
        }
    }
    let written: i64 = accounts.iter().map(|account| account.acknowledged).sum();
    assert!(
        written > i64::try_from(kills).unwrap(),
        "the storm was real: {written}"
    );
    assert_eq!(server.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_kills_in_a_storm_of_writes_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    storm(&Program::new(ONETD, folder.path()), KILLS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_in_a_storm_of_writes_on_postgres() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::new(ONETD, folder.path()).with("ONET_STORE__URL", &postgres_database());
    storm(&program, 5).await;
}

/// Every named point of the road of a write and of its task, each at a pass that a change of VPC reaches.
const POINTS: [&str; 8] = [
    "store.commit:1",
    "store.committed:1",
    "task.enqueued:1",
    "task.step:1",
    "task.step:2",
    "task.recorded:1",
    "task.recorded:2",
    "store.committed:4",
];

/// Aborts the server at `point` while it changes a VPC; after a restart all must be as if nothing had happened, or
/// as if all had.
async fn crash_at(folder: &Path, settings: &[(&str, String)], point: &str) {
    let program = settings
        .iter()
        .fold(Program::new(ONETD, folder), |program, (name, value)| {
            program.with(name, value)
        });
    // Leases short enough to wait for.
    let program = program
        .with("ONET_TASKS__LEASE_SECONDS", "5")
        .with("ONET_TASKS__POLL_MS", "50")
        .with(
            "ONET_TASKS__RECORD_MS",
            if point.starts_with("task.recorded") {
                "0"
            } else {
                "100"
            },
        )
        // Nobody else's write is to meet the point.
        .with("ONET_TASKS__CHORES", "false");
    let (mut site, facts) = Site::load(&program);
    // With a token from before: neither a login nor the first use of a key is to be the write that meets the point.
    let server = program.serve();
    site.key = site.log_in(&server, &facts).await;
    assert_eq!(server.terminate(), Some(0));
    let id = facts["instance_id"].as_str().unwrap();
    let path = format!("{}/{id}", site.instances());
    let mut server = program.clone().with("ONET_CRASH_AT", point).serve();
    let before = site.get(&server, &path).await;
    let here = before["location"]["id"].as_str().unwrap();
    let vpcs = format!(
        "/v1/organizations/{}/projects/{}/compute/vpcs?location_id={here}",
        site.organization, site.project
    );
    let vpcs = site.get(&server, &vpcs).await;
    let other = vpcs["results"]
        .as_array()
        .unwrap()
        .iter()
        .find(|vpc| vpc["id"] != before["vpc"]["id"])
        .unwrap();
    let acknowledged = site
        .patch(&server.address, id, &json!({"vpc_id": other["id"]}))
        .await
        .is_ok_and(|status| status == 200);
    assert_eq!(server.wait(), None, "{point}: the process was to abort");

    let server = program.serve();
    let after = site.get(&server, &path).await;
    let moved = after["vpc"]["id"] == other["id"];
    assert!(moved || !acknowledged, "{point}: an acknowledged change is gone");
    assert_eq!(site.records(&server, id).await, i64::from(moved), "{point}");
    let tasks = format!(
        "/v1/organizations/{}/projects/{}/compute/tasks?instance_id={id}",
        site.organization, site.project
    );
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        let tasks = site.get(&server, &tasks).await;
        assert_eq!(
            tasks["count"],
            i64::from(moved),
            "{point}: one task for a change, none without"
        );
        if !moved || tasks["results"][0]["status"] == "completed" {
            break;
        }
        assert_ne!(tasks["results"][0]["status"], "failed", "{point}");
        assert!(
            std::time::Instant::now() < deadline,
            "{point}: the task does not end"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(
        site.get(&server, &path).await["vpc"]["id"],
        after["vpc"]["id"],
        "{point}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_point_is_made_good_on_sqlite() {
    for point in POINTS {
        let folder = tempfile::tempdir().unwrap();
        crash_at(folder.path(), &[], point).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_point_is_made_good_on_postgres() {
    for point in POINTS {
        let folder = tempfile::tempdir().unwrap();
        crash_at(folder.path(), &[("ONET_STORE__URL", postgres_database())], point).await;
    }
}
