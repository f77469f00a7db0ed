//! What billing tells: letters, webhooks, a warning of low credit.

use billing::{operators, services::Cycle};
use serde_json::json;
use testkit::on_both;

use super::{Shop, TURN, amount};
use crate::{
    people::organization,
    webhook_receiver::{Receiver, allow},
};

on_both! {
    async fn invoices_are_told_to_programs_and_further_addresses(server: Server, |config| { allow(config); }) {
        let _turn = TURN.read().await;
        let (shop, owner) = (Shop::open(&server), server.owner());
        let receiver = Receiver::start().await;
        let hook = json!({"url": receiver.url, "events": ["invoice.*", "service.*"]});
        owner.post(&organization(&server, "/notification-settings/webhooks"), &hook).await.expect(201);
        let settings = organization(&server, "/notification-settings");
        let wanted = json!({"recipients": ["books@example.org"], "notify_billing": false});
        owner.patch(&settings, &wanted).await.expect(200);
        shop.running(&server, Cycle::Monthly, "10").await;
        for days in [20, 12, 12, 20] {
            shop.pass(&server, days).await;
        }
        server.run_tasks().await;
        // A connection may have broken under load: what it was to carry is tried again.
        for _ in 0..3 {
            server.clock.advance(std::time::Duration::from_mins(10));
            server.run_tasks().await;
        }
        let told: Vec<String> = receiver.posted().iter().map(|post| post.json()["type"].as_str().unwrap().to_owned()).collect();
        for event in ["invoice.created", "invoice.paid", "invoice.overdue", "service.suspended", "service.terminated", "invoice.cancelled"] {
            assert!(told.iter().any(|slug| slug == event), "{event}: {told:?}");
        }
        let first = receiver.posted()[0].json();
        assert_eq!((&first["data"]["type"], &first["data"]["total"], &first["data"]["currency"]), (&json!("order"), &json!("10.00"), &json!("EUR")));
        // The switch of renewals is on, that of other invoices off; duties reach the owner all the same.
        let mails = server.mails().await;
        let subjects = |address: &str| -> Vec<&str> {
            mails.iter().filter(|mail| mail.to == address).map(|mail| mail.subject.as_str()).collect()
        };
        let further = subjects("books@example.org");
        assert_eq!(further.iter().filter(|subject| subject.contains(" over ")).count(), 1, "{further:?}");
        let owners = subjects(&server.facts.owner.email);
        assert!(owners.iter().any(|subject| subject.starts_with("A service is suspended")), "{owners:?}");
        assert_eq!(owners.iter().filter(|subject| subject.contains(" over ")).count(), 2, "{owners:?}");
    }

    async fn low_credit_is_told_once(server: Server) {
        let _turn = TURN.read().await;
        let (shop, owner) = (Shop::open(&server), server.owner());
        let settings = organization(&server, "/notification-settings");
        owner.patch(&settings, &json!({"low_balance_threshold": "20"})).await.expect(200);
        let lower = async |text: &str| {
            let (id, less) = (shop.organization, amount(text));
            shop.write(&server, move |tx, billing| operators::add_credit(tx, billing, id, -less, "a test")).await.unwrap();
        };
        shop.credit(&server, "50").await;
        lower("30").await;
        assert!(server.mails().await.iter().all(|mail| !mail.subject.contains("Low credit")));
        lower("0.01").await;
        lower("5").await;
        let mails = server.mails().await;
        let warnings: Vec<_> = mails.iter().filter(|mail| mail.subject.starts_with("Low credit")).collect();
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].text.contains("is down to 19.99 EUR, below 20.00 EUR"), "{}", warnings[0].text);
    }
}
