//! Organizations: made, changed, deleted, brought back, emptied; modules and quotas.

use std::time::Duration;

use kernel::{access::Role, audit::Origin};
use serde_json::{Value, json};
use testkit::{Client, on_both};

use crate::people::{newcomer, organization, records};

/// A new organization of the caller's.
async fn found(client: &Client, name: &str) -> (Value, String) {
    let made = client
        .post("/v1/organizations", &json!({"name": name}))
        .await
        .expect(201);
    let path = format!("/v1/organizations/{}", made.body["id"].as_str().unwrap());
    (made.body, path)
}

fn id_of(body: &Value) -> kernel::access::OrganizationId {
    body["id"].as_str().unwrap().parse().unwrap()
}

on_both! {
    async fn whoever_makes_one_owns_it(server: Server) {
        let (client, user) = newcomer(&server, "grace@example.org").await;
        let body = json!({
            "name": "  Acme  ", "company_name": "Acme Ltd", "logo": "", "user_quota": 9999, "support_plan": "business",
            "is_active": false, "modules": [], "project_count": 7,
        });
        let headers = [("idempotency-key", "once")];
        let made = client.send(reqwest::Method::POST, "/v1/organizations", &headers, Some(body.to_string())).await.expect(201);
        let again = client.send(reqwest::Method::POST, "/v1/organizations", &headers, Some(body.to_string())).await.expect(201);
        assert_eq!(made.text, again.text);
        assert_eq!(made.body["name"], "Acme");
        assert_eq!(made.body["company_name"], "Acme Ltd");
        assert_eq!(made.body["project_count"], 1);
        assert_eq!(made.body["is_active"], true);
        assert_eq!(made.body["support_plan"], "basic");
        assert_eq!(made.body["user_quota"], 50);
        assert_eq!(made.body["modules"], json!(["compute", "domains", "web_hosting"]));
        let path = made.header("location").to_owned();
        let got = client.get(&path).await.expect(200);
        assert_eq!((&got.body, got.header("etag")), (&made.body, made.header("etag")));
        let legacy = format!("/v1/organizations/{}", made.body["legacy_id"]);
        assert_eq!(client.get(&legacy).await.expect(200).body, made.body);
        assert_eq!(client.get("/v1/organizations").await.expect(200).body, json!([made.body]));
        let projects = client.get(&format!("{path}/projects")).await.expect(200).body;
        assert_eq!((projects[0]["is_default"].clone(), projects.as_array().unwrap().len()), (json!(true), 1));
        let members = client.get(&format!("{path}/members")).await.expect(200).body;
        assert_eq!((&members[0]["user"]["id"], &members[0]["role"]), (&json!(user.to_string()), &json!("owner")));
        let log = client.get(&format!("{path}/audit-logs?ordering=created")).await.expect(200).body;
        let actions: Vec<&str> = log["results"].as_array().unwrap().iter().map(|record| record["action"].as_str().unwrap()).collect();
        assert_eq!(actions, ["organization.created", "project.created"]);
        server.owner().get(&path).await.expect(404);
    }

    async fn faulty_ones_are_refused(server: Server, |config| { config.organizations.most_owned = 2; }) {
        let (client, _) = newcomer(&server, "grace@example.org").await;
        let refused = |body: Value| { let client = client.clone(); async move { client.post("/v1/organizations", &body).await.expect(400).body } };
        assert_eq!(refused(json!({})).await, json!({"name": ["This field is required."]}));
        assert_eq!(refused(json!({"name": " "})).await, json!({"name": ["This field may not be blank."]}));
        let faults = refused(json!({"name": "x".repeat(256), "organization_type": "club"})).await;
        assert!(faults["name"].is_array() && faults["organization_type"].is_array());
        let faults = refused(json!({"name": "x", "logo": "javascript:alert(1)", "city": "x".repeat(256)})).await;
        assert!(faults["logo"].is_array() && faults["city"].is_array());
        found(&client, "one").await;
        let statuses = crate::concurrency::at_once(|number| {
            let client = client.clone();
            async move { client.post("/v1/organizations", &json!({"name": format!("n{number}")})).await.status }
        }).await;
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
        // A key that is limited to an organization makes no others.
        let body = json!({"name": "k", "scopes": ["organizations:write"], "organization_id": client.get("/v1/organizations").await.body[0]["id"]});
        let key = client.post("/v1/auth/api-keys", &body).await;
        if key.status == 201 {
            server.client(key.body["key"].as_str().unwrap()).post("/v1/organizations", &json!({"name": "x"})).await.expect(403);
        }
    }

    async fn owners_write_their_own_fields(server: Server) {
        let (owner, path) = (server.owner(), organization(&server, ""));
        let before = owner.get(&path).await.expect(200);
        let mut body = before.body.clone();
        body["city"] = json!("Lyon");
        body["instance_quota"] = json!(-5);
        body["is_active"] = json!("nonsense");
        let replaced = owner.put(&path, &body).await.expect(200);
        assert_eq!((&replaced.body["city"], &replaced.body["instance_quota"]), (&json!("Lyon"), &before.body["instance_quota"]));
        let same = owner.put(&path, &body).await.expect(200);
        assert_eq!(same.header("etag"), replaced.header("etag"), "nothing was written");
        assert_eq!(records(&server, "organization.updated").await, 1);
        let stale = [("if-match", before.header("etag"))];
        owner.send(reqwest::Method::PATCH, &path, &stale, Some(json!({"city": "Nice"}).to_string())).await.expect(412);
        let fresh = [("if-match", same.header("etag"))];
        let patched = owner.send(reqwest::Method::PATCH, &path, &fresh, Some(json!({"phone": "+33 1"}).to_string())).await.expect(200);
        assert_eq!((&patched.body["phone"], &patched.body["city"]), (&json!("+33 1"), &json!("Lyon")));
        owner.patch(&path, &json!({"name": null})).await.expect(400);
        for role in [Role::Editor, Role::Viewer, Role::Guest] {
            let (member, _) = server.member(role).await;
            member.patch(&path, &json!({"city": "Nice"})).await.expect(403);
            let seen = member.get(&path).await.expect(200).body;
            assert_eq!(seen["city"], if role == Role::Guest { "" } else { "Lyon" });
        }
    }

    async fn an_empty_one_is_deleted_brought_back_and_emptied(server: Server) {
        let refused = server.owner().delete(&organization(&server, "")).await.expect(400);
        assert!(refused.body["detail"].as_str().unwrap().contains("live resources"));
        let (client, _) = newcomer(&server, "grace@example.org").await;
        let (body, path) = found(&client, "Acme").await;
        client.patch(&path, &json!({"phone": "+33 1"})).await.expect(200);
        let id = id_of(&body);
        server.app.store().write("test", { let user = server.member(Role::Viewer).await.1; move |tx| {
            Ok::<_, kernel::http::ApiError>(identity::accounts::add_member(tx, id, user, Role::Viewer)?)
        }}).await.unwrap();
        let refused = client.delete(&path).await.expect(400);
        assert!(refused.body["detail"].as_str().unwrap().contains("members"));
        let members = client.get(&format!("{path}/members?role=viewer")).await.expect(200).body;
        client.delete(&format!("{path}/members/{}", members[0]["id"].as_str().unwrap())).await.expect(204);
        client.delete(&path).await.expect(204);
        client.get(&path).await.expect(404);
        client.delete(&path).await.expect(404);
        assert_eq!(client.get("/v1/organizations").await.expect(200).body, json!([]));
        let restore = || server.app.store().write("test", move |tx| identity::organizations::restore(tx, id, &Origin::system("test")));
        assert_eq!(identity::organizations::purge(&server.app).await.unwrap(), 0);
        restore().await.unwrap();
        assert_eq!(client.get(&path).await.expect(200).body["phone"], "+33 1");
        assert!(restore().await.is_err());
        client.delete(&path).await.expect(204);
        server.clock.advance(Duration::from_hours(24 * 30) + Duration::from_secs(1));
        assert_eq!(identity::organizations::purge(&server.app).await.unwrap(), 1);
        assert_eq!(identity::organizations::purge(&server.app).await.unwrap(), 0);
        assert!(restore().await.is_err());
        let name = server.app.store().read("test", move |conn| {
            use diesel::{QueryDsl, RunQueryDsl};
            use identity::schema::organizations;
            let row = organizations::table.find(id).select((organizations::name, organizations::phone));
            Ok::<_, kernel::http::ApiError>(row.first::<(String, String)>(conn)?)
        }).await.unwrap();
        assert_eq!(name, ("Deleted organization".to_owned(), String::new()));
    }

    async fn what_a_module_is_off_for_is_closed_at_once(server: Server) {
        let refused = server.owner().post(&organization(&server, "/modules/compute/disable"), &json!({})).await.expect(400);
        assert!(refused.body["detail"].as_str().unwrap().contains("live resources"));
        let (client, _) = newcomer(&server, "grace@example.org").await;
        let (_, path) = found(&client, "Acme").await;
        let project = client.get(&format!("{path}/projects")).await.expect(200).body[0]["id"].as_str().unwrap().to_owned();
        let vpcs = format!("{path}/projects/{project}/compute/vpcs");
        client.get(&vpcs).await.expect(200);
        let off = client.post(&format!("{path}/modules/compute/disable"), &json!({})).await.expect(200).body;
        assert_eq!((&off["slug"], &off["is_enabled"], &off["enabled_at"]), (&json!("compute"), &json!(false), &Value::Null));
        let closed = client.get(&vpcs).await.expect(403);
        assert_eq!(closed.body["detail"], "This module is switched off for the organization.");
        client.get(&format!("{path}/projects/{project}/compute/instances")).await.expect(403);
        let me = client.get(&format!("{path}/members/me")).await.expect(200).body;
        let has = |list: &Value, start: &str| list.as_array().unwrap().iter().any(|code| code.as_str().unwrap().starts_with(start));
        assert!(!has(&me["permissions"], "compute.") && has(&me["permissions"], "projects."));
        assert!(!has(&me["project_permissions"][0]["permissions"], "compute."));
        assert_eq!(client.get(&path).await.expect(200).body["modules"], json!(["domains", "web_hosting"]));
        client.post(&format!("{path}/modules/compute/disable"), &json!({})).await.expect(200);
        for _ in 0..2 {
            let on = client.post(&format!("{path}/modules/compute/enable"), &json!({})).await.expect(200).body;
            assert!(on["is_enabled"] == true && on["enabled_by"]["email"] == "grace@example.org");
        }
        client.get(&vpcs).await.expect(200);
        let log = client.get(&format!("{path}/audit-logs?search=module")).await.expect(200).body;
        assert_eq!(log["count"], 2, "switching twice changes nothing: {log}");
        client.post(&format!("{path}/modules/nonsense/enable"), &json!({})).await.expect(404);
        let (editor, _) = server.member(Role::Editor).await;
        editor.post(&organization(&server, "/modules/domains/disable"), &json!({})).await.expect(403);
        let list = editor.get(&organization(&server, "/modules")).await.expect(200).body;
        assert_eq!(list.as_array().unwrap().len(), 3);
        assert!(list[0]["resource_count"].as_i64().unwrap() > 0);
    }

    async fn a_module_that_is_not_offered_stays_off(server: Server, |config| { config.organizations.modules = vec!["compute".to_owned()]; }) {
        let (client, _) = newcomer(&server, "grace@example.org").await;
        let (body, path) = found(&client, "Acme").await;
        assert_eq!(body["modules"], json!(["compute"]));
        client.post(&format!("{path}/modules/domains/enable"), &json!({})).await.expect(400);
        let list = client.get(&format!("{path}/modules")).await.expect(200).body;
        assert_eq!((&list[1]["slug"], &list[1]["is_available"]), (&json!("domains"), &json!(false)));
    }

    async fn quotas_are_counted(server: Server) {
        let path = organization(&server, "/quotas");
        let before = server.owner().get(&path).await.expect(200).body;
        assert_eq!((&before["users"]["used"], &before["projects"]["used"]), (&json!(1), &json!(2)));
        assert_eq!(before["instances"]["limit"], 100);
        assert!(before["instances"]["used"].as_i64().unwrap() > 0);
        crate::people::invite(&server, "somebody@example.org", "viewer").await;
        let after = server.owner().get(&path).await.expect(200).body;
        assert_eq!((&after["users"]["used"], &after["users"]["available"]), (&json!(2), &json!(48)));
        server.member(Role::Guest).await.0.get(&path).await.expect(403);
    }
}
