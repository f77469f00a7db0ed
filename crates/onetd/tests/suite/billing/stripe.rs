//! Charges through Stripe's API, against localstripe.

use std::time::Duration;

use billing::{clocks, services::Cycle};
use kernel::{config::Secret, crash};
use serde_json::{Value, json};
use testkit::{
    Engine, Server,
    stripe::{SECRET_KEY, Stripe},
};

use super::{Shop, TURN, amount};

const GOOD: &str = "4242424242424242";
/// Can be stored, and is declined at each charge.
const POOR: &str = "4000000000000341";
/// Can't be stored.
const BAD: &str = "4000000000000002";
/// The bank asks the payer at each charge.
const CAREFUL: &str = "4000002500003155";

const WEBHOOK_SECRET: &str = "whsec_of_the_suite";

struct Scene {
    server: Server,
    shop: Shop,
    stripe: Stripe,
}

impl Scene {
    async fn set(engine: Engine) -> Option<Self> {
        let stripe = Stripe::start().await?;
        let url = stripe.url.clone();
        let server = Server::start(engine, move |config| {
            config.billing.payment_driver = "stripe".to_owned();
            config.billing.stripe.url.clone_from(&url);
            config.billing.stripe.secret_key = Secret::new(SECRET_KEY.to_owned());
            config.billing.stripe.webhook_secret = Secret::new(WEBHOOK_SECRET.to_owned());
        })
        .await;
        let shop = Shop::open(&server);
        Some(Self { server, shop, stripe })
    }

    async fn add(&self, kind: &str, token: &str) -> testkit::Answer {
        let body = json!({"type": kind, "is_default": true, "provider_token": token});
        self.server
            .owner()
            .post(&self.shop.path("/payment-methods"), &body)
            .await
    }

    async fn add_card(&self, number: &str) -> Value {
        let token = self.stripe.card(number).await;
        self.add("card", &token).await.expect(201).body
    }

    /// Asks for credit; gives the invoice's path.
    async fn top_up(&self, text: &str) -> String {
        let body = json!({"amount": text, "return_url": "https://console.example/back"});
        let asked = self
            .server
            .owner()
            .post(&self.shop.path("/top-up"), &body)
            .await
            .expect(201)
            .body;
        assert_eq!(asked["status"], "pending");
        self.shop
            .path(&format!("/invoices/{}", asked["invoice"]["id"].as_str().unwrap()))
    }

    async fn invoice(&self, path: &str) -> Value {
        self.server.owner().get(path).await.expect(200).body
    }

    /// Lets time pass, and everything that is due happen.
    async fn wait(&self, time: Duration) {
        self.server.clock.advance(time);
        clocks::round(&self.shop.billing).await.unwrap();
        self.server.run_tasks().await;
    }

    async fn is_charged(&self, cents: &[i64], credit: &str) {
        let mut charged = self.stripe.charged().await;
        charged.sort_unstable();
        assert_eq!(charged, cents);
        assert_eq!(self.shop.balance(&self.server).await, amount(credit));
        self.shop.books_are_right(&self.server).await;
    }
}

const MINUTES: Duration = Duration::from_mins(10);

macro_rules! scenes {
    ($($turn:ident $name:ident($scene:ident) $body:block)+) => { $(
        mod $name {
            use super::*;

            async fn check(engine: Engine) {
                let _turn = TURN.$turn().await;
                let Some($scene) = Scene::set(engine).await else { return };
                $body
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                check(Engine::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                check(Engine::Postgres).await;
            }
        }
    )+ };
}

scenes! {
    read cards_and_accounts_are_stored(scene) {
        let (server, stripe) = (&scene.server, &scene.stripe);
        let first = scene.add_card(GOOD).await;
        assert_eq!((&first["brand"], &first["last4"], &first["exp_month"], &first["exp_year"]),
            (&json!("visa"), &json!("4242"), &json!(12), &json!(2050)));
        let account = stripe.account("DE89370400440532013000").await;
        let account = scene.add("sepa_debit", &account).await.expect(201).body;
        assert_eq!(account["last4"], "3000");
        // Both belong to one customer of Stripe's.
        let customers = stripe.get("customers").await;
        assert_eq!(customers["data"].as_array().unwrap().len(), 1, "{customers}");
        assert_eq!(customers["data"][0]["metadata"]["organization"], scene.shop.organization.to_string());

        let token = stripe.card(BAD).await;
        let faults = scene.add("card", &token).await.expect(400).body;
        assert_eq!(faults["provider_token"], json!(["Your card was declined."]));
        let good = stripe.card(GOOD).await;
        for (kind, token) in [("card", "pm_unknown"), ("card", "tok_visa"), ("card", "../customers"), ("sepa_debit", good.as_str())] {
            scene.add(kind, token).await.expect(400);
        }
        // What belongs to another customer can't be taken over.
        let (_, other) = stripe.call("customers", &[]).await;
        let (status, _) = stripe.call(&format!("payment_methods/{good}/attach"), &[("customer", other["id"].as_str().unwrap())]).await;
        assert_eq!(status, 200);
        scene.add("card", &good).await.expect(400);

        // Removed here, forgotten there.
        let path = scene.shop.path(&format!("/payment-methods/{}", account["id"].as_str().unwrap()));
        let cards = format!("payment_methods?type=card&customer={}", customers["data"][0]["id"].as_str().unwrap());
        assert_eq!(stripe.get(&cards).await["data"].as_array().unwrap().len(), 1);
        server.owner().delete(&path).await.expect(204);
        let path = scene.shop.path(&format!("/payment-methods/{}", first["id"].as_str().unwrap()));
        server.owner().patch(&scene.shop.path("/settings"), &json!({"auto_pay": false})).await.expect(200);
        server.owner().delete(&path).await.expect(204);
        server.run_tasks().await;
        assert_eq!(stripe.get(&cards).await["data"].as_array().unwrap().len(), 0);
    }

    write a_charge_is_made_once_whatever_is_lost(scene) {
        let stripe = &scene.stripe;
        scene.add_card(GOOD).await;
        let plain = scene.top_up("10").await;
        scene.server.run_tasks().await;
        assert_eq!(scene.invoice(&plain).await["status"], "paid");
        scene.is_charged(&[1000], "10").await;

        // onetd dies between the answer and its record: at the intent, and at the charge.
        for point in ["billing.prepared", "billing.charged"] {
            let path = scene.top_up("20").await;
            crash::fail_at(point, 1);
            scene.server.run_tasks().await;
            assert_eq!(scene.invoice(&path).await["status"], "unpaid", "{point}");
            scene.wait(MINUTES).await;
            assert_eq!(scene.invoice(&path).await["status"], "paid", "{point}");
        }
        scene.is_charged(&[1000, 2000, 2000], "50").await;
        let keys = stripe.keys_seen();
        assert_eq!(keys[keys.len() - 2], keys[keys.len() - 3], "the same intent is asked for again: {keys:?}");

        // The answer is lost on its way, also if Stripe has forgotten the key meanwhile.
        stripe.lose_answer("/confirm");
        stripe.lose_answer("payment_intents");
        let path = scene.top_up("30").await;
        scene.server.run_tasks().await;
        scene.wait(MINUTES).await;
        scene.wait(MINUTES).await;
        assert_eq!(scene.invoice(&path).await["status"], "paid");
        scene.is_charged(&[1000, 2000, 2000, 3000], "80").await;
        stripe.forget_keys();
        stripe.lose_answer("/confirm");
        stripe.lose_answer("payment_intents");
        let path = scene.top_up("40").await;
        scene.server.run_tasks().await;
        scene.wait(MINUTES).await;
        scene.wait(MINUTES).await;
        assert_eq!(scene.invoice(&path).await["status"], "paid");
        scene.is_charged(&[1000, 2000, 2000, 3000, 4000], "120").await;
    }

    read a_declined_card_leaves_the_invoice_open(scene) {
        scene.add_card(POOR).await;
        let path = scene.top_up("15").await;
        scene.server.run_tasks().await;
        let invoice = scene.invoice(&path).await;
        assert_eq!((&invoice["status"], &invoice["payment_url"]), (&json!("unpaid"), &Value::Null));
        scene.is_charged(&[], "0").await;
        let owner = scene.server.mails().await;
        assert!(owner.iter().any(|mail| mail.subject.contains("INV-") && mail.text.contains("could not")), "{owner:#?}");
        // With another card it is paid.
        let good = scene.add_card(GOOD).await;
        scene.server.owner().post(&format!("{path}/pay"), &json!({"payment_method_id": good["id"]})).await.expect(200);
        scene.server.run_tasks().await;
        assert_eq!(scene.invoice(&path).await["status"], "paid");
        scene.is_charged(&[1500], "15").await;
    }

    read a_payer_confirms_on_the_banks_page(scene) {
        scene.add_card(CAREFUL).await;
        let path = scene.top_up("12.50").await;
        scene.server.run_tasks().await;
        let page = scene.invoice(&path).await["payment_url"].as_str().unwrap().to_owned();
        assert!(page.starts_with("https://hooks.stripe.example/"), "{page}");
        // Asked again in vain, then the payer confirms; no webhook arrives.
        scene.wait(MINUTES).await;
        scene.is_charged(&[], "0").await;
        scene.stripe.confirm_on_page(&page, true).await;
        scene.wait(MINUTES).await;
        assert_eq!(scene.invoice(&path).await["status"], "paid");
        scene.is_charged(&[1250], "12.50").await;

        // Another payer fails to.
        let path = scene.top_up("13").await;
        scene.server.run_tasks().await;
        let page = scene.invoice(&path).await["payment_url"].as_str().unwrap().to_owned();
        scene.stripe.confirm_on_page(&page, false).await;
        scene.wait(MINUTES).await;
        let invoice = scene.invoice(&path).await;
        assert_eq!((&invoice["status"], &invoice["payment_url"]), (&json!("unpaid"), &Value::Null));

        // And one never comes: the payment is given up at Stripe, too, and another card can pay.
        let path = scene.top_up("14").await;
        scene.server.run_tasks().await;
        let page = scene.invoice(&path).await["payment_url"].as_str().unwrap().to_owned();
        scene.wait(Duration::from_hours(25)).await;
        let intent = scene.stripe.get(&format!("payment_intents/{}", page.rsplit('/').next().unwrap())).await;
        assert_eq!(intent["status"], "canceled");
        scene.add_card(GOOD).await;
        scene.server.owner().post(&format!("{path}/pay"), &json!({})).await.expect(200);
        scene.server.run_tasks().await;
        assert_eq!(scene.invoice(&path).await["status"], "paid");
        scene.is_charged(&[1250, 1400], "26.50").await;
    }

    read a_bank_that_wants_to_hear_from_a_payer_who_is_not_there(scene) {
        scene.add_card(CAREFUL).await;
        // An order without a user, as the clock makes them.
        let placed = scene.shop.place(&scene.server, scene.shop.order(vec![scene.shop.item(Cycle::Monthly, "9")])).await.unwrap();
        scene.server.run_tasks().await;
        let path = scene.shop.path(&format!("/invoices/{}", placed.invoice.unwrap().id));
        let page = scene.invoice(&path).await["payment_url"].as_str().unwrap().to_owned();
        scene.stripe.confirm_on_page(&page, true).await;
        scene.wait(MINUTES).await;
        assert_eq!(scene.invoice(&path).await["status"], "paid");
        scene.is_charged(&[900], "0").await;
    }

    read an_account_is_debited_in_its_time(scene) {
        let poor = scene.stripe.account("DE62370400440532013001").await;
        scene.add("sepa_debit", &poor).await.expect(201);
        let path = scene.top_up("21").await;
        scene.server.run_tasks().await;
        let has_failed = async || scene.server.mails().await.iter().any(|mail| mail.subject.contains("failed"));
        assert!(!has_failed().await, "the bank has not answered yet");
        // localstripe takes half a second for it.
        let intents = async || scene.stripe.get("payment_intents").await["data"][0]["status"].clone();
        assert_eq!(intents().await, "processing");
        while intents().await == "processing" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        scene.wait(MINUTES).await;
        assert!(has_failed().await);
        assert_eq!(scene.invoice(&path).await["status"], "unpaid");
        scene.is_charged(&[], "0").await;
        let good = scene.stripe.account("DE89370400440532013000").await;
        scene.add("sepa_debit", &good).await.expect(201);
        scene.server.owner().post(&format!("{path}/pay"), &json!({})).await.expect(200);
        scene.server.run_tasks().await;
        assert_eq!(scene.invoice(&path).await["status"], "paid");
        scene.is_charged(&[2100], "21").await;
    }

    read a_report_brings_the_news_forward(scene) {
        let hook = format!("{}/hooks/stripe", scene.server.base);
        scene.stripe.report_to(&hook, WEBHOOK_SECRET).await;
        scene.add_card(CAREFUL).await;
        let path = scene.top_up("16").await;
        scene.server.run_tasks().await;
        let page = scene.invoice(&path).await["payment_url"].as_str().unwrap().to_owned();
        scene.stripe.confirm_on_page(&page, true).await;
        // The clock is not turned: only the report leads to the task.
        let began = std::time::Instant::now();
        while scene.invoice(&path).await["status"] != "paid" {
            assert!(began.elapsed() < Duration::from_secs(30), "no report came");
            tokio::time::sleep(Duration::from_millis(100)).await;
            scene.server.run_tasks().await;
        }
        scene.is_charged(&[1600], "16").await;

        // What is not signed by Stripe is not looked at.
        let intent = page.rsplit('/').next().unwrap();
        let event = json!({"data": {"object": {"object": "payment_intent", "id": intent}}}).to_string();
        let http = reqwest::Client::new();
        let now = scene.server.clock.now().micros() / 1_000_000;
        for signature in ["", "t=1,v1=00", &format!("t={now},v1={}", "0".repeat(64))] {
            let request = http.post(&hook).header("stripe-signature", signature).body(event.clone());
            assert_eq!(request.send().await.unwrap().status(), 400);
        }
        assert_eq!(http.post(&hook).body(event).send().await.unwrap().status(), 400);
    }
}
