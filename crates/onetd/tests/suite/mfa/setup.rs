//! Setting second factors up, choosing between them, and switching them off.

use std::time::Duration;

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use identity::schema::{challenges, mfa_methods, recovery_codes, security_events, users};
use kernel::{store::StoreError, time::Time};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::on_both;

use super::person::{Person, challenge, events, mailed_code, scanned, subjects, texts, verify};

on_both! {
    async fn an_app_is_set_up_by_camera_and_asked_for_at_the_login(server: Server) {
        let mut owner = Person::owner(&server).await;
        let status = owner.status().await;
        assert_eq!((&status["enabled"], &status["default_method"]), (&json!(false), &Value::Null));
        let setup = "/v1/auth/mfa/totp/setup";
        let first = owner.client.post(setup, &json!({})).await.expect(200).body;
        let second = owner.client.post(setup, &json!({})).await.expect(200).body;
        assert_ne!(first["secret"], second["secret"]);
        assert_eq!(second["secret"].as_str().unwrap().len(), 32, "160 bits in base32");
        let uri = second["otpauth_uri"].as_str().unwrap();
        assert_eq!(scanned(second["qr_code"].as_str().unwrap()), uri);
        let expected = format!("otpauth://totp/onet:ada%40example.com?secret={}&issuer=onet", second["secret"].as_str().unwrap());
        assert_eq!(uri, expected);
        // Nothing is asked for before a code has confirmed it, and only the newest secret counts.
        assert_eq!(owner.password_login(json!({})).await.body["mfa_required"], false);
        let confirm = "/v1/auth/mfa/totp/confirm";
        owner.secret = first["secret"].as_str().unwrap().to_owned();
        let refused = owner.client.post(confirm, &json!({ "code": owner.code() })).await.expect(400).body;
        assert_eq!(refused["code"], "invalid_code");
        for (body, fault) in [
            (json!({}), "This field is required."),
            (json!({"code": "12345"}), "Enter a valid value."),
            (json!({"code": 123_456}), "Not a valid string."),
        ] {
            assert_eq!(owner.client.post(confirm, &body).await.expect(400).body, json!({ "code": [fault] }));
        }
        owner.secret = second["secret"].as_str().unwrap().to_owned();
        let spent = owner.code();
        let enabled = owner.client.post(confirm, &json!({ "code": spent })).await.expect(200).body;
        assert_eq!(texts(&enabled["recovery_codes"]).len(), 10);
        let status = owner.status().await;
        assert_eq!(status["methods"][0]["is_enabled"], true);
        assert_eq!((&status["enabled"], &status["default_method"]), (&json!(true), &json!("totp")));
        assert_eq!(status["recovery_codes_remaining"], 10);
        assert_eq!(status["required_by_organizations"], json!([]));
        // Setting up another one needs this one gone.
        owner.client.post(setup, &json!({})).await.expect(409);
        owner.client.post(confirm, &json!({ "code": owner.code() })).await.expect(409);

        let login = owner.password_login(json!({})).await.body;
        assert_eq!(login["mfa_methods"], json!(["totp", "recovery_code"]));
        assert_eq!((&login["mfa_default_method"], &login["mfa_expires_in"]), (&json!("totp"), &json!(600)));
        let token = login["mfa_token"].as_str().unwrap();
        let asked = challenge(&server, token, "totp").await.expect(200).body;
        assert!(asked["destination"].is_null() && asked["expires_in"].as_u64().unwrap() > 590, "{asked}");
        // The code that has confirmed the app is spent.
        assert_eq!(verify(&server, token, "totp", &spent).await.expect(401).body["code"], "invalid_code");
        assert_eq!(verify(&server, token, "totp", &owner.wrong_code()).await.expect(401).body["code"], "invalid_code");
        let code = owner.next_code();
        let session = verify(&server, token, "totp", &code).await.expect(200).body;
        assert_eq!((&session["mfa_required"], &session["mfa_token"]), (&json!(false), &Value::Null));
        assert_eq!(session["user"]["mfa_methods"], json!(["totp"]));
        let client = server.client(session["access"].as_str().unwrap());
        client.get("/v1/auth/me").await.expect(200);
        // Neither the token nor the code works twice.
        assert_eq!(verify(&server, token, "totp", &code).await.expect(410).body["code"], "challenge_expired");
        let again = owner.first_step().await;
        verify(&server, &again, "totp", &code).await.expect(401);
        let events = events(&server).await;
        assert_eq!((events["mfa_enabled"], events["login_failed"]), (1, 3));
        assert!(subjects(&server, &owner.email).await.iter().any(|subject| subject == "Two-factor authentication is on"));
    }

    async fn a_setup_ends_in_time(server: Server) {
        let mut owner = Person::owner(&server).await;
        let confirm = "/v1/auth/mfa/totp/confirm";
        owner.client.post(confirm, &json!({"code": "123456"})).await.expect(409);
        let setup = owner.client.post("/v1/auth/mfa/totp/setup", &json!({})).await.expect(200).body;
        owner.secret = setup["secret"].as_str().unwrap().to_owned();
        assert_eq!(Time::parse(setup["expires_at"].as_str().unwrap()).unwrap().since(server.clock.now()).as_secs(), 599);
        server.clock.advance(Duration::from_mins(10));
        let refused = owner.client.post(confirm, &json!({ "code": owner.code() })).await.expect(410).body;
        assert_eq!(refused["code"], "challenge_expired");
        assert_eq!(owner.status().await["enabled"], false);
    }

    async fn codes_come_by_mail(server: Server) {
        let owner = Person::owner(&server).await.take_mails().await;
        assert_eq!(owner.recovery_codes.len(), 10);
        let status = owner.status().await;
        assert_eq!((&status["default_method"], &status["methods"][1]["destination"]), (&json!("email"), &json!("a•••@example.com")));
        // Enabling it again changes nothing.
        let again = owner.client.post("/v1/auth/mfa/email/enable", &json!({})).await.expect(200).body;
        assert!(again["recovery_codes"].is_null());
        assert_eq!(events(&server).await["mfa_enabled"], 1);
        let token = owner.first_step().await;
        verify(&server, &token, "email", "123456").await.expect(401);
        let asked = challenge(&server, &token, "email").await.expect(200).body;
        assert_eq!((&asked["destination"], &asked["resend_after"]), (&json!("a•••@example.com"), &json!(60)));
        let first = mailed_code(&server, &owner.email).await;
        let pause = challenge(&server, &token, "email").await.expect(429);
        assert!((1..=60).contains(&pause.header("retry-after").parse::<u64>().unwrap()));
        // A login's code is that login's alone.
        let other = owner.first_step().await;
        verify(&server, &other, "email", &first).await.expect(401);
        server.clock.advance(Duration::from_mins(1));
        challenge(&server, &token, "email").await.expect(200);
        let second = mailed_code(&server, &owner.email).await;
        if first != second {
            verify(&server, &token, "email", &first).await.expect(401);
        }
        let session = verify(&server, &token, "email", &second).await.expect(200).body;
        assert_eq!(session["user"]["mfa_methods"], json!(["email"]));
        verify(&server, &token, "email", &second).await.expect(410);
        server.clock.advance(Duration::from_mins(1));
        challenge(&server, &other, "email").await.expect(200);
        let third = mailed_code(&server, &owner.email).await;
        server.clock.advance(Duration::from_mins(10));
        verify(&server, &other, "email", &third).await.expect(410);
        challenge(&server, &other, "email").await.expect(401);
    }

    async fn mails_need_a_confirmed_address(server: Server) {
        let owner = Person::owner(&server).await;
        let email = owner.email.clone();
        server.app.store().write("test", move |tx| {
            diesel::update(users::table.filter(users::email.eq(&email)))
                .set(users::email_verified.eq(false))
                .execute(tx.conn())?;
            Ok::<_, StoreError>(())
        }).await.unwrap();
        owner.client.post("/v1/auth/mfa/email/enable", &json!({})).await.expect(409);
        assert_eq!(owner.status().await["enabled"], false);
    }

    async fn disabling_needs_a_proof(server: Server) {
        let mut owner = Person::owner(&server).await.enrol().await.take_mails().await;
        owner.grow_old().await;
        let (totp, email) = ("/v1/auth/mfa/totp/disable", "/v1/auth/mfa/email/disable");
        let refused = owner.client.post(totp, &json!({})).await.expect(403).body;
        assert_eq!(refused["code"], "reauthentication_required");
        let refused = owner.client.post(totp, &json!({"password": "Wrong-Guess-1"})).await.expect(400).body;
        assert_eq!(refused, json!({"password": ["This password is not correct."]}));
        for code in [owner.wrong_code().as_str(), "aaaaa-aaaaa", "no code at all"] {
            let refused = owner.client.post(totp, &json!({ "code": code })).await.expect(400).body;
            assert_eq!(refused["code"], "invalid_code");
        }
        assert_eq!(owner.status().await["methods"][0]["is_enabled"], true);
        let status = owner.client.post(email, &json!({ "code": owner.recovery_codes[0] })).await.expect(200).body;
        assert_eq!((&status["methods"][1]["is_enabled"], &status["recovery_codes_remaining"]), (&json!(false), &json!(9)));
        // A proof is used up, and the next one can't be it.
        owner.client.post(totp, &json!({ "code": owner.recovery_codes[0] })).await.expect(400);
        let token = owner.first_step().await;
        let trusting = json!({"mfa_token": token, "method": "totp", "code": owner.next_code(), "remember_device": true});
        server.anonymous().post("/v1/auth/mfa/verify", &trusting).await.expect(200);
        let waiting = owner.first_step().await;
        let status = owner.client.post(totp, &json!({ "code": owner.next_code() })).await.expect(200).body;
        assert_eq!((&status["enabled"], &status["recovery_codes_remaining"], &status["default_method"]), (&json!(false), &json!(0), &Value::Null));
        assert_eq!(owner.client.get("/v1/auth/mfa/trusted-devices").await.expect(200).body, json!([]));
        assert_eq!(owner.password_login(json!({})).await.body["mfa_required"], false);
        // Once more is no change.
        owner.client.post(totp, &json!({ "password": owner.password })).await.expect(200);
        assert_eq!(events(&server).await["mfa_disabled"], 2);
        let told = subjects(&server, &owner.email).await;
        assert_eq!(told.iter().filter(|subject| *subject == "Two-factor authentication is off").count(), 2, "{told:?}");
        // A login that waited for the app can't be completed with it any more.
        verify(&server, &waiting, "totp", &owner.next_code()).await.expect(401);
    }

    async fn a_recent_login_needs_no_proof(server: Server) {
        let owner = Person::owner(&server).await.enrol().await;
        let status = owner.client.post("/v1/auth/mfa/totp/disable", &json!({})).await.expect(200).body;
        assert_eq!(status["enabled"], false);
    }

    async fn the_default_can_be_chosen(server: Server) {
        let owner = Person::owner(&server).await.enrol().await;
        let path = "/v1/auth/mfa";
        owner.client.patch(path, &json!({"default_method": "email"})).await.expect(409);
        owner.client.patch(path, &json!({"default_method": "recovery_code"})).await.expect(400);
        owner.client.patch(path, &json!({})).await.expect(400);
        let owner = owner.take_mails().await;
        let before = owner.client.get(path).await.expect(200);
        assert_eq!(before.body["default_method"], "totp");
        let changed = owner.client.patch(path, &json!({"default_method": "email"})).await.expect(200);
        assert_eq!(changed.body["default_method"], "email");
        assert_eq!(owner.password_login(json!({})).await.body["mfa_default_method"], "email");
        let stale = [("if-match", before.header("etag"))];
        let body = json!({"default_method": "totp"}).to_string();
        owner.client.send(Method::PATCH, path, &stale, Some(body)).await.expect(412);
        // What stays the same is no change.
        let same = owner.client.patch(path, &json!({"default_method": "email"})).await.expect(200);
        assert_eq!(same.header("etag"), changed.header("etag"));
        // The default goes with its method.
        let left = owner.client.post("/v1/auth/mfa/email/disable", &json!({})).await.expect(200).body;
        assert_eq!(left["default_method"], "totp");
    }

    async fn secrets_do_not_lie_readable(server: Server) {
        let owner = Person::owner(&server).await.enrol().await.take_mails().await;
        let token = owner.first_step().await;
        challenge(&server, &token, "email").await.expect(200);
        let code = mailed_code(&server, &owner.email).await;
        let rows = server.app.store().read("test", |conn| {
            let secrets: Vec<Option<String>> = mfa_methods::table.select(mfa_methods::secret).load(conn)?;
            let mut kept: Vec<String> = secrets.into_iter().flatten().collect();
            kept.extend(recovery_codes::table.select(recovery_codes::code_hash).load::<String>(conn)?);
            let proofs: Vec<(Option<String>, Option<String>, String)> = challenges::table
                .select((challenges::token_hash, challenges::code_hash, challenges::payload))
                .load(conn)?;
            for (token, code, payload) in proofs {
                kept.extend([token.unwrap_or_default(), code.unwrap_or_default(), payload]);
            }
            kept.extend(security_events::table.select(security_events::metadata).load::<String>(conn)?);
            Ok::<_, StoreError>(kept.join("\n"))
        });
        let kept = rows.await.unwrap();
        assert!(kept.len() > 1000);
        let mut secrets = owner.recovery_codes.clone();
        secrets.extend(owner.recovery_codes.iter().map(|code| code.replace('-', "")));
        secrets.extend([owner.secret.clone(), token]);
        for secret in secrets {
            assert!(!kept.contains(&secret), "{secret}");
        }
        assert!(!kept.contains(&format!("\"{code}\"")) && !kept.contains(&format!("\n{code}\n")));
        let log = format!("/v1/organizations/{}/audit-logs", server.facts.owner.organization_id);
        let log = owner.client.get(&log).await.expect(200).text;
        assert!(!log.contains(&owner.secret) && !log.contains(&owner.recovery_codes[0]));
    }
}
