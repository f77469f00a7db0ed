//! A user's own profile and its picture.

use std::time::Duration;

use kernel::access::Role;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, Client, on_both};

const PROFILE: &str = "/v1/auth/profile";
const PICTURE: &str = "/v1/auth/profile/picture";
/// A PNG of 16 × 16 red points.
const PNG: &[u8] = include_bytes!("../pictures/red.png");

/// A form with one file.
fn form(field: &str, head: &str, file: &[u8]) -> Vec<u8> {
    let mut body =
        format!("--b\r\nContent-Disposition: form-data; name=\"{field}\"{head}\r\n\r\n").into_bytes();
    body.extend_from_slice(file);
    body.extend_from_slice(b"\r\n--b--\r\n");
    body
}

async fn upload(client: &Client, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    let mut all = vec![("content-type", "multipart/form-data; boundary=b")];
    all.extend_from_slice(headers);
    client.send_bytes(Method::POST, PICTURE, &all, Some(body)).await
}

/// What lies at an address, as a browser sees it.
async fn fetch(url: &str) -> reqwest::Response {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(url).send().await.unwrap()
}

on_both! {
    async fn a_profile_is_read_and_changed(server: Server) {
        let login = server.owner_login().await;
        let owner = &server.facts.owner;
        let before = login.get(PROFILE).await.expect(200);
        assert_eq!((&before.body["email"], &before.body["timezone"]), (&json!(owner.email), &json!("UTC")));
        let wanted = json!({"first_name": "Augusta", "phone": "+33 1 23 45 67 89", "timezone": "Europe/Paris", "language": "fr",
            "default_organization_id": owner.organization_id, "default_project_id": owner.project_id,
            "email": "other@example.com", "is_staff": true, "id": "x", "mfa_enabled": true});
        let changed = login.patch(PROFILE, &wanted).await.expect(200);
        assert_eq!(changed.body["name"], "Augusta Martin");
        assert_eq!((&changed.body["email"], &changed.body["is_staff"]), (&json!(owner.email), &json!(false)), "read-only fields are ignored");
        assert_eq!(changed.body["default_project_id"], owner.project_id.to_string());
        assert_eq!(login.get(PROFILE).await.expect(200).body, changed.body);
        // The same again changes nothing; what was read can be sent back.
        assert_eq!(login.patch(PROFILE, &wanted).await.expect(200).body, changed.body);
        assert_eq!(login.put(PROFILE, &changed.body).await.expect(200).body, changed.body);
        let stale = [("if-match", before.header("etag"))];
        login.send(Method::PATCH, PROFILE, &stale, Some("{\"first_name\": \"x\"}".to_owned())).await.expect(412);
        // PUT needs the names; what else is left out stays. Names may be taken away.
        let faults = login.put(PROFILE, &json!({})).await.expect(400).body;
        assert_eq!(faults, json!({"first_name": ["This field is required."], "last_name": ["This field is required."]}));
        let bare = login.put(PROFILE, &json!({"first_name": "", "last_name": ""})).await.expect(200).body;
        assert_eq!((&bare["name"], &bare["timezone"]), (&Value::Null, &json!("Europe/Paris")));
        let cleared = login.patch(PROFILE, &json!({"default_project_id": null})).await.expect(200).body;
        assert_eq!((&cleared["default_project_id"], &cleared["default_organization_id"]), (&Value::Null, &json!(owner.organization_id)));
    }

    async fn every_fault_is_named(server: Server) {
        let login = server.owner_login().await;
        let theirs = &server.facts.stranger;
        let bad = json!({"timezone": "Europe/Atlantis", "phone": "call me", "company_name": "a\u{7}b",
            "default_organization_id": theirs.organization_id, "default_project_id": theirs.project_id});
        let faults = login.patch(PROFILE, &bad).await.expect(400).body;
        for field in ["timezone", "phone", "company_name", "default_organization_id", "default_project_id"] {
            assert_eq!(faults[field].as_array().map(Vec::len), Some(1), "{field}: {faults}");
        }
        assert_eq!(faults["default_organization_id"][0], format!("Invalid pk \"{}\" - object does not exist.", theirs.organization_id));
        for (field, value) in [("first_name", json!("x".repeat(151))), ("language", json!("de")), ("timezone", json!("")),
            ("marketing_consent", json!("yes")), ("last_name", json!(null)), ("default_project_id", json!("x"))] {
            let faults = login.patch(PROFILE, &json!({field: value})).await.expect(400).body;
            assert!(faults[field].is_array(), "{field}: {faults}");
        }
        // A project without its organization.
        let alone = json!({"default_project_id": server.facts.owner.project_id});
        let faults = login.patch(PROFILE, &alone).await.expect(400).body;
        assert_eq!(faults["default_project_id"], json!(["This project must belong to the default organization."]));
        // A guest sees a project only when put into it.
        let (guest, _) = server.member_login(Role::Guest).await;
        let wanted = json!({"default_organization_id": server.facts.owner.organization_id, "default_project_id": server.facts.owner.project_id});
        let faults = guest.patch(PROFILE, &wanted).await.expect(400).body;
        assert!(faults["default_project_id"][0].as_str().unwrap().contains("does not exist"), "{faults}");
    }

    async fn keys_read_a_profile_and_never_change_it(server: Server) {
        let login = server.owner_login().await;
        let key = async |scope: &str| {
            let made = login.post("/v1/auth/api-keys", &json!({"name": "k", "scopes": [scope]})).await.expect(201).body;
            server.client(made["key"].as_str().unwrap())
        };
        let reading = key("account:read").await;
        assert_eq!(reading.get(PROFILE).await.expect(200).body["email"], server.facts.owner.email);
        reading.patch(PROFILE, &json!({"first_name": "x"})).await.expect(403);
        reading.delete(PICTURE).await.expect(403);
        upload(&reading, &[], form("picture", "; filename=\"a.png\"", PNG)).await.expect(403);
        key("compute:write").await.get(PROFILE).await.expect(403);
    }

    async fn a_picture_is_made_anew_and_shown(server: Server, |config| { config.server.public_url = "https://api.example.org".to_owned(); }) {
        let login = server.owner_login().await;
        let mut file = PNG.to_vec();
        file.extend_from_slice(b"<script>alert(1)</script>");
        let stored = upload(&login, &[], form("picture", "; filename=\"evil.html\"\r\nContent-Type: text/html", &file)).await.expect(200);
        let url = stored.body["picture"].as_str().unwrap().to_owned();
        let place = url.strip_prefix("https://api.example.org").unwrap().to_owned();
        assert!(place.starts_with("/media/pictures/"), "{url}");
        assert_eq!(login.get("/v1/auth/me").await.expect(200).body["picture"], url);
        let shown = fetch(&format!("{}{place}", server.base)).await;
        let header = |name: &str| shown.headers().get(name).unwrap().to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "image/webp");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("cache-control"), "public, max-age=31536000, immutable");
        assert!(header("content-security-policy").contains("default-src 'none'"));
        let etag = header("etag");
        let bytes = shown.bytes().await.unwrap();
        assert!(bytes.starts_with(b"RIFF") && &bytes[8..12] == b"WEBP");
        assert!(!bytes.windows(7).any(|part| part == b"<script"));
        server.anonymous().send(Method::GET, &place, &[("if-none-match", &etag)], None).await.expect(304);
        // Another picture has another address, and the former is gone.
        let other = upload(&login, &[], form("picture", "; filename=\"b\"", PNG)).await.expect(200).body;
        assert_ne!(other["picture"], url);
        server.anonymous().get(&place).await.expect(404);
        login.delete(PICTURE).await.expect(204);
        login.delete(PICTURE).await.expect(204);
        assert_eq!(login.get(PROFILE).await.expect(200).body["picture"], Value::Null);
        let place = other["picture"].as_str().unwrap().strip_prefix("https://api.example.org").unwrap();
        server.anonymous().get(place).await.expect(404);
        for nonsense in ["x", "..%2f..%2fsecret.key", "018f0000-0000-7000-8000-00000000dead"] {
            server.anonymous().get(&format!("/media/pictures/{nonsense}")).await.expect(404);
        }
    }

    async fn what_is_no_picture_is_refused(server: Server) {
        let login = server.owner_login().await;
        let fault = async |body: Vec<u8>| {
            let refused = upload(&login, &[], body).await.expect(400).body;
            refused["picture"][0].as_str().map(str::to_owned).unwrap_or_else(|| refused.to_string())
        };
        let named = "; filename=\"a.png\"";
        assert!(fault(form("picture", named, b"hello")).await.contains("PNG, JPEG or WebP"));
        assert!(fault(form("picture", named, &PNG[..40])).await.contains("valid image"));
        assert!(fault(form("picture", named, b"GIF89a\x01\x00\x01\x00\x00\x00\x00;")).await.contains("PNG, JPEG or WebP"));
        assert_eq!(fault(form("picture", named, b"")).await, "The submitted file is empty.");
        assert_eq!(fault(form("photo", named, PNG)).await, "No file was submitted.");
        assert!(fault(form("picture", "", PNG)).await.contains("not a file"));
        assert!(fault(form("picture", named, &vec![0; 2 * 1024 * 1024 + 1])).await.contains("2097152 bytes"));
        assert!(fault(b"--b\r\nContent-Disposition: form-data; name=\"picture\"; filename=\"a\"\r\n\r\ncut".to_vec()).await.contains("parse error"));
        // A body of more than a picture and its form; one that is no form; a form without its boundary.
        upload(&login, &[], form("picture", named, &vec![0; 3 * 1024 * 1024])).await.expect(413);
        login.post(PICTURE, &json!({"picture": "x"})).await.expect(415);
        let unbound = [("content-type", "multipart/form-data")];
        login.send_bytes(Method::POST, PICTURE, &unbound, Some(form("picture", named, PNG))).await.expect(400);
        assert_eq!(login.get(PROFILE).await.expect(200).body["picture"], Value::Null);
        // What other operations take is not changed by that.
        let long = json!({"first_name": "x".repeat(1_100_000)});
        login.patch(PROFILE, &long).await.expect(413);
    }

    async fn an_upload_with_a_key_is_done_once(server: Server) {
        let login = server.owner_login().await;
        let body = form("picture", "; filename=\"a.png\"", PNG);
        let once = [("idempotency-key", "one")];
        let first = upload(&login, &once, body.clone()).await.expect(200).body;
        server.clock.advance(Duration::from_secs(1));
        let again = upload(&login, &once, body.clone()).await.expect(200).body;
        assert_eq!(first, again);
        let (a, b) = tokio::join!(upload(&login, &[], body.clone()), upload(&login, &[], body));
        assert_eq!((a.status, b.status), (200, 200), "{} {}", a.text, b.text);
    }
}
