//! Instances from order to deletion, on a host that is a double.

use futures_util::future::join_all;
use hypervisor::double::Fault;
use kernel::{access::Role, money::Amount};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::on_both;

use crate::{instances_replace::other_vpc, machines::Site};

on_both! {
    async fn an_order_that_is_paid_becomes_a_machine(server: Server) {
        let site = Site::open(&server).await;
        site.credit(&server, "100").await;
        let created = site.create(&server, json!({"name": "Web 1", "tags": {"env": "test"}})).await.expect(201).body;
        assert_eq!(created["status"], "provisioning");
        assert_eq!(created["hostname"], "web-1");
        assert_eq!(created["order"]["amount_due"], "0.00");
        assert_eq!(created["task"]["task_type"], "create_vps");
        assert_eq!(created["initial_password"].as_str().unwrap().len(), 20);
        assert_eq!(created["volumes"][0]["status"], "creating");
        server.run_tasks().await;
        let running = site.get(&server, &created).await;
        assert_eq!(running["status"], "active");
        assert_eq!(running["is_installed"], true);
        assert_eq!(running["state_sync"]["vm_status"], "running");
        assert_eq!(running["volumes"][0]["status"], "attached");
        let volumes = format!("{}/volumes", site.path(&server, &running));
        assert_eq!(server.owner().get(&volumes).await.expect(200).body, running["volumes"]);
        server.stranger().get(&volumes).await.expect(404);
        assert!(running["next_billing_date"].is_string());
        let vm = site.vm(&created);
        let spec = site.host.spec(vm).expect("a machine");
        assert_eq!((spec.cpus, spec.memory_mib), (1, 2048));
        let seed = site.host.seed(vm).expect("a seed");
        assert_eq!(seed.hostname, "web-1");
        assert!(seed.password_hash.unwrap().starts_with("$6$"));
        // Paid to the cent, once.
        let balance = site.balance(&server).await;
        let total = Amount::parse(created["order"]["total"].as_str().unwrap()).unwrap();
        assert_eq!(balance, Amount::parse("100").unwrap() - total);
    }

    async fn what_is_not_paid_waits_and_begins_with_the_top_up(server: Server) {
        let site = Site::open(&server).await;
        site.credit(&server, "1").await;
        let created = site.create(&server, json!({"name": "later"})).await.expect(201).body;
        assert_eq!(created["status"], "pending");
        assert_eq!(created["task"], Value::Null);
        assert_ne!(created["order"]["amount_due"], "0.00");
        server.run_tasks().await;
        assert!(site.host.spec(site.vm(&created)).is_none());
        site.credit(&server, "100").await;
        server.run_tasks().await;
        assert_eq!(site.get(&server, &created).await["status"], "active");
    }

    async fn what_cannot_be_made_is_paid_back_and_leaves_nothing(server: Server) {
        let site = Site::open(&server).await;
        site.credit(&server, "100").await;
        let before = site.taken(&server).await;
        site.host.fail("start", Fault::Last);
        let created = site.create(&server, json!({"name": "doomed"})).await.expect(201).body;
        server.run_tasks().await;
        assert_eq!(site.get(&server, &created).await["status"], "cancelled");
        assert!(site.host.spec(site.vm(&created)).is_none());
        assert_eq!(site.balance(&server).await, Amount::parse("100").unwrap());
        assert_eq!(site.taken(&server).await, before);
    }

    async fn what_waits_behind_a_creation_that_fails_does_not_keep_its_end(server: Server) {
        let site = Site::open(&server).await;
        site.credit(&server, "100").await;
        let before = site.taken(&server).await;
        site.host.fail("start", Fault::Last);
        let created = site.create(&server, json!({"name": "doomed"})).await.expect(201).body;
        let vpc = other_vpc(&server, &server.owner(), &created["location"]["id"], &created["vpc"]["id"]).await;
        let path = site.path(&server, &created);
        server.owner().patch(&path, &json!({"vpc_id": vpc, "hostname": "anew"})).await.expect(200);
        site.run_with_retries(&server).await;
        assert_eq!(site.get(&server, &created).await["status"], "cancelled");
        assert_eq!(site.machines().await, 0);
        assert_eq!(site.taken(&server).await, before);
        for status in ["pending", "running"] {
            let tasks = server.project(&format!("/compute/tasks?status={status}"));
            assert_eq!(server.owner().get(&tasks).await.expect(200).body["results"], json!([]));
        }
    }

    async fn a_call_whose_answer_is_lost_is_made_good(server: Server) {
        let site = Site::open(&server).await;
        site.credit(&server, "100").await;
        for call in ["prepare_disk", "define", "set_seed", "start", "find"] {
            site.host.fail(call, Fault::AnswerLost);
        }
        let created = site.create(&server, json!({"name": "stubborn"})).await.expect(201).body;
        site.run_with_retries(&server).await;
        assert_eq!(site.get(&server, &created).await["status"], "active");
        assert_eq!(site.machines().await, 1);
    }

    async fn a_dry_run_tells_the_price_and_writes_nothing(server: Server) {
        let site = Site::open(&server).await;
        let path = format!("{}?dry_run=true", server.project("/compute/instances"));
        let count = site.count(&server).await;
        let answer = server.owner().post(&path, &site.body(json!({"name": "maybe"}))).await.expect(200);
        assert_eq!(answer.body["currency"], "EUR");
        assert_eq!(answer.body["lines"][0]["kind"], "size");
        assert_eq!(answer.body["subtotal"], "3.99");
        assert!(answer.body["due_at"].is_string());
        assert_eq!(site.count(&server).await, count);
        assert_eq!(site.taken(&server).await, (0, 0, 0));
        let estimate = server.project("/compute/instances/estimate");
        let body = json!({"size_id": site.size, "location_id": site.location, "quantity": 3});
        let answer = server.owner().post(&estimate, &body).await.expect(200);
        assert_eq!(answer.body["subtotal"], "11.97");
    }

    async fn every_fault_is_told_at_once_and_changes_nothing(server: Server) {
        let site = Site::open(&server).await;
        let unknown = kernel::id::AnyId::new().to_string();
        let body = site.body(json!({
            "name": "x", "size_id": unknown, "image_id": unknown, "location_id": unknown, "hostname": "a_b",
            "vpc_id": unknown, "user_data": "hello", "password": "aaaaaaaaaaaa", "ssh_key_ids": [unknown],
        }));
        let answer = server.owner().post(&server.project("/compute/instances"), &body).await.expect(400);
        for field in ["size_id", "image_id", "location_id", "hostname", "vpc_id", "user_data", "password", "ssh_key_ids"] {
            assert!(answer.body[field].is_array(), "{field}: {}", answer.text);
        }
        let body = site.body(json!({"name": "x", "billing_cycle": "triennially"}));
        let answer = server.owner().post(&server.project("/compute/instances"), &body).await.expect(400);
        assert!(answer.body["billing_cycle"].is_array(), "{}", answer.text);
        assert_eq!(site.taken(&server).await, (0, 0, 0));
    }

    async fn the_last_place_goes_once(server: Server) {
        let site = Site::open(&server).await;
        site.credit(&server, "1000").await;
        site.capacity(&server, 64, 2048, 1000).await;
        let (one, two) = tokio::join!(
            site.create(&server, json!({"name": "one"})),
            site.create(&server, json!({"name": "two"})),
        );
        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409], "{} {}", one.text, two.text);
    }

    async fn a_quota_holds_against_many_at_once(server: Server) {
        let site = Site::open(&server).await;
        site.credit(&server, "1000").await;
        let have = site.live(&server).await;
        site.quota(&server, have + 3).await;
        let orders = (0..8).map(|number| site.create(&server, json!({"name": format!("n{number}")})));
        let answers = join_all(orders).await;
        let made = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(made, 3);
        assert_eq!(answers.iter().filter(|answer| answer.status == 409).count(), 5);
    }

    async fn the_same_order_twice_is_one(server: Server) {
        let site = Site::open(&server).await;
        site.credit(&server, "100").await;
        let body = site.body(json!({"name": "once"}));
        let path = server.project("/compute/instances");
        let order = || async {
            let key = [("idempotency-key", "order-1")];
            server.owner().send(Method::POST, &path, &key, Some(body.to_string())).await
        };
        let first = order().await.expect(201).body;
        let second = order().await.expect(201).body;
        assert_eq!(first["id"], second["id"]);
        assert!(first["initial_password"].is_string());
        assert_eq!(second["initial_password"], Value::Null);
        server.run_tasks().await;
        assert_eq!(site.machines().await, 1);
    }

    async fn power_does_what_it_says(server: Server) {
        let site = Site::open(&server).await;
        let instance = site.running(&server, "power").await;
        let press = |action: &str| {
            let path = format!("{}/{action}", site.path(&server, &instance));
            let owner = server.owner();
            async move { owner.post(&path, &json!({})).await }
        };
        assert_eq!(press("start").await.status, 409);
        press("stop").await.expect(202);
        // What is asked for counts at once; the machine follows.
        assert_eq!(press("reboot").await.status, 409);
        server.run_tasks().await;
        assert_eq!(site.get(&server, &instance).await["state_sync"]["vm_status"], "stopped");
        press("start").await.expect(202);
        press("reboot").await.expect(202);
        press("reset").await.expect(202);
        server.run_tasks().await;
        assert_eq!(site.get(&server, &instance).await["state_sync"]["vm_status"], "running");
        press("shutdown").await.expect(202);
        server.run_tasks().await;
        assert_eq!(site.get(&server, &instance).await["state_sync"]["vm_status"], "stopped");
        // A system that ignores the button runs on, and says so.
        press("start").await.expect(202);
        server.run_tasks().await;
        site.host.hang(site.vm(&instance), true);
        let task = press("shutdown").await.expect(202).body;
        site.run_with_retries(&server).await;
        let path = server.project(&format!("/compute/tasks/{}", task["id"].as_str().unwrap()));
        let task = server.owner().get(&path).await.expect(200).body;
        assert_eq!(task["status"], "failed");
        assert!(task["result"]["error"].as_str().unwrap().contains("stop_instance"));
        assert_eq!(press("stop").await.status, 202);
    }

    async fn who_may_press_buttons(server: Server) {
        let site = Site::open(&server).await;
        let instance = site.running(&server, "guarded").await;
        let path = format!("{}/stop", site.path(&server, &instance));
        let (viewer, _) = server.member(Role::Viewer).await;
        viewer.post(&path, &json!({})).await.expect(403);
        server.stranger().post(&path, &json!({})).await.expect(404);
        server.anonymous().post(&path, &json!({})).await.expect(401);
        let (editor, _) = server.member(Role::Editor).await;
        editor.post(&path, &json!({})).await.expect(202);
    }

    async fn deleting_gives_everything_back(server: Server) {
        let site = Site::open(&server).await;
        let instance = site.running(&server, "gone").await;
        assert_ne!(site.taken(&server).await, (0, 0, 0));
        let path = site.path(&server, &instance);
        server.owner().delete(&path).await.expect(202);
        server.owner().delete(&path).await.expect(409);
        server.run_tasks().await;
        let after = site.get(&server, &instance).await;
        assert_eq!(after["status"], "terminated");
        assert_eq!(after["ip_addresses"], json!([]));
        assert_eq!(site.machines().await, 0);
        assert_eq!(site.taken(&server).await, (0, 0, 0));
        server.owner().post(&format!("{path}/start"), &json!({})).await.expect(409);
    }

    async fn unpaid_machines_stop_and_run_again_once_paid(server: Server) {
        let site = Site::open(&server).await;
        let instance = site.running(&server, "tenant").await;
        site.spend_all(&server).await;
        site.days(&server, 32).await;
        let suspended = site.get(&server, &instance).await;
        assert_eq!(suspended["status"], "suspended");
        assert_eq!(suspended["state_sync"]["vm_status"], "stopped");
        let path = format!("{}/start", site.path(&server, &instance));
        server.owner().post(&path, &json!({})).await.expect(403);
        site.credit(&server, "500").await;
        site.days(&server, 0).await;
        let paid = site.get(&server, &instance).await;
        assert_eq!(paid["status"], "active");
        assert_eq!(paid["state_sync"]["vm_status"], "running");
        site.spend_all(&server).await;
        site.days(&server, 32).await;
        site.days(&server, 20).await;
        assert_eq!(site.get(&server, &instance).await["status"], "terminated");
        assert_eq!(site.machines().await, 0);
        assert_eq!(site.taken(&server).await, (0, 0, 0));
    }
}
