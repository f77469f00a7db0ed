//! What runs on a machine: host name, password, another system, rescue, network.

use compute::schema::{image_files, images};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use hypervisor::{
    BootDisk, Hypervisor, ImageId,
    double::Fault,
    images::{Format, Image},
};
use kernel::{access::Role, http::ApiError, id::AnyId};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Server, on_both};

use super::{Life, only_for_editors};

/// A second image with a file, on the host too.
async fn other_image(server: &Server, life: &Life) -> String {
    let digest = "cd".repeat(32);
    life.site.host.add_image(Image {
        id: ImageId::try_from(digest.clone()).unwrap(),
        format: Format::Qcow2,
        virtual_size: 1 << 30,
        min_disk_bytes: 0,
        min_memory_mib: 0,
    });
    let id: AnyId = server
        .app
        .store()
        .write("test", move |tx| {
            let now = tx.now();
            let id: AnyId = images::table
                .filter(images::slug.eq("ubuntu-24-04"))
                .select(images::id)
                .first(tx.conn())?;
            diesel::insert_into(image_files::table)
                .values((
                    image_files::image_id.eq(id),
                    image_files::digest.eq(Some(digest.clone())),
                    image_files::size_bytes.eq(1_i64),
                    image_files::virtual_size_bytes.eq(1_i64 << 30),
                    image_files::status.eq("available"),
                    image_files::progress.eq(100_i64),
                    image_files::created.eq(now),
                    image_files::modified.eq(now),
                ))
                .execute(tx.conn())?;
            Ok::<_, ApiError>(id)
        })
        .await
        .unwrap();
    id.to_string()
}

/// An image that has no file.
async fn image_without_file(server: &Server, not: &[&str]) -> String {
    let images = server
        .owner()
        .get(&server.project("/compute/images?page_size=100"))
        .await
        .expect(200)
        .body;
    let all = images["results"].as_array().unwrap();
    let found = all.iter().find(|image| {
        !not.contains(&image["id"].as_str().unwrap())
            && image["is_active"] == true
            && image["requires_license_addon"] == false
    });
    found.unwrap()["id"].as_str().unwrap().to_owned()
}

on_both! {
    async fn a_host_name_reaches_the_next_boot(server: Server) {
        let life = Life::begin(&server).await;
        let task = life.done(&server, "hostname", &json!({"hostname": "front.example.org"})).await;
        assert_eq!((&task["task_type"], &task["status"]), (&json!("change_hostname"), &json!("completed")));
        assert_eq!(life.get(&server).await["hostname"], "front.example.org");
        assert_eq!(life.site.host.seed(life.vm()).unwrap().hostname, "front.example.org");
        // So does one that comes with the metadata.
        server.owner().patch(&life.path, &json!({"hostname": "back"})).await.expect(200);
        server.run_tasks().await;
        assert_eq!(life.site.host.seed(life.vm()).unwrap().hostname, "back");
        let answer = life.post(&server, "hostname", &json!({"hostname": "a_b"})).await.expect(400);
        assert!(answer.body["hostname"].is_array());
        life.post(&server, "hostname", &json!({})).await.expect(400);
        only_for_editors(&server, &format!("{}/hostname", life.path), &json!({"hostname": "x"})).await;
        server.owner().post(&format!("{}/hostname", server.instance()), &json!({"hostname": "x"})).await.expect(409);
    }

    async fn a_host_name_that_can_not_be_set_is_taken_back(server: Server) {
        let life = Life::begin(&server).await;
        let before = life.picture(&server).await;
        life.site.host.fail("set_seed", Fault::Last);
        let task = life.done(&server, "hostname", &json!({"hostname": "never"})).await;
        assert_eq!(task["status"], "failed");
        assert_eq!(life.picture(&server).await, before);
        // By PATCH as well.
        life.site.host.fail("set_seed", Fault::Last);
        server.owner().patch(&life.path, &json!({"hostname": "never"})).await.expect(200);
        life.site.run_with_retries(&server).await;
        assert_eq!(life.picture(&server).await, before);
        // What was asked for later stands.
        life.site.host.fail("set_seed", Fault::Last);
        life.post(&server, "hostname", &json!({"hostname": "first"})).await.expect(202);
        life.post(&server, "hostname", &json!({"hostname": "second"})).await.expect(202);
        life.site.run_with_retries(&server).await;
        assert_eq!(life.get(&server).await["hostname"], "second");
        assert_eq!(life.site.host.seed(life.vm()).unwrap().hostname, "second");
        life.site.host.fail("set_seed", Fault::AnswerLost);
        let task = life.done(&server, "hostname", &json!({"hostname": "lost"})).await;
        assert_eq!(task["status"], "completed");
        assert_eq!(life.site.host.seed(life.vm()).unwrap().hostname, "lost");
    }

    async fn a_password_is_shown_once_to_who_asked(server: Server) {
        let life = Life::begin(&server).await;
        let before = life.site.host.seed(life.vm()).unwrap();
        let (editor, _) = server.member(Role::Editor).await;
        let task = editor.post(&format!("{}/password", life.path), &json!({})).await.expect(202).body;
        assert_eq!(task["task_type"], "reset_password");
        let path = server.project(&format!("/compute/tasks/{}", task["id"].as_str().unwrap()));
        assert_eq!(editor.get(&path).await.expect(200).body["result"], Value::Null, "not before it holds");
        server.run_tasks().await;
        let seed = life.site.host.seed(life.vm()).unwrap();
        assert_ne!(seed.password_hash, before.password_hash);
        assert_eq!(seed.instance_id, before.instance_id, "nothing is set up anew");
        assert!(seed.vendor_data.unwrap().contains(seed.password_hash.as_ref().unwrap().as_str()));
        // Nobody else, not in a list, not without a body.
        assert_eq!(server.owner().get(&path).await.expect(200).body["result"], Value::Null);
        let list = editor.get(&server.project("/compute/tasks")).await.expect(200);
        assert!(!list.text.contains("\"password\":"), "{}", list.text);
        editor.send(Method::HEAD, &path, &[], None).await.expect(200);
        let shown = editor.get(&path).await.expect(200);
        assert_eq!(shown.body["result"]["password"].as_str().unwrap().len(), 20);
        assert_eq!((shown.header("cache-control"), shown.header("etag")), ("private, no-store", ""));
        assert_eq!(editor.get(&path).await.expect(200).body["result"], Value::Null);
    }

    async fn a_password_of_ones_own_is_not_shown(server: Server) {
        let life = Life::begin(&server).await;
        for bad in ["short", "aaaaaaaaaaaa", "with\u{7}bell-12345"] {
            let answer = life.post(&server, "password", &json!({"password": bad})).await.expect(400);
            assert!(answer.body["password"].is_array(), "{}", answer.text);
        }
        let task = life.done(&server, "password", &json!({"password": " Correct-Horse-9 "})).await;
        assert_eq!((&task["status"], &task["result"]), (&json!("completed"), &Value::Null));
        let log = format!("/v1/organizations/{}/audit-logs", server.facts.owner.organization_id);
        assert!(!server.owner().get(&log).await.expect(200).text.contains("Correct-Horse"));
        let before = life.picture(&server).await;
        life.site.host.fail("set_seed", Fault::Last);
        let task = life.done(&server, "password", &json!({})).await;
        assert_eq!((&task["status"], task["result"].get("password")), (&json!("failed"), None));
        assert_eq!(life.picture(&server).await, before);
        // Its secret is erased: another try would set what nobody knows.
        let retry = server.project(&format!("/compute/tasks/{}/retry", task["id"].as_str().unwrap()));
        server.owner().post(&retry, &json!({})).await.expect(409);
        only_for_editors(&server, &format!("{}/password", life.path), &json!({})).await;
    }

    async fn secrets_that_nobody_reads_are_erased(server: Server) {
        let life = Life::begin(&server).await;
        let task = life.post(&server, "password", &json!({})).await.expect(202).body;
        server.run_tasks().await;
        assert_eq!(compute::tasks::secrets::forget_old(&server.app).await.unwrap(), 0);
        server.clock.advance(std::time::Duration::from_hours(25));
        assert_eq!(compute::tasks::secrets::forget_old(&server.app).await.unwrap(), 1);
        assert_eq!(life.task(&server, &task).await["result"], Value::Null);
    }

    async fn another_system_replaces_the_first(server: Server) {
        let life = Life::begin(&server).await;
        let image = other_image(&server, &life).await;
        let before = life.site.host.seed(life.vm()).unwrap();
        let body = json!({"image_id": image, "hostname": "anew", "user_data": "#cloud-config\n{}\n"});
        let task = life.post(&server, "reinstall", &body).await.expect(202).body;
        assert_eq!(task["task_type"], "reinstall_vps");
        let asked = life.get(&server).await;
        assert_eq!((&asked["is_installed"], &asked["image"]["id"]), (&json!(false), &json!(image)));
        server.run_tasks().await;
        let after = life.get(&server).await;
        assert_eq!((&after["is_installed"], &after["hostname"]), (&json!(true), &json!("anew")));
        assert_eq!(after["os_name"], after["image"]["os_name"]);
        assert_eq!(after["state_sync"]["vm_status"], "running");
        assert_eq!(after["ip_addresses"], life.instance["ip_addresses"]);
        let seed = life.site.host.seed(life.vm()).unwrap();
        assert_ne!(seed.instance_id, before.instance_id);
        assert_ne!(seed.password_hash, before.password_hash);
        assert_eq!(seed.user_data.as_deref(), Some("#cloud-config\n{}\n"));
        let shown = life.task(&server, &task).await;
        assert_eq!(shown["result"]["password"].as_str().unwrap().len(), 20);
        // What is not sent again is gone.
        life.done(&server, "reinstall", &json!({"image_id": life.site.image, "password": "Correct-Horse-9"})).await;
        let seed = life.site.host.seed(life.vm()).unwrap();
        assert_eq!((seed.user_data, seed.hostname.as_str()), (None, "anew"));
    }

    async fn a_system_that_does_not_fit_is_refused(server: Server) {
        let life = Life::begin(&server).await;
        let unknown = AnyId::new().to_string();
        let absent = image_without_file(&server, &[&life.site.image]).await;
        let images = server.owner().get(&server.project("/compute/images?page_size=100")).await.expect(200).body;
        let all = images["results"].as_array().unwrap();
        let windows = all.iter().find(|image| image["requires_license_addon"] == true).unwrap()["id"].clone();
        for (body, field) in [
            (json!({}), "image_id"),
            (json!({"image_id": unknown}), "image_id"),
            (json!({"image_id": absent}), "image_id"),
            (json!({"image_id": windows}), "image_id"),
            (json!({"image_id": life.site.image, "hostname": "a b"}), "hostname"),
            (json!({"image_id": life.site.image, "user_data": "hello"}), "user_data"),
            (json!({"image_id": life.site.image, "password": "short"}), "password"),
            (json!({"image_id": life.site.image, "ssh_key_ids": [unknown]}), "ssh_key_ids"),
        ] {
            let answer = life.post(&server, "reinstall", &body).await.expect(400);
            assert!(answer.body[field].is_array(), "{field}: {}", answer.text);
        }
        only_for_editors(&server, &format!("{}/reinstall", life.path), &json!({"image_id": life.site.image})).await;
    }

    async fn a_reinstallation_that_fails_leaves_the_old_system(server: Server) {
        let life = Life::begin(&server).await;
        let image = other_image(&server, &life).await;
        for call in ["shutdown", "set_seed", "reinstall"] {
            let before = life.picture(&server).await;
            life.site.host.fail(call, Fault::Last);
            let task = life.done(&server, "reinstall", &json!({"image_id": image, "hostname": "never"})).await;
            assert_eq!(task["status"], "failed", "{call}");
            assert_eq!(life.picture(&server).await, before, "{call}");
            let seen = life.site.host.find(life.vm()).await.unwrap().unwrap();
            assert_eq!(seen.state.as_str(), "running", "{call}");
        }
    }

    async fn a_new_system_that_does_not_start_can_be_tried_again(server: Server) {
        let life = Life::begin(&server).await;
        let image = other_image(&server, &life).await;
        // Once for the step, once for its undoing.
        life.site.host.fail("start", Fault::Last);
        life.site.host.fail("start", Fault::Last);
        let task = life.done(&server, "reinstall", &json!({"image_id": image})).await;
        assert_eq!(task["status"], "failed");
        let after = life.get(&server).await;
        assert_eq!((&after["is_installed"], &after["image"]["id"]), (&json!(false), &json!(image)), "the old one is gone");
        let retry = server.project(&format!("/compute/tasks/{}/retry", task["id"].as_str().unwrap()));
        let again = server.owner().post(&retry, &json!({})).await.expect(202).body;
        assert_eq!((&again["id"], &again["status"]), (&task["id"], &json!("pending")));
        server.run_tasks().await;
        assert_eq!(life.get(&server).await["is_installed"], true);
        // The system was installed once.
        assert_eq!(life.site.host.calls().iter().filter(|(name, _)| *name == "reinstall").count(), 1);
        assert_eq!(life.task(&server, &task).await["result"]["password"].as_str().unwrap().len(), 20);
    }

    async fn lost_answers_install_once(server: Server) {
        let life = Life::begin(&server).await;
        let image = other_image(&server, &life).await;
        for call in ["shutdown", "set_seed", "reinstall", "start"] {
            life.site.host.fail(call, Fault::AnswerLost);
        }
        let task = life.done(&server, "reinstall", &json!({"image_id": image})).await;
        assert_eq!(task["status"], "completed");
        assert_eq!(life.get(&server).await["is_installed"], true);
    }

    async fn rescue_and_back(server: Server) {
        let life = Life::begin(&server).await;
        let own = life.site.host.seed(life.vm()).unwrap();
        let image = other_image(&server, &life).await;
        let task = life.done(&server, "rescue", &json!({"image_id": image})).await;
        assert_eq!((&task["task_type"], &task["status"]), (&json!("enable_rescue"), &json!("completed")));
        assert_eq!(task["result"]["password"].as_str().unwrap().len(), 20);
        let seen = life.site.host.find(life.vm()).await.unwrap().unwrap();
        assert_eq!((seen.boot, seen.state.as_str()), (BootDisk::Rescue, "running"));
        let seed = life.site.host.seed(life.vm()).unwrap();
        assert_ne!(seed.password_hash, own.password_hash);
        life.post(&server, "rescue", &json!({})).await.expect(409);
        only_for_editors(&server, &format!("{}/rescue", life.path), &json!({})).await;
        let (viewer, _) = server.member(Role::Viewer).await;
        viewer.delete(&format!("{}/rescue", life.path)).await.expect(403);
        server.stranger().delete(&format!("{}/rescue", life.path)).await.expect(404);
        let task = server.owner().delete(&format!("{}/rescue", life.path)).await.expect(202).body;
        assert_eq!(task["task_type"], "disable_rescue");
        server.run_tasks().await;
        let seen = life.site.host.find(life.vm()).await.unwrap().unwrap();
        assert_eq!((seen.boot, seen.state.as_str()), (BootDisk::Root, "running"));
        assert_eq!(life.site.host.seed(life.vm()).unwrap(), own, "its own password and document");
        server.owner().delete(&format!("{}/rescue", life.path)).await.expect(409);
    }

    async fn rescue_wakes_a_machine_that_is_off(server: Server) {
        let life = Life::begin(&server).await;
        life.done(&server, "stop", &json!({})).await;
        // Without an image named or set: the instance's own.
        let task = life.done(&server, "rescue", &json!({"password": "Correct-Horse-9"})).await;
        assert_eq!((&task["status"], &task["parameters"]["image_id"]), (&json!("completed"), &json!(life.site.image)));
        assert_eq!(life.get(&server).await["state_sync"]["vm_status"], "running");
        let unknown = AnyId::new().to_string();
        let answer = life.post(&server, "rescue", &json!({"image_id": unknown, "ssh_key_ids": [unknown]})).await.expect(400);
        assert!(answer.body["image_id"].is_array() && answer.body["ssh_key_ids"].is_array(), "{}", answer.text);
    }

    async fn the_operator_names_the_rescue_system(server: Server, |config| { config.compute.rescue_image = "ubuntu-24-04".to_owned(); }) {
        let life = Life::begin(&server).await;
        let answer = life.post(&server, "rescue", &json!({})).await.expect(400);
        assert!(answer.body["image_id"][0].as_str().unwrap().contains("not available"), "{}", answer.text);
        let image = other_image(&server, &life).await;
        let task = life.done(&server, "rescue", &json!({})).await;
        assert_eq!((&task["status"], &task["parameters"]["image_id"]), (&json!("completed"), &json!(image)));
    }

    async fn a_rescue_that_fails_leaves_everything(server: Server) {
        let life = Life::begin(&server).await;
        for call in ["shutdown", "enter_rescue", "set_seed", "start"] {
            let before = life.picture(&server).await;
            life.site.host.fail(call, Fault::Last);
            let task = life.done(&server, "rescue", &json!({})).await;
            assert_eq!((&task["status"], task["result"].get("password")), (&json!("failed"), None), "{call}");
            assert_eq!(life.picture(&server).await, before, "{call}");
            let seen = life.site.host.find(life.vm()).await.unwrap().unwrap();
            assert_eq!((seen.boot, seen.state.as_str()), (BootDisk::Root, "running"), "{call}");
        }
        life.done(&server, "rescue", &json!({})).await;
        for call in ["leave_rescue", "start"] {
            life.site.host.fail(call, Fault::Last);
            let task = server.owner().delete(&format!("{}/rescue", life.path)).await.expect(202).body;
            life.site.run_with_retries(&server).await;
            assert_eq!(life.task(&server, &task).await["status"], "failed");
            let seen = life.site.host.find(life.vm()).await.unwrap().unwrap();
            assert_eq!((seen.boot, seen.state.as_str()), (BootDisk::Rescue, "running"), "{call}");
        }
        for call in ["shutdown", "leave_rescue", "set_seed", "start"] {
            life.site.host.fail(call, Fault::AnswerLost);
        }
        server.owner().delete(&format!("{}/rescue", life.path)).await.expect(202);
        life.site.run_with_retries(&server).await;
        assert_eq!(life.site.host.find(life.vm()).await.unwrap().unwrap().boot, BootDisk::Root);
    }

    async fn a_network_is_rebuilt_at_a_boot(server: Server) {
        let life = Life::begin(&server).await;
        let before = life.site.host.seed(life.vm()).unwrap();
        let task = life.done(&server, "rebuild-network", &json!({})).await;
        assert_eq!((&task["task_type"], &task["status"]), (&json!("rebuild_network"), &json!("completed")));
        let after = life.site.host.seed(life.vm()).unwrap();
        assert_ne!(after.instance_id, before.instance_id);
        assert_eq!(after.password_hash, before.password_hash);
        assert_eq!(life.get(&server).await["state_sync"]["vm_status"], "running");
        only_for_editors(&server, &format!("{}/rebuild-network", life.path), &json!({})).await;
        for call in ["shutdown", "define", "set_seed", "start"] {
            let before = life.picture(&server).await;
            life.site.host.fail(call, Fault::Last);
            let task = life.done(&server, "rebuild-network", &json!({})).await;
            assert_eq!(task["status"], "failed", "{call}");
            assert_eq!(life.picture(&server).await, before, "{call}");
        }
    }

    async fn actions_of_one_machine_queue_in_order(server: Server) {
        let life = Life::begin(&server).await;
        let image = other_image(&server, &life).await;
        life.post(&server, "stop", &json!({})).await.expect(202);
        life.post(&server, "hostname", &json!({"hostname": "queued"})).await.expect(202);
        life.post(&server, "reinstall", &json!({"image_id": image, "password": "Correct-Horse-9"})).await.expect(202);
        life.post(&server, "start", &json!({})).await.expect(202);
        let begin = life.site.host.calls().len();
        server.run_tasks().await;
        let calls: Vec<&str> = life.site.host.calls()[begin..].iter().map(|(name, _)| *name).collect();
        let places = ["stop", "set_seed", "reinstall", "start"].map(|wanted| calls.iter().position(|name| *name == wanted).unwrap());
        assert!(places.is_sorted(), "{calls:?}");
        let tasks = server.owner().get(&format!("{}/tasks?ordering=created", life.path)).await.expect(200).body;
        let all = tasks["results"].as_array().unwrap();
        assert!(all.iter().all(|task| task["status"] == "completed"), "{tasks}");
        assert_eq!(life.get(&server).await["state_sync"]["vm_status"], "running");
    }

    async fn a_suspended_machine_is_left_alone(server: Server) {
        let life = Life::begin(&server).await;
        life.site.spend_all(&server).await;
        life.site.days(&server, 32).await;
        assert_eq!(life.get(&server).await["status"], "suspended");
        for (action, body) in [
            ("hostname", json!({"hostname": "x"})),
            ("password", json!({})),
            ("reinstall", json!({"image_id": life.site.image})),
            ("rescue", json!({})),
            ("rebuild-network", json!({})),
            ("resize", json!({"size_id": crate::instances_lifecycle::size(&server, "vps-m").await})),
            ("renew", json!({})),
            ("vpc/detach", json!({})),
        ] {
            life.post(&server, action, &body).await.expect(403);
        }
    }
}
