//! What a user wants to be told.

use identity::notification_preferences::wants_mail;
use kernel::store::StoreError;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Server, on_both};

const PREFERENCES: &str = "/v1/auth/notification-preferences";

fn of<'a>(body: &'a Value, event: &str) -> &'a Value {
    let list = body["preferences"].as_array().unwrap();
    list.iter()
        .find(|preference| preference["event"] == event)
        .unwrap()
}

async fn is_mailed(server: &Server, event: &'static str) -> bool {
    let email = server.facts.owner.email.clone();
    let events = onetd::server::Onet::events();
    let asked = server.app.store().read("test", move |conn| {
        use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
        use identity::schema::users;
        let user = users::table
            .filter(users::email.eq(email))
            .select(users::id)
            .first(conn)?;
        wants_mail(conn, &events, user, event)
    });
    asked
        .await
        .map_err(|error: StoreError| error.to_string())
        .unwrap()
}

on_both! {
    async fn wishes_are_kept_and_heeded(server: Server) {
        let login = server.owner_login().await;
        let before = login.get(PREFERENCES).await.expect(200);
        assert_eq!(before.body["preferences"].as_array().unwrap().len(), onetd::server::Onet::events().all().len());
        assert_eq!((&before.body["email_enabled"], &before.body["digest"]), (&json!(true), &json!("immediate")));
        assert_eq!(of(&before.body, "product_news.updates")["email"], false, "nobody is advertised to unasked");
        assert!(is_mailed(&server, "invoice.paid").await && !is_mailed(&server, "product_news.updates").await);
        let wanted = json!({"digest": "weekly", "preferences": [{"event": "invoice.paid", "email": false},
            {"event": "product_news.updates", "email": true, "in_app": true}]});
        let changed = login.patch(PREFERENCES, &wanted).await.expect(200);
        assert_eq!((&of(&changed.body, "invoice.paid")["email"], &of(&changed.body, "invoice.paid")["in_app"]), (&json!(false), &json!(true)));
        assert_eq!(login.get(PREFERENCES).await.expect(200).body, changed.body);
        assert!(!is_mailed(&server, "invoice.paid").await && is_mailed(&server, "product_news.updates").await);
        assert_eq!(login.patch(PREFERENCES, &wanted).await.expect(200).body["modified"], changed.body["modified"]);
        let stale = [("if-match", before.header("etag"))];
        login.send(Method::PUT, PREFERENCES, &stale, Some("{}".to_owned())).await.expect(412);
        // The master switch stops what is optional, and nothing else.
        login.patch(PREFERENCES, &json!({"email_enabled": false})).await.expect(200);
        assert!(!is_mailed(&server, "domain.renewed").await && is_mailed(&server, "invoice.overdue").await);
        assert!(is_mailed(&server, "an.event.of.tomorrow").await);
        // PUT: what is left out goes back to its default.
        let replaced = login.put(PREFERENCES, &json!({"preferences": [{"event": "backup.failed", "in_app": false}]})).await.expect(200).body;
        assert_eq!((&replaced["email_enabled"], &replaced["digest"]), (&json!(true), &json!("immediate")));
        assert_eq!(of(&replaced, "backup.failed")["in_app"], false);
        assert_eq!(of(&replaced, "invoice.paid")["email"], true);
        // Mandatory ones may be hidden in the console; their mails come.
        let hidden = json!({"preferences": [{"event": "invoice.overdue", "in_app": false, "email": true}]});
        assert_eq!(of(&login.patch(PREFERENCES, &hidden).await.expect(200).body, "invoice.overdue")["in_app"], false);
    }

    async fn every_fault_is_named(server: Server) {
        let login = server.owner_login().await;
        let bad = json!({"preferences": [{"event": "security.new_device", "email": false}, {"event": "nonsense"},
            {"event": "invoice.paid", "email": true}, {"event": "invoice.paid", "email": false}]});
        for method in [Method::PUT, Method::PATCH] {
            let faults = login.send(method, PREFERENCES, &[], Some(bad.to_string())).await.expect(400).body;
            assert_eq!(faults["preferences"]["0"]["email"], json!(["Mails about \"security.new_device\" can't be switched off."]));
            assert_eq!(faults["preferences"]["1"]["event"], json!(["\"nonsense\" is not a valid choice."]));
            assert_eq!(faults["preferences"]["3"]["event"], json!(["\"invoice.paid\" comes twice."]));
        }
        for bad in [json!({"digest": "hourly"}), json!({"email_enabled": null}), json!({"preferences": {}}), json!({"preferences": [{"email": true}]}),
            json!({"preferences": [{"event": "invoice.paid", "email": 1}]})] {
            login.patch(PREFERENCES, &bad).await.expect(400);
        }
        assert_eq!(of(&login.get(PREFERENCES).await.expect(200).body, "invoice.paid")["email"], true);
        server.owner().get(PREFERENCES).await.expect(403);
    }

    async fn first_wishes_at_the_same_time_are_both_kept(server: Server) {
        let login = server.owner_login().await;
        let one = json!({"preferences": [{"event": "invoice.paid", "email": false}]});
        let two = json!({"preferences": [{"event": "domain.renewed", "email": false}]});
        let (a, b) = tokio::join!(login.patch(PREFERENCES, &one), login.patch(PREFERENCES, &two));
        assert_eq!((a.status, b.status), (200, 200), "{} {}", a.text, b.text);
        let body = login.get(PREFERENCES).await.expect(200).body;
        assert_eq!((&of(&body, "invoice.paid")["email"], &of(&body, "domain.renewed")["email"]), (&json!(false), &json!(false)));
    }
}
