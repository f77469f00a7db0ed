//! Additional addresses that have a price: ordered, paid, given to the guest, renewed, ended.

use std::time::Duration;

use compute::addresses::pools;
use futures_util::future::join_all;
use kernel::{
    access::Role,
    config::{Config, MachineNetwork},
    http::ApiError,
};
use serde_json::{Value, json};
use testkit::{Answer, Server, on_both};

use super::{Life, amount, books_are_right, card};
use crate::addresses::only_pools;

/// An address costs 1.50 a month, guests are told their addresses, and there are cards.
fn priced(config: &mut Config) {
    config.compute.additional_address_price = amount("1.50");
    config.compute.network = MachineNetwork::Bridge;
    config.billing.payment_driver = "sandbox".to_owned();
}

/// An instance at a place that has this pool.
async fn begin(server: &Server, network: &str) -> Life {
    let life = Life::begin(server).await;
    let place = life.instance["location"]["slug"].as_str().unwrap();
    only_pools(server, place, &[(network, "192.0.2.1")]).await;
    life
}

/// The same with a customer who has this credit and a card that is declined.
async fn poor(server: &Server, network: &str, credit: &str) -> Life {
    let life = begin(server, network).await;
    life.site.spend_all(server).await;
    life.site.credit(server, credit).await;
    card(server, "tok_declined").await;
    life
}

async fn add(server: &Server, life: &Life, body: Value) -> Answer {
    life.post(server, "ip-addresses", &body).await
}

/// The instance's additional addresses, as everything that shows them agrees.
async fn shown(server: &Server, life: &Life) -> Vec<Value> {
    let client = server.owner();
    let path = format!("{}/ip-addresses", life.path);
    let all = client.get(&path).await.expect(200).body;
    assert_eq!(all, life.get(server).await["ip_addresses"]);
    let id = life.instance["id"].as_str().unwrap();
    let path = server.project(&format!("/compute/ip-addresses?instance_id={id}"));
    let count = all.as_array().unwrap().len();
    assert_eq!(client.get(&path).await.expect(200).body["count"], count);
    let additional = all.as_array().unwrap().iter();
    additional
        .filter(|row| row["is_primary"] == false)
        .cloned()
        .collect()
}

/// Whether the guest is told that it has the address.
fn is_in_guest(life: &Life, address: &str) -> bool {
    let seed = life.site.host.seed(life.vm()).unwrap();
    let interfaces = seed.network.unwrap().interfaces;
    let mut known = interfaces.iter().flat_map(|interface| &interface.addresses);
    known.any(|known| known.ip.to_string() == address)
}

/// Addresses of the test's pool: in use, resting.
async fn pool(server: &Server) -> (i64, i64) {
    let read = server.app.store().read("test", {
        let now = server.clock.now();
        move |conn| Ok::<_, ApiError>(pools::list(conn, now)?)
    });
    let fills = read.await.unwrap();
    let fill = fills.iter().find(|fill| fill.pool.is_active).unwrap();
    (fill.in_use, fill.resting)
}

async fn billing(server: &Server, path: &str) -> Value {
    let organization = server.facts.owner.organization_id;
    let path = format!("/v1/organizations/{organization}/billing{path}");
    server.owner().get(&path).await.expect(200).body
}

/// The order of an answer, as billing shows it.
async fn order(server: &Server, answer: &Value) -> Value {
    let id = answer["order"]["order_id"].as_str().unwrap();
    billing(server, &format!("/orders/{id}")).await
}

/// What is billed every month beside the instance.
async fn billed(server: &Server) -> Vec<Value> {
    let list = billing(server, "/services?service_type=addon").await;
    list["results"].as_array().unwrap().clone()
}

async fn records(server: &Server, action: &str) -> Value {
    let organization = server.facts.owner.organization_id;
    let path = format!("/v1/organizations/{organization}/audit-logs?action={action}");
    server.owner().get(&path).await.expect(200).body["count"].clone()
}

on_both! {
    async fn a_priced_address_is_paid_given_and_renewed(server: Server, |config| { priced(config); }) {
        let life = begin(&server, "192.0.2.0/28").await;
        let before = life.site.balance(&server).await;
        let answer = add(&server, &life, json!({"reverse_dns": "mail.example.com"})).await.expect(202);
        let placed = &answer.body["order"];
        assert_eq!(["total", "credit_applied", "amount_due", "status"].map(|field| placed[field].as_str().unwrap()), ["1.50", "1.50", "0.00", "processing"]);
        let task = &answer.body["task"];
        assert_eq!((&task["task_type"], &task["status"], &task["created_by"]["email"]), (&json!("add_ip"), &json!("pending"), &json!("ada@example.com")));
        assert!(answer.header("location").ends_with(&format!("/compute/tasks/{}", task["id"].as_str().unwrap())));
        assert_eq!(life.site.balance(&server).await, before - amount("1.50"));
        assert!(!is_in_guest(&life, "192.0.2.2"));
        server.run_tasks().await;
        assert!(is_in_guest(&life, "192.0.2.2"));
        let own = shown(&server, &life).await;
        assert_eq!((own.len(), &own[0]["address"], &own[0]["reverse_dns"]), (1, &json!("192.0.2.2"), &json!("mail.example.com")));
        assert_eq!(order(&server, &answer.body).await["status"], "active");
        let invoice = billing(&server, "/invoices").await["results"][0].clone();
        assert_eq!((&invoice["legacy_id"], &invoice["type"], &invoice["status"], &invoice["total"]), (&placed["invoice_id"], &json!("order"), &json!("paid"), &json!("1.50")));
        let items = invoice["items"].as_array().unwrap();
        let facts = ["description", "service_type", "billing_cycle", "unit_price", "total"].map(|field| items[0][field].as_str().unwrap());
        assert_eq!((items.len(), facts), (1, ["Additional IPv4 address 192.0.2.2", "ip_address", "monthly", "1.5000", "1.50"]));
        let services = billed(&server).await;
        assert_eq!((services.len(), &services[0]["id"], &services[0]["price"], &services[0]["status"]), (1, &own[0]["id"], &json!("1.50"), &json!("active")));
        for action in ["ip_address.ordered", "ip_address.added"] {
            assert_eq!(records(&server, action).await, 1, "{action}");
        }
        life.site.days(&server, 32).await;
        assert_eq!(life.site.balance(&server).await, before - amount("1.50") - amount("1.50") - amount("3.99"));
        let renewed = billed(&server).await;
        assert_ne!(renewed[0]["next_billing_date"], services[0]["next_billing_date"]);
        assert_eq!(shown(&server, &life).await, own);
        books_are_right(&server).await;
    }

    async fn an_order_that_is_not_paid_waits_and_a_top_up_completes_it(server: Server, |config| { priced(config); config.compute.addresses_per_instance = 3; }) {
        let life = poor(&server, "192.0.2.0/28", "1").await;
        assert_eq!(life.get(&server).await["ip_addresses"].as_array().unwrap().len(), 2);
        let answer = add(&server, &life, json!({"reverse_dns": "mail.example.com"})).await.expect(202);
        let placed = &answer.body["order"];
        assert_eq!(["credit_applied", "amount_due", "status"].map(|field| placed[field].as_str().unwrap()), ["1.00", "0.50", "pending"]);
        assert_eq!((&answer.body["task"], answer.header("location")), (&Value::Null, ""));
        server.run_tasks().await;
        assert!(shown(&server, &life).await.is_empty());
        assert!(!is_in_guest(&life, "192.0.2.2"));
        assert_eq!(order(&server, &answer.body).await["status"], "pending");
        assert_eq!(pool(&server).await, (1, 0), "kept for who has ordered it");
        // What is ordered counts.
        let full = add(&server, &life, json!({})).await.expect(400);
        assert!(full.body["detail"].as_str().unwrap().contains("at most 3"), "{}", full.text);
        life.site.credit(&server, "10").await;
        server.run_tasks().await;
        let own = shown(&server, &life).await;
        assert_eq!((own.len(), &own[0]["address"], &own[0]["reverse_dns"]), (1, &json!("192.0.2.2"), &json!("mail.example.com")));
        assert!(is_in_guest(&life, "192.0.2.2"));
        assert_eq!(order(&server, &answer.body).await["status"], "active");
        assert_eq!(life.site.balance(&server).await, amount("9.50"));
        books_are_right(&server).await;
    }

    async fn a_card_pays_for_an_address(server: Server, |config| { priced(config); }) {
        let life = begin(&server, "192.0.2.0/28").await;
        life.site.spend_all(&server).await;
        card(&server, "tok_fine").await;
        let answer = add(&server, &life, json!({})).await.expect(202).body;
        assert_eq!((&answer["order"]["amount_due"], &answer["task"]), (&json!("1.50"), &Value::Null));
        server.run_tasks().await;
        assert!(is_in_guest(&life, "192.0.2.2"));
        assert_eq!(order(&server, &answer).await["status"], "active");
        books_are_right(&server).await;
    }

    async fn an_address_that_nothing_pays_is_not_ordered(server: Server, |config| { priced(config); }) {
        let life = begin(&server, "192.0.2.0/28").await;
        life.site.spend_all(&server).await;
        let refused = add(&server, &life, json!({})).await.expect(402);
        assert!(refused.body["detail"].as_str().unwrap().contains("1.50 EUR"), "{}", refused.text);
        let (editor, _) = server.member(Role::Editor).await;
        let path = format!("{}/ip-addresses", life.path);
        editor.post(&path, &json!({})).await.expect(403);
        assert_eq!(pool(&server).await, (0, 0));
        assert_eq!(records(&server, "ip_address.ordered").await, 0);
        life.site.credit(&server, "10").await;
        editor.post(&path, &json!({})).await.expect(202);
        assert_eq!(shown(&server, &life).await[0]["address"], "192.0.2.2");
        books_are_right(&server).await;
    }

    async fn an_order_that_lapses_gives_the_address_back(server: Server, |config| { priced(config); }) {
        // One address can be had.
        let life = poor(&server, "192.0.2.0/30", "0.50").await;
        let answer = add(&server, &life, json!({})).await.expect(202).body;
        server.run_tasks().await;
        assert!(add(&server, &life, json!({})).await.expect(400).body["ip_type"].is_array());
        let organization = server.facts.owner.organization_id;
        let cancel = format!("/v1/organizations/{organization}/billing/orders/{}/cancel", answer["order"]["order_id"].as_str().unwrap());
        server.owner().post(&cancel, &json!({})).await.expect(200);
        assert_eq!(life.site.balance(&server).await, amount("0.50"), "the credit comes back");
        assert_eq!(pool(&server).await, (0, 1));
        add(&server, &life, json!({})).await.expect(400);
        server.clock.advance(Duration::from_hours(25));
        let answer = add(&server, &life, json!({})).await.expect(202).body;
        life.site.days(&server, 37).await;
        assert_eq!(order(&server, &answer).await["status"], "cancelled");
        assert_eq!(pool(&server).await.0, 0);
        assert!(shown(&server, &life).await.is_empty());
        assert_eq!(records(&server, "ip_address.order_dropped").await, 2);
        // What comes in later is credit, and buys nothing that was given up.
        life.site.credit(&server, "50").await;
        server.run_tasks().await;
        assert!(shown(&server, &life).await.is_empty());
        books_are_right(&server).await;
    }

    async fn a_released_address_is_not_renewed(server: Server, |config| { priced(config); }) {
        let life = begin(&server, "192.0.2.0/28").await;
        add(&server, &life, json!({})).await.expect(202);
        server.run_tasks().await;
        let one = format!("{}/ip-addresses/{}", life.path, shown(&server, &life).await[0]["id"].as_str().unwrap());
        // The next month is invoiced and paid already.
        life.site.days(&server, 20).await;
        let before = life.site.balance(&server).await;
        server.owner().delete(&one).await.expect(204);
        server.owner().delete(&one).await.expect(404);
        assert_eq!(life.site.balance(&server).await, before + amount("1.50"), "the month ahead comes back, this one does not");
        assert!(billed(&server).await.is_empty() && shown(&server, &life).await.is_empty());
        assert_eq!(pool(&server).await, (0, 1));
        server.run_tasks().await;
        assert!(!is_in_guest(&life, "192.0.2.2"));
        assert_eq!(records(&server, "ip_address.released").await, 1);
        life.site.days(&server, 20).await;
        assert_eq!(life.site.balance(&server).await, before + amount("1.50"));
        books_are_right(&server).await;
    }

    async fn what_is_released_before_the_guest_has_it_is_paid_back(server: Server, |config| { priced(config); }) {
        let life = begin(&server, "192.0.2.0/28").await;
        let before = life.site.balance(&server).await;
        let answer = add(&server, &life, json!({})).await.expect(202).body;
        let one = format!("{}/ip-addresses/{}", life.path, shown(&server, &life).await[0]["id"].as_str().unwrap());
        server.owner().delete(&one).await.expect(204);
        assert_eq!(life.site.balance(&server).await, before);
        server.run_tasks().await;
        assert_eq!(order(&server, &answer).await["status"], "cancelled");
        assert!(!is_in_guest(&life, "192.0.2.2") && billed(&server).await.is_empty());
        assert_eq!(pool(&server).await, (0, 1));
        books_are_right(&server).await;
    }

    async fn what_the_guest_cannot_have_is_paid_back(server: Server, |config| { priced(config); }) {
        let life = begin(&server, "192.0.2.0/28").await;
        let before = life.site.balance(&server).await;
        let answer = add(&server, &life, json!({})).await.expect(202).body;
        kernel::crash::fail_at("attach_address", 1);
        server.run_tasks().await;
        assert_eq!(life.site.balance(&server).await, before);
        assert_eq!(order(&server, &answer).await["status"], "failed");
        assert!(shown(&server, &life).await.is_empty() && !is_in_guest(&life, "192.0.2.2"));
        assert_eq!(pool(&server).await, (0, 1));
        assert_eq!(records(&server, "ip_address.add_failed").await, 1);
        books_are_right(&server).await;
    }

    async fn addresses_end_with_their_instance(server: Server, |config| { priced(config); }) {
        let life = begin(&server, "192.0.2.0/28").await;
        add(&server, &life, json!({})).await.expect(202);
        server.run_tasks().await;
        life.site.spend_all(&server).await;
        card(&server, "tok_declined").await;
        let waiting = add(&server, &life, json!({})).await.expect(202).body;
        server.run_tasks().await;
        assert_eq!((billed(&server).await.len(), pool(&server).await), (2, (2, 0)));
        server.owner().delete(&life.path).await.expect(202);
        assert!(billed(&server).await.is_empty());
        assert_eq!(order(&server, &waiting).await["status"], "cancelled");
        assert_eq!(pool(&server).await, (1, 1), "the machine has its address as long as it is there");
        server.run_tasks().await;
        assert_eq!(pool(&server).await, (0, 2));
        life.site.credit(&server, "50").await;
        life.site.days(&server, 40).await;
        assert_eq!(life.site.balance(&server).await, amount("50"), "nobody pays for what is not there");
        books_are_right(&server).await;
    }

    async fn an_address_that_is_not_paid_any_more_ends_and_its_instance_stays(server: Server, |config| { priced(config); }) {
        let life = begin(&server, "192.0.2.0/28").await;
        add(&server, &life, json!({})).await.expect(202);
        server.run_tasks().await;
        life.post(&server, "renew", &json!({})).await.expect(200);
        life.site.spend_all(&server).await;
        life.site.days(&server, 40).await;
        assert_eq!((shown(&server, &life).await.len(), &billed(&server).await[0]["status"]), (1, &json!("suspended")));
        life.site.days(&server, 7).await;
        assert_eq!(life.get(&server).await["status"], "active");
        assert!(shown(&server, &life).await.is_empty() && billed(&server).await.is_empty());
        assert!(!is_in_guest(&life, "192.0.2.2"));
        assert_eq!(pool(&server).await.0, 0);
        assert_eq!(records(&server, "ip_address.released").await, 1);
        books_are_right(&server).await;
    }

    async fn the_last_address_is_sold_once(server: Server, |config| { priced(config); }) {
        let life = Life::begin(&server).await;
        let second = life.site.running(&server, "second").await;
        let place = life.instance["location"]["slug"].as_str().unwrap();
        only_pools(&server, place, &[("192.0.2.0/30", "192.0.2.1")]).await;
        let paths = [life.path.clone(), life.site.path(&server, &second)];
        let before = life.site.balance(&server).await;
        let orders = (0..8).map(|number| {
            let (client, path) = (server.owner(), format!("{}/ip-addresses", paths[number % 2]));
            async move { client.post(&path, &json!({})).await }
        });
        let answers = join_all(orders).await;
        let sold: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 202).collect();
        assert_eq!(sold.len(), 1, "{:?}", answers.iter().map(|answer| answer.status).collect::<Vec<_>>());
        for refused in answers.iter().filter(|answer| answer.status != 202) {
            assert_eq!(refused.status, 400, "{}", refused.text);
            assert!(refused.body["ip_type"][0].as_str().unwrap().starts_with("All IPv4"), "{}", refused.text);
        }
        assert_eq!(life.site.balance(&server).await, before - amount("1.50"), "nobody pays for nothing");
        server.run_tasks().await;
        assert_eq!((billed(&server).await.len(), pool(&server).await), (1, (1, 0)));
        books_are_right(&server).await;
    }

    async fn an_ordered_address_follows_its_instance_into_another_project(server: Server, |config| { priced(config); }) {
        let mut life = poor(&server, "192.0.2.0/28", "1").await;
        let answer = add(&server, &life, json!({})).await.expect(202).body;
        server.run_tasks().await;
        let client = server.owner();
        let organization = format!("/v1/organizations/{}", server.facts.owner.organization_id);
        let project = client.post(&format!("{organization}/projects"), &json!({"name": "Elsewhere"})).await.expect(201).body["id"].clone();
        let id = life.instance["id"].as_str().unwrap().to_owned();
        let moving = json!({"target_project_id": project, "resources": [{"resource_type": "instance", "id": id}]});
        client.post(&server.project("/resources/transfer"), &moving).await.expect(200);
        server.run_tasks().await;
        life.path = format!("{organization}/projects/{}/compute/instances/{id}", project.as_str().unwrap());
        life.site.credit(&server, "10").await;
        server.run_tasks().await;
        assert_eq!(order(&server, &answer).await["status"], "active");
        let own = client.get(&format!("{}/ip-addresses", life.path)).await.expect(200).body;
        let given = own.as_array().unwrap().iter().find(|row| row["address"] == "192.0.2.2").unwrap().clone();
        client.get(&format!("{}/ip-addresses/{}", life.path, given["id"].as_str().unwrap())).await.expect(200);
        // The clocks find the instance there too: what is not paid is stopped and ended.
        life.site.spend_all(&server).await;
        life.site.days(&server, 50).await;
        assert_eq!(client.get(&life.path).await.expect(200).body["status"], "terminated");
        assert_eq!((life.site.machines().await, pool(&server).await.0), (0, 0));
        books_are_right(&server).await;
    }
}
