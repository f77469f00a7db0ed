//! Snapshots: taken, gone back to, deleted, and what is refused on the way.

use hypervisor::{Hypervisor, double::Fault};
use kernel::access::Role;
use serde_json::{Value, json};
use testkit::{Answer, Server, on_both};

use super::{Life, only_for_editors, size};
use crate::projects::second;

impl Life {
    /// Buys the add-on of this slug.
    pub(super) async fn buy(&self, server: &Server, slug: &str) {
        let all = server
            .owner()
            .get(&format!("{}/addons", self.path))
            .await
            .expect(200)
            .body;
        let addon = all
            .as_array()
            .unwrap()
            .iter()
            .find(|addon| addon["addon"]["slug"] == slug)
            .unwrap();
        let body = json!({"addon_id": addon["addon"]["id"]});
        self.post(server, "addons/activate", &body).await.expect(201);
    }

    async fn snapshot(&self, server: &Server, name: &str) -> Answer {
        self.post(server, "snapshots", &json!({ "name": name })).await
    }

    /// One that is there.
    async fn taken(&self, server: &Server, name: &str) -> Value {
        let asked = self.snapshot(server, name).await.expect(201).body;
        self.site.run_with_retries(server).await;
        self.shown(server, &asked).await.expect(200).body
    }

    async fn shown(&self, server: &Server, snapshot: &Value) -> Answer {
        server.owner().get(&self.snapshot_path(snapshot)).await
    }

    fn snapshot_path(&self, snapshot: &Value) -> String {
        format!("{}/snapshots/{}", self.path, snapshot["id"].as_str().unwrap())
    }

    async fn copies(&self) -> Vec<String> {
        let copies = self.site.host.copies().await.unwrap();
        copies.iter().map(|copy| copy.id.to_string()).collect()
    }
}

on_both! {
    async fn a_snapshot_is_taken_while_it_runs_and_gone_back_to(server: Server) {
        let life = Life::begin(&server).await;
        life.buy(&server, "snapshot").await;
        let asked = life.post(&server, "snapshots", &json!({"name": "before", "description": "the upgrade"})).await.expect(201).body;
        assert_eq!((&asked["status"], &asked["size_gb"], &asked["is_active"]), (&json!("pending"), &Value::Null, &json!(false)));
        let task = server.project(&format!("/compute/tasks/{}", asked["task_id"].as_str().unwrap()));
        let task = server.owner().get(&task).await.expect(200).body;
        assert_eq!((&task["task_type"], &task["parameters"]["snapshot_id"]), (&json!("create_snapshot"), &asked["id"]));
        server.run_tasks().await;
        let answer = life.shown(&server, &asked).await.expect(200);
        assert!(!answer.header("etag").is_empty());
        let taken = answer.body;
        assert_eq!((&taken["status"], &taken["name"], &taken["description"]), (&json!("available"), &json!("before"), &json!("the upgrade")));
        assert_eq!((&taken["size_gb"], &taken["is_active"], &taken["include_memory"]), (&json!("2.50"), &json!(true), &json!(false)));
        assert_eq!(taken["instance"], json!({"id": life.instance["id"], "name": life.instance["name"]}));
        assert_eq!((&taken["volumes"][0]["disk_name"], &taken["volumes"][0]["size_gb"]), (&json!("scsi0"), &json!(20)));
        assert_eq!(life.copies().await, [taken["id"].as_str().unwrap()]);
        let restore = format!("snapshots/{}/restore", taken["id"].as_str().unwrap());
        let refused = life.post(&server, &restore, &json!({})).await.expect(409);
        assert!(refused.text.contains("must be stopped"), "{}", refused.text);
        life.done(&server, "stop", &json!({})).await;
        let task = life.done(&server, &restore, &json!({})).await;
        assert_eq!((&task["task_type"], &task["status"]), (&json!("restore_snapshot"), &json!("completed")));
        let restored = life.shown(&server, &taken).await.expect(200).body;
        assert_eq!(restored["status"], "available");
        assert!(restored["restored_at"].is_string());
        let calls = life.site.host.calls();
        assert_eq!(calls.iter().filter(|(call, _)| *call == "restore_copy").count(), 1);
        life.done(&server, "start", &json!({})).await;
        assert_eq!(life.get(&server).await["state_sync"]["vm_status"], "running");
    }

    async fn snapshots_are_listed_renamed_and_deleted(server: Server) {
        let life = Life::begin(&server).await;
        life.buy(&server, "snapshot").await;
        let (first, second) = (life.taken(&server, "b").await, life.taken(&server, "a").await);
        let names = |page: &Value| -> Vec<String> {
            page["results"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
        };
        let of_project = server.project("/compute/snapshots");
        let own = format!("{}/snapshots", life.path);
        let id = life.instance["id"].as_str().unwrap();
        let other = kernel::id::AnyId::new();
        for (path, wanted) in [
            (own.clone(), &["a", "b"][..]),
            (format!("{own}?ordering=-name"), &["b", "a"]),
            (format!("{own}?page_size=1&page=2"), &["b"]),
            (format!("{own}?status=error"), &[]),
            (of_project.clone(), &["a", "b"]),
            (format!("{of_project}?instance_id={id}&ordering=created"), &["b", "a"]),
            (format!("{of_project}?instance_id={other}"), &[]),
        ] {
            assert_eq!(names(&server.owner().get(&path).await.expect(200).body), wanted, "{path}");
        }
        server.owner().get(&format!("{own}?status=lost")).await.expect(400);
        server.owner().get(&server.project(&format!("/compute/instances/{other}/snapshots"))).await.expect(404);
        let path = life.snapshot_path(&first);
        let renamed = server.owner().patch(&path, &json!({"name": "c"})).await.expect(200).body;
        assert_eq!((&renamed["name"], &renamed["status"]), (&json!("c"), &json!("available")));
        server.owner().patch(&path, &json!({"name": ""})).await.expect(400);
        let task = server.owner().delete(&path).await.expect(202).body;
        assert_eq!(task["task_type"], "delete_snapshot");
        assert_eq!(life.shown(&server, &first).await.expect(200).body["status"], "deleting");
        server.owner().delete(&path).await.expect(409);
        server.run_tasks().await;
        life.shown(&server, &first).await.expect(404);
        assert_eq!(life.copies().await, [second["id"].as_str().unwrap()]);
        // The rest goes with the instance.
        server.owner().delete(&life.path).await.expect(202);
        server.run_tasks().await;
        assert_eq!(life.copies().await, Vec::<String>::new());
        assert_eq!(server.owner().get(&of_project).await.expect(200).body["count"], 0);
    }

    async fn what_is_refused_makes_no_snapshot(server: Server) {
        let life = Life::begin(&server).await;
        let unpaid = life.snapshot(&server, "early").await.expect(402);
        assert!(unpaid.text.contains("activate it first"), "{}", unpaid.text);
        life.buy(&server, "snapshot").await;
        for (body, field) in [(json!({}), "name"), (json!({"name": "x".repeat(256)}), "name"), (json!({"name": "x", "include_memory": true}), "include_memory")] {
            let answer = life.post(&server, "snapshots", &body).await.expect(400);
            assert!(answer.body[field].is_array(), "{}", answer.text);
        }
        life.snapshot(&server, "one").await.expect(201);
        let busy = life.snapshot(&server, "two").await.expect(409);
        assert!(busy.text.contains("at work"), "{}", busy.text);
        server.run_tasks().await;
        let most = server.app.config().compute.snapshots_per_instance;
        for number in 1..most {
            life.taken(&server, &format!("n{number}")).await;
        }
        let many = life.snapshot(&server, "many").await.expect(409);
        assert!(many.text.contains("at most"), "{}", many.text);
        let list = server.owner().get(&format!("{}/snapshots?page_size=100", life.path)).await.expect(200).body;
        assert_eq!(list["count"], most);
        let taken = list["results"][0].clone();
        server.stranger().get(&life.snapshot_path(&taken)).await.expect(404);
        let (viewer, _) = server.member(Role::Viewer).await;
        viewer.get(&life.snapshot_path(&taken)).await.expect(200);
        viewer.delete(&life.snapshot_path(&taken)).await.expect(403);
        only_for_editors(&server, &format!("{}/snapshots", life.path), &json!({"name": "mine"})).await;
    }

    async fn what_fails_leaves_nothing_and_can_be_tried_again(server: Server) {
        let life = Life::begin(&server).await;
        life.buy(&server, "snapshot").await;
        life.site.host.fail("save_copy", Fault::Last);
        let failed = life.taken(&server, "unlucky").await;
        assert_eq!((&failed["status"], &failed["error_message"]), (&json!("error"), &json!("The host could not carry this out.")));
        assert_eq!(life.copies().await, Vec::<String>::new());
        let retry = server.project(&format!("/compute/tasks/{}/retry", failed["task_id"].as_str().unwrap()));
        server.owner().post(&retry, &json!({})).await.expect(202);
        server.run_tasks().await;
        assert_eq!(life.shown(&server, &failed).await.expect(200).body["status"], "available");
        // Answers that are lost, at every call.
        for call in ["save_copy", "restore_copy", "remove_copy"] {
            life.site.host.fail(call, Fault::AnswerLost);
        }
        let taken = life.taken(&server, "lost").await;
        assert_eq!(taken["status"], "available");
        life.done(&server, "stop", &json!({})).await;
        let task = life.done(&server, &format!("snapshots/{}/restore", taken["id"].as_str().unwrap()), &json!({})).await;
        assert_eq!(task["status"], "completed");
        server.owner().delete(&life.snapshot_path(&taken)).await.expect(202);
        life.site.run_with_retries(&server).await;
        life.shown(&server, &taken).await.expect(404);
        assert_eq!(life.copies().await, [failed["id"].as_str().unwrap()]);
        // A restoration that the host refuses leaves the snapshot as it was.
        life.site.host.fail("restore_copy", Fault::Last);
        let restore = format!("snapshots/{}/restore", failed["id"].as_str().unwrap());
        assert_eq!(life.done(&server, &restore, &json!({})).await["status"], "failed");
        let kept = life.shown(&server, &failed).await.expect(200).body;
        assert_eq!((&kept["status"], &kept["restored_at"]), (&json!("available"), &Value::Null));
    }

    async fn a_grown_disk_stays_large_and_the_old_system_comes_back(server: Server) {
        let life = Life::begin(&server).await;
        life.buy(&server, "snapshot").await;
        let taken = life.taken(&server, "small").await;
        let medium = size(&server, "vps-m").await;
        life.post(&server, "resize", &json!({"size_id": medium})).await.expect(202);
        server.run_tasks().await;
        let grown = life.site.host.disk_bytes(life.vm()).unwrap();
        life.done(&server, "stop", &json!({})).await;
        let restore = format!("snapshots/{}/restore", taken["id"].as_str().unwrap());
        assert_eq!(life.done(&server, &restore, &json!({})).await["status"], "completed");
        assert_eq!(life.site.host.disk_bytes(life.vm()), Some(grown));
    }

    async fn snapshots_move_with_their_instance(server: Server) {
        let life = Life::begin(&server).await;
        life.buy(&server, "snapshot").await;
        let taken = life.taken(&server, "moved").await;
        let (target, there) = second(&server).await;
        let body = json!({"target_project_id": target["id"], "resources": [{"id": life.instance["id"], "resource_type": "instance"}]});
        server.owner().post(&server.project("/resources/transfer"), &body).await.expect(200);
        life.shown(&server, &taken).await.expect(404);
        let list = server.owner().get(&format!("{there}/compute/snapshots")).await.expect(200).body;
        assert_eq!(list["results"][0]["id"], taken["id"]);
    }
}
