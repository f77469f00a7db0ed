//! Add-ons of an instance that runs.

use kernel::access::Role;
use serde_json::{Value, json};
use testkit::{Server, on_both};

use super::{Life, amount, books_are_right, card, only_for_editors};

/// The add-on of this slug, as the instance shows it.
async fn addon(server: &Server, life: &Life, slug: &str) -> Value {
    let all = server
        .owner()
        .get(&format!("{}/addons", life.path))
        .await
        .expect(200)
        .body;
    let found = all
        .as_array()
        .unwrap()
        .iter()
        .find(|addon| addon["addon"]["slug"] == slug);
    found.unwrap().clone()
}

on_both! {
    async fn an_addon_is_ordered_paid_and_renewed(server: Server) {
        let life = Life::begin(&server).await;
        let backup = addon(&server, &life, "backup").await;
        assert_eq!((&backup["status"], &backup["price"], &backup["activated_at"]), (&json!("available"), &Value::Null, &Value::Null));
        let before = life.site.balance(&server).await;
        let order = life.post(&server, "addons/activate", &json!({"addon_id": backup["addon"]["id"]})).await.expect(201).body;
        assert_eq!((&order["total"], &order["credit_applied"], &order["amount_due"], &order["status"]), (&json!("1.50"), &json!("1.50"), &json!("0.00"), &json!("active")));
        assert!(order["order_id"].is_string() && order["invoice_id"].is_i64() && order["legacy_order_id"].is_i64());
        assert_eq!(life.site.balance(&server).await, before - amount("1.50"));
        let active = addon(&server, &life, "backup").await;
        assert_eq!((&active["status"], &active["price"], &active["billing_cycle"]), (&json!("active"), &json!("1.50"), &json!("monthly")));
        assert!(active["activated_at"].is_string() && active["next_billing_date"].is_string());
        life.post(&server, "addons/activate", &json!({"addon_id": backup["addon"]["id"]})).await.expect(409);
        assert_eq!(life.site.balance(&server).await, before - amount("1.50"));
        life.site.days(&server, 32).await;
        assert_eq!(life.site.balance(&server).await, before - amount("1.50") - amount("1.50") - amount("3.99"));
        books_are_right(&server).await;
    }

    async fn an_addon_ends_with_its_paid_time_or_at_once(server: Server) {
        let life = Life::begin(&server).await;
        let id = addon(&server, &life, "backup").await["addon"]["id"].clone();
        life.post(&server, "addons/deactivate", &json!({"addon_id": id})).await.expect(409);
        life.post(&server, "addons/activate", &json!({"addon_id": id, "billing_cycle": "annually"})).await.expect(201);
        let ending = life.post(&server, "addons/deactivate", &json!({"addon_id": id, "reason": "too dear"})).await.expect(200).body;
        assert_eq!((&ending["status"], &ending["next_billing_date"]), (&json!("cancelling"), &Value::Null));
        life.post(&server, "addons/deactivate", &json!({"addon_id": id})).await.expect(409);
        life.post(&server, "addons/activate", &json!({"addon_id": id})).await.expect(409);
        let before = life.site.balance(&server).await;
        let ended = life.post(&server, "addons/deactivate", &json!({"addon_id": id, "immediate": true})).await.expect(200).body;
        assert_eq!(ended["status"], "available");
        assert_eq!(life.site.balance(&server).await, before);
        life.post(&server, "addons/activate", &json!({"addon_id": id})).await.expect(201);
        life.post(&server, "addons/deactivate", &json!({"addon_id": id})).await.expect(200);
        life.site.days(&server, 32).await;
        assert_eq!(addon(&server, &life, "backup").await["status"], "available");
        books_are_right(&server).await;
    }

    async fn an_addon_ends_with_its_instance(server: Server) {
        let life = Life::begin(&server).await;
        let id = addon(&server, &life, "backup").await["addon"]["id"].clone();
        life.post(&server, "addons/activate", &json!({"addon_id": id})).await.expect(201);
        server.owner().delete(&life.path).await.expect(202);
        server.run_tasks().await;
        let before = life.site.balance(&server).await;
        life.site.days(&server, 40).await;
        assert_eq!(life.site.balance(&server).await, before, "nobody pays for what is not there");
        life.post(&server, "addons/activate", &json!({"addon_id": id})).await.expect(409);
        books_are_right(&server).await;
    }

    async fn what_is_wrong_is_named(server: Server) {
        let life = Life::begin(&server).await;
        let id = addon(&server, &life, "backup").await["addon"]["id"].clone();
        let unknown = kernel::id::AnyId::new().to_string();
        for (body, field) in [
            (json!({}), "addon_id"),
            (json!({"addon_id": unknown}), "addon_id"),
            (json!({"addon_id": id, "billing_cycle": "hourly"}), "billing_cycle"),
            (json!({"addon_id": id, "billing_cycle": "quarterly"}), "billing_cycle"),
        ] {
            let answer = life.post(&server, "addons/activate", &body).await.expect(400);
            assert!(answer.body[field].is_array(), "{field}: {}", answer.text);
        }
        life.post(&server, "addons/deactivate", &json!({"addon_id": unknown})).await.expect(400);
        only_for_editors(&server, &format!("{}/addons/activate", life.path), &json!({"addon_id": id})).await;
        only_for_editors(&server, &format!("{}/addons/deactivate", life.path), &json!({"addon_id": id})).await;
        server.stranger().get(&format!("{}/addons", life.path)).await.expect(404);
        let (viewer, _) = server.member(Role::Viewer).await;
        viewer.get(&format!("{}/addons", life.path)).await.expect(200);
    }

    async fn an_addon_that_nothing_pays_is_not_ordered(server: Server) {
        let life = Life::begin(&server).await;
        life.site.spend_all(&server).await;
        let id = addon(&server, &life, "backup").await["addon"]["id"].clone();
        life.post(&server, "addons/activate", &json!({"addon_id": id})).await.expect(402);
        let (editor, _) = server.member(Role::Editor).await;
        editor.post(&format!("{}/addons/activate", life.path), &json!({"addon_id": id})).await.expect(403);
        assert_eq!(addon(&server, &life, "backup").await["status"], "available");
        books_are_right(&server).await;
    }

    async fn an_addon_paid_by_card_waits_for_it(server: Server, |config| { config.billing.payment_driver = "sandbox".to_owned(); }) {
        let life = Life::begin(&server).await;
        life.site.spend_all(&server).await;
        card(&server, "tok_declined").await;
        let id = addon(&server, &life, "backup").await["addon"]["id"].clone();
        let order = life.post(&server, "addons/activate", &json!({"addon_id": id})).await.expect(201).body;
        assert_eq!((&order["amount_due"], &order["status"]), (&json!("1.50"), &json!("pending")));
        server.run_tasks().await;
        assert_eq!(addon(&server, &life, "backup").await["status"], "pending");
        life.post(&server, "addons/activate", &json!({"addon_id": id})).await.expect(409);
        let ended = life.post(&server, "addons/deactivate", &json!({"addon_id": id})).await.expect(200).body;
        assert_eq!(ended["status"], "available");
        card(&server, "tok_fine").await;
        life.post(&server, "addons/activate", &json!({"addon_id": id})).await.expect(201);
        server.run_tasks().await;
        assert_eq!(addon(&server, &life, "backup").await["status"], "active");
        books_are_right(&server).await;
    }
}
