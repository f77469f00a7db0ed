//! Project tokens: who makes them, what they reach, and what they never do.

use std::time::Duration;

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use identity::{accounts, schema::memberships};
use kernel::{access::Role, http::ApiError};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Client, Server, on_both};

use super::api_keys::{actions, told};

fn tokens(server: &Server) -> String {
    server.project("/tokens")
}

fn path(server: &Server, token: &Value) -> String {
    format!("{}/{}", tokens(server), token["id"].as_str().unwrap())
}

async fn make(server: &Server, login: &Client, wanted: Value) -> Value {
    login.post(&tokens(server), &wanted).await.expect(201).body
}

fn with(server: &Server, token: &Value) -> Client {
    server.client(token["token"].as_str().unwrap())
}

on_both! {
    async fn a_token_works_inside_its_project_only(server: Server) {
        let login = server.owner_login().await;
        let owner = &server.facts.owner;
        let made = make(&server, &login, json!({"name": "ci", "scopes": ["compute:write", "projects:read"]})).await;
        assert_eq!(made["organization_id"], owner.organization_id.to_string());
        assert_eq!(made["project_id"], owner.project_id.to_string());
        assert_eq!(made["created_by"]["email"], owner.email);
        assert_eq!(made["is_active"], true);
        let token = with(&server, &made);
        token.get(&server.instance()).await.expect(200);
        token.patch(&server.instance(), &json!({"name": "by token"})).await.expect(200);
        let me = token.get("/v1/auth/me").await.expect(200).body;
        assert_eq!(me["permissions"][owner.organization_id.to_string()]["project_id"], owner.project_id.to_string());
        // Another project of the same organization, and another organization.
        let projects = login.get(&format!("/v1/organizations/{}/projects", owner.organization_id)).await.expect(200).body;
        let other = projects.as_array().unwrap().iter().find(|project| project["id"] != owner.project_id.to_string()).unwrap();
        let elsewhere = format!("/v1/organizations/{}/projects/{}/compute/instances", owner.organization_id, other["id"].as_str().unwrap());
        login.get(&elsewhere).await.expect(200);
        token.get(&elsewhere).await.expect(404);
        let theirs = &server.facts.stranger;
        token.get(&format!("/v1/organizations/{}/projects/{}/compute/instances", theirs.organization_id, theirs.project_id)).await.expect(404);
        token.get(&format!("/v1/organizations/{}/audit-logs", owner.organization_id)).await.expect(403);
        // Never near credentials and accounts.
        token.get("/v1/auth/api-keys").await.expect(403);
        token.get("/v1/auth/profile").await.expect(403);
        token.get(&tokens(&server)).await.expect(403);
        token.post(&tokens(&server), &json!({"name": "more", "scopes": ["compute:write"]})).await.expect(403);
    }

    async fn owners_of_the_project_manage_its_tokens(server: Server) {
        let login = server.owner_login().await;
        let token = make(&server, &login, json!({"name": "ci", "scopes": ["compute:read"]})).await;
        let one = path(&server, &token);
        let rotate = format!("{one}/rotate");
        for role in [Role::Viewer, Role::Editor] {
            let (member, _) = server.member_login(role).await;
            let statuses = [
                member.get(&tokens(&server)).await.status,
                member.get(&one).await.status,
                member.post(&tokens(&server), &json!({"name": "x", "scopes": ["compute:read"]})).await.status,
                member.patch(&one, &json!({"name": "x"})).await.status,
                member.post(&rotate, &json!({})).await.status,
                member.delete(&one).await.status,
                member.get(&server.project("/token-scopes")).await.status,
            ];
            assert_eq!(statuses, [403; 7], "{}", role.as_str());
        }
        // A guest who owns the project may, and what they make ends with them.
        let (guest, user) = server.member_login(Role::Guest).await;
        guest.get(&tokens(&server)).await.expect(404);
        let project = server.facts.owner.project_id;
        let joined = server.app.store().write("test", move |tx| {
            Ok::<_, ApiError>(accounts::add_project_member(tx, project, user, Role::Owner)?)
        });
        joined.await.unwrap();
        let theirs = make(&server, &guest, json!({"name": "theirs", "scopes": ["compute:read"]})).await;
        with(&server, &theirs).get(&server.instance()).await.expect(200);
        assert_eq!(login.get(&tokens(&server)).await.expect(200).body.as_array().unwrap().len(), 2);
        let left = server.app.store().write("test", move |tx| {
            diesel::delete(memberships::table.filter(memberships::user_id.eq(user))).execute(tx.conn())?;
            Ok::<_, ApiError>(())
        });
        left.await.unwrap();
        with(&server, &theirs).get(&server.instance()).await.expect(404);
        // An API key can't manage tokens, whatever its scopes.
        server.owner().get(&tokens(&server)).await.expect(403);
        server.owner().post(&tokens(&server), &json!({"name": "x", "scopes": ["compute:read"]})).await.expect(403);
        // Tokens of one project are not those of another.
        let theirs = &server.facts.stranger;
        let (stranger, _) = server.log_in(&theirs.email, &theirs.password).await;
        let id = token["id"].as_str().unwrap();
        stranger.get(&format!("/v1/organizations/{}/projects/{}/tokens/{id}", theirs.organization_id, theirs.project_id)).await.expect(404);
    }

    async fn scopes_of_a_project_and_no_others(server: Server) {
        let login = server.owner_login().await;
        let scopes = login.get(&server.project("/token-scopes")).await.expect(200).body;
        let codes: Vec<&str> = scopes.as_array().unwrap().iter().map(|scope| scope["code"].as_str().unwrap()).collect();
        assert_eq!(codes.len(), 9);
        assert!(scopes.as_array().unwrap().iter().all(|scope| scope["scope"] == "project"));
        make(&server, &login, json!({"name": "all", "scopes": codes})).await;
        for wrong in ["organizations:read", "projects:write", "account:read", "members:write", "root"] {
            let refused = login.post(&tokens(&server), &json!({"name": "x", "scopes": [wrong]})).await.expect(400).body;
            assert_eq!(refused["scopes"], json!([format!("\"{wrong}\" is not a valid choice.")]));
        }
        let faults = login.post(&tokens(&server), &json!({"allowed_ips": ["x"]})).await.expect(400).body;
        assert!(faults["name"].is_array() && faults["scopes"].is_array(), "{faults}");
    }

    async fn a_token_changes_rotates_and_ends(server: Server) {
        let login = server.owner_login().await;
        let token = make(&server, &login, json!({"name": "ci", "scopes": ["compute:read"]})).await;
        let one = path(&server, &token);
        let first = with(&server, &token);
        first.patch(&server.instance(), &json!({"name": "x"})).await.expect(403);
        login.patch(&one, &json!({"scopes": ["compute:write"], "allowed_ips": ["127.0.0.1"]})).await.expect(200);
        first.patch(&server.instance(), &json!({"name": "x"})).await.expect(200);
        let stale = [("if-match", "\"1-x\"")];
        login.send(Method::DELETE, &one, &stale, None).await.expect(412);
        let rotated = login.post(&format!("{one}/rotate"), &json!({"grace_period_seconds": 30})).await.expect(200).body;
        assert_eq!(rotated["id"], token["id"]);
        first.get(&server.instance()).await.expect(200);
        server.clock.advance(Duration::from_secs(31));
        first.get(&server.instance()).await.expect(401);
        with(&server, &rotated).get(&server.instance()).await.expect(200);
        login.delete(&one).await.expect(204);
        with(&server, &rotated).get(&server.instance()).await.expect(401);
        assert_eq!(login.get(&tokens(&server)).await.expect(200).body, json!([]));
        let all = login.get(&format!("{}?include_inactive=true", tokens(&server))).await.expect(200);
        assert_eq!(all.body[0]["is_active"], false);
        assert!(!all.text.contains(rotated["token"].as_str().unwrap()));
        login.post(&format!("{one}/rotate"), &json!({})).await.expect(409);
        login.patch(&one, &json!({"name": "x"})).await.expect(400);
        let expected = ["project_token.created", "project_token.updated", "project_token.rotated", "project_token.revoked"];
        assert_eq!(actions(&server, "project_token").await, expected);
        let (events, letters) = told(&server).await;
        assert_eq!(events, ["project_token_created", "project_token_rotated", "project_token_revoked"]);
        assert_eq!(letters, ["project_token_created"]);
    }
}
