//! The task engine: steps, retries, the way back, leases, queues.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Server, on_both};

use crate::instances_replace::other_vpc;

/// Asks for a change of VPC; returns the old VPC, the new one, and the path of the instance's tasks.
async fn ask_for_move(server: &Server) -> (Value, Value, String) {
    let client = server.owner();
    let instance = client.get(&server.instance()).await.expect(200).body;
    let vpc = other_vpc(
        server,
        &client,
        &instance["location"]["id"],
        &instance["vpc"]["id"],
    )
    .await;
    client
        .patch(&server.instance(), &json!({"vpc_id": vpc}))
        .await
        .expect(200);
    let tasks = server.project(&format!(
        "/compute/tasks?instance_id={}",
        server.facts.owner.instance_id
    ));
    (instance["vpc"]["id"].clone(), vpc, tasks)
}

/// The VPC that the network driver has the instance in.
async fn attached(server: &Server) -> Option<String> {
    use compute::schema::network_attachments;
    use diesel::{OptionalExtension, QueryDsl, RunQueryDsl};
    let id = server.facts.owner.instance_id;
    let found = server.app.store().read("test", move |conn| {
        let row = network_attachments::table
            .find(id)
            .select(network_attachments::vpc_id);
        Ok::<_, kernel::http::ApiError>(row.first::<compute::vpcs::api::VpcId>(conn).optional()?)
    });
    found.await.unwrap().map(|vpc| vpc.to_string())
}

on_both! {
    async fn a_task_does_its_steps(server: Server) {
        let (_, vpc, tasks) = ask_for_move(&server).await;
        server.run_tasks().await;
        assert_eq!(attached(&server).await.as_deref(), vpc.as_str());
        let task = server.owner().get(&tasks).await.expect(200).body["results"][0].clone();
        assert_eq!(task["status"], "completed");
        assert_eq!(task["result"], Value::Null);
        let one = server.project(&format!("/compute/tasks/{}", task["id"].as_str().unwrap()));
        assert_eq!(server.owner().get(&one).await.expect(200).body, task);
        server.stranger().get(&one).await.expect(404);
    }

    async fn a_step_that_can_not_succeed_is_undone(server: Server) {
        let (old, _, tasks) = ask_for_move(&server).await;
        kernel::crash::fail_at("attach_interface", 1);
        server.run_tasks().await;
        let task = server.owner().get(&tasks).await.expect(200).body["results"][0].clone();
        assert_eq!(task["status"], "failed");
        assert!(task["result"]["error"].is_string());
        assert_eq!(attached(&server).await.as_deref(), old.as_str());
        let instance = server.owner().get(&server.instance()).await.expect(200).body;
        assert_eq!(instance["vpc"]["id"], old, "the instance says again where it is");
        let log = format!("/v1/organizations/{}/audit-logs?action=instance.vpc_change_failed", server.facts.owner.organization_id);
        assert_eq!(server.owner().get(&log).await.expect(200).body["count"], 1);
    }

    async fn tasks_of_one_instance_run_in_order(server: Server) {
        let (old, new, tasks) = ask_for_move(&server).await;
        let client = server.owner();
        client.patch(&server.instance(), &json!({"vpc_id": old})).await.expect(200);
        client.patch(&server.instance(), &json!({"vpc_id": new})).await.expect(200);
        let first = server.engine();
        let (_keep, stop) = tokio::sync::watch::channel(false);
        let (one, two) = tokio::join!(first.run_one(&stop), first.run_one(&stop));
        assert!(one.unwrap() || two.unwrap());
        server.run_tasks().await;
        let done = client.get(&format!("{tasks}&ordering=created")).await.expect(200).body;
        assert_eq!(done["count"], 3);
        let ends: Vec<&str> = done["results"].as_array().unwrap().iter().map(|task| task["completed_at"].as_str().unwrap()).collect();
        let mut sorted = ends.clone();
        sorted.sort_unstable();
        assert_eq!(ends, sorted);
        assert_eq!(attached(&server).await.as_deref(), new.as_str());
    }

    async fn a_dead_workers_task_is_taken_over_when_its_lease_ends(server: Server) {
        use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
        use kernel::{id::AnyId, schema::tasks, tasks::TaskStatus};
        let (_, new, path) = ask_for_move(&server).await;
        // A worker that has claimed it and then died.
        let until = server.clock.now() + Duration::from_secs(60);
        server.app.store().write("test", move |tx| {
            let all = tasks::table.filter(tasks::status.eq(TaskStatus::Pending));
            diesel::update(all).set((
                tasks::status.eq(TaskStatus::Running), tasks::lease_owner.eq(Some(AnyId::new())), tasks::lease_until.eq(Some(until)),
            )).execute(tx.conn())?;
            Ok::<_, kernel::http::ApiError>(())
        }).await.unwrap();
        server.run_tasks().await;
        assert_eq!(server.owner().get(&path).await.expect(200).body["results"][0]["status"], "running");
        server.clock.advance(Duration::from_secs(61));
        server.run_tasks().await;
        assert_eq!(server.owner().get(&path).await.expect(200).body["results"][0]["status"], "completed");
        assert_eq!(attached(&server).await.as_deref(), new.as_str());
    }

    async fn steps_and_undoing_can_be_repeated(server: Server) {
        use compute::network::{NetworkDriver, RecordingNetwork};
        let (old, new, _) = ask_for_move(&server).await;
        let (id, app) = (server.facts.owner.instance_id, server.app.clone());
        let [old_id, new_id] = [&old, &new].map(|vpc| vpc.as_str().unwrap().parse().unwrap());
        for _ in 0..2 {
            RecordingNetwork.detach(&app, id, old_id).await.unwrap();
        }
        assert_eq!(attached(&server).await, None);
        for _ in 0..2 {
            RecordingNetwork.attach(&app, id, new_id).await.unwrap();
        }
        // Detaching from where it is no longer does nothing.
        RecordingNetwork.detach(&app, id, old_id).await.unwrap();
        assert_eq!(attached(&server).await.as_deref(), new.as_str());
    }

    async fn workers_wake_when_a_task_is_committed(server: Server, |config| {
        config.tasks.workers = 2;
        config.tasks.poll_ms = 60_000;
    }) {
        let (_, _, path) = ask_for_move(&server).await;
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while server.owner().get(&path).await.expect(200).body["results"][0]["status"] != "completed" {
            assert!(std::time::Instant::now() < deadline, "no worker has woken");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
