//! Payment methods, top-ups, charges, and the settings of who pays how.

use billing::payments::{Charged, report};
use billing::services::Cycle;
use kernel::{access::Role, money::Amount};
use serde_json::json;
use testkit::on_both;

use super::{Shop, TURN, amount};

on_both! {
    async fn methods_are_stored_chosen_and_removed(server: Server, |config| { config.billing.payment_driver = "sandbox".to_owned(); }) {
        let _turn = TURN.read().await;
        let shop = Shop::open(&server);
        let client = server.owner();
        let path = shop.path("/payment-methods");
        let faults = client.post(&path, &json!({"type": "cash"})).await.expect(400).body;
        assert_eq!(faults["type"], json!(["\"cash\" is not a valid choice."]));
        assert_eq!(faults["is_default"], json!(["This field is required."]));
        let refused = client.post(&path, &json!({"type": "card", "is_default": false, "provider_token": "4242"})).await.expect(400).body;
        assert!(refused["provider_token"].is_array(), "{refused}");
        let add = async |token: &str, default: bool| {
            client.post(&path, &json!({"type": "card", "label": "Card", "is_default": default, "provider_token": token})).await.expect(201).body
        };
        let first = add("tok_one", false).await;
        assert_eq!((&first["is_default"], &first["last4"]), (&json!(true), &json!("4242")));
        assert!(first.get("provider_token").is_none());
        let second = add("tok_two", true).await;
        let one = format!("{path}/{}", first["id"].as_str().unwrap());
        let two = format!("{path}/{}", second["id"].as_str().unwrap());
        assert_eq!(client.get(&one).await.expect(200).body["is_default"], false);
        client.patch(&two, &json!({"is_default": false})).await.expect(400);
        assert_eq!(client.patch(&one, &json!({"is_default": true, "label": "Main"})).await.expect(200).body["label"], "Main");
        let list = client.get(&path).await.expect(200).body;
        assert_eq!((&list[0]["label"], &list[1]["is_default"]), (&json!("Main"), &json!(false)));
        client.delete(&one).await.expect(204);
        client.get(&one).await.expect(404);
        assert_eq!(client.get(&two).await.expect(200).body["is_default"], true);
        let only = client.delete(&two).await.expect(400).body;
        assert!(only["detail"].as_str().unwrap().contains("automatic payment"), "{only}");
        client.patch(&shop.path("/settings"), &json!({"auto_pay": false})).await.expect(200);
        client.delete(&two).await.expect(204);
        let (editor, _) = server.member(Role::Editor).await;
        editor.get(&path).await.expect(403);
        assert!(!client.get(&format!("/v1/organizations/{}/audit-logs", shop.organization)).await.expect(200).text.contains("tok_"));
    }

    async fn credit_is_bought_when_the_payment_comes_in(server: Server, |config| { config.billing.payment_driver = "sandbox".to_owned(); }) {
        let _turn = TURN.read().await;
        let shop = Shop::open(&server);
        let client = server.owner();
        let path = shop.path("/top-up");
        for bad in ["0", "-1", "100000.01", "1.234", "x"] {
            client.post(&path, &json!({"amount": bad})).await.expect(400);
        }
        let open = client.post(&path, &json!({"amount": "10"})).await.expect(201).body;
        assert_eq!((&open["status"], &open["invoice"]["status"]), (&json!("pending"), &json!("unpaid")), "no method: {open}");
        let method = async |token: &str| {
            let body = json!({"type": "card", "is_default": true, "provider_token": token});
            client.post(&shop.path("/payment-methods"), &body).await.expect(201).body["id"].clone()
        };
        method("tok_fine").await;
        let started = client.post(&path, &json!({"amount": "25.50"})).await.expect(201).body;
        assert_eq!(started["status"], "pending");
        assert_eq!(shop.balance(&server).await, Amount::ZERO);
        server.run_tasks().await;
        assert_eq!(shop.balance(&server).await, amount("25.50"));
        let declined = method("tok_declined").await;
        client.post(&path, &json!({"amount": "5", "payment_method_id": declined})).await.expect(201);
        server.run_tasks().await;
        assert_eq!(shop.balance(&server).await, amount("25.50"));
        let action = method("tok_action").await;
        let asked = client.post(&path, &json!({"amount": "7", "payment_method_id": action})).await.expect(201).body;
        server.run_tasks().await;
        let invoice = shop.path(&format!("/invoices/{}", asked["invoice"]["id"].as_str().unwrap()));
        let shown = client.get(&invoice).await.expect(200).body;
        let url = shown["payment_url"].as_str().unwrap().to_owned();
        let again = client.post(&format!("{invoice}/pay"), &json!({})).await.expect(200).body;
        assert_eq!((&again["status"], &again["redirect_url"]), (&json!("requires_action"), &json!(url)));
        let reference = url.rsplit('/').next().unwrap().to_owned();
        for _ in 0..2 {
            let reference = reference.clone();
            let known = shop.write(&server, move |tx, billing| {
                let outcome = Charged::Succeeded { reference: reference.clone() };
                Ok(report(tx, billing, "sandbox", &reference, &outcome)?)
            });
            assert!(known.await.unwrap());
        }
        assert_eq!(shop.balance(&server).await, amount("32.50"));
        let moves = client.get(&shop.path("/transactions?type=top_up")).await.expect(200).body;
        assert_eq!(moves["count"], 2);
        assert_eq!(client.post(&format!("{invoice}/pay"), &json!({})).await.expect(400).status, 400);
        shop.books_are_right(&server).await;
    }

    async fn an_order_is_charged_and_a_late_payment_becomes_credit(server: Server, |config| { config.billing.payment_driver = "sandbox".to_owned(); }) {
        let _turn = TURN.read().await;
        let shop = Shop::open(&server);
        let client = server.owner();
        let method = json!({"type": "sepa_debit", "is_default": true, "provider_token": "tok_pending"});
        client.post(&shop.path("/payment-methods"), &method).await.expect(201);
        let placed = shop.place(&server, shop.order(vec![shop.item(Cycle::Monthly, "10")])).await.unwrap();
        assert!(placed.payment.is_some());
        server.run_tasks().await;
        let order = shop.path(&format!("/orders/{}", placed.order));
        client.post(&format!("{order}/cancel"), &json!({})).await.expect(400);
        shop.pass(&server, 36).await;
        assert_eq!(client.get(&order).await.expect(200).body["status"], "cancelled");
        let reference = format!("sandbox_{}", placed.payment.unwrap());
        shop.write(&server, move |tx, billing| {
            let outcome = Charged::Succeeded { reference: reference.clone() };
            Ok(report(tx, billing, "sandbox", &reference, &outcome)?)
        }).await.unwrap();
        assert_eq!(shop.balance(&server).await, amount("10"));
        shop.books_are_right(&server).await;
    }

    async fn settings_are_checked_and_kept(server: Server) {
        let _turn = TURN.read().await;
        let shop = Shop::open(&server);
        let client = server.owner();
        let path = shop.path("/settings");
        let before = client.get(&path).await.expect(200);
        assert_eq!((&before.body["currency"], &before.body["auto_pay"]), (&json!("EUR"), &json!(true)));
        let faults = client.patch(&path, &json!({"currency": "USD", "auto_top_up_enabled": true, "auto_top_up_amount": "0",
            "invoice_language": "xx", "invoice_emails": ["no address"]})).await.expect(400).body;
        assert!(faults["invoice_emails"].is_array() || faults["invoice_emails"].is_object(), "{faults}");
        let faults = client.patch(&path, &json!({"currency": "USD", "auto_top_up_enabled": true, "auto_top_up_amount": "0",
            "invoice_language": "xx"})).await.expect(400).body;
        for field in ["currency", "auto_top_up_threshold", "auto_top_up_amount", "invoice_language"] {
            assert!(faults[field].is_array(), "{field}: {faults}");
        }
        let changed = client.patch(&path, &json!({"invoice_language": "fr", "invoice_emails": ["books@example.org"],
            "auto_top_up_enabled": true, "auto_top_up_threshold": "5", "auto_top_up_amount": "50.5"})).await.expect(200);
        assert_eq!(changed.body["auto_top_up_amount"], "50.50");
        let same = client.patch(&path, &json!({"invoice_language": "fr"})).await.expect(200);
        assert_eq!(same.body["modified"], changed.body["modified"]);
        client.send(reqwest::Method::PATCH, &path, &[("if-match", before.header("etag"))], Some("{}".to_owned())).await.expect(412);
        shop.place(&server, shop.order(vec![shop.item(Cycle::Monthly, "10")])).await.unwrap();
        let mail = server.mail_to("books@example.org").await;
        assert!(mail.subject.starts_with("Facture INV-"), "{}", mail.subject);
    }
}
