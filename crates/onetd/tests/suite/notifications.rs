//! What organizations are told, and where: settings, mails, webhooks, floods.

use std::{path::Path, process::Command, time::Duration};

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use identity::{
    notifications::{Notice, events, notify},
    schema::{notices, webhook_deliveries},
};
use kernel::{access::Role, config::MailTransport, http::ApiError, store::StoreError};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Client, Server, on_both};

use crate::{
    people::{invite, membership, newcomer, organization, records, secret},
    webhook_receiver::{Receiver, allow},
};

fn settings(server: &Server) -> String {
    organization(server, "/notification-settings")
}

fn webhooks(server: &Server, rest: &str) -> String {
    organization(server, &format!("/notification-settings/webhooks{rest}"))
}

/// The path of a webhook, with `rest` behind it.
fn webhook(server: &Server, made: &Value, rest: &str) -> String {
    webhooks(server, &format!("/{}{rest}", made["id"].as_str().unwrap()))
}

/// Adds a webhook for some events.
async fn add(server: &Server, receiver: &Receiver, events: Value) -> Value {
    let body = json!({"url": receiver.url, "events": events});
    server
        .owner()
        .post(&webhooks(server, ""), &body)
        .await
        .expect(201)
        .body
}

/// The deliveries of a webhook, the newest first.
async fn deliveries(server: &Server, made: &Value) -> Vec<Value> {
    let list = server
        .owner()
        .get(&webhook(server, made, "/deliveries"))
        .await
        .expect(200)
        .body;
    list["results"].as_array().unwrap().clone()
}

/// Tells the demo's organization that a module was switched, as often as wanted.
async fn tell(server: &Server, times: usize) {
    for number in 0..times {
        let id = server.facts.owner.organization_id;
        let told = server.app.store().write("test", move |tx| {
            let facts = json!({"module": format!("module-{number}"), "switched": "off"});
            notify(tx, Notice::new(id, &events::MODULE_SWITCHED, facts))
        });
        told.await.unwrap();
    }
}

/// Subjects of the mails that an address got.
async fn subjects(server: &Server, address: &str) -> Vec<String> {
    let mails = server.mails().await;
    let theirs = mails.into_iter().filter(|mail| mail.to == address);
    theirs.map(|mail| mail.subject).collect()
}

/// Asks for a test, and works meanwhile.
async fn tested(server: &Server, client: &Client) -> testkit::Answer {
    let (path, body) = (organization(server, "/notification-settings/test"), json!({}));
    let call = client.post(&path, &body);
    tokio::pin!(call);
    loop {
        tokio::select! {
            answer = &mut call => return answer,
            () = tokio::time::sleep(Duration::from_millis(30)) => server.run_tasks().await,
        }
    }
}

on_both! {
    async fn settings_are_there_from_the_start_and_kept(server: Server) {
        let (owner, path) = (server.owner(), settings(&server));
        let before = owner.get(&path).await.expect(200);
        for field in ["email_enabled", "notify_billing", "notify_renewals", "notify_security", "notify_members", "notify_instances",
            "notify_backups", "notify_uptime", "notify_domains", "notify_web_hosting", "notify_maintenance"] {
            assert_eq!(before.body[field], true, "{field}");
        }
        assert_eq!((&before.body["recipients"], &before.body["low_balance_threshold"]), (&json!([]), &Value::Null));
        let same = owner.put(&path, &before.body).await.expect(200);
        assert_eq!((&same.body, same.header("etag")), (&before.body, before.header("etag")));
        let wanted = json!({"recipients": ["ops@example.org"], "notify_members": false, "low_balance_threshold": "12.5"});
        let changed = owner.patch(&path, &wanted).await.expect(200);
        assert_eq!((&changed.body["notify_members"], &changed.body["notify_billing"], &changed.body["low_balance_threshold"]),
            (&json!(false), &json!(true), &json!("12.50")));
        assert_eq!(owner.get(&path).await.expect(200).body, changed.body);
        assert_eq!(owner.patch(&path, &wanted).await.expect(200).body["modified"], changed.body["modified"]);
        assert_eq!(records(&server, "notification_settings.updated").await, 1);
        let stale = [("if-match", before.header("etag"))];
        owner.send(Method::PATCH, &path, &stale, Some("{}".to_owned())).await.expect(412);
        let replaced = owner.put(&path, &json!({"low_balance_threshold": null})).await.expect(200).body;
        assert_eq!((&replaced["low_balance_threshold"], &replaced["recipients"]), (&Value::Null, &json!(["ops@example.org"])));
    }

    async fn every_fault_is_named(server: Server) {
        let owner = server.owner();
        for method in [Method::PUT, Method::PATCH] {
            let bad = json!({"recipients": ["ops@example.org", "Ops@example.org"], "low_balance_threshold": "-3"});
            let faults = owner.send(method, &settings(&server), &[], Some(bad.to_string())).await.expect(400).body;
            assert_eq!(faults["recipients"], json!(["\"Ops@example.org\" comes twice."]));
            assert!(faults["low_balance_threshold"].is_array(), "{faults}");
        }
        let many: Vec<String> = (0..21).map(|number| format!("u{number}@example.org")).collect();
        for bad in [json!({"recipients": ["nobody"]}), json!({"recipients": many}), json!({"email_enabled": null}), json!({"notify_billing": "yes"}),
            json!({"low_balance_threshold": "1.234"}), json!({"low_balance_threshold": ""})] {
            owner.patch(&settings(&server), &bad).await.expect(400);
        }
        // Addresses that no customer's request may lead to, and what is no event.
        for (field, bad) in [("url", json!("http://example.org/hook")), ("url", json!("https://127.0.0.1/hook")), ("url", json!("https://[::1]/")),
            ("url", json!("https://169.254.169.254/latest")), ("url", json!("https://me:secret@example.org/")), ("url", json!("nonsense")),
            ("events", json!(["nonsense"])), ("events", json!(["account.deletion"])), ("events", json!(["*"]))] {
            let mut body = json!({"url": "https://example.org/hook"});
            body[field] = bad.clone();
            let faults = owner.post(&webhooks(&server, ""), &body).await.expect(400).body;
            assert!(faults[field].is_array(), "{bad}: {faults}");
        }
        assert_eq!(owner.post(&webhooks(&server, ""), &json!({})).await.expect(400).body, json!({"url": ["This field is required."]}));
        for number in 0..10 {
            owner.post(&webhooks(&server, ""), &json!({"url": format!("https://example.org/{number}")})).await.expect(201);
        }
        owner.post(&webhooks(&server, ""), &json!({"url": "https://example.org/11"})).await.expect(400);
    }

    async fn owners_write_editors_read_and_strangers_find_nothing(server: Server) {
        let made = server.owner().post(&webhooks(&server, ""), &json!({"url": "https://example.org/hook"})).await.expect(201).body;
        let (editor, _) = server.member(Role::Editor).await;
        let (viewer, _) = server.member(Role::Viewer).await;
        editor.get(&settings(&server)).await.expect(200);
        viewer.get(&settings(&server)).await.expect(403);
        let one = webhook(&server, &made, "");
        for (client, status) in [(editor, 403), (viewer, 403), (server.stranger(), 404)] {
            client.patch(&settings(&server), &json!({"email_enabled": false})).await.expect(status);
            client.put(&settings(&server), &json!({})).await.expect(status);
            client.post(&organization(&server, "/notification-settings/test"), &json!({})).await.expect(status);
            client.get(&webhooks(&server, "")).await.expect(status);
            client.get(&one).await.expect(status);
            client.delete(&one).await.expect(status);
            client.post(&webhook(&server, &made, "/rotate"), &json!({})).await.expect(status);
            client.get(&webhook(&server, &made, "/deliveries")).await.expect(status);
        }
        server.stranger().get(&settings(&server)).await.expect(404);
        // Another organization's webhook is nobody's, in a path of one's own too.
        let theirs = format!("/v1/organizations/{}/notification-settings/webhooks/{}", server.facts.stranger.organization_id, made["id"].as_str().unwrap());
        server.stranger().get(&theirs).await.expect(404);
        server.stranger().delete(&theirs).await.expect(404);
        server.stranger().get(&format!("{theirs}/deliveries")).await.expect(404);
        server.owner().get(&one).await.expect(200);
    }

    async fn mails_follow_the_settings_and_the_owners_wishes(server: Server) {
        let owner = server.owner();
        let (second, user) = server.member_login(Role::Owner).await;
        let second_address = membership(&server, user).await.unwrap()["user"]["email"].as_str().unwrap().to_owned();
        owner.patch(&settings(&server), &json!({"recipients": ["ops@example.org"]})).await.expect(200);
        let (grace, _) = newcomer(&server, "grace@example.org").await;
        invite(&server, "grace@example.org", "editor").await;
        let token = secret(&server, "grace@example.org").await;
        grace.post("/v1/invitations/accept", &json!({"token": token})).await.expect(200);
        let name = "Lighthouse Labs";
        let wanted = [format!("Member invited: {name}"), format!("Member joined: {name}")];
        assert_eq!(subjects(&server, "ops@example.org").await, wanted);
        assert_eq!(subjects(&server, &second_address).await, wanted);
        let mail = server.mail_to("ops@example.org").await;
        assert!(mail.text.contains(&format!("Grace has joined {name} as editor.")), "{}", mail.text);
        // Who has invited has a letter of their own, and is not told of their own deed.
        let own = subjects(&server, &server.facts.owner.email).await;
        assert_eq!(own.iter().filter(|subject| subject.contains("joined")).count(), 1, "{own:?}");
        assert!(own.iter().all(|subject| !subject.starts_with("Member")), "{own:?}");

        // A user who does not want to hear of it; an organization that does not.
        let mute = json!({"preferences": [{"event": "organization.role_changed", "email": false}]});
        second.patch("/v1/auth/notification-preferences", &mute).await.expect(200);
        let me = grace.get(&organization(&server, "/members/me")).await.expect(200).body["member"]["id"].clone();
        let member = organization(&server, &format!("/members/{}", me.as_str().unwrap()));
        owner.patch(&member, &json!({"role": "viewer"})).await.expect(200);
        assert_eq!(subjects(&server, &second_address).await.len(), 2);
        assert_eq!(subjects(&server, "ops@example.org").await.len(), 3);
        assert!(server.mail_to("ops@example.org").await.text.contains("is now viewer"));
        // Muted, the member is not mailed of their own role either.
        let own = server.mails().await.iter().filter(|mail| mail.to == "grace@example.org").count();
        grace.patch("/v1/auth/notification-preferences", &mute).await.expect(200);
        owner.patch(&member, &json!({"role": "editor"})).await.expect(200);
        assert_eq!(server.mails().await.iter().filter(|mail| mail.to == "grace@example.org").count(), own);
        owner.patch(&settings(&server), &json!({"notify_members": false})).await.expect(200);
        owner.delete(&member).await.expect(204);
        assert_eq!(subjects(&server, "ops@example.org").await.len(), 4);
        owner.patch(&settings(&server), &json!({"notify_members": true, "email_enabled": false})).await.expect(200);
        tell(&server, 1).await;
        assert_eq!(subjects(&server, "ops@example.org").await.len(), 4);
        owner.patch(&settings(&server), &json!({"email_enabled": true})).await.expect(200);
        tell(&server, 1).await;
        let mail = server.mail_to("ops@example.org").await;
        assert_eq!(mail.subject, format!("Module switched: {name}"));
    }

    async fn what_is_rolled_back_is_not_told(server: Server) {
        let id = server.facts.owner.organization_id;
        let refused = server.app.store().write("test", move |tx| {
            notify(tx, Notice::new(id, &events::MODULE_SWITCHED, json!({})))?;
            Err::<(), _>(StoreError::Unavailable("rolled back".to_owned()))
        });
        refused.await.unwrap_err();
        assert_eq!(server.mails().await, []);
    }

    async fn keys_second_factors_and_failed_tasks_are_told(server: Server) {
        let owner = server.owner_login().await;
        owner.patch(&settings(&server), &json!({"recipients": ["ops@example.org"]})).await.expect(200);
        owner.post(&server.project("/tokens"), &json!({"name": "ci", "scopes": ["compute:read"]})).await.expect(201);
        let key = json!({"name": "deploy", "scopes": ["compute:read"], "organization_id": server.facts.owner.organization_id});
        let key = owner.post("/v1/auth/api-keys", &key).await.expect(201).body;
        owner.delete(&format!("/v1/auth/api-keys/{}", key["id"].as_str().unwrap())).await.expect(204);
        let told: Vec<String> = server.mails().await.into_iter().filter(|mail| mail.to == "ops@example.org").map(|mail| mail.text).collect();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].contains("created the project token ci") && told[1].contains("created the API key deploy"));
        assert!(told[2].contains("revoked the API key deploy"));
        assert!(!told.concat().contains(key["key"].as_str().unwrap()));

        let client = server.owner();
        let instance = client.get(&server.instance()).await.expect(200).body;
        let vpc = crate::instances_replace::other_vpc(&server, &client, &instance["location"]["id"], &instance["vpc"]["id"]).await;
        client.patch(&server.instance(), &json!({"vpc_id": vpc})).await.expect(200);
        kernel::crash::fail_at("attach_interface", 1);
        let mail = server.mail_to("ops@example.org").await;
        assert!(mail.subject.starts_with("Instance task failed"), "{}", mail.subject);
        assert!(mail.text.contains(instance["name"].as_str().unwrap()), "{}", mail.text);
    }

    async fn a_webhook_is_signed_and_tried_until_it_is_taken(server: Server, |config| { allow(config); }) {
        let receiver = Receiver::start().await;
        let made = add(&server, &receiver, json!(["organization.*"])).await;
        let secret = made["secret"].as_str().unwrap();
        assert!(secret.starts_with("whsec_"));
        let shown = server.owner().get(&webhook(&server, &made, "")).await.expect(200).body;
        assert_eq!((&shown["secret"], &shown["url"]), (&Value::Null, &json!(receiver.url)));
        receiver.answer(&[500, 302]);
        invite(&server, "grace@example.org", "viewer").await;
        server.run_tasks().await;
        assert_eq!(receiver.posted().len(), 1);
        let waiting = deliveries(&server, &made).await;
        assert_eq!((&waiting[0]["status"], &waiting[0]["attempts"], &waiting[0]["response_status"]), (&json!("pending"), &json!(1), &json!(500)));
        assert_eq!(waiting[0]["error"], "The endpoint answered 500.");
        server.run_tasks().await;
        assert_eq!(receiver.posted().len(), 1, "not before its time");
        for pause in [Duration::from_secs(7), Duration::from_mins(7)] {
            server.clock.advance(pause);
            server.run_tasks().await;
        }
        let posted = receiver.posted();
        assert_eq!(posted.len(), 3);
        let done = deliveries(&server, &made).await;
        assert_eq!((&done[0]["status"], &done[0]["attempts"], &done[0]["error"]), (&json!("delivered"), &json!(3), &json!("")));
        assert_eq!(done.len(), 1);
        for attempt in &posted {
            assert!(attempt.is_signed_with(secret), "{attempt:?}");
            assert_eq!(attempt.header("webhook-id"), done[0]["id"].as_str().unwrap());
            assert_eq!((attempt.header("content-type"), &attempt.body), ("application/json", &posted[0].body));
        }
        let times: Vec<i64> = posted.iter().map(|attempt| attempt.header("webhook-timestamp").parse().unwrap()).collect();
        assert!(times[0] < times[1] && times[1] < times[2], "each attempt is signed anew: {times:?}");
        let body = posted[0].json();
        assert_eq!((&body["type"], &body["data"]["email"], &body["data"]["role"]), (&json!("organization.member_invited"), &json!("grace@example.org"), &json!("viewer")));
        assert_eq!(body["data"]["organization_id"], server.facts.owner.organization_id.to_string());
        assert_eq!(body["data"]["summary"], "grace@example.org was invited to Lighthouse Labs as viewer.");
        the_docs_example_verifies(&posted[0], secret);

        // No secret, and no address, which may be as good as one, in the audit log.
        let log = server.owner().get(&organization(&server, "/audit-logs?action=notification_webhook.created")).await.expect(200).text;
        assert!(log.contains("127.0.0.1") && !log.contains("geheim") && !log.contains(secret), "{log}");
        assert!(!at_rest(&server).await.contains(secret.strip_prefix("whsec_").unwrap()));
    }

    async fn webhooks_get_what_they_want_and_can_be_changed(server: Server, |config| { allow(config); }) {
        let (owner, receiver) = (server.owner(), Receiver::start().await);
        let made = add(&server, &receiver, json!(["invoice.*", "organization.member_invited"])).await;
        tell(&server, 1).await;
        server.run_tasks().await;
        assert!(receiver.posted().is_empty());
        let path = webhook(&server, &made, "");
        let stale = [("if-match", "\"1-x\"")];
        owner.send(Method::PATCH, &path, &stale, Some("{}".to_owned())).await.expect(412);
        let all = owner.patch(&path, &json!({"events": [], "description": "All"})).await.expect(200).body;
        assert_eq!(owner.patch(&path, &json!({"description": "All"})).await.expect(200).body, all);
        tell(&server, 1).await;
        server.run_tasks().await;
        assert_eq!(receiver.posted().len(), 1);
        assert_eq!(records(&server, "notification_webhook.updated").await, 1);

        // A new secret; the old one signs too, for a day.
        let old = made["secret"].as_str().unwrap();
        let rotated = owner.post(&webhook(&server, &made, "/rotate"), &json!({})).await.expect(200).body;
        let new = rotated["secret"].as_str().unwrap();
        assert_ne!(new, old);
        tell(&server, 1).await;
        server.run_tasks().await;
        let both = receiver.posted().pop().unwrap();
        assert!(both.is_signed_with(old) && both.is_signed_with(new));
        server.clock.advance(Duration::from_hours(25));
        tell(&server, 1).await;
        server.run_tasks().await;
        let one = receiver.posted().pop().unwrap();
        assert!(!one.is_signed_with(old) && one.is_signed_with(new));

        // Switched off, what is on its way is given up; deleted, all is forgotten.
        receiver.answer(&[503]);
        tell(&server, 1).await;
        server.run_tasks().await;
        owner.patch(&path, &json!({"is_enabled": false})).await.expect(200);
        tell(&server, 1).await;
        server.clock.advance(Duration::from_hours(1));
        server.run_tasks().await;
        assert_eq!(receiver.posted().len(), 4);
        assert_eq!(deliveries(&server, &made).await[0]["status"], "failed");
        let failed = owner.get(&webhook(&server, &made, "/deliveries?status=failed")).await.expect(200).body;
        assert_eq!(failed["count"], 1);
        owner.delete(&path).await.expect(204);
        owner.get(&path).await.expect(404);
        owner.get(&webhook(&server, &made, "/deliveries")).await.expect(404);
        assert_eq!(owner.get(&webhooks(&server, "")).await.expect(200).body, json!([]));
    }

    async fn a_repeated_request_shows_no_secret(server: Server) {
        let (owner, path) = (server.owner(), webhooks(&server, ""));
        let body = json!({"url": "https://example.org/hook"}).to_string();
        let key = [("idempotency-key", "one")];
        let first = owner.send(Method::POST, &path, &key, Some(body.clone())).await.expect(201).body;
        let second = owner.send(Method::POST, &path, &key, Some(body)).await.expect(201).body;
        assert!(first["secret"].is_string());
        assert_eq!((&second["id"], &second["secret"]), (&first["id"], &Value::Null));
        let rotate = webhook(&server, &first, "/rotate");
        let key = [("idempotency-key", "two")];
        let rotated = owner.send(Method::POST, &rotate, &key, Some("{}".to_owned())).await.expect(200).body;
        let again = owner.send(Method::POST, &rotate, &key, Some("{}".to_owned())).await.expect(200).body;
        assert!(rotated["secret"].is_string() && again["secret"].is_null());
        assert_eq!(rotated["modified"], again["modified"]);
    }

    async fn an_endpoint_that_fails_for_days_is_switched_off(server: Server, |config| { allow(config); }) {
        let receiver = Receiver::start().await;
        let made = add(&server, &receiver, json!([])).await;
        receiver.answer(&[500; 100]);
        tell(&server, 1).await;
        for _ in 0..45 {
            server.run_tasks().await;
            server.clock.advance(Duration::from_hours(3));
        }
        let off = server.owner().get(&webhook(&server, &made, "")).await.expect(200).body;
        assert_eq!((&off["is_enabled"], off["failing_since"].is_string()), (&json!(false), true));
        assert_eq!(off["disabled_reason"], "It has taken nothing for 3 days.");
        assert_eq!(deliveries(&server, &made).await[0]["status"], "failed");
        assert_eq!(records(&server, "notification_webhook.disabled").await, 1);
        let mail = server.mail_to(&server.facts.owner.email).await;
        assert!(mail.subject.starts_with("Webhook switched off") && mail.text.contains("127.0.0.1"), "{}", mail.text);
        assert!(!mail.text.contains("geheim"));
        let asked = receiver.posted().len();
        assert!((9..=10).contains(&asked), "{asked}");
        tell(&server, 1).await;
        server.run_tasks().await;
        assert_eq!(receiver.posted().len(), asked);
        // Switched on again it begins anew.
        let on = server.owner().patch(&webhook(&server, &made, ""), &json!({"is_enabled": true})).await.expect(200).body;
        assert_eq!((&on["disabled_reason"], &on["failing_since"]), (&json!(""), &Value::Null));
        let fresh = Receiver::start().await;
        server.owner().patch(&webhook(&server, &made, ""), &json!({"url": fresh.url})).await.expect(200);
        tell(&server, 1).await;
        server.run_tasks().await;
        assert_eq!(fresh.posted().len(), 1);
        // One that says that it is gone is believed.
        fresh.answer(&[410]);
        tell(&server, 1).await;
        server.run_tasks().await;
        assert_eq!(server.owner().get(&webhook(&server, &made, "")).await.expect(200).body["is_enabled"], false);
    }

    async fn an_address_that_is_not_public_any_more_is_not_called(server: Server, |config| {
        config.outbound.allow_http = true;
    }) {
        // A name can mean another address later: it is judged again when it is called.
        let receiver = Receiver::start().await;
        let port = receiver.url.split([':', '/']).nth(4).unwrap().to_owned();
        let body = json!({"url": format!("http://localhost:{port}/")});
        let made = server.owner().post(&webhooks(&server, ""), &body).await.expect(201).body;
        tell(&server, 1).await;
        server.run_tasks().await;
        assert!(receiver.posted().is_empty());
        let refused = deliveries(&server, &made).await;
        assert_eq!(refused[0]["error"], "The address is not reachable on the public internet.");
        assert_eq!(refused[0]["response_status"], Value::Null);
    }

    async fn a_flood_becomes_a_digest(server: Server, |config| {
        allow(config);
        config.notifications.digest_above = 3;
    }) {
        let receiver = Receiver::start().await;
        add(&server, &receiver, json!([])).await;
        server.owner().patch(&settings(&server), &json!({"recipients": ["ops@example.org"]})).await.expect(200);
        tell(&server, 30).await;
        let mailed = subjects(&server, "ops@example.org").await;
        assert_eq!(mailed, vec!["Module switched: Lighthouse Labs"; 3]);
        assert_eq!(receiver.posted().len(), 30, "programs are told one by one");
        // Another event is no part of the flood.
        invite(&server, "grace@example.org", "viewer").await;
        assert_eq!(subjects(&server, "ops@example.org").await.len(), 4);
        server.clock.advance(Duration::from_mins(16));
        let mail = server.mail_to("ops@example.org").await;
        assert_eq!(mail.subject, "Module switched, 27 times: Lighthouse Labs");
        assert!(mail.text.contains("module-3 of") && mail.text.contains("and 7 more"), "{}", mail.text);
        assert!(!mail.text.contains("module-2 of"));
        assert_eq!(subjects(&server, &server.facts.owner.email).await.len(), 4, "three and a digest");
        // The flood is over.
        tell(&server, 1).await;
        assert_eq!(subjects(&server, "ops@example.org").await.len(), 6);
        server.clock.advance(Duration::from_mins(16));
        assert_eq!(subjects(&server, "ops@example.org").await.len(), 6);
    }

    async fn a_test_reaches_every_channel(server: Server, |config| { allow(config); }) {
        let receiver = Receiver::start().await;
        let made = add(&server, &receiver, json!(["invoice.*"])).await;
        let owner = server.owner();
        owner.patch(&settings(&server), &json!({"recipients": ["ops@example.org"]})).await.expect(200);
        let result = tested(&server, &owner).await.expect(200).body;
        assert_eq!((&result["delivered"], &result["recipients"]), (&json!(true), &json!([server.facts.owner.email, "ops@example.org"])));
        assert_eq!(result["detail"], "The mail server took the message. The webhook to 127.0.0.1 answered 204.");
        assert_eq!(server.mail_to("ops@example.org").await.subject, "Test notification of Lighthouse Labs");
        let posted = receiver.posted();
        assert_eq!((posted.len(), &posted[0].json()["type"]), (1, &json!("test")));
        assert!(posted[0].is_signed_with(made["secret"].as_str().unwrap()));
        assert_eq!(records(&server, "notification_settings.tested").await, 1);
        tested(&server, &owner).await.expect(429);
        server.clock.advance(Duration::from_secs(61));
        owner.patch(&settings(&server), &json!({"email_enabled": false})).await.expect(200);
        receiver.answer(&[404]);
        let result = tested(&server, &owner).await.expect(200).body;
        assert_eq!((&result["delivered"], &result["recipients"]), (&json!(false), &json!([])));
        assert_eq!(result["detail"], "E-mail is switched off. The webhook to 127.0.0.1 answered 404.");
    }

    async fn a_test_tells_that_no_mail_can_be_sent(server: Server, |config| {
        config.mail.transport = MailTransport::Off;
    }) {
        let result = tested(&server, &server.owner()).await.expect(200).body;
        assert_eq!((&result["delivered"], &result["detail"]), (&json!(false), &json!("1 of 1 mails can't be sent.")));
    }

    async fn what_was_told_is_forgotten_in_time(server: Server, |config| { allow(config); }) {
        let receiver = Receiver::start().await;
        let made = add(&server, &receiver, json!([])).await;
        tell(&server, 2).await;
        server.run_tasks().await;
        let kept = async || {
            let read = server.app.store().read("test", |conn| {
                let told: i64 = notices::table.count().get_result(conn)?;
                let sent: i64 = webhook_deliveries::table.count().get_result(conn)?;
                Ok::<_, ApiError>((told, sent))
            });
            read.await.unwrap()
        };
        let forget = async || identity::housekeeping(&server.app, &server.onet().identity).await.unwrap();
        server.clock.advance(Duration::from_hours(24 * 29));
        forget().await;
        assert_eq!(kept().await, (2, 2));
        server.clock.advance(Duration::from_hours(24 * 2));
        forget().await;
        assert_eq!(kept().await, (0, 0));
        assert!(deliveries(&server, &made).await.is_empty());
    }

    async fn an_emptied_organization_keeps_nothing_and_is_told_nothing(server: Server, |config| { allow(config); }) {
        let receiver = Receiver::start().await;
        let owner = server.owner_login().await;
        let id = owner.post("/v1/organizations", &json!({"name": "Short"})).await.expect(201).body["id"].as_str().unwrap().to_owned();
        let path = format!("/v1/organizations/{id}/notification-settings");
        owner.patch(&path, &json!({"recipients": ["ops@example.org"]})).await.expect(200);
        owner.post(&format!("{path}/webhooks"), &json!({"url": receiver.url})).await.expect(201);
        owner.post(&format!("/v1/organizations/{id}/modules/domains/disable"), &json!({})).await.expect(200);
        owner.delete(&format!("/v1/organizations/{id}")).await.expect(204);
        server.run_tasks().await;
        assert!(receiver.posted().is_empty() && subjects(&server, "ops@example.org").await.is_empty());
        server.clock.advance(Duration::from_hours(24 * 31));
        assert!(identity::organizations::purge(&server.app).await.unwrap() >= 1);
        let left = server.app.store().read("test", move |conn| {
            use identity::schema::{notification_settings, notification_webhooks};
            let settings: i64 = notification_settings::table.count().get_result(conn)?;
            let webhooks: i64 = notification_webhooks::table.count().get_result(conn)?;
            Ok::<_, ApiError>((settings, webhooks))
        });
        assert_eq!(left.await.unwrap(), (0, 0));
    }
}

/// What the database shows of webhooks and their deliveries.
async fn at_rest(server: &Server) -> String {
    let read = server.app.store().read("test", |conn| {
        use identity::schema::notification_webhooks;
        let secrets: Vec<String> = notification_webhooks::table
            .select(notification_webhooks::secret)
            .load(conn)?;
        let payloads: Vec<String> = webhook_deliveries::table
            .filter(webhook_deliveries::payload.ne(""))
            .select(webhook_deliveries::payload)
            .load(conn)?;
        Ok::<_, ApiError>(format!("{secrets:?}{payloads:?}"))
    });
    read.await.unwrap()
}

fn docs() -> (std::path::PathBuf, String) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/notifications.md");
    let text = std::fs::read_to_string(&file).unwrap();
    (file, text)
}

/// Runs the example of docs/notifications.md on what was posted, and on what was not.
fn the_docs_example_verifies(posted: &crate::webhook_receiver::Posted, secret: &str) {
    let Some(folder) = std::env::var_os("ONET_TEST_PYTHON_BIN") else {
        eprintln!("skipped: Python for tests is installed by `cargo xtask test`");
        return;
    };
    let (_, text) = docs();
    let (_, rest) = text.split_once("```python\n").expect("an example");
    let (example, _) = rest.split_once("```").expect("its end");
    let headers: std::collections::BTreeMap<&str, &str> =
        ["webhook-id", "webhook-timestamp", "webhook-signature"]
            .into_iter()
            .map(|name| (name, posted.header(name)))
            .collect();
    let late: i64 = posted.header("webhook-timestamp").parse::<i64>().unwrap() + 3600;
    let checks = format!(
        "{example}\nimport json, sys\nsecret, headers, body = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3].encode()\n\
         now = int(headers['webhook-timestamp']) + 10\n\
         assert is_genuine(secret, headers, body, now)\nassert not is_genuine(secret, headers, body + b' ', now)\n\
         assert not is_genuine(secret, headers, body, {late})\n\
         assert not is_genuine('whsec_AAAA', headers, body, now)\n"
    );
    let run = Command::new(Path::new(&folder).join("python"))
        .args(["-c", &checks, secret, &json!(headers).to_string(), &posted.body])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

/// The table in the docs; `ONET_UPDATE_DOCS=1` writes it.
#[test]
fn the_table_in_the_docs_has_every_event() {
    const BEGIN: &str = "<!-- events: made by the test suite with ONET_UPDATE_DOCS=1 -->\n";
    const END: &str = "<!-- end of events -->\n";
    let (file, text) = docs();
    let (head, rest) = text.split_once(BEGIN).expect("the mark");
    let (_, tail) = rest.split_once(END).expect("the mark of the end");
    let table = onetd::server::Onet::events().table();
    let wanted = format!("{head}{BEGIN}{table}{END}{tail}");
    if std::env::var_os("ONET_UPDATE_DOCS").is_some() {
        std::fs::write(&file, &wanted).unwrap();
        return;
    }
    assert!(
        text == wanted,
        "run `ONET_UPDATE_DOCS=1 cargo test -p onetd --test suite the_table_in_the_docs`"
    );
}
