//! A service from its first period to its last: renewed, reminded, suspended, resumed, changed, cancelled.

use std::time::Duration;

use billing::{
    operators,
    services::{self, Change, Cycle, ServiceStatus},
};
use kernel::money::Amount;
use serde_json::{Value, json};
use testkit::{Server, on_both};

use super::{Shop, TURN, amount};

async fn invoices(server: &Server, shop: &Shop, filter: &str) -> Vec<Value> {
    let list = server
        .owner()
        .get(&shop.path(&format!("/invoices{filter}")))
        .await
        .expect(200)
        .body;
    list["results"].as_array().unwrap().clone()
}

async fn mark_paid(server: &Server, shop: &Shop, number: &Value) {
    let number = number.as_str().unwrap().to_owned();
    shop.write(server, move |tx, billing| {
        operators::mark_paid(tx, billing, &number, None, &number)
    })
    .await
    .unwrap();
}

on_both! {
    async fn a_service_is_renewed_from_credit(server: Server) {
        let _turn = TURN.read().await;
        let shop = Shop::open(&server);
        let id = shop.running(&server, Cycle::Monthly, "10").await;
        shop.credit(&server, "25").await;
        let first = shop.service(&server, id).await.next_billing_date.unwrap();
        shop.pass(&server, 10).await;
        assert!(invoices(&server, &shop, "?status=unpaid").await.is_empty());
        for _ in 0..3 {
            shop.pass(&server, 7).await;
        }
        let after = shop.service(&server, id).await;
        assert_eq!((after.period_start, after.status), (first, ServiceStatus::Active));
        assert_eq!(shop.balance(&server).await, amount("15"));
        let renewals: Vec<Value> = invoices(&server, &shop, "").await.into_iter().filter(|i| i["type"] == "renewal").collect();
        assert_eq!(renewals.len(), 1);
        assert_eq!(renewals[0]["items"][0]["period_start"], first.to_string()[..10]);
        shop.books_are_right(&server).await;
    }

    async fn unpaid_is_suspended_and_payment_lifts_it(server: Server) {
        let _turn = TURN.read().await;
        let shop = Shop::open(&server);
        let id = shop.running(&server, Cycle::Monthly, "10").await;
        let first = shop.service(&server, id).await.next_billing_date.unwrap();
        shop.pass(&server, 17).await;
        let open = invoices(&server, &shop, "?status=unpaid").await;
        assert_eq!(open.len(), 1);
        assert_eq!(open[0]["due_date"], first.to_string()[..10]);
        shop.pass(&server, 12).await;
        shop.pass(&server, 3).await;
        assert_eq!(shop.service(&server, id).await.status, ServiceStatus::Suspended);
        let summary = server.owner().get(&shop.path("")).await.expect(200).body;
        assert_eq!((&summary["has_suspended_services"], &summary["overdue_invoice_count"]), (&json!(true), &json!(1)));
        mark_paid(&server, &shop, &open[0]["number"]).await;
        let resumed = shop.service(&server, id).await;
        // The period that was owed, not one from the day of the payment on.
        assert_eq!((resumed.status, resumed.period_start), (ServiceStatus::Active, first));
        let subjects: Vec<String> = server.mails().await.into_iter().map(|mail| mail.subject).collect();
        for wanted in ["Invoice INV", "is due on", "is overdue", "A service is suspended", "is paid"] {
            assert!(subjects.iter().any(|subject| subject.contains(wanted)), "{wanted}: {subjects:?}");
        }
        shop.books_are_right(&server).await;
    }

    async fn what_stays_unpaid_is_terminated_and_its_invoice_cancelled(server: Server) {
        let _turn = TURN.read().await;
        let shop = Shop::open(&server);
        let id = shop.running(&server, Cycle::Quarterly, "30").await;
        for _ in 0..20 {
            shop.pass(&server, 7).await;
        }
        let over = shop.service(&server, id).await;
        assert_eq!((over.status, over.next_billing_date), (ServiceStatus::Terminated, None));
        let all = invoices(&server, &shop, "").await;
        let open: Vec<_> = all.iter().filter(|i| i["status"] == "unpaid" || i["status"] == "overdue").collect();
        assert!(open.is_empty(), "{open:?}");
        assert_eq!(all.iter().filter(|i| i["type"] == "renewal").count(), 1);
        shop.books_are_right(&server).await;
    }

    async fn cancelling_takes_back_the_renewal(server: Server) {
        let _turn = TURN.read().await;
        let shop = Shop::open(&server);
        let unpaid = shop.running(&server, Cycle::Monthly, "10").await;
        let paid = shop.running(&server, Cycle::Monthly, "20").await;
        shop.credit(&server, "20").await;
        shop.pass(&server, 20).await;
        // 20 pays for the greater one, or for the smaller one and a half of the other.
        assert_eq!(invoices(&server, &shop, "?status=unpaid").await.len(), 1);
        for id in [unpaid, paid] {
            shop.write(&server, move |tx, billing| Ok(services::cancel_at_end(tx, billing, id, "Not needed", None)?)).await.unwrap();
        }
        // Whatever the credit had paid of the two renewals is credit again.
        assert_eq!(shop.balance(&server).await, amount("20"));
        assert!(invoices(&server, &shop, "?status=unpaid").await.is_empty());
        shop.write(&server, move |tx, billing| Ok(services::revoke_cancellation(tx, billing, paid)?)).await.unwrap();
        shop.pass(&server, 1).await;
        assert_eq!(shop.balance(&server).await, Amount::ZERO);
        shop.pass(&server, 15).await;
        assert_eq!(shop.service(&server, unpaid).await.status, ServiceStatus::Cancelled);
        assert_eq!(shop.service(&server, paid).await.status, ServiceStatus::Active);
        shop.books_are_right(&server).await;
    }

    async fn changes_are_settled_to_the_second(server: Server) {
        let _turn = TURN.read().await;
        let shop = Shop::open(&server);
        let id = shop.running(&server, Cycle::Monthly, "30").await;
        let service = shop.service(&server, id).await;
        let whole = service.next_billing_date.unwrap().since(service.period_start);
        server.clock.advance(whole / 2 - (server.clock.now().since(service.period_start)));
        let to = |price: &str| Change {
            description: "VPS M".to_owned(),
            description_fr: "VPS M".to_owned(),
            price: amount(price),
            monthly_cap: None,
            quantity: 1,
            options: None,
        };
        let wanted = to("60");
        let changed = shop.write(&server, move |tx, billing| Ok(services::change(tx, billing, id, &wanted, None)?)).await.unwrap();
        assert_eq!(changed.amount_due, amount("15"));
        let wanted = to("20");
        let changed = shop.write(&server, move |tx, billing| Ok(services::change(tx, billing, id, &wanted, None)?)).await.unwrap();
        assert_eq!(changed.credited, amount("20"));
        // What was not paid is settled first.
        assert_eq!(shop.balance(&server).await, amount("5"));
        shop.write(&server, move |tx, billing| Ok(services::change_cycle(tx, billing, id, (Cycle::Annually, amount("200"), None), None)?)).await.unwrap();
        shop.credit(&server, "500").await;
        shop.pass(&server, 20).await;
        let after = shop.service(&server, id).await;
        assert_eq!((after.billing_cycle, after.price), (Cycle::Annually, amount("200")));
        assert!(after.next_billing_date.unwrap().since(after.period_start) > Duration::from_hours(24 * 364));
        shop.books_are_right(&server).await;
    }

    async fn hours_are_counted_capped_and_invoiced_once_a_month(server: Server) {
        let _turn = TURN.read().await;
        let shop = Shop::open(&server);
        shop.credit(&server, "1").await;
        let mut capped = shop.item(Cycle::Hourly, "0.0125");
        capped.monthly_cap = Some(amount("5"));
        let placed = shop.place(&server, shop.order(vec![capped, shop.item(Cycle::Hourly, "0.50")])).await.unwrap();
        assert!(placed.invoice.is_none());
        for id in placed.services.clone() {
            shop.write(&server, move |tx, billing| Ok(services::provisioned(tx, billing, id)?)).await.unwrap();
        }
        server.clock.advance(Duration::from_mins(10));
        let short = placed.services[1];
        shop.write(&server, move |tx, billing| Ok(services::cancel_now(tx, billing, short, ("done", false), None)?)).await.unwrap();
        let now = server.clock.now();
        let client = server.owner();
        let usage = client.get(&shop.path("/usage")).await.expect(200).body;
        assert_eq!((&usage["is_final"], &usage["lines"].as_array().unwrap().len()), (&json!(false), &2), "{usage}");
        let used = usage["lines"].as_array().unwrap().iter().find(|line| line["unit_price"] == "0.5000").unwrap();
        assert_eq!((&used["quantity"], &used["amount"]), (&json!("1.0000"), &json!("0.50")));
        for _ in 0..5 {
            shop.pass(&server, 7).await;
        }
        let month = now.to_string()[..7].to_owned();
        let usage = client.get(&shop.path(&format!("/usage?period={month}"))).await.expect(200).body;
        assert_eq!(usage["is_final"], true, "{usage}");
        let found: Vec<Value> = invoices(&server, &shop, "").await.into_iter().filter(|i| i["type"] == "usage").collect();
        let invoiced: Vec<_> = found.iter().map(|i| i["subtotal"].clone()).collect();
        assert!(invoiced.contains(&usage["total"]), "{invoiced:?} {usage}");
        client.get(&shop.path("/usage?period=2026-13")).await.expect(400);
        shop.books_are_right(&server).await;
    }
}
