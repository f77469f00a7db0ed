//! The end of an instance, the next period, another cycle, protection.

use kernel::{access::Role, money::Amount};
use serde_json::{Value, json};
use testkit::on_both;

use super::{Life, amount, books_are_right, card, only_for_editors};

on_both! {
    async fn a_cancelled_instance_runs_until_its_paid_time_is_over(server: Server) {
        let life = Life::begin(&server).await;
        let path = format!("{}/cancellation", life.path);
        server.owner().get(&path).await.expect(404);
        let answer = life.post(&server, "cancellation", &json!({"reason": "Moving on"})).await.expect(201);
        assert!(answer.header("location").ends_with("/cancellation"));
        assert_eq!(answer.body["status"], "active");
        assert_eq!(answer.body["cancellation_reason"], "Moving on");
        assert_eq!(answer.body["billing_end_date"], answer.body["next_billing_date"]);
        let open = server.owner().get(&path).await.expect(200).body;
        assert_eq!(open["type"], "end_of_billing_period");
        assert_eq!((&open["effective_at"], &open["requested_at"]), (&answer.body["billing_end_date"], &answer.body["cancellation_requested_at"]));
        life.post(&server, "cancellation", &json!({})).await.expect(409);
        let balance = life.site.balance(&server).await;
        life.site.days(&server, 32).await;
        let over = life.get(&server).await;
        assert_eq!(over["status"], "cancelled");
        assert_eq!(life.site.machines().await, 0);
        assert_eq!(life.site.taken(&server).await, (0, 0, 0));
        assert_eq!(life.site.balance(&server).await, balance, "nothing more is billed");
        server.owner().get(&path).await.expect(404);
        life.post(&server, "cancellation", &json!({})).await.expect(409);
        server.owner().delete(&path).await.expect(409);
        books_are_right(&server).await;
    }

    async fn a_withdrawn_cancellation_is_none(server: Server) {
        let life = Life::begin(&server).await;
        let path = format!("{}/cancellation", life.path);
        server.owner().delete(&path).await.expect(409);
        life.post(&server, "cancellation", &json!({})).await.expect(201);
        life.post(&server, "renew", &json!({})).await.expect(409);
        life.post(&server, "billing-cycle", &json!({"billing_cycle": "annually"})).await.expect(409);
        let back = server.owner().delete(&path).await.expect(200).body;
        assert_eq!((&back["cancellation_requested_at"], &back["cancellation_reason"], &back["billing_end_date"]), (&Value::Null, &json!(""), &Value::Null));
        let before = life.site.balance(&server).await;
        life.site.days(&server, 32).await;
        assert_eq!(life.get(&server).await["status"], "active");
        assert_eq!(life.site.balance(&server).await, before - amount("3.99"));
        books_are_right(&server).await;
    }

    async fn at_once_means_at_once_and_gives_nothing_back(server: Server) {
        let life = Life::begin(&server).await;
        let before = life.site.balance(&server).await;
        let answer = life.post(&server, "cancellation", &json!({"type": "immediate", "reason": "x"})).await.expect(201).body;
        assert_eq!((&answer["status"], &answer["is_active"]), (&json!("cancelled"), &json!(false)));
        server.run_tasks().await;
        assert_eq!(life.site.machines().await, 0);
        assert_eq!(life.site.taken(&server).await, (0, 0, 0));
        assert_eq!(life.site.balance(&server).await, before);
        books_are_right(&server).await;
        // A period ahead comes back.
        let life = Life { instance: life.site.running(&server, "second").await, ..life };
        let life = Life { path: life.site.path(&server, &life.instance), ..life };
        let before = life.site.balance(&server).await;
        life.post(&server, "renew", &json!({})).await.expect(200);
        assert_eq!(life.site.balance(&server).await, before - amount("3.99"));
        life.post(&server, "cancellation", &json!({"type": "immediate"})).await.expect(201);
        assert_eq!(life.site.balance(&server).await, before);
        books_are_right(&server).await;
    }

    async fn what_is_not_there_yet_is_paid_back(server: Server) {
        let site = crate::machines::Site::open(&server).await;
        site.credit(&server, "100").await;
        let created = site.create(&server, json!({"name": "hasty"})).await.expect(201).body;
        assert_eq!(created["status"], "provisioning");
        let path = format!("{}/cancellation", site.path(&server, &created));
        let answer = server.owner().post(&path, &json!({})).await.expect(201).body;
        assert_eq!(answer["status"], "cancelled");
        server.run_tasks().await;
        assert_eq!((site.machines().await, site.taken(&server).await), (0, (0, 0, 0)));
        assert_eq!(site.balance(&server).await, amount("100"));
        books_are_right(&server).await;
    }

    async fn who_may_cancel_and_what_is_wrong(server: Server) {
        let life = Life::begin(&server).await;
        let path = format!("{}/cancellation", life.path);
        only_for_editors(&server, &path, &json!({})).await;
        let answer = life.post(&server, "cancellation", &json!({"type": "later", "reason": "x".repeat(2001)})).await.expect(400).body;
        assert!(answer["type"].is_array() && answer["reason"].is_array(), "{answer}");
        let (viewer, _) = server.member(Role::Viewer).await;
        viewer.get(&path).await.expect(404);
        viewer.delete(&path).await.expect(403);
        server.stranger().get(&path).await.expect(404);
        // The demo's instance is nobody's business: it is not billed.
        server.owner().post(&format!("{}/cancellation", server.instance()), &json!({})).await.expect(409);
    }

    async fn the_next_period_is_paid_ahead_once(server: Server) {
        let life = Life::begin(&server).await;
        let before = life.site.balance(&server).await;
        let order = life.post(&server, "renew", &json!({})).await.expect(200).body;
        assert_eq!((&order["total"], &order["amount_due"], &order["status"]), (&json!("3.99"), &json!("0.00"), &json!("active")));
        assert_eq!(life.site.balance(&server).await, before - amount("3.99"));
        life.post(&server, "renew", &json!({})).await.expect(409);
        // It is not billed a second time, and the one after it is.
        life.site.days(&server, 32).await;
        let after = life.get(&server).await;
        assert_eq!(after["status"], "active");
        assert_ne!(after["next_billing_date"], life.instance["next_billing_date"]);
        assert_eq!(life.site.balance(&server).await, before - amount("3.99"));
        life.site.days(&server, 31).await;
        assert_eq!(life.site.balance(&server).await, before - amount("7.98"));
        only_for_editors(&server, &format!("{}/renew", life.path), &json!({})).await;
        server.owner().post(&format!("{}/renew", server.instance()), &json!({})).await.expect(409);
        books_are_right(&server).await;
    }

    async fn nothing_is_invoiced_that_nothing_pays(server: Server) {
        let life = Life::begin(&server).await;
        life.site.spend_all(&server).await;
        let invoices = format!("/v1/organizations/{}/billing/invoices", server.facts.owner.organization_id);
        let before = server.owner().get(&invoices).await.expect(200).body["count"].clone();
        life.post(&server, "renew", &json!({})).await.expect(402);
        let (editor, _) = server.member(Role::Editor).await;
        editor.post(&format!("{}/renew", life.path), &json!({})).await.expect(403);
        assert_eq!(server.owner().get(&invoices).await.expect(200).body["count"], before);
        books_are_right(&server).await;
    }

    async fn a_card_pays_the_next_period(server: Server, |config| { config.billing.payment_driver = "sandbox".to_owned(); }) {
        let life = Life::begin(&server).await;
        life.site.spend_all(&server).await;
        card(&server, "tok_fine").await;
        let (editor, _) = server.member(Role::Editor).await;
        let order = editor.post(&format!("{}/renew", life.path), &json!({})).await.expect(200).body;
        assert_eq!((&order["amount_due"], &order["status"]), (&json!("3.99"), &json!("pending")));
        server.run_tasks().await;
        life.post(&server, "renew", &json!({})).await.expect(409);
        life.site.days(&server, 32).await;
        assert_eq!(life.get(&server).await["status"], "active");
        assert_eq!(life.site.balance(&server).await, Amount::ZERO);
        books_are_right(&server).await;
    }

    async fn another_cycle_holds_from_the_next_billing_date(server: Server) {
        let life = Life::begin(&server).await;
        let price = |cycle: &str| {
            let prices = life.instance["size"]["pricing_options"].as_array().unwrap();
            let found = prices.iter().find(|price| price["billing_cycle"] == cycle).unwrap();
            amount(found["price"].as_str().unwrap()).to_cents()
        };
        let before = life.site.balance(&server).await;
        for wrong in ["triennially", "free", "often"] {
            let answer = life.post(&server, "billing-cycle", &json!({"billing_cycle": wrong})).await.expect(400);
            assert!(answer.body["billing_cycle"].is_array(), "{}", answer.text);
        }
        let changed = life.post(&server, "billing-cycle", &json!({"billing_cycle": "quarterly"})).await.expect(200).body;
        assert_eq!((&changed["billing_cycle"], &changed["next_billing_date"]), (&json!("quarterly"), &life.instance["next_billing_date"]));
        // Nothing changes a second time.
        let same = life.post(&server, "billing-cycle", &json!({"billing_cycle": "quarterly"})).await.expect(200).body;
        assert_eq!(same["modified"], changed["modified"]);
        assert_eq!(life.site.balance(&server).await, before);
        life.site.days(&server, 32).await;
        assert_eq!(life.site.balance(&server).await, before - price("quarterly"));
        assert_eq!(life.get(&server).await["billing_cycle"], "quarterly");
        // By PATCH, and back again before it holds: billed as before.
        let path = &life.path;
        let changed = server.owner().patch(path, &json!({"billing_cycle": "annually"})).await.expect(200).body;
        assert_eq!(changed["billing_cycle"], "annually");
        server.owner().patch(path, &json!({"billing_cycle": "quarterly"})).await.expect(200);
        life.site.credit(&server, "100").await;
        let before = life.site.balance(&server).await;
        life.site.days(&server, 93).await;
        assert_eq!(life.site.balance(&server).await, before - price("quarterly"));
        server.owner().patch(path, &json!({"billing_cycle": "annually"})).await.expect(200);
        let before = life.site.balance(&server).await;
        life.site.days(&server, 93).await;
        assert_eq!(life.site.balance(&server).await, before - price("annually"));
        only_for_editors(&server, &format!("{path}/billing-cycle"), &json!({"billing_cycle": "monthly"})).await;
        books_are_right(&server).await;
    }

    async fn a_protected_instance_stays(server: Server) {
        let life = Life::begin(&server).await;
        let path = format!("{}/protection", life.path);
        assert_eq!(server.owner().get(&path).await.expect(200).body, json!({"delete": false}));
        only_for_editors(&server, &path, &json!({"delete": true})).await;
        life.post(&server, "protection", &json!({})).await.expect(400);
        life.post(&server, "protection", &json!({"delete": true})).await.expect(200);
        assert_eq!(server.owner().get(&path).await.expect(200).body, json!({"delete": true}));
        server.owner().delete(&life.path).await.expect(409);
        life.post(&server, "cancellation", &json!({})).await.expect(409);
        life.post(&server, "cancellation", &json!({"type": "immediate"})).await.expect(409);
        let version = life.get(&server).await["modified"].clone();
        life.post(&server, "protection", &json!({"delete": true})).await.expect(200);
        assert_eq!(life.get(&server).await["modified"], version);
        life.post(&server, "protection", &json!({"delete": false})).await.expect(200);
        server.owner().delete(&life.path).await.expect(202);
        server.run_tasks().await;
        assert_eq!(life.site.machines().await, 0);
    }
}
