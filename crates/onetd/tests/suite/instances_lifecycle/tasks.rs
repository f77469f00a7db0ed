//! Tasks: read below their instance, awaited, watched, cancelled, tried again.

use std::time::{Duration, Instant};

use hypervisor::double::Fault;
use kernel::access::Role;
use serde_json::{Value, json};
use testkit::{Server, on_both};

use super::{Life, only_for_editors};

fn path(server: &Server, task: &Value, rest: &str) -> String {
    server.project(&format!("/compute/tasks/{}{rest}", task["id"].as_str().unwrap()))
}

on_both! {
    async fn tasks_are_read_below_their_instance(server: Server) {
        let life = Life::begin(&server).await;
        let task = life.post(&server, "stop", &json!({})).await.expect(202).body;
        let list = format!("{}/tasks", life.path);
        let all = server.owner().get(&list).await.expect(200).body;
        assert_eq!(all["count"], 2);
        assert_eq!(all["results"][0]["id"], task["id"]);
        assert_eq!(server.owner().get(&format!("{list}?status=completed&task_type=create_vps")).await.expect(200).body["count"], 1);
        server.owner().get(&format!("{list}?status=odd")).await.expect(400);
        let one = format!("{list}/{}", task["id"].as_str().unwrap());
        assert_eq!(server.owner().get(&one).await.expect(200).body, life.task(&server, &task).await);
        // Not below another instance, not for others.
        let elsewhere = format!("{}/tasks", server.instance());
        assert_eq!(server.owner().get(&elsewhere).await.expect(200).body["count"], 0);
        server.owner().get(&format!("{elsewhere}/{}", task["id"].as_str().unwrap())).await.expect(404);
        server.stranger().get(&list).await.expect(404);
        server.stranger().get(&one).await.expect(404);
        let unknown = server.project(&format!("/compute/instances/{}/tasks", kernel::id::AnyId::new()));
        server.owner().get(&unknown).await.expect(404);
    }

    async fn a_wish_of_a_cancelled_task_is_taken_back(server: Server) {
        let life = Life::begin(&server).await;
        let stop = life.post(&server, "stop", &json!({})).await.expect(202).body;
        let start = life.post(&server, "start", &json!({})).await.expect(202).body;
        only_for_editors(&server, &path(&server, &stop, "/cancel"), &json!({})).await;
        let cancelled = server.owner().post(&path(&server, &stop, "/cancel"), &json!({})).await.expect(200).body;
        assert_eq!(cancelled["status"], "cancelled");
        assert!(cancelled["completed_at"].is_string() && cancelled["started_at"].is_null());
        server.owner().post(&path(&server, &stop, "/cancel"), &json!({})).await.expect(409);
        server.owner().post(&path(&server, &start, "/cancel"), &json!({})).await.expect(200);
        // It never was to be stopped: it runs, and stop is possible.
        assert_eq!(life.machine(&server).await.power.as_str(), "on");
        server.run_tasks().await;
        let calls = life.site.host.calls();
        assert!(!calls.iter().any(|(name, _)| *name == "stop"), "{calls:?}");
        life.post(&server, "start", &json!({})).await.expect(409);
        let stop = life.post(&server, "stop", &json!({})).await.expect(202).body;
        server.run_tasks().await;
        server.owner().post(&path(&server, &stop, "/cancel"), &json!({})).await.expect(409);
    }

    async fn a_cancelled_task_lets_the_next_ones_run(server: Server) {
        let life = Life::begin(&server).await;
        let first = life.post(&server, "hostname", &json!({"hostname": "first"})).await.expect(202).body;
        let password = life.post(&server, "password", &json!({})).await.expect(202).body;
        life.post(&server, "hostname", &json!({"hostname": "second"})).await.expect(202);
        server.owner().post(&path(&server, &first, "/cancel"), &json!({})).await.expect(200);
        server.owner().post(&path(&server, &password, "/cancel"), &json!({})).await.expect(200);
        assert_eq!(life.get(&server).await["hostname"], "second");
        let before = life.site.host.seed(life.vm()).unwrap();
        server.run_tasks().await;
        let after = life.site.host.seed(life.vm()).unwrap();
        assert_eq!((after.hostname.as_str(), &after.password_hash), ("second", &before.password_hash));
        assert_eq!(life.task(&server, &password).await["result"], Value::Null);
    }

    async fn what_can_not_be_cancelled(server: Server) {
        let site = crate::machines::Site::open(&server).await;
        site.credit(&server, "100").await;
        let created = site.create(&server, json!({"name": "ordered"})).await.expect(201).body;
        server.owner().post(&path(&server, &created["task"], "/cancel"), &json!({})).await.expect(409);
        server.run_tasks().await;
        assert_eq!(site.get(&server, &created).await["status"], "active");
        let deletion = server.owner().delete(&site.path(&server, &created)).await.expect(202).body;
        server.owner().post(&path(&server, &deletion, "/cancel"), &json!({})).await.expect(409);
        server.owner().post(&path(&server, &deletion, "/retry"), &json!({})).await.expect(409);
        server.owner().post(&path(&server, &json!({"id": kernel::id::AnyId::new()}), "/cancel"), &json!({})).await.expect(404);
        server.run_tasks().await;
        assert_eq!(site.machines().await, 0);
    }

    async fn what_billing_wants_is_not_cancelled(server: Server) {
        let life = Life::begin(&server).await;
        life.site.spend_all(&server).await;
        server.clock.advance(Duration::from_hours(24 * 20));
        billing::clocks::round(&server.onet().billing).await.unwrap();
        server.clock.advance(Duration::from_hours(24 * 12));
        billing::clocks::round(&server.onet().billing).await.unwrap();
        assert_eq!(life.get(&server).await["status"], "suspended");
        let tasks = server.owner().get(&format!("{}/tasks?status=pending", life.path)).await.expect(200).body;
        let own: Vec<&Value> = tasks["results"].as_array().unwrap().iter().filter(|task| task["created_by"].is_null()).collect();
        assert_eq!(own.len(), 2, "{tasks}");
        for task in own {
            server.owner().post(&path(&server, task, "/cancel"), &json!({})).await.expect(409);
        }
        // A system that can't be shut down is switched off all the same, and stays off.
        life.site.host.fail("shutdown", Fault::Last);
        life.site.run_with_retries(&server).await;
        assert_eq!(life.machine(&server).await.power.as_str(), "off");
        assert_eq!(life.get(&server).await["state_sync"]["vm_status"], "stopped");
    }

    async fn a_failed_task_is_tried_again(server: Server) {
        let life = Life::begin(&server).await;
        life.site.host.fail("stop", Fault::Last);
        let stop = life.done(&server, "stop", &json!({})).await;
        assert_eq!(stop["status"], "failed");
        assert_eq!(life.machine(&server).await.power.as_str(), "on", "the wish is taken back");
        only_for_editors(&server, &path(&server, &stop, "/retry"), &json!({})).await;
        let other = life.post(&server, "reboot", &json!({})).await.expect(202).body;
        server.owner().post(&path(&server, &stop, "/retry"), &json!({})).await.expect(409);
        server.run_tasks().await;
        server.owner().post(&path(&server, &other, "/retry"), &json!({})).await.expect(409);
        let again = server.owner().post(&path(&server, &stop, "/retry"), &json!({})).await.expect(202).body;
        assert_eq!((&again["id"], &again["status"], &again["result"], &again["retry_count"]), (&stop["id"], &json!("pending"), &Value::Null, &json!(0)));
        assert_eq!(life.machine(&server).await.power.as_str(), "off");
        server.run_tasks().await;
        assert_eq!(life.task(&server, &stop).await["status"], "completed");
        assert_eq!(life.get(&server).await["state_sync"]["vm_status"], "stopped");
        // A machine that can't be started is off, and is not wanted to run.
        life.site.host.fail("start", Fault::Last);
        life.done(&server, "start", &json!({})).await;
        assert_eq!(life.machine(&server).await.power.as_str(), "off");
    }

    async fn who_waits_is_answered_when_it_ends(server: Server) {
        let life = Life::begin(&server).await;
        let task = life.post(&server, "stop", &json!({})).await.expect(202).body;
        for wrong in ["x", "-1", "61"] {
            let answer = server.owner().get(&path(&server, &task, &format!("?wait={wrong}"))).await.expect(400);
            assert!(answer.body["wait"].is_array(), "{}", answer.text);
        }
        let begin = Instant::now();
        let waited = server.owner().get(&path(&server, &task, "?wait=1")).await.expect(200).body;
        assert!(begin.elapsed() >= Duration::from_secs(1), "it has not ended: the whole second is waited");
        assert_eq!(waited["status"], "pending");
        let (owner, url) = (server.owner(), path(&server, &task, "?wait=20"));
        let waiting = tokio::spawn(async move { owner.get(&url).await });
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!waiting.is_finished());
        server.run_tasks().await;
        let ended = tokio::time::timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap().expect(200).body;
        assert_eq!(ended["status"], "completed");
        let nested = format!("{}/tasks/{}?wait=20", life.path, task["id"].as_str().unwrap());
        assert_eq!(server.owner().get(&nested).await.expect(200).body["status"], "completed", "at once");
    }

    async fn progress_is_told_as_it_happens(server: Server) {
        let life = Life::begin(&server).await;
        let task = life.post(&server, "password", &json!({})).await.expect(202).body;
        server.stranger().get(&path(&server, &task, "/events")).await.expect(404);
        let (owner, url) = (server.owner(), path(&server, &task, "/events"));
        let watching = tokio::spawn(async move { owner.get(&url).await });
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.run_tasks().await;
        let answer = tokio::time::timeout(Duration::from_secs(5), watching).await.unwrap().unwrap().expect(200);
        assert_eq!(answer.header("content-type"), "text/event-stream");
        let events: Vec<(&str, Value)> = answer
            .text
            .split("\n\n")
            .filter_map(|event| {
                let (name, data) = event.strip_prefix("event: ")?.split_once("\ndata: ")?;
                Some((name, serde_json::from_str(data).unwrap()))
            })
            .collect();
        assert_eq!((events[0].0, &events[0].1["status"]), ("task", &json!("pending")));
        let (name, last) = events.last().unwrap();
        assert_eq!((*name, &last["status"], &last["progress"]), ("end", &json!("completed"), &json!(100)));
        assert!(!answer.text.contains("\"password\":"), "no secret is told");
        let (viewer, _) = server.member(Role::Viewer).await;
        let over = viewer.get(&path(&server, &task, "/events")).await.expect(200);
        assert!(over.text.starts_with("event: end\n"), "{}", over.text);
    }
}
