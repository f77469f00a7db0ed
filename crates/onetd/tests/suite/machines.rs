//! What tests of machines share: a host, an image on it, and a customer who buys.

use std::{sync::Arc, time::Duration};

use billing::{clocks, ledger, operators};
use compute::schema::{hosts, image_files, images, instances, sizes};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use hypervisor::{
    Hypervisor, ImageId, VmId,
    double::Double,
    images::{Format, Image},
};
use identity::schema::organizations;
use kernel::{http::ApiError, id::AnyId, money::Amount};
use serde_json::{Value, json};
use testkit::{Answer, Server};

/// A host that is a double, in the demo's first location, with a file behind the demo's first image.
pub(crate) struct Site {
    /// The host.
    pub(crate) host: Double,
    /// The smallest size.
    pub(crate) size: String,
    /// Where the host is.
    pub(crate) location: String,
    /// The image that has a file.
    pub(crate) image: String,
}

/// The digest of the image's file.
pub(crate) fn digest() -> ImageId {
    ImageId::try_from("ab".repeat(32)).unwrap()
}

/// Makes a host of this driver, in the demo's first location, with an image of this digest in its store as the file of the
/// demo's first image. Returns the smallest size, the location and the image.
pub(crate) async fn enlist(
    server: &Server,
    host: Arc<dyn Hypervisor>,
    digest: &ImageId,
) -> (String, String, String) {
    server.onet().enlist(host).await.expect("a host");
    let digest = digest.to_string();
    let (size, location, image) = server
        .app
        .store()
        .write("test", move |tx| {
            let now = tx.now();
            let size: AnyId = sizes::table
                .filter(sizes::slug.eq("vps-s"))
                .select(sizes::id)
                .first(tx.conn())?;
            let location: AnyId = hosts::table.select(hosts::location_id).first(tx.conn())?;
            let image: AnyId = images::table
                .filter(images::slug.eq("debian-12"))
                .select(images::id)
                .first(tx.conn())?;
            diesel::update(hosts::table)
                .set((
                    hosts::cpus.eq(64),
                    hosts::memory_mb.eq(65_536),
                    hosts::disk_gb.eq(4000),
                ))
                .execute(tx.conn())?;
            diesel::insert_into(image_files::table)
                .values((
                    image_files::image_id.eq(image),
                    image_files::digest.eq(Some(digest.clone())),
                    image_files::size_bytes.eq(1_i64),
                    image_files::virtual_size_bytes.eq(1_i64 << 30),
                    image_files::status.eq("available"),
                    image_files::progress.eq(100_i64),
                    image_files::created.eq(now),
                    image_files::modified.eq(now),
                ))
                .execute(tx.conn())?;
            Ok::<_, ApiError>((size, location, image))
        })
        .await
        .expect("a place to buy in");
    (size.to_string(), location.to_string(), image.to_string())
}

impl Site {
    pub(crate) async fn open(server: &Server) -> Self {
        let host = Double::new();
        host.add_image(Image {
            id: digest(),
            format: Format::Qcow2,
            virtual_size: 1 << 30,
            min_disk_bytes: 0,
            min_memory_mib: 0,
        });
        Self::with(server, host).await
    }

    /// On a host that has the image already.
    pub(crate) async fn with(server: &Server, host: Double) -> Self {
        let (size, location, image) = enlist(server, Arc::new(host.clone()), &digest()).await;
        Self {
            host,
            size,
            location,
            image,
        }
    }

    /// The body of an order, with these fields.
    pub(crate) fn body(&self, with: Value) -> Value {
        let mut body = json!({"size_id": self.size, "location_id": self.location, "image_id": self.image});
        for (field, value) in with.as_object().unwrap() {
            body[field] = value.clone();
        }
        body
    }

    /// Orders as the owner.
    pub(crate) async fn create(&self, server: &Server, with: Value) -> Answer {
        let path = server.project("/compute/instances");
        server.owner().post(&path, &self.body(with)).await
    }

    /// One that runs, paid.
    pub(crate) async fn running(&self, server: &Server, name: &str) -> Value {
        self.credit(server, "100").await;
        let created = self
            .create(server, json!({ "name": name }))
            .await
            .expect(201)
            .body;
        server.run_tasks().await;
        let running = self.get(server, &created).await;
        assert_eq!(running["status"], "active", "{running}");
        running
    }

    pub(crate) fn path(&self, server: &Server, instance: &Value) -> String {
        server.project(&format!(
            "/compute/instances/{}",
            instance["id"].as_str().unwrap()
        ))
    }

    pub(crate) async fn get(&self, server: &Server, instance: &Value) -> Value {
        server
            .owner()
            .get(&self.path(server, instance))
            .await
            .expect(200)
            .body
    }

    pub(crate) fn vm(&self, instance: &Value) -> VmId {
        instance["id"].as_str().unwrap().parse().unwrap()
    }

    /// How many machines the host has.
    pub(crate) async fn machines(&self) -> usize {
        self.host.list().await.unwrap().len()
    }

    pub(crate) async fn credit(&self, server: &Server, text: &str) {
        let (billing, organization) = (server.onet().billing.clone(), server.facts.owner.organization_id);
        let amount = Amount::parse(text).unwrap();
        server
            .app
            .store()
            .write("test", move |tx| {
                operators::add_credit(tx, &billing, organization, amount, "a test")
            })
            .await
            .unwrap();
    }

    pub(crate) async fn balance(&self, server: &Server) -> Amount {
        let organization = server.facts.owner.organization_id;
        server
            .app
            .store()
            .read("test", move |conn| {
                Ok::<_, ApiError>(ledger::credit(conn, organization)?)
            })
            .await
            .unwrap()
    }

    /// Leaves no credit.
    pub(crate) async fn spend_all(&self, server: &Server) {
        let left = self.balance(server).await;
        self.credit(server, &(-left).fixed::<2>().to_string()).await;
    }

    /// What is taken of the host: processors, memory, disk.
    pub(crate) async fn taken(&self, server: &Server) -> (i64, i64, i64) {
        server
            .app
            .store()
            .read("test", |conn| {
                Ok::<_, ApiError>(
                    hosts::table
                        .select((hosts::cpus_taken, hosts::memory_mb_taken, hosts::disk_gb_taken))
                        .first(conn)?,
                )
            })
            .await
            .unwrap()
    }

    /// What the host can promise: processors, memory in MB, disk in GB.
    pub(crate) async fn capacity(&self, server: &Server, cpus: i64, memory_mb: i64, disk_gb: i64) {
        server
            .app
            .store()
            .write("test", move |tx| {
                diesel::update(hosts::table)
                    .set((
                        hosts::cpus.eq(cpus),
                        hosts::memory_mb.eq(memory_mb),
                        hosts::disk_gb.eq(disk_gb),
                    ))
                    .execute(tx.conn())?;
                Ok::<_, ApiError>(())
            })
            .await
            .unwrap();
    }

    /// How many instances the organization may have.
    pub(crate) async fn quota(&self, server: &Server, most: i64) {
        let organization = server.facts.owner.organization_id;
        server
            .app
            .store()
            .write("test", move |tx| {
                diesel::update(organizations::table.find(organization))
                    .set(organizations::instance_quota.eq(most))
                    .execute(tx.conn())?;
                Ok::<_, ApiError>(())
            })
            .await
            .unwrap();
    }

    /// All instances of the project.
    pub(crate) async fn count(&self, server: &Server) -> i64 {
        let path = server.project("/compute/instances?page_size=1");
        server.owner().get(&path).await.expect(200).body["count"]
            .as_i64()
            .unwrap()
    }

    /// The organization's instances that count against its quota.
    pub(crate) async fn live(&self, server: &Server) -> i64 {
        let organization = server.facts.owner.organization_id;
        server
            .app
            .store()
            .read("test", move |conn| {
                Ok::<_, ApiError>(
                    instances::table
                        .filter(instances::organization_id.eq(organization))
                        .filter(instances::status.ne_all(["terminated", "cancelled"]))
                        .count()
                        .get_result(conn)?,
                )
            })
            .await
            .unwrap()
    }

    /// Runs tasks until none is left, turning the clock past the pauses between tries.
    pub(crate) async fn run_with_retries(&self, server: &Server) {
        for _ in 0..20 {
            server.run_tasks().await;
            server.clock.advance(Duration::from_secs(600));
        }
    }

    /// Lets days pass, and everything happen that is due then.
    pub(crate) async fn days(&self, server: &Server, days: u64) {
        for _ in 0..days.max(1) {
            if days > 0 {
                server.clock.advance(Duration::from_hours(24));
            }
            clocks::round(&server.onet().billing).await.unwrap();
            server.run_tasks().await;
        }
        clocks::round(&server.onet().billing).await.unwrap();
        server.run_tasks().await;
    }
}
