//! SSH keys: those of a project, and those that its instances carry.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use compute::{
    instances::api::InstanceStatus,
    schema::{guest_ssh_keys, instances},
};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use kernel::{access::Role, http::ApiError};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Client, Server, on_both};

use crate::concurrency::at_once;

/// Made with ssh-keygen, which prints these fingerprints of them.
const ED25519: (&str, &str) = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICkErt5vHhBaCFFOCQNyO5GytAQL/rgxcXosvZZtSczl ada@example.com laptop",
    "SHA256:9UWgZamt8RsvYQkF/rlN06JXkDCyN6K+4yvPqwkiFfU",
);
const ECDSA: (&str, &str) = (
    "ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBATqFVAQlOJUJLDUNo/19mXzO+Vc+ki8duHqu14D3sIXyvhnJ6GJ8xTpteRet8wZTXz+g4x2m0/wbCHib62AoLh5w0CV6+v5tFCv0QWk2Bmsjxt7gXnZD45CrBJVO3Ymlg== build",
    "SHA256:xnSTMc4lDev5rW0BP3XMCilJZ8eh1Zz6AkUCq/eKt9o",
);
const RSA_2048: (&str, &str) = (
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQCXp+1rvN+qzVQiFn++y/DZ7X796OR2/niCbM27N7UhZaYIxX8iqI1Zkd1jN5DzdoEDX19WEvLGx9Ujj2J+FSpQGmJOOsAhw6n+CoJi42Q0b3f/B6goLGUjsVl8Rv8WUUrkQ+7R+QHuSV+U8wgS91iIT5hagWbKAF/DjV8npLCUvcbtbVbeEcJF+hmTkQO8CP5UFPsiSPMjSshXe3OVB53QLIcqT6O9C5EhP8hbJo9v0wBHOrEhF7JYIttM3pT3hN+qMsQ4Z9rTGtyxvLU54StO0xhSYims73hPHQvshFPztf+J4L+swOXkr/OSX2o+ec86aR+gCaOuzMMainM54VZN",
    "SHA256:J0HA8zIVoeulSsXgaawZAx984dWPShRFG1c0GMRwMhk",
);
const RSA_1024: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDP6OXSE/KhhMu+vYjR9VTjhF3S1WVIGsHfEsWYJ486Yto5Ad3hQq5VS8STiHZws44ssI98MBXPTiNxBlFqIeaowwRPs6HDnTvMsRwOr5ZJQmhT/5Plv0X6oMC6XIWQ2J6pPrlgBzYwBpkIWAYd2vE0nlHrq+yIzMbvMoH6CLbq6Q== old";

/// A line of a type and its fields, as RFC 4251 packs them.
fn line(kind: &str, fields: &[&[u8]]) -> String {
    let mut blob = Vec::new();
    for field in [kind.as_bytes()].iter().chain(fields) {
        blob.extend_from_slice(&u32::try_from(field.len()).unwrap().to_be_bytes());
        blob.extend_from_slice(field);
    }
    format!("{kind} {}", STANDARD.encode(blob))
}

/// One of many keys.
fn key(number: u8) -> String {
    format!("{} key-{number}", line("ssh-ed25519", &[&[number; 32]]))
}

fn keys(server: &Server) -> String {
    server.project("/compute/ssh-keys")
}

fn placed(server: &Server) -> String {
    format!("{}/ssh-keys", server.instance())
}

async fn create(server: &Server, client: &Client, name: &str, public_key: &str) -> Value {
    let body = json!({"name": name, "public_key": public_key});
    client.post(&keys(server), &body).await.expect(201).body
}

/// What the guest was told last.
async fn authorized(server: &Server) -> Vec<String> {
    let id = server.facts.owner.instance_id;
    let read = server.app.store().read("test", move |conn| {
        let query = guest_ssh_keys::table
            .filter(guest_ssh_keys::instance_id.eq(id))
            .order(guest_ssh_keys::position)
            .select(guest_ssh_keys::public_key);
        Ok::<Vec<String>, ApiError>(query.load(conn)?)
    });
    read.await.unwrap()
}

async fn set_status(server: &Server, status: InstanceStatus) {
    let id = server.facts.owner.instance_id;
    let set = move |tx: &mut kernel::store::Tx<'_>| {
        diesel::update(instances::table.find(id))
            .set(instances::status.eq(status))
            .execute(tx.conn())?;
        Ok::<_, ApiError>(())
    };
    server.app.store().write("test", set).await.unwrap();
}

async fn log(server: &Server, client: &Client, action: &str) -> Value {
    let organization = server.facts.owner.organization_id;
    let path = format!("/v1/organizations/{organization}/audit-logs?action={action}");
    client.get(&path).await.expect(200).body
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap()
}

on_both! {
    async fn a_key_is_stored_renamed_and_forgotten(server: Server) {
        let client = server.owner();
        let body = json!({"name": " laptop ", "public_key": format!("  {}\n", ED25519.0), "fingerprint": "mine"});
        let answer = client.post(&keys(&server), &body).await.expect(201);
        let made = &answer.body;
        let facts = ["name", "public_key", "fingerprint", "key_type"].map(|field| text(made, field));
        assert_eq!(facts, ["laptop", ED25519.0, ED25519.1, "ssh-ed25519"], "the comment is kept");
        assert_eq!(made["instance_count"], 0);
        let one = format!("{}/{}", keys(&server), text(made, "id"));
        assert_eq!(answer.header("location"), one);
        let read = client.get(&one).await.expect(200);
        assert_eq!((&read.body, read.header("etag")), (made, answer.header("etag")));

        let renamed = client.patch(&one, &json!({"name": "old laptop"})).await.expect(200);
        assert_eq!(renamed.body["name"], "old laptop");
        assert_eq!(client.patch(&one, &json!({})).await.expect(200).header("etag"), renamed.header("etag"));
        let whole = json!({"name": "desk", "public_key": ED25519.0});
        let stale = [("if-match", read.header("etag"))];
        client.send(Method::PUT, &one, &stale, Some(whole.to_string())).await.expect(412);
        client.send(Method::DELETE, &one, &stale, None).await.expect(412);
        let replaced = client.put(&one, &whole).await.expect(200).body;
        assert_eq!((text(&replaced, "name"), &replaced["fingerprint"]), ("desk", &made["fingerprint"]));
        let other = client.put(&one, &json!({"name": "desk", "public_key": ECDSA.0})).await.expect(400).body;
        assert!(other["public_key"][0].as_str().unwrap().contains("another"), "{other}");
        let missing = client.put(&one, &json!({})).await.expect(400).body;
        assert_eq!(missing, json!({"name": ["This field is required."], "public_key": ["This field is required."]}));
        client.patch(&one, &json!({"name": ""})).await.expect(400);
        client.patch(&one, &json!({"name": "x".repeat(256)})).await.expect(400);
        assert_eq!(log(&server, &client, "ssh_key.updated").await["count"], 2);
        client.delete(&one).await.expect(204);
        client.get(&one).await.expect(404);
        client.delete(&one).await.expect(404);
        let created = log(&server, &client, "ssh_key.created").await;
        assert_eq!(created["results"][0]["changes"]["fingerprint"]["new"], ED25519.1);
        assert_eq!(log(&server, &client, "ssh_key.deleted").await["count"], 1);
    }

    async fn the_types_that_are_taken(server: Server) {
        let client = server.owner();
        let (sk_ed, sk_ec) = ("sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com");
        // A point of P-256: the generator (SEC 2, section 2.4.2).
        let generator = "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
        let generator: Vec<u8> = (0..generator.len()).step_by(2).map(|at| u8::from_str_radix(&generator[at..at + 2], 16).unwrap()).collect();
        for (public_key, fingerprint, kind) in [
            (ECDSA.0.to_owned(), Some(ECDSA.1), "ecdsa-sha2-nistp384"),
            (RSA_2048.0.to_owned(), Some(RSA_2048.1), "ssh-rsa"),
            (line("ecdsa-sha2-nistp256", &[b"nistp256", &generator]), None, "ecdsa-sha2-nistp256"),
            (line(sk_ed, &[&[9; 32], b"ssh:"]), None, sk_ed),
            (line(sk_ec, &[b"nistp256", &generator, b"ssh:"]), None, sk_ec),
        ] {
            let made = create(&server, &client, kind, &public_key).await;
            assert_eq!((text(&made, "key_type"), text(&made, "public_key")), (kind, public_key.as_str()));
            if let Some(fingerprint) = fingerprint {
                assert_eq!(made["fingerprint"], fingerprint);
            }
        }
    }

    async fn what_is_no_key_is_refused(server: Server) {
        let client = server.owner();
        let secret = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAE";
        let private = format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{secret}\n-----END OPENSSH PRIVATE KEY-----");
        let encrypted = format!("-----BEGIN ENCRYPTED PRIVATE KEY-----\n{secret}");
        let putty = format!("PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 1\n{secret}");
        let dsa = line("ssh-dss", &[&[1; 128], &[1; 20], &[1; 128], &[1; 128]]);
        let table: [(&str, &str); 22] = [
            (&private, "private key"),
            (&encrypted, "private key"),
            (&putty, "private key"),
            (RSA_1024, "2048"),
            (&dsa, "not allowed"),
            (&format!("command=\"rm -rf /\" {}", ED25519.0), "Options"),
            (&format!("from=\"10.0.0.0/8\",no-pty {}", ED25519.0), "Options"),
            (&format!("{}\n{}", ED25519.0, ECDSA.0), "one line"),
            (&format!("{} comment\u{1b}[31m", line("ssh-ed25519", &[&[7; 32]])), "one line"),
            ("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----", "another form"),
            ("---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----", "another form"),
            (&line("ssh-ed25519-cert-v01@openssh.com", &[&[1; 32], &[1; 32]]), "certificate"),
            (&line("ssh-ed25519", &[&[1; 31]]), "not an OpenSSH"),
            (&line("ssh-ed25519", &[&[1; 32], b"more"]), "not an OpenSSH"),
            (&ED25519.0.replace("ssh-ed25519", "ssh-rsa"), "not an OpenSSH"),
            (&ED25519.0[..60], "not an OpenSSH"),
            ("ssh-ed25519", "not an OpenSSH"),
            ("ssh-ed25519 !!!!", "not an OpenSSH"),
            ("hello", "not an OpenSSH"),
            (&"A".repeat(9000), "8192"),
            ("", "blank"),
            ("   ", "blank"),
        ];
        for (public_key, told) in table {
            let answer = client.post(&keys(&server), &json!({"name": "n", "public_key": public_key})).await.expect(400);
            let message = answer.body["public_key"][0].as_str().unwrap_or_default();
            assert!(message.contains(told), "{public_key}: {}", answer.text);
            assert!(!answer.text.contains(secret), "a private key is not repeated");
        }
        let wrong = client.post(&keys(&server), &json!({"name": 5, "public_key": null})).await.expect(400).body;
        assert!(wrong["name"].is_array() && wrong["public_key"].is_array());
        assert_eq!(client.get(&keys(&server)).await.expect(200).body["count"], 0);
    }

    async fn a_project_has_a_key_once(server: Server) {
        let client = server.owner();
        let made = create(&server, &client, "first", ED25519.0).await;
        let bare = ED25519.0.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let answer = client.post(&keys(&server), &json!({"name": "second", "public_key": bare})).await.expect(409).body;
        assert!(text(&answer, "detail").contains("first") && text(&answer, "detail").contains(text(&made, "id")), "{answer}");
        let statuses = at_once(|_| {
            let (client, path) = (client.clone(), keys(&server));
            async move { client.post(&path, &json!({"name": "n", "public_key": key(1)})).await.status }
        })
        .await;
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| [201, 409].contains(status)), "{statuses:?}");
        let stranger = server.stranger();
        let theirs = stranger.get("/v1/organizations").await.expect(200).body[0]["id"].as_str().unwrap().to_owned();
        let project = stranger.get(&format!("/v1/organizations/{theirs}/projects")).await.expect(200).body[0]["id"].as_str().unwrap().to_owned();
        let path = format!("/v1/organizations/{theirs}/projects/{project}/compute/ssh-keys");
        stranger.post(&path, &json!({"name": "theirs", "public_key": ED25519.0})).await.expect(201);
    }

    async fn keys_are_listed(server: Server) {
        let client = server.owner();
        for number in 0..5 {
            create(&server, &client, &format!("Key {}", ["d", "b", "a", "e", "c"][usize::from(number)]), &key(number)).await;
        }
        let list = |query: &str| {
            let path = format!("{}{query}", keys(&server));
            let client = client.clone();
            async move { client.get(&path).await.expect(200).body }
        };
        let names = |list: &Value| list["results"].as_array().unwrap().iter().map(|row| text(row, "name").replace("Key ", "")).collect::<String>();
        assert_eq!(names(&list("").await), "ceabd", "the newest first");
        assert_eq!(names(&list("?ordering=created").await), "dbaec");
        assert_eq!(names(&list("?ordering=name").await), "abcde");
        assert_eq!(names(&list("?ordering=-name").await), "edcba");
        let page = list("?ordering=name&page_size=2&page=2").await;
        assert_eq!((names(&page).as_str(), &page["count"]), ("cd", &json!(5)));
        assert!(page["next"].is_string() && page["previous"].is_string());
        assert_eq!(list("?search=KEY%20A").await["count"], 1);
        assert_eq!(list("?search=%25").await["count"], 0);
        let fingerprint = text(&page["results"][0], "fingerprint").replace('+', "%2B");
        assert_eq!(list(&format!("?search={fingerprint}")).await["count"], 1);
        client.get(&format!("{}?page=9", keys(&server))).await.expect(404);
    }

    async fn keys_are_placed_on_an_instance_and_taken_off(server: Server) {
        let client = server.owner();
        let first = create(&server, &client, "first", ED25519.0).await;
        let second = create(&server, &client, "second", ECDSA.0).await;
        assert_eq!(client.get(&placed(&server)).await.expect(200).body, json!([]));
        let answer = client.post(&placed(&server), &json!({"ssh_key_ids": [first["id"], second["id"], first["id"]]})).await.expect(202);
        assert_eq!((text(&answer.body, "task_type"), text(&answer.body, "status")), ("add_ssh_keys", "pending"));
        assert_eq!(client.get(answer.header("location")).await.expect(200).body, answer.body);
        let carried = client.get(&placed(&server)).await.expect(200).body;
        assert_eq!(carried.as_array().unwrap().len(), 2);
        let one = carried.as_array().unwrap().iter().find(|row| row["id"] == first["id"]).unwrap();
        assert_eq!((text(one, "name"), text(one, "fingerprint")), ("first", ED25519.1));
        server.run_tasks().await;
        assert_eq!(client.get(answer.header("location")).await.expect(200).body["status"], "completed");
        let mut lines = authorized(&server).await;
        lines.sort();
        assert_eq!(lines, [ECDSA.0, ED25519.0]);
        let path = format!("{}/{}", keys(&server), text(&first, "id"));
        assert_eq!(client.get(&path).await.expect(200).body["instance_count"], 1);

        // Again: nothing new, and the guest is told once more.
        client.post(&placed(&server), &json!({"ssh_key_ids": [first["id"]]})).await.expect(202);
        assert_eq!(log(&server, &client, "instance.ssh_keys_added").await["count"], 1);
        client.patch(&path, &json!({"name": "renamed"})).await.expect(200);
        assert!(client.get(&placed(&server)).await.expect(200).text.contains("renamed"));

        // The project forgets it; the instance does not.
        client.delete(&path).await.expect(204);
        assert_eq!(client.get(&placed(&server)).await.expect(200).body.as_array().unwrap().len(), 2);
        server.run_tasks().await;
        assert_eq!(authorized(&server).await.len(), 2);
        // Stored again under another id, it is still one line.
        let again = create(&server, &client, "again", ED25519.0).await;
        client.post(&placed(&server), &json!({"ssh_key_ids": [again["id"]]})).await.expect(202);
        server.run_tasks().await;
        assert_eq!(authorized(&server).await.len(), 2);
        for id in [text(&first, "id"), text(&again, "id")] {
            let removed = client.delete(&format!("{}/{id}", placed(&server))).await.expect(202);
            assert_eq!(text(&removed.body, "task_type"), "remove_ssh_key");
            client.delete(&format!("{}/{id}", placed(&server))).await.expect(404);
        }
        server.run_tasks().await;
        assert_eq!(authorized(&server).await, [ECDSA.0]);
        assert_eq!(log(&server, &client, "instance.ssh_key_removed").await["count"], 2);
    }

    async fn what_cannot_be_placed_is_told(server: Server) {
        let client = server.owner();
        let known = create(&server, &client, "known", ED25519.0).await;
        let unknown = "018f0000-0000-7000-8000-000000000000";
        let faults = client.post(&placed(&server), &json!({"ssh_key_ids": [unknown, known["id"]]})).await.expect(400).body;
        assert_eq!(faults, json!({"ssh_key_ids": [format!("Invalid pk \"{unknown}\" - object does not exist.")]}));
        for body in [json!({}), json!({"ssh_key_ids": []}), json!({"ssh_key_ids": null}), json!({"ssh_key_ids": "x"}), json!({"ssh_key_ids": ["x"]})] {
            let faults = client.post(&placed(&server), &body).await.expect(400).body;
            assert!(!faults["ssh_key_ids"].is_null(), "{body}: {faults}");
        }
        assert_eq!(client.get(&placed(&server)).await.expect(200).body, json!([]));
        client.post(&placed(&server), &json!({"ssh_key_ids": [known["id"]]})).await.expect(202);
        set_status(&server, InstanceStatus::Suspended).await;
        let refused = client.post(&placed(&server), &json!({"ssh_key_ids": [known["id"]]})).await.expect(409).body;
        assert!(text(&refused, "detail").contains("suspended"), "{refused}");
        client.delete(&format!("{}/{}", placed(&server), text(&known, "id"))).await.expect(409);
    }

    async fn a_guest_that_is_not_reached_keeps_what_it_has(server: Server) {
        let client = server.owner();
        let (first, second) = (create(&server, &client, "first", &key(1)).await, create(&server, &client, "second", &key(2)).await);
        client.post(&placed(&server), &json!({"ssh_key_ids": [first["id"]]})).await.expect(202);
        server.run_tasks().await;
        client.post(&placed(&server), &json!({"ssh_key_ids": [first["id"], second["id"]]})).await.expect(202);
        kernel::crash::fail_at("set_authorized_keys", 1);
        server.run_tasks().await;
        let carried = client.get(&placed(&server)).await.expect(200).body;
        assert_eq!(carried.as_array().unwrap().iter().map(|row| &row["id"]).collect::<Vec<_>>(), [&first["id"]]);
        assert_eq!(authorized(&server).await, [key(1)]);
        client.delete(&format!("{}/{}", placed(&server), text(&first, "id"))).await.expect(202);
        assert_eq!(client.get(&placed(&server)).await.expect(200).body, json!([]));
        kernel::crash::fail_at("set_authorized_keys", 1);
        server.run_tasks().await;
        assert_eq!(client.get(&placed(&server)).await.expect(200).body, carried, "it is still there, since when it was");
        assert_eq!(authorized(&server).await, [key(1)]);
        assert_eq!(log(&server, &client, "instance.ssh_keys_failed").await["count"], 2);
    }

    async fn who_may_is_who_may(server: Server) {
        let client = server.owner();
        let made = create(&server, &client, "n", &key(1)).await;
        client.post(&placed(&server), &json!({"ssh_key_ids": [made["id"]]})).await.expect(202);
        let one = format!("{}/{}", keys(&server), text(&made, "id"));
        let on_instance = format!("{}/{}", placed(&server), text(&made, "id"));
        let body = json!({"name": "x", "public_key": key(2)});
        let (viewer, _) = server.member(Role::Viewer).await;
        for path in [&keys(&server), &one, &placed(&server)] {
            viewer.get(path).await.expect(200);
        }
        viewer.post(&keys(&server), &body).await.expect(403);
        viewer.put(&one, &body).await.expect(403);
        viewer.patch(&one, &json!({"name": "x"})).await.expect(403);
        viewer.delete(&one).await.expect(403);
        viewer.post(&placed(&server), &json!({"ssh_key_ids": [made["id"]]})).await.expect(403);
        viewer.delete(&on_instance).await.expect(403);
        let (editor, _) = server.member(Role::Editor).await;
        editor.post(&keys(&server), &body).await.expect(201);
        let stranger = server.stranger();
        for path in [&keys(&server), &one, &placed(&server)] {
            stranger.get(path).await.expect(404);
        }
        stranger.post(&keys(&server), &body).await.expect(404);
        stranger.delete(&one).await.expect(404);
        stranger.delete(&on_instance).await.expect(404);
        client.get(&format!("{}/seven", keys(&server))).await.expect(404);
        client.delete(&format!("{}/seven", placed(&server))).await.expect(404);
    }
}
