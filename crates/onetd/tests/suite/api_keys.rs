//! API keys: their settings, rotation, from where they may be used, and what their owner is told.

use std::time::Duration;

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use identity::schema::{memberships, security_events};
use kernel::{access::Role, http::ApiError, schema::mails, store::StoreError};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Client, Server, on_both};

const KEYS: &str = "/v1/auth/api-keys";

async fn make(login: &Client, wanted: Value) -> Value {
    login.post(KEYS, &wanted).await.expect(201).body
}

fn path(key: &Value) -> String {
    format!("{KEYS}/{}", key["id"].as_str().unwrap())
}

fn with(server: &Server, key: &Value) -> Client {
    server.client(key["key"].as_str().unwrap())
}

/// What happened to accounts, and which letters were posted, in order.
pub(crate) async fn told(server: &Server) -> (Vec<String>, Vec<String>) {
    let told = server.app.store().read("test", |conn| {
        let events = security_events::table
            .filter(security_events::event.ne("login_succeeded"))
            .order(security_events::created)
            .select(security_events::event)
            .load(conn)?;
        let letters = mails::table
            .filter(mails::template.ne("new_device"))
            .order(mails::created)
            .select(mails::template)
            .load(conn)?;
        Ok::<_, StoreError>((events, letters))
    });
    told.await.unwrap()
}

/// Actions of the owner's audit log about one kind of resource, the oldest first.
pub(crate) async fn actions(server: &Server, resource_type: &str) -> Vec<String> {
    let organization = server.facts.owner.organization_id;
    let path =
        format!("/v1/organizations/{organization}/audit-logs?resource_type={resource_type}&ordering=created");
    let log = server.owner().get(&path).await.expect(200).body;
    let records = log["results"].as_array().unwrap();
    records
        .iter()
        .map(|record| record["action"].as_str().unwrap().to_owned())
        .collect()
}

on_both! {
    async fn settings_change_and_count_at_once(server: Server) {
        let login = server.owner_login().await;
        let key = make(&login, json!({"name": "deploy", "scopes": ["compute:read"]})).await;
        let client = with(&server, &key);
        client.patch(&server.instance(), &json!({"name": "x"})).await.expect(403);
        let end = server.clock.now() + Duration::from_hours(2);
        let wanted = json!({"name": " ci ", "scopes": ["compute:write", "compute:write"], "expires_at": end.to_string(),
            "allowed_ips": ["127.0.0.0/8", "127.0.0.0/8", "::1"]});
        let changed = login.patch(&path(&key), &wanted).await.expect(200);
        assert_eq!(changed.body["name"], "ci");
        assert_eq!(changed.body["scopes"], json!(["compute:write"]));
        assert_eq!(changed.body["allowed_ips"], json!(["127.0.0.0/8", "::1"]));
        assert_eq!(changed.body["expires_at"], end.to_string());
        assert_eq!(changed.body["prefix"], key["prefix"]);
        client.patch(&server.instance(), &json!({"name": "by key"})).await.expect(200);
        // The same again changes nothing.
        let again = login.patch(&path(&key), &wanted).await.expect(200);
        assert_eq!(again.body["modified"], changed.body["modified"]);
        assert_eq!(again.header("etag").split('-').next(), changed.header("etag").split('-').next());
        // Null takes the end away, an absent field stays.
        let endless = login.patch(&path(&key), &json!({"expires_at": null})).await.expect(200).body;
        assert_eq!((&endless["expires_at"], &endless["name"]), (&Value::Null, &json!("ci")));
        let stale = [("if-match", changed.header("etag"))];
        login.send(Method::PATCH, &path(&key), &stale, Some("{\"name\": \"x\"}".to_owned())).await.expect(412);
        assert_eq!(login.get(&path(&key)).await.expect(200).body["name"], "ci");
    }

    async fn every_fault_is_named(server: Server) {
        let login = server.owner_login().await;
        let key = make(&login, json!({"name": "k", "scopes": ["compute:read"]})).await;
        let bad = json!({"name": "", "scopes": [], "expires_at": "2001-01-01T00:00:00Z",
            "allowed_ips": ["10.0.0.5/8", "10.0.0.1", "nowhere", "::ffff:1.2.3.4"]});
        let shape = login.patch(&path(&key), &bad).await.expect(400).body;
        assert_eq!(shape["name"], json!(["This field may not be blank."]));
        let bad = json!({"name": "k", "scopes": [], "expires_at": "2001-01-01T00:00:00Z",
            "allowed_ips": ["10.0.0.5/8", "10.0.0.1", "nowhere", "::ffff:1.2.3.4"]});
        for answer in [login.patch(&path(&key), &bad).await, login.post(KEYS, &bad).await] {
            let faults = answer.expect(400).body;
            assert_eq!(faults["scopes"], json!(["This list may not be empty."]));
            assert_eq!(faults["expires_at"], json!(["Ensure this time is in the future."]));
            let sources = faults["allowed_ips"].as_array().unwrap();
            assert_eq!(sources.len(), 3, "{faults}");
            assert!(sources[0].as_str().unwrap().contains("10.0.0.0/8"), "{faults}");
        }
        let many: Vec<String> = (0..51).map(|n| format!("10.0.0.{n}")).collect();
        login.patch(&path(&key), &json!({"allowed_ips": many})).await.expect(400);
        let elsewhere = json!({"name": "k", "scopes": ["compute:read"], "organization_id": server.facts.stranger.organization_id});
        assert!(login.post(KEYS, &elsewhere).await.expect(400).body["organization_id"].is_array());
        login.patch(&format!("{KEYS}/018f0000-0000-7000-8000-00000000dead"), &json!({})).await.expect(404);
    }

    async fn a_rotation_gives_another_secret(server: Server) {
        let login = server.owner_login().await;
        let key = make(&login, json!({"name": "deploy", "scopes": ["compute:write"]})).await;
        let first = with(&server, &key);
        let rotate = format!("{}/rotate", path(&key));
        let second = login.post(&rotate, &json!({"grace_period_seconds": 60})).await.expect(200).body;
        assert_eq!((&second["id"], &second["name"], &second["scopes"]), (&key["id"], &key["name"], &key["scopes"]));
        assert_ne!(second["prefix"], key["prefix"]);
        assert!(second["key"].as_str().unwrap().starts_with(second["prefix"].as_str().unwrap()));
        // Both work through the grace period, the former no longer.
        first.patch(&server.instance(), &json!({"name": "by the former"})).await.expect(200);
        with(&server, &second).get(&server.instance()).await.expect(200);
        server.clock.advance(Duration::from_secs(61));
        first.get(&server.instance()).await.expect(401);
        with(&server, &second).get(&server.instance()).await.expect(200);
        // Without grace the former ends at once; one from an earlier rotation in any case.
        let third = login.post(&rotate, &json!({"grace_period_seconds": 604_800})).await.expect(200).body;
        let fourth = login.post(&rotate, &json!({})).await.expect(200).body;
        for old in [&second, &third] {
            with(&server, old).get(&server.instance()).await.expect(401);
        }
        with(&server, &fourth).get(&server.instance()).await.expect(200);
        login.post(&rotate, &json!({"grace_period_seconds": 604_801})).await.expect(400);
        login.post(&rotate, &json!({"grace_period_seconds": -1})).await.expect(400);
        login.post(&rotate, &json!({"expires_at": "2001-01-01T00:00:00Z"})).await.expect(400);
        let end = (server.clock.now() + Duration::from_mins(1)).to_string();
        let fifth = login.post(&rotate, &json!({"expires_at": end, "grace_period_seconds": 3600})).await.expect(200).body;
        assert_eq!(fifth["expires_at"], end);
        // The grace period does not outlive the key.
        server.clock.advance(Duration::from_secs(61));
        with(&server, &fourth).get(&server.instance()).await.expect(401);
        with(&server, &fifth).get(&server.instance()).await.expect(401);
        let login = server.owner_login().await;
        login.post(&rotate, &json!({})).await.expect(409);
        assert!(login.patch(&path(&key), &json!({"expires_at": null})).await.expect(400).text.contains("final"));
    }

    async fn a_repeated_rotation_shows_no_secret(server: Server) {
        let login = server.owner_login().await;
        let key = make(&login, json!({"name": "k", "scopes": ["compute:read"]})).await;
        let rotate = format!("{}/rotate", path(&key));
        let once = [("idempotency-key", "one")];
        let first = login.send(Method::POST, &rotate, &once, Some("{}".to_owned())).await.expect(200).body;
        let again = login.send(Method::POST, &rotate, &once, Some("{}".to_owned())).await.expect(200).body;
        assert_eq!(again["prefix"], first["prefix"]);
        assert_eq!(again["key"], "");
        with(&server, &first).get(&server.instance()).await.expect(200);
    }

    async fn rotations_at_the_same_time_leave_one_secret(server: Server) {
        let login = server.owner_login().await;
        let key = make(&login, json!({"name": "k", "scopes": ["compute:read"]})).await;
        let rotate = format!("{}/rotate", path(&key));
        let nothing = json!({});
        let (a, b, c) = tokio::join!(login.post(&rotate, &nothing), login.post(&rotate, &nothing), login.post(&rotate, &nothing));
        let mut working = 0;
        for rotated in [a, b, c] {
            let status = with(&server, &rotated.expect(200).body).get(&server.instance()).await.status;
            assert!([200, 401].contains(&status));
            working += i32::from(status == 200);
        }
        assert_eq!(working, 1);
        with(&server, &key).get(&server.instance()).await.expect(401);
    }

    async fn a_key_works_from_its_addresses_only(server: Server, |config| {
        config.server.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    }) {
        let login = server.owner_login().await;
        let wanted = json!({"name": "office", "scopes": ["compute:read"], "allowed_ips": ["203.0.113.0/24", "2001:db8::7"]});
        let key = with(&server, &make(&login, wanted).await);
        let from = async |hops: &str| {
            key.send(Method::GET, &server.instance(), &[("x-forwarded-for", hops)], None).await
        };
        for hops in ["203.0.113.9", "2001:db8::7", "198.51.100.1, 203.0.113.9", "203.0.113.9, 127.0.0.1", "::ffff:203.0.113.9"] {
            from(hops).await.expect(200);
        }
        for hops in ["198.51.100.1", "203.0.113.9, 198.51.100.1", "2001:db8::8", "nonsense", "127.0.0.1"] {
            let refused = from(hops).await.expect(403);
            assert!(refused.text.contains("may not be used from your address"), "{hops}: {}", refused.text);
        }
        key.get(&server.instance()).await.expect(403);
        let account = key.send(Method::GET, "/v1/auth/me", &[("x-forwarded-for", "198.51.100.1")], None).await;
        assert_eq!(account.expect(403).body["code"], "address_not_allowed");
    }

    async fn an_untrusted_proxy_is_not_believed(server: Server) {
        let login = server.owner_login().await;
        let wanted = json!({"name": "office", "scopes": ["compute:read"], "allowed_ips": ["203.0.113.9"]});
        let key = with(&server, &make(&login, wanted).await);
        let lie = [("x-forwarded-for", "203.0.113.9")];
        key.send(Method::GET, &server.instance(), &lie, None).await.expect(403);
    }

    async fn a_key_has_no_more_rights_than_its_owner_now(server: Server) {
        let (login, user) = server.member_login(Role::Editor).await;
        let key = with(&server, &make(&login, json!({"name": "k", "scopes": ["compute:write"]})).await);
        key.patch(&server.instance(), &json!({"name": "x"})).await.expect(200);
        let become_viewer = server.app.store().write("test", move |tx| {
            let target = memberships::table.filter(memberships::user_id.eq(user));
            diesel::update(target).set(memberships::role.eq(Role::Viewer)).execute(tx.conn())?;
            Ok::<_, ApiError>(())
        });
        become_viewer.await.unwrap();
        key.patch(&server.instance(), &json!({"name": "y"})).await.expect(403);
        key.get(&server.instance()).await.expect(200);
    }

    async fn lists_are_bounded_and_leave_out_what_has_ended(server: Server) {
        let login = server.owner_login().await;
        let organization = server.facts.owner.organization_id;
        let narrow = json!({"name": "narrow", "scopes": ["compute:read"], "organization_id": organization});
        let narrow = make(&login, narrow).await;
        let soon = (server.clock.now() + Duration::from_mins(1)).to_string();
        make(&login, json!({"name": "short", "scopes": ["compute:read"], "expires_at": soon})).await;
        let gone = make(&login, json!({"name": "gone", "scopes": ["compute:read"]})).await;
        login.delete(&path(&gone)).await.expect(204);
        server.clock.advance(Duration::from_mins(2));
        let names = async |query: &str| {
            let list = login.get(&format!("{KEYS}{query}")).await.expect(200).body;
            list.as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names("").await, ["narrow", "Demo key"]);
        assert_eq!(names("?include_inactive=true").await, ["gone", "short", "narrow", "Demo key"]);
        assert_eq!(names(&format!("?organization_id={organization}")).await, ["narrow"]);
        login.get(&format!("{KEYS}?include_inactive=maybe")).await.expect(400);
        // A key of somebody else's is not there.
        let (other, _) = server.member_login(Role::Viewer).await;
        other.get(&path(&narrow)).await.expect(404);
        other.patch(&path(&narrow), &json!({"name": "x"})).await.expect(404);
        other.post(&format!("{}/rotate", path(&narrow)), &json!({})).await.expect(404);
        other.delete(&path(&narrow)).await.expect(404);
        for n in 0..98 {
            make(&login, json!({"name": format!("k{n}"), "scopes": ["compute:read"]})).await;
        }
        let full = login.post(KEYS, &json!({"name": "more", "scopes": ["compute:read"]})).await.expect(400);
        assert!(full.text.contains("100 active"), "{}", full.text);
    }

    async fn scopes_are_listed_with_who_may_have_them(server: Server) {
        let login = server.owner_login().await;
        let scopes = login.get(&format!("{KEYS}/scopes")).await.expect(200).body;
        let scopes = scopes.as_array().unwrap();
        assert_eq!(scopes.len(), 18);
        let of = |slug: &str| scopes.iter().find(|scope| scope["slug"] == slug).unwrap();
        assert_eq!(of("compute:write")["available_for"], json!(["api_key", "project_token"]));
        assert_eq!(of("account:read")["available_for"], json!(["api_key"]));
        assert_eq!(of("dns:read")["group"], "DNS");
    }

    async fn the_owner_is_told_and_the_log_knows(server: Server) {
        let login = server.owner_login().await;
        let organization = server.facts.owner.organization_id;
        let key = make(&login, json!({"name": "deploy", "scopes": ["compute:read"], "organization_id": organization})).await;
        login.patch(&path(&key), &json!({"allowed_ips": ["127.0.0.1"]})).await.expect(200);
        let rotated = login.post(&format!("{}/rotate", path(&key)), &json!({"grace_period_seconds": 5})).await.expect(200).body;
        login.delete(&path(&key)).await.expect(204);
        login.delete(&path(&key)).await.expect(204);
        with(&server, &rotated).get("/v1/auth/me").await.expect(401);
        with(&server, &key).get("/v1/auth/me").await.expect(401);
        let (events, letters) = told(&server).await;
        assert_eq!(events, ["api_key_created", "api_key_rotated", "api_key_revoked"]);
        assert_eq!(letters, ["api_key_created", "api_key_rotated", "api_key_revoked"]);
        let expected = ["api_key.created", "api_key.updated", "api_key.rotated", "api_key.revoked"];
        assert_eq!(actions(&server, "api_key").await, expected);
        let path = format!("/v1/organizations/{organization}/audit-logs?resource_type=api_key");
        let log = server.owner().get(&path).await.expect(200);
        for secret in [&key["key"], &rotated["key"]] {
            assert!(!log.text.contains(secret.as_str().unwrap()));
        }
    }
}
