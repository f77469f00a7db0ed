//! What must hold with many clients at once, and wherever a transaction is cut off.

use std::sync::Arc;

use billing::{
    clocks,
    services::{self, Change, Cycle},
};
use kernel::{crash, money::Amount};
use serde_json::json;
use testkit::on_both;

use super::{Shop, TURN, amount};

const CLIENTS: usize = 32;

on_both! {
    async fn credit_is_spent_once(server: Server) {
        let _turn = TURN.read().await;
        let shop = Shop::open(&server);
        shop.credit(&server, "100").await;
        let gate = Arc::new(tokio::sync::Barrier::new(CLIENTS));
        let mut running = tokio::task::JoinSet::new();
        for _ in 0..CLIENTS {
            let (shop, gate, store) = (shop.clone(), Arc::clone(&gate), server.app.store().clone());
            running.spawn(async move {
                gate.wait().await;
                let order = shop.order(vec![shop.item(Cycle::Monthly, "9")]);
                let billing = shop.billing.clone();
                store.write("test", move |tx| Ok::<_, kernel::http::ApiError>(billing::orders::place(tx, &billing, &order)?)).await
            });
        }
        let mut paid = 0;
        let mut numbers = std::collections::BTreeSet::new();
        while let Some(placed) = running.join_next().await {
            let placed = placed.unwrap().unwrap();
            paid += usize::from(placed.amount_due.is_zero());
            numbers.insert(placed.invoice.unwrap().number);
        }
        assert_eq!((paid, numbers.len()), (11, CLIENTS));
        assert_eq!(shop.balance(&server).await, Amount::ZERO);
        assert!(numbers.last().unwrap().ends_with("-000032"), "{numbers:?}");
        shop.books_are_right(&server).await;
    }

    async fn an_invoice_is_paid_once(server: Server) {
        let _turn = TURN.read().await;
        let shop = Shop::open(&server);
        let mut order = shop.order(vec![shop.item(Cycle::Monthly, "10")]);
        order.use_credit = false;
        // Credit that comes in later would pay it by itself.
        shop.credit(&server, "100").await;
        let placed = shop.place(&server, order).await.unwrap();
        let path = shop.path(&format!("/invoices/{}/pay", placed.invoice.unwrap().id));
        let mut running = tokio::task::JoinSet::new();
        for _ in 0..CLIENTS {
            let (client, path) = (server.owner(), path.clone());
            running.spawn(async move { client.post(&path, &json!({})).await.status });
        }
        let mut statuses = Vec::new();
        while let Some(status) = running.join_next().await {
            statuses.push(status.unwrap());
        }
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        assert_eq!(shop.balance(&server).await, amount("90"));
        shop.books_are_right(&server).await;
    }

    async fn a_period_is_invoiced_once_by_many_clocks(server: Server) {
        let _turn = TURN.read().await;
        let shop = Shop::open(&server);
        for _ in 0..8 {
            shop.running(&server, Cycle::Monthly, "10").await;
        }
        server.clock.advance(std::time::Duration::from_hours(24 * 20));
        let mut running = tokio::task::JoinSet::new();
        for _ in 0..CLIENTS {
            let billing = shop.billing.clone();
            running.spawn(async move { clocks::round(&billing).await });
        }
        while let Some(round) = running.join_next().await {
            assert_eq!(round.unwrap().unwrap().failed, 0);
        }
        let list = server.owner().get(&shop.path("/invoices?status=unpaid")).await.expect(200).body;
        assert_eq!(list["count"], 8);
        shop.books_are_right(&server).await;
    }

    async fn a_transaction_that_is_cut_off_leaves_nothing(server: Server) {
        let _turn = TURN.write().await;
        let shop = Shop::open(&server);
        let id = shop.running(&server, Cycle::Monthly, "10").await;
        shop.credit(&server, "300").await;
        let wanted = |price: &str| Change {
            description: "VPS".to_owned(),
            description_fr: "VPS".to_owned(),
            price: amount(price),
            monthly_cap: None,
            quantity: 1,
            options: None,
        };
        for point in ["billing.entries", "billing.balances", "billing.issued", "billing.order_items", "billing.credit_applied",
            "billing.paid", "billing.order_paid"] {
            let before = shop.balance(&server).await;
            crash::fail_at(point, 1);
            let order = shop.order(vec![shop.item(Cycle::Monthly, "7"), shop.item(Cycle::Hourly, "0.01")]);
            shop.place(&server, order.clone()).await.unwrap_err();
            assert_eq!(shop.balance(&server).await, before, "{point}");
            shop.books_are_right(&server).await;
            let placed = shop.place(&server, order).await.unwrap();
            assert_eq!(shop.balance(&server).await, before - amount("7"), "{point}");
            let service = placed.services[0];
            for point in ["billing.unwound", "billing.credited"] {
                crash::fail_at(point, 1);
                let failed = shop.write(&server, move |tx, billing| Ok(services::failed(tx, billing, service, "x")?));
                failed.await.unwrap_err();
            }
            shop.write(&server, move |tx, billing| Ok(services::failed(tx, billing, service, "x")?)).await.unwrap();
            assert_eq!(shop.balance(&server).await, before, "{point}");
        }
        for (number, point) in ["billing.changed", "billing.issued", "billing.credit_applied"].into_iter().enumerate() {
            let change = wanted(&(20 + number * 10).to_string());
            let again = change.clone();
            crash::fail_at(point, 1);
            shop.write(&server, move |tx, billing| Ok(services::change(tx, billing, id, &change, None)?)).await.unwrap_err();
            shop.write(&server, move |tx, billing| Ok(services::change(tx, billing, id, &again, None)?)).await.unwrap();
            shop.books_are_right(&server).await;
        }
        // The clock puts off what failed, and does it later.
        server.clock.advance(std::time::Duration::from_hours(24 * 20));
        for point in ["billing.renewed", "billing.service_ticked"] {
            crash::fail_at(point, 1);
            assert_eq!(clocks::round(&shop.billing).await.unwrap().failed, 1, "{point}");
            server.clock.advance(std::time::Duration::from_hours(1));
        }
        clocks::round(&shop.billing).await.unwrap();
        assert!(shop.service(&server, id).await.renewal_paid);
        shop.books_are_right(&server).await;
    }
}
