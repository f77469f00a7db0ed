//! Logging in, tokens and keys.

use std::time::Duration;

use kernel::access::Role;
use serde_json::json;
use testkit::on_both;

on_both! {
    async fn a_login_opens_a_session(server: Server) {
        let owner = &server.facts.owner;
        let (client, tokens) = server.log_in(&owner.email.to_uppercase(), &owner.password).await;
        assert_eq!(tokens["token_type"], "Bearer");
        assert_eq!(tokens["expires_in"], 900);
        let me = client.get("/v1/auth/me").await.expect(200).body;
        assert_eq!(me["email"], owner.email);
        let rights = &me["permissions"][owner.organization_id.to_string()];
        assert_eq!(rights["role"], "owner", "{me}");
        client.get(&server.instance()).await.expect(200);
    }

    async fn unknown_accounts_and_wrong_passwords_look_the_same(server: Server) {
        let client = server.anonymous();
        let wrong = json!({"email": server.facts.owner.email, "password": "Wrong-Guess-1"});
        let wrong = client.post("/v1/auth/login", &wrong).await.expect(401);
        let unknown = json!({"email": "nobody@example.com", "password": "Wrong-Guess-1"});
        let unknown = client.post("/v1/auth/login", &unknown).await.expect(401);
        assert_eq!(wrong.body, unknown.body);
        assert_eq!(wrong.body["code"], "invalid_credentials");
        let faults = client.post("/v1/auth/login", &json!({"email": "no address"})).await.expect(400);
        assert_eq!(faults.body["email"], json!(["Enter a valid email address."]));
        assert_eq!(faults.body["password"], json!(["This field is required."]));
        let long = json!({"email": "a@example.com", "password": "x".repeat(500_000)});
        client.post("/v1/auth/login", &long).await.expect(400);
    }

    async fn tokens_rotate_and_a_used_one_ends_the_session(server: Server) {
        let owner = &server.facts.owner;
        let (client, first) = server.log_in(&owner.email, &owner.password).await;
        let anonymous = server.anonymous();
        let refresh = async |token: &serde_json::Value| {
            anonymous.post("/v1/auth/token/refresh", &json!({"refresh": token})).await
        };
        let second = refresh(&first["refresh"]).await.expect(200).body;
        assert_ne!(second["refresh"], first["refresh"]);
        let renewed = server.client(second["access"].as_str().unwrap());
        renewed.get("/v1/auth/me").await.expect(200);
        refresh(&first["refresh"]).await.expect(401);
        // Somebody has had the old one: nobody keeps the session.
        refresh(&second["refresh"]).await.expect(401);
        renewed.get("/v1/auth/me").await.expect(401);
        client.get("/v1/auth/me").await.expect(401);
    }

    async fn tokens_end_in_time(server: Server) {
        let owner = &server.facts.owner;
        let (client, tokens) = server.log_in(&owner.email, &owner.password).await;
        server.clock.advance(Duration::from_mins(14));
        client.get("/v1/auth/me").await.expect(200);
        server.clock.advance(Duration::from_mins(2));
        client.get("/v1/auth/me").await.expect(401);
        server.clock.advance(Duration::from_hours(24));
        server.anonymous().post("/v1/auth/token/refresh", &json!({"refresh": tokens["refresh"]})).await.expect(401);
    }

    async fn a_logout_counts_at_once(server: Server) {
        let owner = &server.facts.owner;
        let (client, tokens) = server.log_in(&owner.email, &owner.password).await;
        let answer = client.post("/v1/auth/logout", &json!({})).await;
        assert!((200..300).contains(&answer.status), "{}", answer.text);
        client.get("/v1/auth/me").await.expect(401);
        server.anonymous().post("/v1/auth/token/refresh", &json!({"refresh": tokens["refresh"]})).await.expect(401);
    }

    async fn keys_are_made_shown_once_and_revoked(server: Server) {
        let owner = &server.facts.owner;
        let (client, _) = server.log_in(&owner.email, &owner.password).await;
        let wanted = json!({"name": "deploy", "scopes": ["compute:read"], "organization_id": owner.organization_id});
        let made = client.post("/v1/auth/api-keys", &wanted).await.expect(201);
        let secret = made.body["key"].as_str().unwrap().to_owned();
        assert!(secret.starts_with("sk-onetsolutions-") && secret.len() >= 49);
        let id = made.body["id"].as_str().unwrap();
        let key = server.client(&secret);
        key.get(&server.instance()).await.expect(200);
        key.patch(&server.instance(), &json!({"name": "x"})).await.expect(403);
        let list = client.get("/v1/auth/api-keys").await.expect(200);
        assert!(!list.text.contains(&secret) && list.text.contains(made.body["prefix"].as_str().unwrap()));
        client.delete(&format!("/v1/auth/api-keys/{id}")).await.expect(204);
        key.get(&server.instance()).await.expect(401);
        let log = format!("/v1/organizations/{}/audit-logs?action=api_key.created", owner.organization_id);
        let log = client.get(&log).await.expect(200);
        assert_eq!(log.body["count"], 1, "{}", log.text);
        assert!(!log.text.contains(&secret));
    }

    async fn keys_expire_and_know_their_organization(server: Server) {
        let owner = &server.facts.owner;
        let (client, _) = server.log_in(&owner.email, &owner.password).await;
        let soon = server.clock.now() + Duration::from_hours(1);
        let wanted = json!({"name": "short", "scopes": ["compute:write"], "expires_at": soon.to_string()});
        let made = client.post("/v1/auth/api-keys", &wanted).await.expect(201).body;
        let key = server.client(made["key"].as_str().unwrap());
        key.patch(&server.instance(), &json!({"name": "by key"})).await.expect(200);
        server.clock.advance(Duration::from_hours(2));
        key.get(&server.instance()).await.expect(401);
        let (client, _) = server.log_in(&owner.email, &owner.password).await;
        let faults = json!({"name": "", "scopes": ["root"], "expires_at": "2001-01-01T00:00:00Z",
            "organization_id": server.facts.stranger.organization_id});
        let faults = client.post("/v1/auth/api-keys", &faults).await.expect(400).body;
        assert!(faults["name"].is_array() && !faults["scopes"].is_null(), "{faults}");
    }

    async fn guests_see_only_their_projects(server: Server) {
        use identity::accounts;
        let owner = &server.facts.owner;
        let (guest, user) = server.member(Role::Guest).await;
        let projects = format!("/v1/organizations/{}/projects", owner.organization_id);
        assert_eq!(guest.get(&projects).await.expect(200).body, json!([]));
        let project = owner.project_id;
        server.app.store().write("test", move |tx| {
            Ok::<_, kernel::http::ApiError>(accounts::add_project_member(tx, project, user, Role::Viewer)?)
        }).await.unwrap();
        let seen = guest.get(&projects).await.expect(200).body;
        assert_eq!(seen.as_array().unwrap().len(), 1);
        assert_eq!(seen[0]["role"], "viewer");
        assert_eq!(seen[0]["resource_counts"]["instances"], 12);
        guest.get(&server.instance()).await.expect(200);
        guest.patch(&server.instance(), &json!({"name": "x"})).await.expect(403);
        guest.get(&format!("/v1/organizations/{}/audit-logs", owner.organization_id)).await.expect(403);
    }

    async fn organizations_are_a_plain_array(server: Server) {
        let list = server.owner().get("/v1/organizations").await.expect(200).body;
        assert_eq!(list.as_array().unwrap().len(), 1);
        assert_eq!(list[0]["name"], "Lighthouse Labs");
        assert_eq!(list[0]["project_count"], 2);
    }
}
