//! From one VPC into another, and back to the default one.

use hypervisor::double::Fault;
use serde_json::json;
use testkit::on_both;

use super::{Life, only_for_editors};
use crate::instances_replace::other_vpc;

on_both! {
    async fn an_instance_moves_into_a_vpc_and_back(server: Server) {
        let life = Life::begin(&server).await;
        let (default, location) = (life.instance["vpc"]["id"].clone(), &life.instance["location"]["id"]);
        let vpc = other_vpc(&server, &server.owner(), location, &default).await;
        life.post(&server, "vpc/detach", &json!({})).await.expect(409);
        let task = life.done(&server, "vpc/attach", &json!({"vpc_id": vpc})).await;
        assert_eq!((&task["task_type"], &task["status"]), (&json!("attach_vpc"), &json!("completed")));
        assert_eq!(life.get(&server).await["vpc"]["id"], vpc);
        assert_eq!(life.site.host.spec(life.vm()).unwrap().interfaces.len(), 2);
        life.post(&server, "vpc/attach", &json!({"vpc_id": vpc})).await.expect(409);
        let task = life.done(&server, "vpc/detach", &json!({})).await;
        assert_eq!((&task["task_type"], &task["status"]), (&json!("detach_vpc"), &json!("completed")));
        assert_eq!(life.get(&server).await["vpc"]["id"], default);
        // The same by PATCH, with null.
        server.owner().patch(&life.path, &json!({"vpc_id": vpc})).await.expect(200);
        server.owner().patch(&life.path, &json!({"vpc_id": null})).await.expect(200);
        server.run_tasks().await;
        assert_eq!(life.get(&server).await["vpc"]["id"], default);
    }

    async fn a_move_that_fails_or_is_cancelled_is_none(server: Server) {
        let life = Life::begin(&server).await;
        let default = life.instance["vpc"]["id"].clone();
        let vpc = other_vpc(&server, &server.owner(), &life.instance["location"]["id"], &default).await;
        for _ in 0..6 {
            life.site.host.fail("attach_interface", Fault::Passing);
        }
        let task = life.done(&server, "vpc/attach", &json!({"vpc_id": vpc})).await;
        assert_eq!(task["status"], "failed", "{task}");
        assert_eq!(life.get(&server).await["vpc"]["id"], default);
        assert_eq!(life.site.host.spec(life.vm()).unwrap().interfaces.len(), 2);
        let retry = server.project(&format!("/compute/tasks/{}/retry", task["id"].as_str().unwrap()));
        server.owner().post(&retry, &json!({})).await.expect(202);
        assert_eq!(life.get(&server).await["vpc"]["id"], vpc);
        server.run_tasks().await;
        assert_eq!(life.task(&server, &task).await["status"], "completed");
        let back = life.post(&server, "vpc/detach", &json!({})).await.expect(202).body;
        let cancel = server.project(&format!("/compute/tasks/{}/cancel", back["id"].as_str().unwrap()));
        server.owner().post(&cancel, &json!({})).await.expect(200);
        server.run_tasks().await;
        assert_eq!(life.get(&server).await["vpc"]["id"], vpc);
    }

    async fn what_is_wrong_is_named(server: Server) {
        let life = Life::begin(&server).await;
        let unknown = kernel::id::AnyId::new().to_string();
        let vpcs = server.owner().get(&server.project("/compute/vpcs?page_size=100")).await.expect(200).body;
        let elsewhere = vpcs["results"].as_array().unwrap().iter().find(|vpc| vpc["location"]["id"] != life.instance["location"]["id"]);
        for body in [json!({}), json!({"vpc_id": unknown}), json!({"vpc_id": elsewhere.unwrap()["id"]})] {
            let answer = life.post(&server, "vpc/attach", &body).await.expect(400);
            assert!(answer.body["vpc_id"].is_array(), "{}", answer.text);
        }
        let vpc = other_vpc(&server, &server.owner(), &life.instance["location"]["id"], &life.instance["vpc"]["id"]).await;
        let answer = life.post(&server, "vpc/attach", &json!({"vpc_id": vpc, "private_ip": "192.0.2.9"})).await.expect(400);
        assert!(answer.body["private_ip"].is_array(), "{}", answer.text);
        only_for_editors(&server, &format!("{}/vpc/attach", life.path), &json!({"vpc_id": unknown})).await;
        only_for_editors(&server, &format!("{}/vpc/detach", life.path), &json!({})).await;
    }
}
