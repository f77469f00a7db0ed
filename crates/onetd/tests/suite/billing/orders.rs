//! Orders: quoted, placed, paid, cancelled, failed.

use billing::{
    invoices::Portion,
    operators,
    orders::{may_order, quote},
    services::{self, Cycle, ServiceStatus},
};
use kernel::{access::Role, money::Amount};
use serde_json::json;
use testkit::on_both;

use super::{Shop, TURN, amount};

on_both! {
    async fn credit_pays_for_an_order_and_it_completes(server: Server, |config| { config.billing.seller_country = "FR".to_owned(); }) {
        let _turn = TURN.read().await;
        let shop = Shop::open(&server);
        shop.credit(&server, "50").await;
        let order = shop.order(vec![shop.item(Cycle::Monthly, "10"), shop.item(Cycle::Annually, "19.99")]);
        let (billing, wanted, now) = (shop.billing.clone(), order.clone(), server.clock.now());
        let quoted = server.app.store()
            .read("test", move |conn| quote(conn, &billing, &wanted, now))
            .await.unwrap();
        assert_eq!((quoted.subtotal, quoted.tax_total, quoted.total), (amount("29.99"), amount("6"), amount("35.99")));
        assert_eq!((quoted.credit_applied, quoted.amount_due), (amount("35.99"), Amount::ZERO));
        let placed = shop.place(&server, order).await.unwrap();
        assert_eq!((placed.credit_applied, placed.amount_due), (quoted.credit_applied, quoted.amount_due));
        let client = server.owner();
        let path = shop.path(&format!("/orders/{}", placed.order));
        let shown = client.get(&path).await.expect(200).body;
        assert_eq!((&shown["status"], &shown["total"], &shown["amount_due"]), (&json!("processing"), &json!("35.99"), &json!("0.00")));
        assert_eq!(shown["items"].as_array().unwrap().len(), 2);
        for id in placed.services.clone() {
            shop.write(&server, move |tx, billing| Ok(services::provisioned(tx, billing, id)?)).await.unwrap();
        }
        assert_eq!(client.get(&path).await.expect(200).body["status"], "active");
        let invoices = client.get(&shop.path("/invoices")).await.expect(200).body;
        let invoice = &invoices["results"][0];
        assert_eq!((&invoice["status"], &invoice["tax_total"], &invoice["credit_applied"]), (&json!("paid"), &json!("6.00"), &json!("35.99")));
        assert!(invoice["number"].as_str().unwrap().ends_with("-000001"), "{invoice}");
        assert_eq!(invoice["legacy_id"], shown["invoice_id"]);
        let moves = client.get(&shop.path("/transactions")).await.expect(200).body;
        assert_eq!((&moves["results"][0]["type"], &moves["results"][0]["amount"], &moves["results"][0]["balance_after"]),
            (&json!("credit_applied"), &json!("-35.99"), &json!("14.01")));
        let listed = client.get(&shop.path("/services?service_type=instance")).await.expect(200).body;
        assert_eq!(listed["count"], 2);
        let summary = client.get(&shop.path("")).await.expect(200).body;
        assert_eq!((&summary["credit_balance"], &summary["unpaid_total"]), (&json!("14.01"), &json!("0.00")));
        shop.books_are_right(&server).await;
    }

    async fn a_pending_order_is_cancelled_and_its_credit_comes_back(server: Server) {
        let _turn = TURN.read().await;
        let shop = Shop::open(&server);
        shop.credit(&server, "4").await;
        let placed = shop.place(&server, shop.order(vec![shop.item(Cycle::Monthly, "10")])).await.unwrap();
        assert_eq!((placed.credit_applied, placed.amount_due), (amount("4"), amount("6")));
        let client = server.owner();
        let invoice = shop.path(&format!("/invoices/{}", placed.invoice.unwrap().id));
        let refused = client.post(&format!("{invoice}/pay"), &json!({})).await.expect(400).body;
        assert!(refused["detail"].as_str().unwrap().contains("payment method"), "{refused}");
        let path = shop.path(&format!("/orders/{}/cancel", placed.order));
        assert_eq!(client.post(&path, &json!({})).await.expect(200).body["status"], "cancelled");
        client.post(&path, &json!({})).await.expect(400);
        assert_eq!(client.get(&invoice).await.expect(200).body["status"], "cancelled");
        assert_eq!(shop.balance(&server).await, amount("4"));
        assert_eq!(shop.service(&server, placed.services[0]).await.status, ServiceStatus::Cancelled);
        shop.books_are_right(&server).await;
    }

    async fn one_failure_unwinds_the_whole_order(server: Server) {
        let _turn = TURN.read().await;
        let shop = Shop::open(&server);
        shop.credit(&server, "30").await;
        let items = vec![shop.item(Cycle::Monthly, "10"), shop.item(Cycle::Hourly, "0.01"), shop.item(Cycle::Monthly, "20")];
        let placed = shop.place(&server, shop.order(items)).await.unwrap();
        assert_eq!(shop.balance(&server).await, Amount::ZERO);
        let ids = placed.services.clone();
        shop.write(&server, move |tx, billing| Ok(services::provisioned(tx, billing, ids[0])?)).await.unwrap();
        let id = placed.services[2];
        for _ in 0..2 {
            shop.write(&server, move |tx, billing| Ok(services::failed(tx, billing, id, "No host has room")?)).await.unwrap();
        }
        assert_eq!(shop.balance(&server).await, amount("30"));
        for id in &placed.services {
            assert_eq!(shop.service(&server, *id).await.status, ServiceStatus::Cancelled);
        }
        let client = server.owner();
        let invoices = client.get(&shop.path("/invoices")).await.expect(200).body;
        let kinds: Vec<_> = invoices["results"].as_array().unwrap().iter().map(|i| (i["type"].clone(), i["status"].clone(), i["total"].clone())).collect();
        assert_eq!(kinds, [(json!("credit_note"), json!("paid"), json!("-30.00")), (json!("order"), json!("refunded"), json!("30.00"))]);
        assert_eq!(client.get(&shop.path(&format!("/orders/{}", placed.order))).await.expect(200).body["status"], "failed");
        shop.books_are_right(&server).await;
    }

    async fn operators_credit_and_record_payments(server: Server, |config| { config.billing.seller_country = "DE".to_owned(); }) {
        let _turn = TURN.read().await;
        let shop = Shop::open(&server);
        let placed = shop.place(&server, shop.order(vec![shop.item(Cycle::OneTime, "100")])).await.unwrap();
        let number = placed.invoice.unwrap().number;
        let pay = |amount: Option<Amount>, reference: &'static str| {
            let number = number.clone();
            shop.write(&server, move |tx, billing| operators::mark_paid(tx, billing, &number, amount, reference))
        };
        pay(Some(amount("19")), "statement 1").await.unwrap();
        pay(Some(amount("19")), "statement 1").await.unwrap_err();
        // More than is due: the rest becomes credit.
        pay(Some(amount("105")), "statement 2").await.unwrap();
        pay(None, "statement 3").await.unwrap_err();
        assert_eq!(shop.balance(&server).await, amount("5"));
        let note = |portion: Portion| {
            let number = number.clone();
            shop.write(&server, move |tx, billing| operators::credit_note(tx, billing, &number, portion, "Goodwill"))
        };
        assert_eq!(note(Portion::Net(amount("33.33"))).await.unwrap().total, amount("-39.66"));
        assert_eq!(note(Portion::Whole).await.unwrap().total, amount("-79.34"));
        note(Portion::Whole).await.unwrap_err();
        assert_eq!(shop.balance(&server).await, amount("124"));
        let log = server.owner().get(&format!("/v1/organizations/{}/audit-logs?action=invoice.credited", shop.organization)).await.expect(200);
        assert_eq!(log.body["count"], 2, "{}", log.text);
        shop.books_are_right(&server).await;
    }

    async fn editors_order_what_is_covered(server: Server) {
        let _turn = TURN.read().await;
        let shop = Shop::open(&server);
        let ask = async |text: &str| {
            let (billing, order, now) = (shop.billing.clone(), shop.order(vec![shop.item(Cycle::Monthly, text)]), server.clock.now());
            let read = server.app.store().read("test", move |conn| quote(conn, &billing, &order, now));
            read.await.unwrap()
        };
        assert!(may_order(Role::Owner, &ask("10").await).is_ok());
        assert_eq!(may_order(Role::Editor, &ask("10").await).unwrap_err().status(), 403);
        shop.credit(&server, "10").await;
        assert!(may_order(Role::Editor, &ask("10").await).is_ok());
        assert!(may_order(Role::Editor, &ask("10.01").await).is_err());
        assert!(may_order(Role::Viewer, &ask("1").await).is_err());
    }

    async fn businesses_abroad_account_for_the_tax_themselves(server: Server, |config| { config.billing.seller_country = "FR".to_owned(); }) {
        use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
        use identity::schema::organizations;
        let _turn = TURN.read().await;
        let shop = Shop::open(&server);
        let move_to = async |country: &'static str, vat: &'static str| {
            let organization = shop.organization;
            shop.write(&server, move |tx, _| {
                let target = organizations::table.find(organization);
                diesel::update(target).set((organizations::country.eq(country), organizations::vat_number.eq(vat))).execute(tx.conn())?;
                Ok(())
            }).await.unwrap();
            let placed = shop.place(&server, shop.order(vec![shop.item(Cycle::Monthly, "100")])).await.unwrap();
            let invoice = placed.invoice.unwrap();
            server.owner().get(&shop.path(&format!("/invoices/{}", invoice.id))).await.expect(200).body
        };
        let domestic = move_to("FR", "").await;
        assert_eq!((&domestic["tax_total"], &domestic["items"][0]["tax_rate"]), (&json!("20.00"), &json!("20.00")));
        assert_eq!(move_to("DE", "").await["tax_total"], "19.00");
        let reverse = move_to("DE", "DE136695976").await;
        assert_eq!((&reverse["tax_total"], &reverse["billing_address"]["vat_number"]), (&json!("0.00"), &json!("DE136695976")));
        assert_eq!(move_to("CH", "").await["tax_total"], "0.00");
        // An address that changes later does not change what was issued.
        let listed = server.owner().get(&shop.path("/invoices")).await.expect(200).body;
        let countries: Vec<_> = listed["results"].as_array().unwrap().iter().map(|i| i["billing_address"]["country"].clone()).collect();
        assert_eq!(countries, ["CH", "DE", "DE", "FR"]);
        shop.books_are_right(&server).await;
    }
}
