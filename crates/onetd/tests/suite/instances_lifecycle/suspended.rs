//! Instances that are suspended for an unpaid invoice, and how their owners get them back.

use serde_json::{Value, json};
use testkit::{Server, on_both};

use super::{Life, books_are_right};

/// Has not paid its second month.
async fn suspended(server: &Server) -> Life {
    let life = Life::begin(server).await;
    life.site.spend_all(server).await;
    life.site.days(server, 32).await;
    assert_eq!(life.get(server).await["status"], "suspended");
    life
}

/// Credit that comes in pays nothing by itself.
async fn keep_credit(server: &Server) {
    let organization = server.facts.owner.organization_id;
    let path = format!("/v1/organizations/{organization}/billing/settings");
    let wanted = json!({"use_credit_first": false});
    server.owner().patch(&path, &wanted).await.expect(200);
}

async fn records(server: &Server, action: &str) -> Value {
    let organization = server.facts.owner.organization_id;
    let path = format!("/v1/organizations/{organization}/audit-logs?action={action}");
    server.owner().get(&path).await.expect(200).body["count"].clone()
}

on_both! {
    async fn what_is_due_is_paid_from_credit_and_the_machine_starts(server: Server) {
        let life = suspended(&server).await;
        keep_credit(&server).await;
        life.site.credit(&server, "10.00").await;
        assert_eq!(life.get(&server).await["status"], "suspended", "credit alone lifts nothing here");
        let answer = life.post(&server, "unsuspend", &json!({})).await.expect(202);
        assert_eq!((&answer.body["task_type"], &answer.body["status"]), (&json!("start_vps"), &json!("pending")));
        assert!(answer.header("location").ends_with(&format!("/compute/tasks/{}", answer.body["id"].as_str().unwrap())));
        assert_eq!(life.get(&server).await["status"], "active");
        assert_eq!(life.site.balance(&server).await.fixed::<2>().to_string(), "6.01");
        life.site.run_with_retries(&server).await;
        assert_eq!(life.task(&server, &answer.body).await["status"], "completed");
        assert_eq!(life.get(&server).await["state_sync"]["vm_status"], "running");
        assert_eq!(records(&server, "instance.reactivated").await, 1);
        let again = life.post(&server, "unsuspend", &json!({})).await.expect(409).body;
        assert!(again["detail"].as_str().unwrap().contains("is active"), "{again}");
        books_are_right(&server).await;
    }

    async fn half_of_it_is_not_taken(server: Server) {
        let life = suspended(&server).await;
        life.site.credit(&server, "1.00").await;
        let before = life.site.balance(&server).await;
        let refused = life.post(&server, "unsuspend", &json!({})).await.expect(402).body;
        assert!(refused["detail"].as_str().unwrap().contains("2.99 EUR"), "{refused}");
        assert_eq!(life.site.balance(&server).await, before);
        assert_eq!(life.get(&server).await["status"], "suspended");
        assert_eq!(records(&server, "instance.reactivated").await, 0);
        server.stranger().post(&format!("{}/unsuspend", life.path), &json!({})).await.expect(404);
        let (viewer, _) = server.member(kernel::access::Role::Viewer).await;
        viewer.post(&format!("{}/unsuspend", life.path), &json!({})).await.expect(403);
        books_are_right(&server).await;
    }

    async fn one_key_reactivates_once(server: Server) {
        let life = suspended(&server).await;
        keep_credit(&server).await;
        life.site.credit(&server, "10.00").await;
        let path = format!("{}/unsuspend", life.path);
        let key = [("idempotency-key", "back-again")];
        let mut answers = Vec::new();
        for _ in 0..2 {
            let answer = server.owner().send(reqwest::Method::POST, &path, &key, Some("{}".to_owned())).await;
            answers.push(answer.expect(202).body);
        }
        assert_eq!(answers[0], answers[1]);
        assert_eq!(life.site.balance(&server).await.fixed::<2>().to_string(), "6.01");
    }
}
