//! Passkeys and security keys, with an authenticator made of software.

use std::time::Duration;

use identity::schema::users;
use serde_json::{Value, json};
use testkit::{Client, Server, on_both};
use url::Url;
use webauthn_authenticator_rs::{AuthenticatorBackend, WebauthnAuthenticator, softpasskey::SoftPasskey};

/// Where the pages are that a test's server believes: its own address by the one name that needs no TLS.
const ORIGIN: &str = "http://localhost:8080";
const REGISTRATION: &str = "/v1/auth/mfa/webauthn/register";
const CREDENTIALS: &str = "/v1/auth/mfa/webauthn/credentials";
const LOGIN: &str = "/v1/auth/passkeys/login";

/// A browser on a page, with an authenticator that can ask for a finger.
struct Browser {
    authenticator: SoftPasskey,
    page: Url,
    /// Whether the user shows the finger.
    verifies: bool,
}

impl Browser {
    fn new() -> Self {
        Self {
            authenticator: SoftPasskey::new(true),
            page: Url::parse(ORIGIN).unwrap(),
            verifies: true,
        }
    }

    /// `navigator.credentials.create()`.
    fn create(&mut self, options: &Value) -> Value {
        let mut options = options.clone();
        options["authenticatorSelection"]["userVerification"] = self.policy();
        let options = serde_json::from_value(json!({ "publicKey": options })).unwrap();
        let made = self
            .authenticator
            .do_registration(self.page.clone(), options)
            .unwrap();
        let mut made = serde_json::to_value(made).unwrap();
        made.as_object_mut().unwrap().remove("extensions");
        made["response"]["transports"] = json!(["internal", "teleportation"]);
        made["clientExtensionResults"] = json!({"credProps": {"rk": true}});
        made
    }

    /// `navigator.credentials.get()`, with a passkey of `user` (none: of nobody in particular).
    ///
    /// The authenticator signs whatever the page is: browsers look at that, and so must the server.
    fn get(&mut self, options: &Value, passkey: &Value, user: Option<&str>) -> Value {
        let mut options = options.clone();
        options["userVerification"] = self.policy();
        options["allowCredentials"] = json!([{"type": "public-key", "id": passkey["id"]}]);
        let options = serde_json::from_value(options).unwrap();
        let signed = self
            .authenticator
            .perform_auth(self.page.clone(), options, 1000)
            .unwrap();
        let mut signed = serde_json::to_value(signed).unwrap();
        signed["response"]["userHandle"] = json!(user);
        signed
    }

    fn policy(&self) -> Value {
        json!(if self.verifies { "required" } else { "discouraged" })
    }
}

/// A passkey that is registered.
struct Registered {
    /// What the browser made of it.
    made: Value,
    /// What the server says of it.
    passkey: Value,
    /// The handle of its user.
    user: String,
}

async fn register(client: &Client, browser: &mut Browser, name: &str) -> Registered {
    let options = client
        .post(&format!("{REGISTRATION}/begin"), &json!({}))
        .await
        .expect(200)
        .body;
    let made = browser.create(&options["public_key"]);
    let body = json!({"challenge_id": options["challenge_id"], "name": name, "credential": made});
    let passkey = client
        .post(&format!("{REGISTRATION}/complete"), &body)
        .await
        .expect(201)
        .body;
    let user = options["public_key"]["user"]["id"].as_str().unwrap().to_owned();
    Registered { made, passkey, user }
}

async fn begin(server: &Server, body: Value) -> Value {
    server
        .anonymous()
        .post(&format!("{LOGIN}/begin"), &body)
        .await
        .expect(200)
        .body
}

async fn complete(server: &Server, options: &Value, credential: &Value) -> testkit::client::Answer {
    let body = json!({"challenge_id": options["challenge_id"], "credential": credential});
    server.anonymous().post(&format!("{LOGIN}/complete"), &body).await
}

on_both! {
    async fn a_passkey_logs_in_alone(server: Server) {
        let client = server.owner_login().await;
        let mut browser = Browser::new();
        let known = register(&client, &mut browser, "Laptop").await;
        assert_eq!(known.passkey["name"], "Laptop");
        assert_eq!(known.passkey["transports"], json!(["internal"]));
        assert_eq!((&known.passkey["is_passkey"], &known.passkey["is_backed_up"]), (&json!(true), &json!(false)));
        assert_eq!((&known.passkey["aaguid"], &known.passkey["last_used_at"]), (&Value::Null, &Value::Null));

        let asked = begin(&server, json!({})).await;
        assert_eq!(asked["public_key"]["rpId"], "localhost");
        assert_eq!(asked["public_key"]["userVerification"], "preferred");
        assert_eq!(asked["public_key"]["allowCredentials"], json!([]));
        let signed = browser.get(&asked["public_key"], &known.made, Some(&known.user));
        let login = complete(&server, &asked, &signed).await.expect(200).body;
        assert_eq!(login["mfa_required"], false, "the passkey is both factors");
        let session = format!("/v1/auth/sessions/{}", login["session_id"].as_str().unwrap());
        let client = server.client(login["access"].as_str().unwrap());
        assert_eq!(client.get(&session).await.expect(200).body["auth_method"], "passkey");
        let list = client.get(CREDENTIALS).await.expect(200);
        assert!(!list.body[0]["last_used_at"].is_null() && !list.text.contains("publicKey"), "{}", list.text);

        // With an address, its passkeys are named.
        let named = begin(&server, json!({"email": server.facts.owner.email})).await;
        assert_eq!(named["public_key"]["allowCredentials"][0]["id"], known.made["id"]);
        let signed = browser.get(&named["public_key"], &known.made, None);
        complete(&server, &named, &signed).await.expect(200);
    }

    async fn an_answer_works_once_in_time_and_for_its_challenge(server: Server) {
        let client = server.owner_login().await;
        let mut browser = Browser::new();
        let known = register(&client, &mut browser, "Laptop").await;
        let asked = begin(&server, json!({})).await;
        let other = begin(&server, json!({})).await;
        let signed = browser.get(&asked["public_key"], &known.made, Some(&known.user));
        let foreign = complete(&server, &other, &signed).await.expect(401);
        assert_eq!(foreign.body["code"], "invalid_credentials");
        complete(&server, &other, &signed).await.expect(410);
        complete(&server, &asked, &signed).await.expect(200);
        complete(&server, &asked, &signed).await.expect(410);
        let late = begin(&server, json!({})).await;
        let signed = browser.get(&late["public_key"], &known.made, Some(&known.user));
        server.clock.advance(Duration::from_mins(11));
        complete(&server, &late, &signed).await.expect(410);
    }

    async fn of_many_answers_at_once_one_counts(server: Server) {
        let client = server.owner_login().await;
        let mut browser = Browser::new();
        let known = register(&client, &mut browser, "Laptop").await;
        let asked = begin(&server, json!({})).await;
        let signed = browser.get(&asked["public_key"], &known.made, Some(&known.user));
        let (a, b, c) = tokio::join!(
            complete(&server, &asked, &signed),
            complete(&server, &asked, &signed),
            complete(&server, &asked, &signed),
        );
        let mut all = [a.status, b.status, c.status];
        all.sort_unstable();
        assert_eq!(all, [200, 410, 410]);
    }

    async fn other_pages_users_and_signatures_are_refused(server: Server) {
        let client = server.owner_login().await;
        let mut browser = Browser::new();
        let known = register(&client, &mut browser, "Laptop").await;
        let stranger = "AAAAAAAAAAAAAAAAAAAAAA";

        for page in ["http://localhost:9999", "https://localhost:8080", "https://phishing.example"] {
            browser.page = Url::parse(page).unwrap();
            let asked = begin(&server, json!({})).await;
            let signed = browser.get(&asked["public_key"], &known.made, Some(&known.user));
            let refused = complete(&server, &asked, &signed).await.expect(401);
            assert_eq!(refused.body["detail"], "This passkey can't be used to log in.", "{page}");
        }
        browser.page = Url::parse(ORIGIN).unwrap();
        let events = client.get("/v1/auth/security-events?event=login_failed").await.expect(200).body;
        assert_eq!(events["count"], 3);
        assert_eq!(events["results"][0]["metadata"]["reason"], "not_proved");

        // Whose it is must be said, rightly, where no address did.
        for handle in [None, Some(stranger)] {
            let asked = begin(&server, json!({})).await;
            let signed = browser.get(&asked["public_key"], &known.made, handle);
            complete(&server, &asked, &signed).await.expect(401);
        }
    }

    async fn guesses_end_in_429(server: Server, |config| { config.limits.login_failures_per_address = 3; }) {
        let client = server.owner_login().await;
        let mut browser = Browser::new();
        let known = register(&client, &mut browser, "Laptop").await;
        for _ in 0..3 {
            let asked = begin(&server, json!({})).await;
            let signed = browser.get(&asked["public_key"], &known.made, None);
            complete(&server, &asked, &signed).await.expect(401);
        }
        let refused = server.anonymous().post(&format!("{LOGIN}/begin"), &json!({})).await.expect(429);
        assert!(!refused.header("retry-after").is_empty());
    }

    async fn another_domain_is_refused(server: Server) {
        let client = server.owner_login().await;
        let mut browser = Browser::new();
        let known = register(&client, &mut browser, "Laptop").await;
        let mut asked = begin(&server, json!({})).await;
        asked["public_key"]["rpId"] = json!("phishing.example");
        let signed = browser.get(&asked["public_key"], &known.made, Some(&known.user));
        complete(&server, &asked, &signed).await.expect(401);
        let asked = begin(&server, json!({})).await;
        let mut signed = browser.get(&asked["public_key"], &known.made, Some(&known.user));
        signed["response"]["signature"] = json!("MEUCIQDa");
        complete(&server, &asked, &signed).await.expect(401);
        // An address names the account: another's passkey is no proof.
        let asked = begin(&server, json!({"email": server.facts.stranger.email})).await;
        let signed = browser.get(&asked["public_key"], &known.made, Some(&known.user));
        complete(&server, &asked, &signed).await.expect(401);
    }

    async fn a_copied_passkey_is_noticed(server: Server) {
        let client = server.owner_login().await;
        let mut browser = Browser::new();
        let known = register(&client, &mut browser, "Laptop").await;
        let first = begin(&server, json!({})).await;
        let earlier = browser.get(&first["public_key"], &known.made, Some(&known.user));
        let second = begin(&server, json!({})).await;
        let later = browser.get(&second["public_key"], &known.made, Some(&known.user));
        complete(&server, &second, &later).await.expect(200);
        complete(&server, &first, &earlier).await.expect(401);
        let events = client.get("/v1/auth/security-events?event=login_failed").await.expect(200).body;
        assert_eq!(events["results"][0]["metadata"], json!({"auth_method": "passkey", "reason": "counter_went_back"}));
    }

    async fn without_a_finger_a_passkey_is_one_factor(server: Server) {
        let client = server.owner_login().await;
        let mut browser = Browser::new();
        browser.verifies = false;
        let known = register(&client, &mut browser, "Old key").await;
        let asked = begin(&server, json!({})).await;
        let signed = browser.get(&asked["public_key"], &known.made, Some(&known.user));
        complete(&server, &asked, &signed).await.expect(401);
        let events = client.get("/v1/auth/security-events?event=login_failed").await.expect(200).body;
        assert_eq!(events["results"][0]["metadata"]["reason"], "user_not_verified");
    }

    async fn a_passkey_is_a_second_factor_of_the_login_that_asked(server: Server) {
        let owner = &server.facts.owner;
        let client = server.owner_login().await;
        let mut browser = Browser::new();
        let known = register(&client, &mut browser, "Laptop").await;
        let anonymous = server.anonymous();
        let first = async || {
            let body = json!({"email": owner.email, "password": owner.password});
            let login = anonymous.post("/v1/auth/login", &body).await.expect(200).body;
            assert_eq!((&login["mfa_required"], &login["mfa_default_method"]), (&json!(true), &json!("webauthn")));
            login["mfa_token"].clone()
        };
        let ask = async |token: &Value| {
            let body = json!({"mfa_token": token, "method": "webauthn"});
            anonymous.post("/v1/auth/mfa/challenge", &body).await.expect(200).body["public_key"].clone()
        };
        let verify = async |token: &Value, credential: &Value| {
            let body = json!({"mfa_token": token, "method": "webauthn", "credential": {"credential": credential}});
            anonymous.post("/v1/auth/mfa/verify", &body).await
        };
        let (mine, other) = (first().await, first().await);
        let signed = browser.get(&ask(&mine).await, &known.made, None);
        verify(&other, &signed).await.expect(401);
        let opened = verify(&mine, &signed).await.expect(200).body;
        server.client(opened["access"].as_str().unwrap()).get("/v1/auth/me").await.expect(200);
        verify(&mine, &signed).await.expect(410);
        // An answer to a passwordless login is none to this question.
        let asked = begin(&server, json!({})).await;
        let signed = browser.get(&asked["public_key"], &known.made, Some(&known.user));
        verify(&other, &signed).await.expect(401);
    }

    async fn a_passkey_confirms_who_one_is(server: Server) {
        let client = server.owner_login().await;
        let mut browser = Browser::new();
        let known = register(&client, &mut browser, "Laptop").await;
        let path = "/v1/auth/reauthenticate";
        let asked = client.post(path, &json!({"method": "webauthn"})).await.expect(202).body;
        let signed = browser.get(&asked["public_key"], &known.made, None);
        let shown = json!({"method": "webauthn", "credential": {"credential": signed}});
        assert_eq!(client.post(path, &shown).await.expect(200).body["expires_in"], 900);
        client.post(path, &shown).await.expect(400);
    }

    async fn nobody_learns_who_has_a_passkey(server: Server) {
        let client = server.owner_login().await;
        register(&client, &mut Browser::new(), "Laptop").await;
        let mut ids = Vec::new();
        for email in [&*server.facts.owner.email, &*server.facts.stranger.email, "nobody@example.com"] {
            let asked = begin(&server, json!({ "email": email })).await;
            let again = begin(&server, json!({"email": email.to_uppercase()})).await;
            let (one, two) = (&asked["public_key"]["allowCredentials"], &again["public_key"]["allowCredentials"]);
            assert_eq!(one, two, "{email}");
            assert_ne!(asked["public_key"]["challenge"], again["public_key"]["challenge"]);
            assert_eq!(one.as_array().unwrap().len(), 1);
            assert_eq!(one[0]["id"].as_str().unwrap().len(), 43);
            ids.push(one[0]["id"].clone());
        }
        assert!(ids[0] != ids[1] && ids[1] != ids[2]);
        let faults = server.anonymous().post(&format!("{LOGIN}/begin"), &json!({"email": "x"})).await.expect(400);
        assert_eq!(faults.body["email"], json!(["Enter a valid email address."]));
    }

    async fn a_disabled_account_stays_closed(server: Server) {
        use diesel::{ExpressionMethods, RunQueryDsl};
        let client = server.owner_login().await;
        let mut browser = Browser::new();
        let known = register(&client, &mut browser, "Laptop").await;
        let email = server.facts.owner.email.clone();
        server.app.store().write("test", move |tx| {
            diesel::update(users::table).filter(users::email.eq(&email)).set(users::is_active.eq(false))
                .execute(tx.conn()).map_err(kernel::store::StoreError::from)
        }).await.unwrap();
        let asked = begin(&server, json!({})).await;
        let signed = browser.get(&asked["public_key"], &known.made, Some(&known.user));
        assert_eq!(complete(&server, &asked, &signed).await.expect(403).body["code"], "account_disabled");
    }

    async fn registering_takes_a_recent_login_and_an_answer(server: Server) {
        let client = server.owner_login().await;
        let path = format!("{REGISTRATION}/complete");
        let asked = client.post(&format!("{REGISTRATION}/begin"), &json!({})).await.expect(200).body;
        let options = &asked["public_key"];
        assert_eq!(options["rp"], json!({"id": "localhost", "name": "onet"}));
        assert_eq!(options["authenticatorSelection"]["residentKey"], "preferred");
        assert_eq!(options["extensions"], json!({"credProps": true}));
        assert_eq!(options["attestation"], "none");
        let mut browser = Browser::new();
        let made = browser.create(options);

        let body = |credential: &Value| json!({"challenge_id": asked["challenge_id"], "credential": credential});
        for broken in [json!({}), json!({"id": "x", "rawId": "??", "type": "public-key"}), json!({"id": 1})] {
            let faults = client.post(&path, &body(&broken)).await.expect(400).body;
            assert!(faults["credential"].is_array(), "{faults}");
        }
        let mut other = made.clone();
        other["id"] = json!("AAAA");
        client.post(&path, &body(&other)).await.expect(400);
        browser.page = Url::parse("http://localhost:9999").unwrap();
        let elsewhere = browser.create(options);
        let faults = client.post(&path, &body(&elsewhere)).await.expect(400).body;
        assert_eq!(faults["credential"], json!(["This does not answer the challenge."]));
        client.post(&path, &json!({})).await.expect(400);
        // Somebody else's challenge.
        let stranger = &server.facts.stranger;
        let (stranger, _) = server.log_in(&stranger.email, &stranger.password).await;
        stranger.post(&path, &body(&made)).await.expect(410);

        let passkey = client.post(&path, &body(&made)).await.expect(201).body;
        assert_eq!(passkey["name"], "Passkey");
        client.post(&path, &body(&made)).await.expect(410);
        server.owner().post(&format!("{REGISTRATION}/begin"), &json!({})).await.expect(403);
        let asked = client.post(&format!("{REGISTRATION}/begin"), &json!({})).await.expect(200).body;
        assert_eq!(asked["public_key"]["excludeCredentials"][0]["id"], made["id"]);
        server.clock.advance(Duration::from_mins(11));
        let made = Browser::new().create(&asked["public_key"]);
        let late = json!({"challenge_id": asked["challenge_id"], "credential": made});
        client.post(&path, &late).await.expect(410);
    }

    async fn passkeys_are_named_and_removed_by_their_user_alone(server: Server) {
        let client = server.owner_login().await;
        let known = register(&client, &mut Browser::new(), "Laptop").await;
        let path = format!("{CREDENTIALS}/{}", known.passkey["id"].as_str().unwrap());
        let renamed = client.patch(&path, &json!({"name": "Desk"})).await.expect(200).body;
        assert_eq!(renamed["name"], "Desk");
        client.patch(&path, &json!({"name": ""})).await.expect(400);
        client.patch(&path, &json!({"name": "x".repeat(101)})).await.expect(400);
        let stranger = &server.facts.stranger;
        let (stranger, _) = server.log_in(&stranger.email, &stranger.password).await;
        stranger.patch(&path, &json!({"name": "Mine"})).await.expect(404);
        stranger.delete(&path).await.expect(404);
        assert_eq!(stranger.get(CREDENTIALS).await.expect(200).body, json!([]));
        server.owner().delete(&path).await.expect(403);
        server.anonymous().get(CREDENTIALS).await.expect(401);
        client.delete(&path).await.expect(204);
        client.delete(&path).await.expect(404);
        let mails = server.mails().await;
        let told = |word: &str| mails.iter().any(|mail| mail.to == server.facts.owner.email && mail.text.contains(word));
        assert!(told("Laptop") && told("Desk"));
        for event in ["passkey_added", "passkey_removed"] {
            let list = client.get(&format!("/v1/auth/security-events?event={event}")).await.expect(200).body;
            assert_eq!(list["count"], 1, "{event}");
        }
    }

    async fn the_last_way_in_stays(server: Server, |config| { config.auth.passwordless = Vec::new(); }) {
        use diesel::{ExpressionMethods, RunQueryDsl};
        let client = server.owner_login().await;
        let one = register(&client, &mut Browser::new(), "One").await;
        let two = register(&client, &mut Browser::new(), "Two").await;
        let email = server.facts.owner.email.clone();
        server.app.store().write("test", move |tx| {
            diesel::update(users::table).filter(users::email.eq(&email)).set(users::password_hash.eq(None::<String>))
                .execute(tx.conn()).map_err(kernel::store::StoreError::from)
        }).await.unwrap();
        let path = |known: &Registered| format!("{CREDENTIALS}/{}", known.passkey["id"].as_str().unwrap());
        client.delete(&path(&one)).await.expect(204);
        let refused = client.delete(&path(&two)).await.expect(409);
        assert_eq!(refused.body["code"], "last_login_method");
        assert_eq!(client.get(CREDENTIALS).await.expect(200).body.as_array().unwrap().len(), 1);
        server.clock.advance(Duration::from_mins(16));
        // An access token lives fifteen minutes, as long as a login is recent.
        client.delete(&path(&two)).await.expect(401);
    }

    async fn twenty_are_enough(server: Server) {
        let client = server.owner_login().await;
        for number in 0..20 {
            register(&client, &mut Browser::new(), &format!("Key {number}")).await;
        }
        let asked = client.post(&format!("{REGISTRATION}/begin"), &json!({})).await.expect(200).body;
        let made = Browser::new().create(&asked["public_key"]);
        let body = json!({"challenge_id": asked["challenge_id"], "credential": made});
        client.post(&format!("{REGISTRATION}/complete"), &body).await.expect(409);
    }
}
