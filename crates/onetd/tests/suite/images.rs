//! Private images: brought from an address, made of an instance, changed, deleted; their files come and go.

use std::{path::Path, process::Command, sync::Arc, time::Duration};

use compute::{
    images::{
        self, Checksum, ImageStore, LocalHost, OneHost, Watch, files::tidy, operators, rows::digest_of,
    },
    instances::api::InstanceStatus,
    schema::{image_leftovers, images as image_rows, instance_states, instances},
};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use hypervisor::{
    DiskLimits, DiskMode, Hypervisor, RootDisk, VmId, VmSpec,
    double::{Double, Fault},
    images::{ExportOptions, ImportOptions, Progress, Source},
    qemu::{Qemu, QemuSettings},
};
use kernel::{
    access::Role,
    http::ApiError,
    store::{StoreError, Tx},
    tasks::Engine,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha512};
use testkit::{Server, on_both, process::Program, server::Config};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::people;

/// Files are served on this machine, and the limits are low.
fn low_limits(config: &mut Config) {
    config.outbound.allowed_networks = vec!["127.0.0.1/32".parse().unwrap()];
    config.outbound.allow_http = true;
    config.images.most_per_organization = 3;
    config.images.largest_file_mib = 1;
    config.images.largest_disk_gib = 2;
}

/// Serves the files of a folder; returns where.
async fn serve(folder: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let folder = folder.to_owned();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let folder = folder.clone();
            tokio::spawn(async move {
                let (mut head, mut chunk) = (Vec::new(), [0; 1024]);
                while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                    match stream.read(&mut chunk).await {
                        Ok(length) if length > 0 => head.extend_from_slice(&chunk[..length]),
                        _ => return,
                    }
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let name = head.split(' ').nth(1).unwrap_or("/").trim_start_matches('/');
                let (status, body) = match std::fs::read(folder.join(name)) {
                    Ok(body) => ("200 OK", body),
                    Err(_) => ("404 Not Found", Vec::new()),
                };
                let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
                let _ = stream.write_all(head.as_bytes()).await;
                let _ = stream.write_all(&body).await;
            });
        }
    });
    base
}

fn qemu_img(folder: &Path, arguments: &[&str]) {
    let done = Command::new("qemu-img")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

fn sum<D: Digest>(file: &Path) -> String {
    let sum = D::digest(std::fs::read(file).unwrap());
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A folder of files that is served, and hosts in memory.
struct World {
    folder: tempfile::TempDir,
    base: String,
    double: Double,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        qemu_img(
            folder.path(),
            &["create", "-q", "-f", "qcow2", "good.qcow2", "1025M"],
        );
        Self {
            base: serve(folder.path()).await,
            folder,
            double: Double::new(),
        }
    }

    fn store(&self) -> Arc<dyn ImageStore> {
        Arc::new(OneHost(Arc::new(self.double.clone())))
    }

    fn url(&self, name: &str) -> String {
        format!("{}/{name}", self.base)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the tasks that are due, here and now.
    async fn run(&self, server: &Server) {
        let engine = Engine::new(server.app.clone(), images::kinds(&self.store(), &Arc::default()));
        let (_keep, stop) = tokio::sync::watch::channel(false);
        while engine.run_one(&stop).await.unwrap() {}
    }

    /// A private image with a file.
    async fn image(&self, server: &Server, name: &str, file: &str) -> String {
        let made = create(server, &json!({"name": name, "source_url": self.url(file)})).await;
        self.run(server).await;
        assert_eq!(file_of(server, &made).await["status"], "available");
        made
    }

    async fn tidy(&self, server: &Server) {
        tidy(&server.app, self.store().as_ref()).await.unwrap();
    }

    /// Prepares the machine of the demo's instance on the host, off.
    async fn machine(&self, server: &Server, image: &str) -> VmId {
        let vm = VmId(server.facts.owner.instance_id.uuid());
        let disk = RootDisk {
            image: image.to_owned().try_into().unwrap(),
            size_bytes: 1025 << 20,
            mode: DiskMode::Overlay,
        };
        self.double.prepare_disk(vm, &disk).await.unwrap();
        let spec = VmSpec {
            id: vm,
            name: "test".to_owned(),
            cpus: 1,
            memory_mib: 64,
            disk_limits: DiskLimits::default(),
            interfaces: Vec::new(),
        };
        self.double.define(&spec).await.unwrap();
        vm
    }
}

fn list(server: &Server) -> String {
    server.project("/compute/images")
}

fn one(server: &Server, id: &str) -> String {
    server.project(&format!("/compute/images/{id}"))
}

async fn create(server: &Server, body: &Value) -> String {
    let made = server.owner().post(&list(server), body).await.expect(202);
    assert!(
        made.header("location")
            .ends_with(made.body["image"]["id"].as_str().unwrap())
    );
    made.body["image"]["id"].as_str().unwrap().to_owned()
}

async fn file_of(server: &Server, id: &str) -> Value {
    server
        .owner()
        .get(&format!("{}/file", one(server, id)))
        .await
        .expect(200)
        .body
}

/// What lies in the folder for files on their way.
fn incoming(server: &Server) -> Vec<String> {
    let folder = server.app.config().data_dir.join("incoming");
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}

async fn write(server: &Server, work: impl Fn(&mut Tx<'_>) -> Result<(), ApiError> + Send + 'static) {
    server.app.store().write("test", work).await.unwrap();
}

/// What the host is said to have told of the demo's instance.
async fn set_vm_status(server: &Server, status: &'static str) {
    let id = server.facts.owner.instance_id;
    write(server, move |tx| {
        let state = instance_states::table.filter(instance_states::instance_id.eq(id));
        assert_eq!(
            diesel::update(state)
                .set(instance_states::vm_status.eq(status))
                .execute(tx.conn())?,
            1
        );
        Ok(())
    })
    .await;
}

/// Has the demo's instance be made from an image, in a state.
async fn set_instance(server: &Server, image: &str, status: InstanceStatus) {
    let (id, image): (_, compute::catalogue::api::ImageId) =
        (server.facts.owner.instance_id, image.parse().unwrap());
    write(server, move |tx| {
        diesel::update(instances::table.find(id))
            .set((instances::image_id.eq(image), instances::status.eq(status)))
            .execute(tx.conn())?;
        Ok(())
    })
    .await;
}

async fn digest(server: &Server, id: &str) -> Option<String> {
    let id = id.parse().unwrap();
    let read = server.app.store().read("test", move |conn| digest_of(conn, id));
    read.await.unwrap_or_else(|error: StoreError| panic!("{error}"))
}

async fn leftovers(server: &Server) -> Vec<(String, bool)> {
    let read = server.app.store().read("test", |conn| {
        let query = image_leftovers::table.select((image_leftovers::digest, image_leftovers::being_removed));
        Ok::<_, StoreError>(query.load(conn)?)
    });
    read.await.unwrap()
}

on_both! {
    async fn an_image_comes_from_an_address(server: Server, |config| { low_limits(config) }) {
        let world = World::new().await;
        let checksum = sum::<Sha256>(&world.path("good.qcow2"));
        let body = json!({"name": "My Debian, hardened", "source_url": world.url("good.qcow2"), "checksum": checksum.to_uppercase(), "os_name": "Debian", "os_version": "13"});
        let made = server.owner().post(&list(&server), &body).await.expect(202).body;
        assert_eq!((&made["task"], &made["image"]["is_active"]), (&Value::Null, &json!(false)));
        assert_eq!((&made["image"]["slug"], &made["image"]["visibility"]), (&json!("my-debian-hardened"), &json!("private")));
        let id = made["image"]["id"].as_str().unwrap().to_owned();
        // Seen at once on the node that made it; on offer when its file is there.
        assert_eq!(server.owner().get(&one(&server, &id)).await.expect(200).body, made["image"]);
        let file = file_of(&server, &id).await;
        assert_eq!((&file["status"], &file["checksum"], &file["source_url"]), (&json!("pending"), &Value::Null, &body["source_url"]));
        assert_eq!(digest(&server, &id).await, None);
        let refused = server.owner().patch(&one(&server, &id), &json!({"is_active": true})).await.expect(400);
        assert!(refused.body["is_active"].is_array(), "{}", refused.text);
        server.owner().delete(&one(&server, &id)).await.expect(409);
        world.run(&server).await;
        let file = file_of(&server, &id).await;
        assert_eq!((&file["status"], &file["checksum"], &file["progress"]), (&json!("available"), &json!(checksum), &json!(100)));
        assert_eq!((&file["virtual_size_bytes"], &file["error"]), (&json!(1025_i64 << 20), &Value::Null));
        assert_eq!(file["size_bytes"], std::fs::metadata(world.path("good.qcow2")).unwrap().len());
        assert_eq!(digest(&server, &id).await, Some(checksum.clone()));
        assert_eq!(world.double.images().await.unwrap()[0].id.as_str(), checksum);
        tokio::time::sleep(Duration::from_millis(1050)).await;
        let image = server.owner().get(&one(&server, &id)).await.expect(200).body;
        assert_eq!((&image["is_active"], &image["min_disk_gb"]), (&json!(true), &json!(2)));
        let seen = server.owner().get(&format!("{}?visibility=private", list(&server))).await.expect(200).body;
        assert_eq!((&seen["count"], &seen["results"][0]), (&json!(1), &image));
        assert_eq!(incoming(&server), Vec::<String>::new());
        // A stranger learns nothing.
        let stranger = server.stranger();
        let theirs = one(&server, &id).replace(&server.facts.owner.organization_id.to_string(), &server.facts.stranger.organization_id.to_string())
            .replace(&server.facts.owner.project_id.to_string(), &server.facts.stranger.project_id.to_string());
        for path in [&one(&server, &id), &theirs] {
            stranger.get(path).await.expect(404);
            stranger.get(&format!("{path}/file")).await.expect(404);
            stranger.patch(path, &json!({"name": "Mine"})).await.expect(404);
            stranger.delete(path).await.expect(404);
        }
        assert_eq!((people::records(&server, "image.created").await, people::records(&server, "image.imported").await), (1, 1));
    }

    async fn what_is_not_taken_leaves_a_reason_and_nothing_else(server: Server, |config| { low_limits(config) }) {
        let world = World::new().await;
        let folder = world.folder.path();
        qemu_img(folder, &["create", "-q", "-f", "qcow2", "-u", "-b", "/etc/shadow", "-F", "raw", "backing.qcow2", "1M"]);
        qemu_img(folder, &["create", "-q", "-f", "qcow2", "wide.qcow2", "3G"]);
        std::fs::write(world.path("long.raw"), vec![1; (1 << 20) + 1]).unwrap();
        std::fs::write(world.path("packed.gz"), b"\x1f\x8b\x08\0\0\0").unwrap();
        let (zeros, more_zeros) = ("0".repeat(64), "0".repeat(128));
        for (name, checksum, why) in [
            ("backing.qcow2", None, "backing file"),
            ("wide.qcow2", None, "too large"),
            ("long.raw", None, "too large: 1 MiB"),
            ("packed.gz", None, "gzip"),
            ("nothing", None, "status 404"),
            ("good.qcow2", Some(&zeros), "expected checksum"),
            ("good.qcow2", Some(&more_zeros), "expected checksum"),
        ] {
            let id = create(&server, &json!({"name": name, "source_url": world.url(name), "checksum": checksum})).await;
            world.run(&server).await;
            let file = file_of(&server, &id).await;
            assert_eq!(file["status"], "failed", "{name}");
            assert!(file["error"].as_str().unwrap().contains(why), "{name}: {}", file["error"]);
            assert_eq!(server.owner().get(&one(&server, &id)).await.expect(200).body["is_active"], false);
            server.owner().patch(&one(&server, &id), &json!({"is_active": true})).await.expect(400);
            assert_eq!((digest(&server, &id).await, incoming(&server)), (None, Vec::new()), "{name}");
            server.owner().delete(&one(&server, &id)).await.expect(204);
            server.owner().get(&one(&server, &id)).await.expect(404);
            server.owner().delete(&one(&server, &id)).await.expect(404);
        }
        assert_eq!(world.double.images().await.unwrap(), []);
        assert_eq!(people::records(&server, "image.import_failed").await, 7);
        // SHA-512, as Debian publishes it.
        let right = sum::<Sha512>(&world.path("good.qcow2"));
        let id = create(&server, &json!({"name": "Right", "source_url": world.url("good.qcow2"), "checksum": right})).await;
        world.run(&server).await;
        assert_eq!(file_of(&server, &id).await["status"], "available");
        // Who knows the checksum of an image that hosts have, and has not the file, does not get the image.
        std::fs::write(world.path("other.raw"), vec![1; 4096]).unwrap();
        let known = sum::<Sha256>(&world.path("good.qcow2"));
        let id = create(&server, &json!({"name": "Taken", "source_url": world.url("other.raw"), "checksum": known})).await;
        world.run(&server).await;
        let file = file_of(&server, &id).await;
        assert_eq!((&file["status"], &file["checksum"]), (&json!("failed"), &Value::Null));
    }

    async fn a_host_that_fails_in_passing_is_asked_again(server: Server, |config| { low_limits(config) }) {
        let world = World::new().await;
        // It was done, and the worker never heard of it.
        world.double.fail("import_image", Fault::AnswerLost);
        world.double.fail("import_image", Fault::Passing);
        let id = create(&server, &json!({"name": "Again", "source_url": world.url("good.qcow2")})).await;
        for _ in 0..2 {
            world.run(&server).await;
            assert_eq!(file_of(&server, &id).await["status"], "importing");
            assert_eq!(incoming(&server), Vec::<String>::new());
            server.clock.advance(Duration::from_secs(600));
        }
        world.run(&server).await;
        assert_eq!(file_of(&server, &id).await["status"], "available");
        assert_eq!(world.double.images().await.unwrap().len(), 1);
    }

    async fn imports_leave_workers_to_others(server: Server, |config| { low_limits(config) }) {
        let world = World::new().await;
        world.double.delay("import_image", Duration::from_millis(600));
        let slow = create(&server, &json!({"name": "Slow", "source_url": world.url("good.qcow2")})).await;
        let next = create(&server, &json!({"name": "Next", "source_url": world.url("good.qcow2")})).await;
        let engine = Engine::new(server.app.clone(), images::kinds(&world.store(), &Arc::default()));
        let (_keep, stop) = tokio::sync::watch::channel(false);
        let later = async {
            tokio::time::sleep(Duration::from_millis(250)).await;
            engine.run_one(&stop).await.unwrap()
        };
        let (first, second) = tokio::join!(engine.run_one(&stop), later);
        assert!(first.unwrap() && second);
        assert_eq!(file_of(&server, &slow).await["status"], "available");
        assert_eq!(file_of(&server, &next).await["status"], "pending", "it is not its turn");
        assert!(!engine.run_one(&stop).await.unwrap());
        server.clock.advance(Duration::from_secs(6));
        while engine.run_one(&stop).await.unwrap() {}
        assert_eq!(file_of(&server, &next).await["status"], "available");
    }

    async fn all_faults_are_told_at_once(server: Server, |config| { low_limits(config) }) {
        let world = World::new().await;
        world.image(&server, "Known", "good.qcow2").await;
        let faults = async |body: Value| server.owner().post(&list(&server), &body).await.expect(400).body;
        let said = faults(json!({"name": "", "slug": "kno wn", "source_url": "/relative"})).await;
        for field in ["name", "slug", "source_url"] {
            assert!(said[field].is_array(), "{field}: {said}");
        }
        let said = faults(json!({"name": "New", "slug": "known", "source_url": "https://10.0.0.1/x", "checksum": "abc"})).await;
        assert!(said["slug"][0].as_str().unwrap().contains("already exists"), "{said}");
        assert!(said["source_url"][0].as_str().unwrap().contains("public internet"), "{said}");
        assert!(said["checksum"][0].as_str().unwrap().contains("SHA-256"), "{said}");
        for body in [
            json!({"name": "New"}),
            json!({"name": "New", "source_url": world.url("x"), "instance_id": server.facts.owner.instance_id}),
        ] {
            let said = faults(body).await;
            assert!(said["non_field_errors"][0].as_str().unwrap().contains("Exactly one"), "{said}");
        }
        // Another's instance is none.
        for id in [server.facts.stranger.instance_id.to_string(), kernel::id::AnyId::new().to_string()] {
            let said = faults(json!({"name": "New", "instance_id": id, "checksum": "0".repeat(64)})).await;
            assert!(said["instance_id"][0].as_str().unwrap().contains("does not exist"), "{said}");
            assert!(said["checksum"].is_array(), "{said}");
        }
        // The limit of an organization; what was deleted does not count.
        let second = create(&server, &json!({"name": "Known", "source_url": world.url("x")})).await;
        assert_eq!(server.owner().get(&one(&server, &second)).await.expect(200).body["slug"], "known-2");
        create(&server, &json!({"name": "Third", "source_url": world.url("y")})).await;
        let said = faults(json!({"name": "Fourth", "source_url": world.url("z")})).await;
        assert!(said["detail"].as_str().unwrap().contains("at most 3"), "{said}");
        world.run(&server).await;
        server.owner().delete(&one(&server, &second)).await.expect(204);
        create(&server, &json!({"name": "Fourth", "slug": "known-2", "source_url": world.url("z")})).await;
    }

    async fn who_may_change_images(server: Server, |config| { low_limits(config) }) {
        let world = World::new().await;
        let id = world.image(&server, "Ours", "good.qcow2").await;
        let body = json!({"name": "New", "source_url": world.url("good.qcow2")});
        let (viewer, _) = server.member(Role::Viewer).await;
        viewer.get(&one(&server, &id)).await.expect(200);
        viewer.get(&format!("{}/file", one(&server, &id))).await.expect(200);
        viewer.post(&list(&server), &body).await.expect(403);
        viewer.patch(&one(&server, &id), &json!({"name": "New"})).await.expect(403);
        viewer.delete(&one(&server, &id)).await.expect(403);
        let public = server.owner().get(&format!("{}?visibility=public", list(&server))).await.expect(200).body;
        let public = public["results"][0]["id"].as_str().unwrap().to_owned();
        server.owner().patch(&one(&server, &public), &json!({"name": "Mine"})).await.expect(403);
        server.owner().delete(&one(&server, &public)).await.expect(403);
        server.owner().get(&format!("{}/file", one(&server, &public))).await.expect(404);
        // A guest of another project changes what is made there, and nothing else.
        let projects = server.owner().get(&people::organization(&server, "/projects")).await.expect(200).body;
        let own = server.facts.owner.project_id.to_string();
        let other = projects.as_array().unwrap().iter().find(|project| project["id"] != own.as_str()).unwrap()["id"].as_str().unwrap().to_owned();
        let (guest, user) = server.member(Role::Guest).await;
        let members = people::organization(&server, &format!("/projects/{other}/members"));
        server.owner().post(&members, &json!({"user_id": user, "role": "editor"})).await.expect(201);
        let there = |id: &str| one(&server, id).replace(&own, &other);
        guest.patch(&there(&id), &json!({"name": "Theirs"})).await.expect(403);
        guest.delete(&there(&id)).await.expect(403);
        let made = guest.post(&list(&server).replace(&own, &other), &body).await.expect(202).body;
        guest.patch(&there(made["image"]["id"].as_str().unwrap()), &json!({"name": "Renamed"})).await.expect(200);
        let (editor, _) = server.member(Role::Editor).await;
        editor.patch(&there(&id), &json!({"name": "By an editor"})).await.expect(200);
    }

    async fn a_change_is_seen_and_a_change_of_nothing_is_none(server: Server, |config| { low_limits(config) }) {
        let world = World::new().await;
        let id = world.image(&server, "Base", "good.qcow2").await;
        world.image(&server, "Other", "good.qcow2").await;
        tokio::time::sleep(Duration::from_millis(1050)).await;
        let client = server.owner();
        let before = client.get(&one(&server, &id)).await.expect(200);
        let change = json!({"name": "Base 2", "slug": "base-2", "description": "", "is_active": false});
        let after = client.patch(&one(&server, &id), &change).await.expect(200);
        for field in ["name", "slug", "description", "is_active"] {
            assert_eq!(after.body[field], change[field], "{field}");
        }
        assert_eq!(client.get(&one(&server, &id)).await.expect(200).body, after.body);
        let again = client.patch(&one(&server, &id), &change).await.expect(200);
        assert_eq!(again.body, after.body);
        assert_eq!(people::records(&server, "image.updated").await, 1);
        let stale = [("if-match", before.header("etag"))];
        client.send(reqwest::Method::PATCH, &one(&server, &id), &stale, Some("{\"name\": \"Late\"}".to_owned())).await.expect(412);
        client.send(reqwest::Method::DELETE, &one(&server, &id), &stale, None).await.expect(412);
        let said = client.patch(&one(&server, &id), &json!({"slug": "other", "name": ""})).await.expect(400).body;
        assert!(said["name"].is_array(), "{said}");
        let said = client.patch(&one(&server, &id), &json!({"slug": "other"})).await.expect(400).body;
        assert!(said["slug"].is_array(), "{said}");
        client.patch(&one(&server, &id), &json!({"is_active": true})).await.expect(200);
    }

    async fn an_instance_that_is_off_becomes_an_image(server: Server, |config| { low_limits(config) }) {
        let world = World::new().await;
        let base = world.image(&server, "Base", "good.qcow2").await;
        let vm = world.machine(&server, &digest(&server, &base).await.unwrap()).await;
        let body = json!({"name": "Golden", "instance_id": server.facts.owner.instance_id});
        let refused = server.owner().post(&list(&server), &body).await.expect(409).body;
        assert!(refused["detail"].as_str().unwrap().contains("stopped first"), "{refused}");
        set_vm_status(&server, "stopped").await;
        let made = server.owner().post(&list(&server), &body).await.expect(202).body;
        let (image, task) = (&made["image"], &made["task"]);
        let id = image["id"].as_str().unwrap();
        assert_eq!((&task["task_type"], &task["status"]), (&json!("create_image"), &json!("pending")));
        assert_eq!((&task["parameters"]["image_id"], &task["instance_id"]), (&image["id"], &json!(server.facts.owner.instance_id)));
        // Like the image that the instance was made from.
        let instance = server.owner().get(&server.instance()).await.expect(200).body;
        for field in ["os_name", "os_version", "language", "is_windows", "min_ram_mb"] {
            assert_eq!(image[field], instance["image"][field], "{field}");
        }
        let busy = server.owner().post(&list(&server), &body).await.expect(409).body;
        assert!(busy["detail"].as_str().unwrap().contains("running task"), "{busy}");
        // A worker that dies after the copy was made repeats it.
        world.double.fail("export_disk", Fault::AnswerLost);
        world.run(&server).await;
        server.clock.advance(Duration::from_secs(600));
        world.run(&server).await;
        let tasks = server.owner().get(&server.project("/compute/tasks?task_type=create_image")).await.expect(200).body;
        assert_eq!((&tasks["count"], &tasks["results"][0]["status"]), (&json!(1), &json!("completed")));
        let file = file_of(&server, id).await;
        assert_eq!((&file["status"], &file["source_url"], &file["virtual_size_bytes"]), (&json!("available"), &Value::Null, &json!(1025_i64 << 20)));
        let copied = world.double.export_disk(vm, &ExportOptions::default()).await.unwrap();
        assert_eq!(digest(&server, id).await.as_deref(), Some(copied.id.as_str()));
        assert_eq!(world.double.images().await.unwrap().len(), 2);
        // The host has the last word: it runs, whatever was told.
        world.double.start(vm).await.unwrap();
        let made = server.owner().post(&list(&server), &json!({"name": "Late", "instance_id": server.facts.owner.instance_id})).await.expect(202).body;
        world.run(&server).await;
        let file = file_of(&server, made["image"]["id"].as_str().unwrap()).await;
        assert_eq!((&file["status"], &file["error"]), (&json!("failed"), &json!("The instance must be stopped first.")));
    }

    async fn a_deleted_image_s_file_goes_when_nothing_needs_it(server: Server, |config| { low_limits(config) }) {
        let world = World::new().await;
        let id = world.image(&server, "One", "good.qcow2").await;
        let twin = world.image(&server, "Two", "good.qcow2").await;
        let name = digest(&server, &id).await.unwrap();
        assert_eq!(digest(&server, &twin).await.as_ref(), Some(&name));
        // An instance is being made from it: not now.
        set_instance(&server, &id, InstanceStatus::Provisioning).await;
        let refused = server.owner().delete(&one(&server, &id)).await.expect(409).body;
        assert!(refused["detail"].as_str().unwrap().contains("being made from"), "{refused}");
        set_instance(&server, &id, InstanceStatus::Active).await;
        let vm = world.machine(&server, &name).await;
        server.owner().delete(&one(&server, &id)).await.expect(204);
        server.owner().get(&one(&server, &id)).await.expect(404);
        assert_eq!(digest(&server, &id).await, None);
        // The instance goes on and says what it was made from; the twin has the file.
        let instance = server.owner().get(&server.instance()).await.expect(200).body;
        assert_eq!((&instance["image"]["id"], &instance["image"]["name"]), (&json!(id), &json!("One")));
        assert_eq!(leftovers(&server).await, []);
        server.owner().delete(&one(&server, &twin)).await.expect(204);
        assert_eq!(leftovers(&server).await, [(name.clone(), false)]);
        world.run(&server).await;
        assert_eq!(world.double.images().await.unwrap().len(), 1, "a disk builds on it");
        assert_eq!(leftovers(&server).await, [(name.clone(), false)]);
        // Wanted again before it is gone.
        let third = world.image(&server, "Three", "good.qcow2").await;
        assert_eq!(leftovers(&server).await, []);
        server.owner().delete(&one(&server, &third)).await.expect(204);
        world.double.destroy(vm).await.unwrap();
        world.run(&server).await;
        assert_eq!((world.double.images().await.unwrap().len(), leftovers(&server).await.len()), (0, 0));
        // Remembered for a day; the one of which there is an instance, as long as that is there.
        server.clock.advance(Duration::from_secs(25 * 3600));
        world.tidy(&server).await;
        let read = server.app.store().read("test", |conn| {
            let query = image_rows::table.filter(image_rows::organization_id.is_not_null());
            Ok::<_, StoreError>(query.select(image_rows::name).load::<String>(conn)?)
        });
        assert_eq!(read.await.unwrap(), ["One"]);
        server.owner().get(&server.instance()).await.expect(200);
        server.owner().get(&one(&server, &id)).await.expect(404);
    }

    async fn a_file_that_is_being_removed_is_brought_once_more(server: Server, |config| { low_limits(config) }) {
        let world = World::new().await;
        let id = world.image(&server, "One", "good.qcow2").await;
        let name = digest(&server, &id).await.unwrap();
        server.owner().delete(&one(&server, &id)).await.expect(204);
        // A worker has begun to remove it, and died.
        write(&server, |tx| {
            diesel::update(image_leftovers::table).set(image_leftovers::being_removed.eq(true)).execute(tx.conn())?;
            Ok(())
        }).await;
        let again = create(&server, &json!({"name": "Again", "source_url": world.url("good.qcow2")})).await;
        let engine = Engine::new(server.app.clone(), images::kinds(&world.store(), &Arc::default()).into_iter().filter(|kind| kind.name() == "import_image").collect());
        let (_keep, stop) = tokio::sync::watch::channel(false);
        while engine.run_one(&stop).await.unwrap() {}
        assert_eq!(file_of(&server, &again).await["status"], "importing");
        world.tidy(&server).await;
        assert_eq!((world.double.images().await.unwrap().len(), leftovers(&server).await.len()), (0, 0));
        server.clock.advance(Duration::from_secs(600));
        world.run(&server).await;
        assert_eq!((file_of(&server, &again).await["status"].clone(), digest(&server, &again).await), (json!("available"), Some(name)));
        assert_eq!(world.double.images().await.unwrap().len(), 1);
    }

    async fn an_organization_that_is_gone_keeps_no_files(server: Server, |config| { low_limits(config) }) {
        use identity::schema::organizations;
        let world = World::new().await;
        world.image(&server, "Ours", "good.qcow2").await;
        world.tidy(&server).await;
        assert_eq!(world.double.images().await.unwrap().len(), 1);
        let id = server.facts.owner.organization_id;
        write(&server, move |tx| {
            let now = tx.now();
            diesel::update(organizations::table.find(id)).set(organizations::purged_at.eq(Some(now))).execute(tx.conn())?;
            Ok(())
        }).await;
        world.tidy(&server).await;
        assert_eq!((world.double.images().await.unwrap().len(), leftovers(&server).await.len()), (0, 0));
    }

    async fn operators_give_images_their_files(server: Server, |config| { low_limits(config) }) {
        let world = World::new().await;
        let host = tempfile::tempdir().unwrap();
        let mut config = server.app.config().clone();
        config.data_dir = host.path().to_owned();
        let store = LocalHost::new(&config);
        let folder = world.folder.path();
        qemu_img(folder, &["create", "-q", "-f", "qcow2", "next.qcow2", "12G"]);
        qemu_img(folder, &["create", "-q", "-f", "qcow2", "-u", "-b", "/etc/shadow", "-F", "raw", "backing.qcow2", "1M"]);
        let new = |slug: &str, os_name: Option<&str>| operators::NewImage {
            slug: slug.to_owned(), name: None, os_name: os_name.map(str::to_owned), os_version: None, os_architecture: None, min_ram_mb: None, public: true,
        };
        let import = async |new: operators::NewImage, file: &str, checksum: Option<Checksum>| {
            let source = operators::Source::File(world.path(file));
            operators::import(&server.app, &store, new, source, checksum, &Watch::default()).await
        };
        let files = || {
            let entries = std::fs::read_dir(host.path().join("hypervisor/images")).unwrap();
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).filter(|name| name.ends_with(".qcow2")).collect::<Vec<_>>()
        };
        // For an image of the catalogue, by address.
        let first = sum::<Sha512>(&world.path("good.qcow2")).parse().unwrap();
        let source = operators::Source::Url(world.url("good.qcow2"));
        let id = operators::import(&server.app, &store, new("debian-13", None), source, Some(first), &Watch::default()).await.unwrap().to_string();
        let old = digest(&server, &id).await.unwrap();
        assert_eq!(old, sum::<Sha256>(&world.path("good.qcow2")));
        tokio::time::sleep(Duration::from_millis(1050)).await;
        let image = server.owner().get(&one(&server, &id)).await.expect(200).body;
        assert_eq!((&image["slug"], &image["name"], &image["is_active"], &image["min_disk_gb"]), (&json!("debian-13"), &json!("Debian 13"), &json!(true), &json!(10)));
        // Where an operator has it from is nobody else's business.
        assert_eq!(file_of(&server, &id).await["source_url"], Value::Null);
        // A newer file takes its place; the older one goes.
        assert_eq!(import(new("debian-13", None), "next.qcow2", None).await.unwrap().to_string(), id);
        let next = digest(&server, &id).await.unwrap();
        assert_eq!((next == old, files().len(), leftovers(&server).await), (false, 2, vec![(old, false)]));
        tidy(&server.app, &store).await.unwrap();
        assert_eq!((files(), leftovers(&server).await.len()), (vec![format!("{next}.qcow2")], 0));
        // Refused: nothing changes, and no image is left behind.
        for (new, file, checksum, why) in [
            (new("rescue", Some("Linux")), "backing.qcow2", None, "backing file"),
            (new("rescue", None), "good.qcow2", None, "--os-name"),
            (new("a b", Some("Linux")), "good.qcow2", None, "slug"),
            (new("debian-13", None), "good.qcow2", Some("0".repeat(64).parse().unwrap()), "checksum"),
            (new("rescue", Some("Linux")), "nothing", None, "could not"),
        ] {
            let said = import(new, file, checksum).await.unwrap_err();
            assert!(said.contains(why), "{why}: {said}");
        }
        assert_eq!(digest(&server, &id).await, Some(next));
        let mut hidden = new("rescue", Some("Linux"));
        hidden.public = false;
        let hidden = import(hidden, "good.qcow2", None).await.unwrap().to_string();
        tokio::time::sleep(Duration::from_millis(1050)).await;
        server.owner().get(&one(&server, &hidden)).await.expect(404);
        let listed = server.app.store().read("test", operators::list).await;
        let listed = listed.unwrap_or_else(|error: StoreError| panic!("{error}"));
        let told: Vec<_> = listed.iter().map(|image| (image.slug.as_str(), image.is_public, image.status.map(|status| status.as_str()))).collect();
        assert!(told.contains(&("rescue", false, Some("available"))) && told.contains(&("debian-12", true, None)), "{told:?}");
    }
}

/// With the real tool and without a machine that runs: what a disk shows is all in the copy, which needs no other file.
#[tokio::test]
async fn a_disk_is_copied_whole() {
    let folder = tempfile::tempdir().unwrap();
    qemu_img(
        folder.path(),
        &["create", "-q", "-f", "qcow2", "good.qcow2", "16M"],
    );
    let data = folder.path().join("hypervisor");
    let qemu = Qemu::open(QemuSettings::new(&data)).await.unwrap();
    let options = ImportOptions::default();
    let source = Source::File(folder.path().join("good.qcow2"));
    let progress = Progress::default();
    let base = qemu.import_image(source, &options, &progress).await.unwrap();
    let vm = VmId(kernel::id::AnyId::new().uuid());
    let disk = RootDisk {
        image: base.id.clone(),
        size_bytes: 32 << 20,
        mode: DiskMode::Overlay,
    };
    let export = ExportOptions::default();
    let refused = qemu.export_disk(vm, &export).await.unwrap_err();
    assert!(
        !refused.is_passing() && refused.public().contains("no disk"),
        "{refused}"
    );
    qemu.prepare_disk(vm, &disk).await.unwrap();
    let path = data.join(format!("machines/{vm}/disk.qcow2"));
    let write = ["-f", "qcow2", "-c", "write -P 7 20M 64k"];
    let written = Command::new("qemu-io").args(write).arg(&path).output().unwrap();
    assert!(written.status.success(), "{written:?}");
    let image = qemu.export_disk(vm, &export).await.unwrap();
    assert_eq!(image.virtual_size, 32 << 20);
    assert_eq!(qemu.export_disk(vm, &export).await.unwrap(), image);
    assert!(
        qemu.remove_image(&base.id).await.is_err(),
        "the disk builds on it"
    );
    qemu.destroy(vm).await.unwrap();
    qemu.remove_image(&base.id).await.unwrap();
    assert_eq!(qemu.images().await.unwrap(), std::slice::from_ref(&image));
    let copy = data.join(format!("images/{}.qcow2", image.id));
    let read = ["-f", "qcow2", "-c", "read -P 7 20M 64k"];
    let read = Command::new("qemu-io").args(read).arg(&copy).output().unwrap();
    let said = String::from_utf8_lossy(&read.stdout).into_owned();
    assert!(read.status.success() && !said.contains("failed"), "{said}");
    let info = Command::new("qemu-img").arg("info").arg(&copy).output().unwrap();
    assert!(!String::from_utf8_lossy(&info.stdout).contains("backing"));
    // What is left in the store's folder is the image and its record.
    assert_eq!(std::fs::read_dir(data.join("images")).unwrap().count(), 2);
}

#[test]
fn the_commands_import_and_list() {
    let folder = tempfile::tempdir().unwrap();
    qemu_img(
        folder.path(),
        &["create", "-q", "-f", "qcow2", "good.qcow2", "1G"],
    );
    let file = folder.path().join("good.qcow2");
    let program = Program::new(env!("CARGO_BIN_EXE_onetd"), &folder.path().join("data"));
    let run = |arguments: &[&str]| {
        let done = program.run(&[&["images"], arguments].concat());
        let [out, err] = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (done.status.success(), out, err)
    };
    let path = file.to_string_lossy().into_owned();
    let sum = sum::<Sha512>(&file);
    let import = [
        "import",
        "--slug",
        "tiny",
        "--os-name",
        "Linux",
        "--public",
        "--file",
        &path,
        "--checksum",
    ];
    let (fine, _, err) = run(&[&import[..], &["0000"]].concat());
    assert!(!fine && err.contains("SHA-256 or SHA-512"), "{err}");
    let (fine, _, err) = run(&[&import[..], &[&"0".repeat(128)]].concat());
    assert!(!fine && err.contains("expected checksum"), "{err}");
    let (fine, out, err) = run(&[&import[..], &[&sum]].concat());
    assert!(fine && out.starts_with("Imported tiny ("), "{out}{err}");
    let (fine, out, _) = run(&["list"]);
    assert!(
        fine && out.starts_with("tiny\ttiny\tavailable\t1024 MiB\t"),
        "{out}"
    );
    let (fine, _, err) = run(&["import", "--slug", "tiny"]);
    assert!(!fine && err.contains("--file"), "{err}");
}
