//! Invitations: sent, seen, accepted once, declined, revoked, expired; and that quotas hold.

use std::time::Duration;

use kernel::access::Role;
use serde_json::{Value, json};
use testkit::{Server, on_both};

use crate::{
    concurrency::at_once,
    people::{
        PASSWORD, invite, membership, newcomer, organization, records, secret, set_quotas, set_verified,
    },
};

const EMAIL: &str = "Grace.Hopper@example.org";
const WEEK: Duration = Duration::from_hours(7 * 24);

async fn lookup(server: &Server, token: &str) -> testkit::Answer {
    server
        .anonymous()
        .post("/v1/invitations/lookup", &json!({"token": token}))
        .await
}

on_both! {
    async fn the_invited_join_through_the_mail(server: Server) {
        let project = server.facts.owner.project_id.to_string();
        let body = json!({
            "email": EMAIL, "role": "guest", "message": "Welcome aboard",
            "project_roles": [{"project_id": project, "role": "editor"}],
        });
        let made = server.owner().post(&organization(&server, "/invitations"), &body).await.expect(201);
        assert_eq!((&made.body["status"], &made.body["organization_name"]), (&json!("pending"), &json!("Lighthouse Labs")));
        assert_eq!(made.body["project_roles"], body["project_roles"]);
        let got = server.owner().get(made.header("location")).await.expect(200);
        assert_eq!((&got.body, got.header("etag")), (&made.body, made.header("etag")));
        let token = secret(&server, EMAIL).await;
        assert!(!made.text.contains(&token), "only the mail holds the secret");
        let mail = server.mail_to(EMAIL).await;
        assert!(mail.text.contains("Welcome aboard") && mail.text.contains("Ada"), "{}", mail.text);
        let seen = lookup(&server, &token).await.expect(200).body;
        assert_eq!(
            (&seen["organization_name"], &seen["role"], &seen["invited_by_name"], &seen["account_exists"], &seen["email"]),
            (&json!("Lighthouse Labs"), &json!("guest"), &json!("Ada Martin"), &json!(false), &json!(EMAIL))
        );
        let (client, user) = newcomer(&server, "grace.hopper@example.org").await;
        assert_eq!(lookup(&server, &token).await.expect(200).body["account_exists"], true);
        let received = client.get("/v1/invitations").await.expect(200).body;
        assert_eq!((received.as_array().unwrap().len(), &received[0]["id"]), (1, &made.body["id"]));
        client.get(&server.instance()).await.expect(404);
        let joined = client.post("/v1/invitations/accept", &json!({"token": token})).await.expect(200).body;
        assert_eq!((&joined["role"], &joined["projects"][0]["role"]), (&json!("guest"), &json!("editor")));
        assert_eq!(joined["invited_by"]["email"], server.facts.owner.email);
        client.patch(&server.instance(), &json!({"name": "mine"})).await.expect(200);
        client.post("/v1/invitations/accept", &json!({"token": token})).await.expect(400);
        lookup(&server, &token).await.expect(400);
        assert_eq!(client.get("/v1/invitations").await.expect(200).body, json!([]));
        let told = server.mail_to(&server.facts.owner.email).await;
        assert!(told.subject.contains("joined"), "{}", told.subject);
        assert!(membership(&server, user).await.is_some());
        let after = server.owner().get(made.header("location")).await.expect(200).body;
        assert!(after["status"] == "accepted" && after["accepted_at"].is_string());
        server.owner().delete(made.header("location")).await.expect(400);
        server.owner().post(&format!("{}/resend", made.header("location")), &json!({})).await.expect(400);
        assert_eq!((records(&server, "invitation.created").await, records(&server, "member.joined").await), (1, 1));
        let log = server.owner().get(&organization(&server, "/audit-logs?page_size=100")).await.expect(200);
        assert!(!log.text.contains(&token));
    }

    async fn senseless_ones_are_refused(server: Server) {
        let path = organization(&server, "/invitations");
        let refused = |body: Value| { let (client, path) = (server.owner(), path.clone()); async move { client.post(&path, &body).await.expect(400).body } };
        let faults = refused(json!({})).await;
        assert_eq!(faults, json!({"email": ["This field is required."], "role": ["This field is required."]}));
        let faults = refused(json!({"email": "nobody", "role": "boss", "message": 5})).await;
        assert_eq!(faults.as_object().unwrap().len(), 3);
        assert!(refused(json!({"email": EMAIL, "role": "guest"})).await["project_roles"].is_array());
        let unknown = json!({"email": EMAIL, "role": "guest", "project_roles": [{"project_id": kernel::id::AnyId::new().to_string(), "role": "viewer"}]});
        assert!(refused(unknown).await["project_roles"]["0"]["project_id"].is_array());
        // Another organization's project does not exist here.
        let theirs = json!({"email": EMAIL, "role": "guest", "project_roles": [{"project_id": server.facts.stranger.project_id.to_string(), "role": "viewer"}]});
        assert!(refused(theirs).await["project_roles"]["0"]["project_id"].is_array());
        let too_much = json!({"email": EMAIL, "role": "viewer", "project_roles": [{"project_id": server.facts.owner.project_id.to_string(), "role": "editor"}]});
        assert!(refused(too_much).await["project_roles"]["0"]["role"].is_array());
        assert!(refused(json!({"email": server.facts.owner.email, "role": "viewer"})).await["email"].is_array());
        invite(&server, EMAIL, "viewer").await;
        assert!(refused(json!({"email": EMAIL.to_uppercase(), "role": "viewer"})).await["email"].is_array());
        let (editor, _) = server.member(Role::Editor).await;
        editor.post(&path, &json!({"email": "x@example.org", "role": "viewer"})).await.expect(403);
        editor.get(&path).await.expect(403);
    }

    async fn only_the_invited_address_counts(server: Server) {
        let invitation = invite(&server, EMAIL, "editor").await;
        let token = secret(&server, EMAIL).await;
        let (other, _) = newcomer(&server, "other@example.org").await;
        other.post("/v1/invitations/accept", &json!({"token": token})).await.expect(403);
        other.post("/v1/invitations/decline", &json!({"token": token})).await.expect(403);
        // By its id, an invitation to somebody else is like none at all.
        let hidden = other.post("/v1/invitations/accept", &json!({"invitation_id": invitation["id"]})).await.expect(400);
        let absent = other.post("/v1/invitations/accept", &json!({"invitation_id": kernel::id::AnyId::new().to_string()})).await.expect(400);
        assert_eq!(hidden.body, absent.body);
        let unknown = other.post("/v1/invitations/accept", &json!({"token": "nonsense"})).await.expect(400);
        assert_eq!(unknown.body, absent.body);
        other.post("/v1/invitations/accept", &json!({})).await.expect(400);
        let (grace, user) = newcomer(&server, EMAIL).await;
        set_verified(&server, user, false).await;
        assert_eq!(grace.get("/v1/invitations").await.expect(200).body, json!([]));
        grace.post("/v1/invitations/accept", &json!({"token": token})).await.expect(403);
        grace.post("/v1/invitations/accept", &json!({"invitation_id": invitation["id"]})).await.expect(400);
        set_verified(&server, user, true).await;
        grace.post("/v1/invitations/accept", &json!({"invitation_id": invitation["id"]})).await.expect(200);
        server.owner().post("/v1/invitations/accept", &json!({"token": token})).await.expect(403);
    }

    async fn of_many_accepts_one_counts(server: Server) {
        let invitation = invite(&server, EMAIL, "editor").await;
        let token = secret(&server, EMAIL).await;
        let (client, user) = newcomer(&server, EMAIL).await;
        let statuses = at_once(|number| {
            let (client, token, id) = (client.clone(), token.clone(), invitation["id"].clone());
            async move {
                let body = if number % 2 == 0 { json!({"token": token}) } else { json!({"invitation_id": id}) };
                client.post("/v1/invitations/accept", &body).await.status
            }
        }).await;
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| [200, 400].contains(status)), "{statuses:?}");
        assert!(membership(&server, user).await.is_some());
        assert_eq!(records(&server, "member.joined").await, 1);
    }

    async fn the_quota_of_users_holds(server: Server) {
        set_quotas(&server, 6, 50).await;
        let statuses = at_once(|number| {
            let (client, path) = (server.owner(), organization(&server, "/invitations"));
            async move { client.post(&path, &json!({"email": format!("p{number}@example.org"), "role": "viewer"})).await.status }
        }).await;
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 5, "{statuses:?}");
        assert!(statuses.iter().all(|status| [201, 400].contains(status)), "{statuses:?}");
        let list = server.owner().get(&organization(&server, "/invitations?status=pending")).await.expect(200).body;
        let first = list[0].clone();
        let email = first["email"].as_str().unwrap().to_owned();
        // A lowered quota is not passed by accepting either.
        set_quotas(&server, 1, 50).await;
        let (client, _) = newcomer(&server, &email).await;
        client.post("/v1/invitations/accept", &json!({"invitation_id": first["id"]})).await.expect(400);
        set_quotas(&server, 6, 50).await;
        client.post("/v1/invitations/accept", &json!({"invitation_id": first["id"]})).await.expect(200);
        server.owner().post(&organization(&server, "/invitations"), &json!({"email": "late@example.org", "role": "viewer"})).await.expect(400);
        server.owner().delete(&organization(&server, &format!("/invitations/{}", list[1]["id"].as_str().unwrap()))).await.expect(204);
        server.owner().post(&organization(&server, "/invitations"), &json!({"email": "late@example.org", "role": "viewer"})).await.expect(201);
    }

    async fn one_of_many_invites_to_an_address_counts(server: Server) {
        let statuses = at_once(|_| {
            let (client, path) = (server.owner(), organization(&server, "/invitations"));
            async move { client.post(&path, &json!({"email": EMAIL, "role": "viewer"})).await.status }
        }).await;
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    }

    async fn links_are_renewed_and_expire(server: Server) {
        let invitation = invite(&server, EMAIL, "viewer").await;
        let path = organization(&server, &format!("/invitations/{}", invitation["id"].as_str().unwrap()));
        let first = secret(&server, EMAIL).await;
        let early = server.owner().post(&format!("{path}/resend"), &json!({})).await.expect(429);
        assert!(early.header("retry-after").parse::<u64>().unwrap() <= 60);
        server.clock.advance(Duration::from_secs(61));
        let again = server.owner().post(&format!("{path}/resend"), &json!({})).await.expect(200).body;
        assert!(again["expires_at"].as_str() > invitation["expires_at"].as_str());
        let second = secret(&server, EMAIL).await;
        assert_ne!(first, second);
        lookup(&server, &first).await.expect(400);
        lookup(&server, &second).await.expect(200);
        server.clock.advance(WEEK);
        let expired = lookup(&server, &second).await.expect(400);
        assert_eq!(expired.body, lookup(&server, "unknown").await.expect(400).body);
        assert_eq!(server.owner().get(&path).await.expect(200).body["status"], "expired");
        assert_eq!(server.owner().get(&organization(&server, "/quotas")).await.expect(200).body["users"]["used"], 1);
        let (client, _) = newcomer(&server, EMAIL).await;
        client.post("/v1/invitations/accept", &json!({"token": second})).await.expect(400);
        server.owner().delete(&path).await.expect(400);
        // An expired one comes back to life, unless another has taken its place.
        server.owner().post(&format!("{path}/resend"), &json!({})).await.expect(200);
        let third = secret(&server, EMAIL).await;
        lookup(&server, &third).await.expect(200);
        server.clock.advance(WEEK);
        invite(&server, EMAIL, "editor").await;
        server.owner().post(&format!("{path}/resend"), &json!({})).await.expect(400);
        let (client, _) = server.log_in(EMAIL, PASSWORD).await;
        let fourth = secret(&server, EMAIL).await;
        let joined = client.post("/v1/invitations/accept", &json!({"token": fourth})).await.expect(200).body;
        assert_eq!(joined["role"], "editor");
    }

    async fn revoked_and_declined_ones_are_dead(server: Server) {
        let invitation = invite(&server, EMAIL, "viewer").await;
        let path = organization(&server, &format!("/invitations/{}", invitation["id"].as_str().unwrap()));
        let token = secret(&server, EMAIL).await;
        let (client, _) = newcomer(&server, EMAIL).await;
        server.owner().delete(&path).await.expect(204);
        server.owner().delete(&path).await.expect(400);
        lookup(&server, &token).await.expect(400);
        client.post("/v1/invitations/accept", &json!({"token": token})).await.expect(400);
        server.owner().post(&organization(&server, "/invitations"), &json!({"email": EMAIL, "role": "viewer"})).await.expect(429);
        server.clock.advance(Duration::from_secs(61));
        let invitation = invite(&server, EMAIL, "viewer").await;
        client.post("/v1/invitations/decline", &json!({"invitation_id": invitation["id"]})).await.expect(204);
        client.post("/v1/invitations/decline", &json!({"invitation_id": invitation["id"]})).await.expect(400);
        client.post("/v1/invitations/accept", &json!({"invitation_id": invitation["id"]})).await.expect(400);
        let list = server.owner().get(&organization(&server, "/invitations")).await.expect(200).body;
        let stands: Vec<&str> = list.as_array().unwrap().iter().map(|one| one["status"].as_str().unwrap()).collect();
        assert_eq!(stands, ["declined", "revoked"]);
        assert_eq!((records(&server, "invitation.revoked").await, records(&server, "invitation.declined").await), (1, 1));
        // Keys can't answer for people.
        server.stranger().post("/v1/invitations/accept", &json!({"token": token})).await.expect(403);
    }

    async fn registration_can_accept_in_its_transaction(server: Server) {
        invite(&server, EMAIL, "viewer").await;
        let token = secret(&server, EMAIL).await;
        let (_, user) = newcomer(&server, EMAIL).await;
        let (identity, asked) = (server.onet().identity.clone(), token.clone());
        let accepted = server.app.store().write("test", move |tx| {
            let origin = kernel::audit::Origin::system("test");
            identity::invitations::accept_in(&identity, tx, user, &asked, &origin)
        });
        accepted.await.unwrap();
        assert_eq!(membership(&server, user).await.unwrap()["role"], "viewer");
        lookup(&server, &token).await.expect(400);
    }
}
