//! Instances after their order: other sizes, other systems, rescue, cancellation, renewal, add-ons, and the tasks of all
//! that, on a host that is a double.

mod addons;
mod addresses;
mod backups;
mod cancellation;
mod private_networks;
mod resize;
mod snapshots;
mod suspended;
mod systems;
mod tasks;
mod vpcs;

use billing::ledger;
use compute::{
    machines::MachineRow,
    schema::{machines, sizes},
};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl, SelectableHelper};
use hypervisor::VmId;
use kernel::{http::ApiError, id::AnyId, money::Amount};
use serde_json::{Value, json};
use testkit::{Answer, Server};

use crate::machines::Site;

/// An instance that runs, on its site.
struct Life {
    site: Site,
    instance: Value,
    path: String,
}

impl Life {
    /// A machine of the smallest size, paid for a month; 100 of credit less that are left.
    async fn begin(server: &Server) -> Self {
        let site = Site::open(server).await;
        let instance = site.running(server, "life").await;
        let path = site.path(server, &instance);
        Self { site, instance, path }
    }

    fn vm(&self) -> VmId {
        self.site.vm(&self.instance)
    }

    async fn get(&self, server: &Server) -> Value {
        self.site.get(server, &self.instance).await
    }

    /// Asks as the owner.
    async fn post(&self, server: &Server, action: &str, body: &Value) -> Answer {
        server
            .owner()
            .post(&format!("{}/{action}", self.path), body)
            .await
    }

    /// Asks, and runs what was asked for; the task as it has ended.
    async fn done(&self, server: &Server, action: &str, body: &Value) -> Value {
        let task = self.post(server, action, body).await.expect(202).body;
        self.site.run_with_retries(server).await;
        self.task(server, &task).await
    }

    async fn task(&self, server: &Server, task: &Value) -> Value {
        let path = server.project(&format!("/compute/tasks/{}", task["id"].as_str().unwrap()));
        server.owner().get(&path).await.expect(200).body
    }

    async fn machine(&self, server: &Server) -> MachineRow {
        let id = self.vm().0;
        server
            .app
            .store()
            .read("test", move |conn| {
                let query = machines::table
                    .filter(machines::instance_id.eq(id.to_string().parse::<AnyId>().unwrap()))
                    .select(MachineRow::as_select());
                Ok::<_, ApiError>(query.first(conn)?)
            })
            .await
            .unwrap()
    }

    /// Everything that a failure must leave as it was.
    async fn picture(&self, server: &Server) -> Picture {
        let machine = self.machine(server).await;
        let shown = self.get(server).await;
        let metadata = [
            "hostname",
            "size",
            "image",
            "os_name",
            "is_installed",
            "status",
            "volumes",
            "billing_cycle",
        ];
        let spec = self.site.host.spec(self.vm()).unwrap();
        Picture {
            shown: metadata.map(|field| shown[field].clone()).to_vec(),
            machine: format!(
                "{:?}",
                MachineRow {
                    modified: machine.created,
                    ..machine
                }
            ),
            seed: self.site.host.seed(self.vm()).unwrap(),
            hardware: (
                spec.cpus,
                spec.memory_mib,
                self.site.host.disk_bytes(self.vm()).unwrap(),
            ),
            taken: self.site.taken(server).await,
            balance: self.site.balance(server).await,
        }
    }
}

#[derive(Debug, PartialEq)]
struct Picture {
    shown: Vec<Value>,
    machine: String,
    seed: hypervisor::seed::Seed,
    hardware: (u16, u32, u64),
    taken: (i64, i64, i64),
    balance: Amount,
}

async fn size(server: &Server, slug: &'static str) -> String {
    let id: AnyId = server
        .app
        .store()
        .read("test", move |conn| {
            let query = sizes::table.filter(sizes::slug.eq(slug)).select(sizes::id);
            Ok::<_, ApiError>(query.first(conn)?)
        })
        .await
        .unwrap();
    id.to_string()
}

/// The volume of so many GB that a size offers.
async fn volume(server: &Server, size: &str, gb: i64) -> Value {
    let shown = server
        .owner()
        .get(&server.project(&format!("/compute/sizes/{size}")))
        .await
        .expect(200)
        .body;
    let volumes = shown["available_volumes"].as_array().unwrap();
    volumes.iter().find(|volume| volume["disk_gb"] == gb).unwrap()["id"].clone()
}

fn amount(text: &str) -> Amount {
    Amount::parse(text).unwrap()
}

async fn books_are_right(server: &Server) {
    let (faults, _) = server
        .app
        .store()
        .read("test", move |conn| Ok::<_, ApiError>(ledger::verify(conn, None)?))
        .await
        .unwrap();
    assert!(faults.is_empty(), "{faults:#?}");
}

/// A card that the sandbox charges as its token says.
async fn card(server: &Server, token: &str) {
    let path = format!(
        "/v1/organizations/{}/billing/payment-methods",
        server.facts.owner.organization_id
    );
    let body = json!({"type": "card", "is_default": true, "provider_token": token});
    server.owner().post(&path, &body).await.expect(201);
}

/// A viewer may not, a stranger does not know of it, nobody must log in.
async fn only_for_editors(server: &Server, path: &str, body: &Value) {
    let (viewer, _) = server.member(kernel::access::Role::Viewer).await;
    viewer.post(path, body).await.expect(403);
    server.stranger().post(path, body).await.expect(404);
    server.anonymous().post(path, body).await.expect(401);
}
