//! Projects: made, changed, deleted; always one default; members, resources, moves, activity.

use kernel::access::Role;
use serde_json::{Value, json};
use testkit::{Client, Server, on_both};

use crate::{
    concurrency::at_once,
    instances_replace::other_vpc,
    people::{membership, newcomer, organization, records, secret, set_quotas},
};

async fn made(client: &Client, server: &Server, name: &str) -> (Value, String) {
    let answer = client
        .post(&organization(server, "/projects"), &json!({"name": name}))
        .await
        .expect(201);
    let path = answer.header("location").to_owned();
    (answer.body, path)
}

/// The demo's second project.
pub(crate) async fn second(server: &Server) -> (Value, String) {
    let list = server
        .owner()
        .get(&organization(server, "/projects?search=website"))
        .await
        .expect(200)
        .body;
    let path = organization(server, &format!("/projects/{}", list[0]["id"].as_str().unwrap()));
    (list[0].clone(), path)
}

/// A guest of the demo's organization, with a role in the demo's first project.
async fn guest(server: &Server, role: &str) -> Client {
    let (client, user) = server.member(Role::Guest).await;
    let body = json!({"user_id": user.to_string(), "role": role});
    server
        .owner()
        .post(&server.project("/members"), &body)
        .await
        .expect(201);
    client
}

on_both! {
    async fn a_project_is_made_changed_and_deleted(server: Server) {
        let owner = server.owner();
        let body = json!({"name": " Shop ", "environment": "staging", "color": "#00FF00", "tags": {"team": "web"}, "role": "viewer"});
        let answer = owner.post(&organization(&server, "/projects"), &body).await.expect(201);
        let (project, path) = (answer.body.clone(), answer.header("location").to_owned());
        assert_eq!((&project["name"], &project["environment"], &project["role"]), (&json!("Shop"), &json!("staging"), &json!("owner")));
        assert_eq!((&project["description"], &project["is_default"], &project["member_count"]), (&json!(""), &json!(false), &json!(1)));
        assert_eq!(project["created_by"]["email"], server.facts.owner.email);
        let got = owner.get(&path).await.expect(200);
        assert_eq!((&got.body, got.header("etag")), (&project, answer.header("etag")));
        let mut same = project.clone();
        same["tags"] = json!({"team": "web"});
        let unchanged = owner.put(&path, &same).await.expect(200);
        assert_eq!(unchanged.header("etag"), answer.header("etag"));
        assert_eq!(records(&server, "project.updated").await, 0);
        let stale = [("if-match", "\"1-x\"")];
        owner.send(reqwest::Method::PATCH, &path, &stale, Some(json!({"name": "Store"}).to_string())).await.expect(412);
        let patched = owner.patch(&path, &json!({"name": "Store", "description": ""})).await.expect(200).body;
        assert_eq!((&patched["name"], &patched["tags"]), (&json!("Store"), &json!({"team": "web"})));
        for (body, field) in [
            (json!({"name": "Default"}), "name"), (json!({"color": "red"}), "color"), (json!({"environment": "moon"}), "environment"),
            (json!({"tags": null}), "tags"), (json!({"name": " "}), "name"),
        ] {
            assert!(owner.patch(&path, &body).await.expect(400).body[field].is_array(), "{body}");
        }
        owner.post(&organization(&server, "/projects"), &json!({"name": "Store"})).await.expect(400);
        let (viewer, _) = server.member(Role::Viewer).await;
        viewer.patch(&path, &json!({"name": "x"})).await.expect(403);
        viewer.post(&organization(&server, "/projects"), &json!({"name": "x"})).await.expect(403);
        let (editor, _) = server.member(Role::Editor).await;
        let (theirs, their_path) = made(&editor, &server, "Lab").await;
        assert_eq!(theirs["role"], "editor");
        editor.delete(&their_path).await.expect(403);
        assert!(owner.delete(&server.project("")).await.expect(400).body["detail"].as_str().unwrap().contains("default"));
        let (_, second) = second(&server).await;
        assert!(owner.delete(&second).await.expect(400).body["detail"].as_str().unwrap().contains("live resources"));
        owner.delete(&path).await.expect(204);
        owner.get(&path).await.expect(404);
        owner.get(&format!("{path}/compute/instances")).await.expect(404);
        owner.delete(&path).await.expect(404);
        // The name is free again.
        made(&owner, &server, "Store").await;
        assert_eq!(records(&server, "project.deleted").await, 1);
    }

    async fn the_quota_of_projects_holds(server: Server) {
        set_quotas(&server, 50, 5).await;
        let statuses = at_once(|number| {
            let (client, path) = (server.owner(), organization(&server, "/projects"));
            async move { client.post(&path, &json!({"name": format!("p{number}")})).await.status }
        }).await;
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 3, "{statuses:?}");
        assert!(statuses.iter().all(|status| [201, 400].contains(status)), "{statuses:?}");
    }

    async fn one_of_many_projects_of_a_name_is_made(server: Server) {
        let statuses = at_once(|_| {
            let (client, path) = (server.owner(), organization(&server, "/projects"));
            async move { client.post(&path, &json!({"name": "Same"})).await.status }
        }).await;
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    }

    async fn there_is_one_default_project(server: Server) {
        let (_, other) = second(&server).await;
        let owner = server.owner();
        assert!(owner.patch(&server.project(""), &json!({"is_default": false})).await.expect(400).body["is_default"].is_array());
        assert!(owner.patch(&server.project(""), &json!({"is_active": false})).await.expect(400).body["is_active"].is_array());
        let statuses = at_once(|number| {
            let path = if number % 2 == 0 { other.clone() } else { server.project("") };
            let client = owner.clone();
            async move { client.patch(&path, &json!({"is_default": true})).await.status }
        }).await;
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
        let list = owner.get(&organization(&server, "/projects")).await.expect(200).body;
        let defaults = list.as_array().unwrap().iter().filter(|project| project["is_default"] == true).count();
        assert_eq!(defaults, 1);
    }

    async fn guests_see_their_projects_only(server: Server) {
        let visitor = guest(&server, "viewer").await;
        let (_, other) = second(&server).await;
        let list = visitor.get(&organization(&server, "/projects")).await.expect(200).body;
        assert_eq!((list.as_array().unwrap().len(), &list[0]["role"]), (1, &json!("viewer")));
        visitor.get(&server.project("/resources")).await.expect(200);
        visitor.get(&server.project("/activity")).await.expect(200);
        for rest in ["", "/members", "/resources", "/activity", "/roles", "/compute/instances"] {
            let hidden = visitor.get(&format!("{other}{rest}")).await.expect(404);
            let absent = visitor.get(&organization(&server, &format!("/projects/{}{rest}", kernel::id::AnyId::new()))).await.expect(404);
            assert_eq!(hidden.body, absent.body);
        }
        for rest in ["/members", "/quotas", "/modules", "/invitations", "/audit-logs"] {
            visitor.get(&organization(&server, rest)).await.expect(403);
        }
        let me = visitor.get(&organization(&server, "/members/me")).await.expect(200).body;
        assert_eq!(me["project_permissions"].as_array().unwrap().len(), 1);
    }

    async fn members_of_a_project_are_added_narrowed_and_removed(server: Server) {
        let (owner, path) = (server.owner(), server.project("/members"));
        let (editor, user) = server.member(Role::Editor).await;
        let inherited = owner.get(&path).await.expect(200).body;
        let of = |list: &Value, user: kernel::access::UserId| list.as_array().unwrap().iter().find(|one| one["user"]["id"] == user.to_string()).cloned();
        let before = of(&inherited, user).unwrap();
        assert_eq!((&before["role"], &before["is_inherited"], &before["organization_role"]), (&json!("editor"), &json!(true), &json!("editor")));
        owner.delete(&format!("{path}/{}", before["id"].as_str().unwrap())).await.expect(400);
        assert!(owner.post(&path, &json!({"user_id": user.to_string(), "role": "owner"})).await.expect(400).body["role"].is_array());
        let added = owner.post(&path, &json!({"user_id": user.to_string(), "role": "viewer"})).await.expect(201);
        assert_eq!((&added.body["member"]["role"], &added.body["invitation"]), (&json!("viewer"), &Value::Null));
        owner.post(&path, &json!({"user_id": user.to_string(), "role": "viewer"})).await.expect(400);
        editor.patch(&server.instance(), &json!({"name": "x"})).await.expect(403);
        let one = added.header("location").to_owned();
        let changed = owner.patch(&one, &json!({"role": "editor"})).await.expect(200);
        assert_eq!(changed.body["is_inherited"], false);
        let same = owner.put(&one, &changed.body).await.expect(200);
        assert_eq!((same.header("etag"), &same.body), (changed.header("etag"), &changed.body));
        editor.patch(&server.instance(), &json!({"name": "x"})).await.expect(200);
        owner.patch(&one, &json!({"role": "viewer"})).await.expect(200);
        owner.delete(&one).await.expect(204);
        owner.delete(&one).await.expect(404);
        editor.patch(&server.instance(), &json!({"name": "y"})).await.expect(200);
        editor.post(&path, &json!({"user_id": user.to_string(), "role": "viewer"})).await.expect(403);
        owner.post(&path, &json!({"role": "viewer"})).await.expect(400);
        owner.post(&path, &json!({"user_id": kernel::id::AnyId::new().to_string(), "role": "viewer"})).await.expect(400);
        // Somebody else's user does not exist here.
        let stranger = server.stranger().get(&format!("/v1/organizations/{}/members/me", server.facts.stranger.organization_id)).await.expect(200).body;
        owner.post(&path, &json!({"user_id": stranger["member"]["user"]["id"], "role": "viewer"})).await.expect(400);
        assert_eq!((records(&server, "project_member.added").await, records(&server, "project_member.role_changed").await), (1, 2));
        let me = owner.get(&organization(&server, "/members/me")).await.expect(200).body;
        let mine = of(&owner.get(&path).await.expect(200).body, me["member"]["user"]["id"].as_str().unwrap().parse().unwrap()).unwrap();
        owner.patch(&format!("{path}/{}", mine["id"].as_str().unwrap()), &json!({"role": "viewer"})).await.expect(400);
    }

    async fn a_project_owner_invites_guests(server: Server) {
        let host = guest(&server, "owner").await;
        let email = "visitor@example.org";
        let added = host.post(&server.project("/members"), &json!({"email": email, "role": "viewer"})).await.expect(201).body;
        assert_eq!((&added["member"], &added["invitation"]["role"]), (&Value::Null, &json!("guest")));
        host.post(&server.project("/members"), &json!({"email": email, "role": "viewer"})).await.expect(400);
        let token = secret(&server, email).await;
        let (visitor, user) = newcomer(&server, email).await;
        visitor.post("/v1/invitations/accept", &json!({"token": token})).await.expect(200);
        visitor.get(&server.instance()).await.expect(200);
        visitor.patch(&server.instance(), &json!({"name": "x"})).await.expect(403);
        let list = host.get(&server.project("/members")).await.expect(200).body;
        let theirs = list.as_array().unwrap().iter().find(|one| one["user"]["email"] == email).unwrap().clone();
        // Without a project a guest is no member at all.
        host.delete(&server.project(&format!("/members/{}", theirs["id"].as_str().unwrap()))).await.expect(204);
        visitor.get(&organization(&server, "")).await.expect(404);
        assert!(membership(&server, user).await.is_none());
        assert_eq!(records(&server, "member.removed").await, 1);
    }

    async fn resources_of_all_kinds_are_one_list(server: Server) {
        let (owner, path) = (server.owner(), server.project("/resources"));
        let all = owner.get(&format!("{path}?page_size=100")).await.expect(200).body;
        let kinds: Vec<&str> = all["results"].as_array().unwrap().iter().map(|one| one["resource_type"].as_str().unwrap()).collect();
        assert!(kinds.contains(&"instance") && kinds.contains(&"vpc"));
        assert_eq!(all["count"].as_u64().unwrap(), kinds.len() as u64);
        let mut paged = Vec::new();
        let mut next = Some(format!("{path}?page_size=5"));
        while let Some(page) = next {
            let body = owner.get(&page).await.expect(200).body;
            paged.extend(body["results"].as_array().unwrap().clone());
            next = body["next"].as_str().map(|url| url[url.find("/v1/").unwrap()..].to_owned());
        }
        assert_eq!(json!(paged), all["results"], "pages hold all, in order, once");
        let times: Vec<&str> = paged.iter().map(|one| one["created"].as_str().unwrap()).collect();
        assert!(times.is_sorted_by(|left, right| left >= right));
        let count = |query: String| { let (owner, path) = (owner.clone(), path.clone()); async move { owner.get(&format!("{path}?{query}")).await.expect(200).body["count"].as_u64().unwrap() } };
        let machines = count("resource_type=instance".to_owned()).await;
        assert_eq!(machines + count("resource_type=vpc".to_owned()).await, kinds.len() as u64);
        assert_eq!(count("resource_type=domain".to_owned()).await, 0);
        assert_eq!(count("status=nonsense".to_owned()).await, 0);
        let name = owner.get(&server.instance()).await.expect(200).body["name"].as_str().unwrap().to_uppercase();
        assert!(count(format!("search={name}")).await >= 1);
        owner.patch(&server.instance(), &json!({"tags": {"team": "web"}})).await.expect(200);
        assert!(count("tag=team:web".to_owned()).await >= 1);
        owner.get(&format!("{path}?resource_type=cat")).await.expect(400);
        owner.get(&format!("{path}?page=999")).await.expect(404);
        let project = owner.get(&server.project("")).await.expect(200).body;
        assert!(project["resource_counts"]["instances"].as_u64().unwrap() >= machines);
    }

    async fn an_instance_moves_with_what_belongs_to_it(server: Server) {
        let (owner, path) = (server.owner(), server.project("/resources/transfer"));
        let (target, target_path) = second(&server).await;
        let id = server.facts.owner.instance_id.to_string();
        let before = owner.get(&server.instance()).await.expect(200).body;
        let elsewhere = other_vpc(&server, &owner, &before["location"]["id"], &before["vpc"]["id"]).await;
        for vpc in [elsewhere, Value::Null] {
            owner.patch(&server.instance(), &json!({"vpc_id": vpc})).await.expect(200);
            server.run_tasks().await;
        }
        let before = owner.get(&server.instance()).await.expect(200).body;
        let ask = |target: &Value, id: &str| json!({"target_project_id": target, "resources": [{"resource_type": "instance", "id": id}]});
        let faults = owner.post(&path, &json!({})).await.expect(400).body;
        assert_eq!(faults.as_object().unwrap().len(), 2);
        owner.post(&path, &json!({"target_project_id": target["id"], "resources": []})).await.expect(400);
        owner.post(&path, &ask(&json!(server.facts.owner.project_id.to_string()), &id)).await.expect(400);
        owner.post(&path, &ask(&json!(server.facts.stranger.project_id.to_string()), &id)).await.expect(400);
        let unknown = owner.post(&path, &ask(&target["id"], &kernel::id::AnyId::new().to_string())).await.expect(400);
        assert!(unknown.body["resources"]["0"]["id"].is_array());
        let theirs = owner.post(&path, &ask(&target["id"], &server.facts.stranger.instance_id.to_string())).await.expect(400);
        assert!(theirs.body["resources"]["0"]["id"].is_array());
        let half = guest(&server, "editor").await;
        assert!(half.post(&path, &ask(&target["id"], &id)).await.expect(400).body["target_project_id"].is_array());
        let statuses = at_once(|_| {
            let (client, path, body) = (owner.clone(), path.clone(), ask(&target["id"], &id));
            async move { client.post(&path, &body).await.status }
        }).await;
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        owner.get(&server.instance()).await.expect(404);
        let there = format!("{target_path}/compute/instances/{id}");
        let after = owner.get(&there).await.expect(200).body;
        assert_eq!((&after["ip_addresses"], &after["legacy_id"]), (&before["ip_addresses"], &before["legacy_id"]));
        assert_eq!(after["volumes"].as_array().unwrap().len(), before["volumes"].as_array().unwrap().len());
        assert_ne!(after["vpc"]["id"], before["vpc"]["id"]);
        let vpcs = owner.get(&format!("{target_path}/compute/vpcs?page_size=100")).await.expect(200).body;
        assert!(vpcs["results"].as_array().unwrap().iter().any(|vpc| vpc["id"] == after["vpc"]["id"]), "a VPC of the new project");
        // While its task waits, it stays where it is.
        let back = format!("{target_path}/resources/transfer");
        let home = json!(server.facts.owner.project_id.to_string());
        owner.post(&back, &ask(&home, &id)).await.expect(400);
        server.run_tasks().await;
        let tasks = owner.get(&format!("{target_path}/compute/tasks?instance_id={id}")).await.expect(200).body;
        assert!(tasks["results"].as_array().unwrap().iter().all(|task| task["status"] == "completed"), "{tasks}");
        assert_eq!(tasks["count"].as_u64().unwrap(), 3, "the history has moved too: {tasks}");
        for project in [server.project(""), target_path.clone()] {
            let activity = owner.get(&format!("{project}/activity?action=instance.transferred")).await.expect(200).body;
            assert_eq!(activity["count"], 1, "{project}");
        }
        let moved = owner.post(&back, &ask(&home, &id)).await.expect(200).body;
        let kinds: Vec<&str> = moved["moved"].as_array().unwrap().iter().map(|one| one["resource_type"].as_str().unwrap()).collect();
        assert_eq!(kinds.iter().filter(|kind| **kind == "instance").count(), 1);
        assert_eq!(kinds.iter().filter(|kind| **kind == "volume").count(), before["volumes"].as_array().unwrap().len());
        owner.get(&server.instance()).await.expect(200);
    }

    async fn activity_shows_what_one_may_see(server: Server) {
        let (owner, path) = (server.owner(), server.project("/activity"));
        owner.patch(&server.instance(), &json!({"name": "renamed"})).await.expect(200);
        let (_, other) = second(&server).await;
        owner.patch(&other, &json!({"description": "elsewhere"})).await.expect(200);
        let visitor = guest(&server, "viewer").await;
        let seen = visitor.get(&format!("{path}?action=instance.updated")).await.expect(200).body;
        assert_eq!((seen["count"].clone(), &seen["results"][0]["ip_address"], &seen["results"][0]["user_agent"]), (json!(1), &Value::Null, &json!("")));
        let whole = owner.get(&format!("{path}?action=instance.updated")).await.expect(200).body;
        assert!(whole["results"][0]["ip_address"].is_string());
        let all = visitor.get(&path).await.expect(200);
        assert!(!all.text.contains("elsewhere"), "nothing of other projects");
        assert_eq!(visitor.get(&format!("{path}?search=nothing-like-it")).await.expect(200).body["count"], 0);
        visitor.get(&format!("{path}?status=maybe")).await.expect(400);
    }

    async fn guests_of_a_deleted_project_go_with_it(server: Server) {
        let (_, path) = made(&server.owner(), &server, "Short-lived").await;
        let (visitor, user) = server.member(Role::Guest).await;
        server.owner().post(&format!("{path}/members"), &json!({"user_id": user.to_string(), "role": "viewer"})).await.expect(201);
        visitor.get(&path).await.expect(200);
        server.owner().delete(&path).await.expect(204);
        visitor.get(&organization(&server, "")).await.expect(404);
        assert!(membership(&server, user).await.is_none());
    }
}
