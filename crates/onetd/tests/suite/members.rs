//! Members: who is one, with which role, and that there is always an owner.

use kernel::access::Role;
use serde_json::json;
use testkit::{Client, Server, on_both};

use crate::{
    concurrency::at_once,
    people::{PASSWORD, membership, newcomer, organization, records},
};

fn path_of(server: &Server, member: &serde_json::Value) -> String {
    organization(server, &format!("/members/{}", member["id"].as_str().unwrap()))
}

async fn owners(server: &Server) -> usize {
    use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
    use identity::schema::memberships;
    let id = server.facts.owner.organization_id;
    let count = server.app.store().read("test", move |conn| {
        let owners = memberships::table
            .filter(memberships::organization_id.eq(id))
            .filter(memberships::role.eq(Role::Owner));
        Ok::<_, kernel::http::ApiError>(owners.count().get_result::<i64>(conn)?)
    });
    usize::try_from(count.await.unwrap()).unwrap()
}

on_both! {
    async fn members_are_listed_by_address(server: Server) {
        let (viewer, user) = server.member(Role::Viewer).await;
        server.member(Role::Guest).await;
        let list = viewer.get(&organization(&server, "/members")).await.expect(200).body;
        let emails: Vec<&str> = list.as_array().unwrap().iter().map(|member| member["user"]["email"].as_str().unwrap()).collect();
        let mut sorted = emails.clone();
        sorted.sort_unstable();
        assert_eq!((emails.len(), &emails), (3, &sorted));
        let only = viewer.get(&organization(&server, "/members?role=owner")).await.expect(200).body;
        assert_eq!((only.as_array().unwrap().len(), &only[0]["user"]["first_name"]), (1, &json!("Ada")));
        let found = viewer.get(&organization(&server, "/members?search=MARTIN")).await.expect(200).body;
        assert_eq!(found, only);
        viewer.get(&organization(&server, "/members?role=boss")).await.expect(400);
        let me = viewer.get(&organization(&server, "/members/me")).await.expect(200).body;
        assert_eq!((&me["member"]["user"]["id"], &me["member"]["role"]), (&json!(user.to_string()), &json!("viewer")));
        assert!(me["permissions"].as_array().unwrap().contains(&json!("members.read")));
        assert!(!me["permissions"].as_array().unwrap().contains(&json!("members.update")));
        let one = viewer.get(&path_of(&server, &me["member"])).await.expect(200);
        assert_eq!(one.body, me["member"]);
        assert!(!one.header("etag").is_empty());
        assert_ne!(one.body["id"], one.body["user"]["id"]);
    }

    async fn a_role_counts_from_the_next_request_on(server: Server) {
        let (member, user) = server.member(Role::Viewer).await;
        let row = membership(&server, user).await.unwrap();
        let path = path_of(&server, &row);
        let owner = server.owner();
        member.patch(&server.instance(), &json!({"name": "x"})).await.expect(403);
        let changed = owner.patch(&path, &json!({"role": "editor"})).await.expect(200);
        assert_eq!(changed.body["role"], "editor");
        member.patch(&server.instance(), &json!({"name": "x"})).await.expect(200);
        let same = owner.put(&path, &changed.body).await.expect(200);
        assert_eq!(same.header("etag"), changed.header("etag"));
        assert_eq!(records(&server, "member.role_changed").await, 1);
        let mail = server.mail_to(row["user"]["email"].as_str().unwrap()).await;
        assert!(mail.text.contains("Lighthouse Labs"), "{}", mail.text);
        assert_eq!(owner.put(&path, &json!({})).await.expect(400).body, json!({"role": ["This field is required."]}));
        owner.patch(&path, &json!({"role": "boss"})).await.expect(400);
        let refused = owner.patch(&path, &json!({"role": "guest"})).await.expect(400);
        assert!(refused.body["role"].is_array(), "a guest needs a project");
        member.patch(&path, &json!({"role": "owner"})).await.expect(403);
        let stale = [("if-match", "\"1-x\"")];
        owner.send(reqwest::Method::PATCH, &path, &stale, Some(json!({"role": "owner"}).to_string())).await.expect(412);
        owner.patch(&path, &json!({"role": "owner"})).await.expect(200);
        member.get(&organization(&server, "/invitations")).await.expect(200);
        // In another organization nobody knows the membership.
        let theirs = format!("/v1/organizations/{}/members/{}", server.facts.stranger.organization_id, row["id"].as_str().unwrap());
        server.stranger().get(&theirs).await.expect(404);
        server.stranger().delete(&theirs).await.expect(404);
    }

    async fn who_leaves_or_is_removed_has_nothing_left(server: Server) {
        let (member, user) = server.member(Role::Editor).await;
        let row = membership(&server, user).await.unwrap();
        let body = json!({"user_id": user.to_string(), "role": "viewer"});
        server.owner().post(&server.project("/members"), &body).await.expect(201);
        member.get(&server.instance()).await.expect(200);
        server.owner().delete(&path_of(&server, &row)).await.expect(204);
        member.get(&server.instance()).await.expect(404);
        member.get(&organization(&server, "")).await.expect(404);
        server.owner().delete(&path_of(&server, &row)).await.expect(404);
        assert!(membership(&server, user).await.is_none());
        let mail = server.mail_to(row["user"]["email"].as_str().unwrap()).await;
        assert!(mail.subject.contains("no longer"), "{}", mail.subject);
        let given = server.app.store().read("test", move |conn| {
            use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
            use identity::schema::project_members;
            let rows = project_members::table.filter(project_members::user_id.eq(user));
            Ok::<_, kernel::http::ApiError>(rows.count().get_result::<i64>(conn)?)
        });
        assert_eq!(given.await.unwrap(), 0);
        let (other, _) = server.member(Role::Guest).await;
        other.post(&organization(&server, "/members/leave"), &json!({})).await.expect(204);
        other.post(&organization(&server, "/members/leave"), &json!({})).await.expect(404);
        assert_eq!((records(&server, "member.removed").await, records(&server, "member.left").await), (1, 1));
    }

    async fn the_last_owner_stays(server: Server) {
        let owner = server.owner();
        let me = owner.get(&organization(&server, "/members/me")).await.expect(200).body["member"].clone();
        owner.post(&organization(&server, "/members/leave"), &json!({})).await.expect(400);
        owner.delete(&path_of(&server, &me)).await.expect(400);
        let refused = owner.patch(&path_of(&server, &me), &json!({"role": "editor"})).await.expect(400);
        assert!(refused.body["role"].is_array());
        assert_eq!(owners(&server).await, 1);
    }

    async fn there_is_an_owner_whatever_happens_at_once(server: Server) {
        let mut all: Vec<Client> = vec![server.owner()];
        for _ in 0..7 {
            all.push(server.member(Role::Owner).await.0);
        }
        let list = server.owner().get(&organization(&server, "/members?role=owner")).await.expect(200).body;
        let paths: Vec<String> = list.as_array().unwrap().iter().map(|member| path_of(&server, member)).collect();
        assert_eq!(paths.len(), 8);
        // Everybody leaves, removes and demotes everybody.
        let statuses = at_once(|number| {
            let (client, path) = (all[number % 8].clone(), paths[(number / 3) % 8].clone());
            let leave = organization(&server, "/members/leave");
            async move {
                match number % 3 {
                    0 => client.post(&leave, &json!({})).await.status,
                    1 => client.delete(&path).await.status,
                    _ => client.patch(&path, &json!({"role": "viewer"})).await.status,
                }
            }
        }).await;
        assert!(statuses.iter().all(|status| [200, 204, 400, 403, 404].contains(status)), "{statuses:?}");
        assert!(owners(&server).await >= 1, "{statuses:?}");
    }

    async fn ownership_is_handed_over_in_one_step(server: Server) {
        let (_, user) = server.member(Role::Viewer).await;
        let heir = membership(&server, user).await.unwrap();
        let (owner, path) = (server.owner(), organization(&server, "/transfer-ownership"));
        let ask = |extra: serde_json::Value| {
            let mut body = json!({"member_id": heir["id"]});
            body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            body
        };
        let wrong = owner.post(&path, &ask(json!({"password": PASSWORD}))).await.expect(400);
        assert!(wrong.body["password"].is_array());
        let unknown = json!({"member_id": kernel::id::AnyId::new().to_string()});
        assert!(owner.post(&path, &unknown).await.expect(400).body["member_id"].is_array());
        let me = owner.get(&organization(&server, "/members/me")).await.expect(200).body;
        owner.post(&path, &json!({"member_id": me["member"]["id"]})).await.expect(400);
        assert!(owner.post(&path, &ask(json!({"previous_owner_role": "guest"}))).await.expect(400).body["previous_owner_role"].is_array());
        let right = server.facts.owner.password.clone();
        let done = owner.post(&path, &ask(json!({"password": right}))).await.expect(200).body;
        assert_eq!((&done["id"], &done["role"]), (&heir["id"], &json!("owner")));
        assert_eq!(owners(&server).await, 1);
        let me = owner.get(&organization(&server, "/members/me")).await.expect(200).body;
        assert_eq!(me["member"]["role"], "editor");
        owner.post(&path, &ask(json!({}))).await.expect(403);
    }

    async fn strangers_and_members_of_others_look_the_same(server: Server) {
        let (outsider, _) = newcomer(&server, "grace@example.org").await;
        let real = organization(&server, "/members");
        let none = format!("/v1/organizations/{}/members", kernel::id::AnyId::new());
        let (hidden, absent) = (outsider.get(&real).await.expect(404), outsider.get(&none).await.expect(404));
        assert_eq!(hidden.body, absent.body);
    }
}
