//! Whoever guesses codes comes nowhere, and no code opens two sessions.

use std::time::Duration;

use serde_json::json;
use testkit::on_both;

use super::person::{Person, at_once, challenge, events, mailed_code, subjects, texts, verify, verify_from};

on_both! {
    async fn five_failures_end_a_login(server: Server) {
        let owner = Person::owner(&server).await.enrol().await;
        let token = owner.first_step().await;
        for _ in 0..5 {
            verify(&server, &token, "totp", &owner.wrong_code()).await.expect(401);
        }
        verify(&server, &token, "totp", &owner.next_code()).await.expect(410);
        // The next login is another chance.
        let token = owner.first_step().await;
        verify(&server, &token, "totp", &owner.next_code()).await.expect(200);
        // Failures of all methods count together.
        let token = owner.first_step().await;
        for (method, code) in [("totp", "000000"), ("recovery_code", "aaaaa-aaaaa"), ("recovery_code", "x"), ("totp", "x"), ("recovery_code", "123456")] {
            verify(&server, &token, method, code).await.expect(401);
        }
        verify(&server, &token, "recovery_code", &owner.recovery_codes[0]).await.expect(410);
    }

    async fn a_thousand_guesses_are_impossible(server: Server, |config| {
        config.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    }) {
        let owner = Person::owner(&server).await.enrol().await;
        let wrong = owner.wrong_code();
        // Somebody who knows the password, with as many addresses and logins as they like.
        let (mut judged, mut token) = (0, owner.first_step().await);
        for guess in 0..100 {
            let address = format!("203.0.113.{guess}");
            let answer = verify_from(&server, &address, &token, "totp", &wrong).await;
            match answer.status {
                401 => judged += 1,
                410 => token = owner.first_step().await,
                _ => {
                    assert!(answer.header("retry-after").parse::<u64>().unwrap() <= 3600, "{}", answer.text);
                    answer.expect(429);
                }
            }
        }
        assert_eq!(judged, 10);
        // Not even the right code gets an answer, nor a recovery code.
        let token = owner.first_step().await;
        verify_from(&server, "198.51.100.1", &token, "totp", &owner.next_code()).await.expect(429);
        verify_from(&server, "198.51.100.1", &token, "recovery_code", &owner.recovery_codes[0]).await.expect(429);
        // The user's own device is not kept out, and the user is told.
        verify(&server, &token, "totp", &owner.code()).await.expect(200);
        assert_eq!(events(&server).await["account_locked"], 1);
        let told = subjects(&server, &owner.email).await;
        assert_eq!(told.iter().filter(|subject| subject.contains("is locked for a while")).count(), 1, "{told:?}");
        server.clock.advance(Duration::from_hours(1));
        let token = owner.first_step().await;
        verify_from(&server, "198.51.100.1", &token, "totp", &owner.code()).await.expect(200);
        // Who goes on guessing waits twice as long.
        for address in ["203.0.113.1", "203.0.113.2"] {
            let token = owner.first_step().await;
            for _ in 0..5 {
                verify_from(&server, address, &token, "totp", &wrong).await.expect(401);
            }
        }
        let token = owner.first_step().await;
        let refused = verify_from(&server, "203.0.113.3", &token, "totp", &wrong).await.expect(429);
        assert!(refused.header("retry-after").parse::<u64>().unwrap() > 3600, "{}", refused.text);
    }

    async fn many_guesses_at_once_are_no_more(server: Server) {
        let owner = Person::owner(&server).await.enrol().await;
        let wrong = owner.wrong_code();
        let mut judged = 0;
        for _ in 0..4 {
            let token = owner.first_step().await;
            judged += at_once(|_| verify(&server, &token, "totp", &wrong), 401).await;
        }
        assert_eq!(judged, 10);
    }

    async fn one_code_used_at_once_opens_one_session(server: Server) {
        let owner = Person::owner(&server).await.enrol().await.take_mails().await;
        let code = owner.next_code();
        let mut tokens = Vec::new();
        for _ in 0..8 {
            tokens.push(owner.first_step().await);
        }
        // Eight logins with the app's one code; then with one recovery code; then one login, eight times.
        assert_eq!(at_once(|i| verify(&server, &tokens[i], "totp", &code), 200).await, 1);
        server.clock.advance(Duration::from_hours(1));
        let mut tokens = Vec::new();
        for _ in 0..8 {
            tokens.push(owner.first_step().await);
        }
        let code = &owner.recovery_codes[3];
        assert_eq!(at_once(|i| verify(&server, &tokens[i], "recovery_code", code), 200).await, 1);
        let token = owner.first_step().await;
        challenge(&server, &token, "email").await.expect(200);
        let code = mailed_code(&server, &owner.email).await;
        assert_eq!(at_once(|_| verify(&server, &token, "email", &code), 200).await, 1);
    }

    async fn recovery_codes_work_once_however_typed(server: Server) {
        let mut owner = Person::owner(&server).await.enrol().await;
        let codes = owner.recovery_codes.clone();
        let typed = [codes[0].clone(), codes[1].to_uppercase(), codes[2].replace('-', " "), codes[3].replace('-', "")];
        for code in &typed {
            let token = owner.first_step().await;
            verify(&server, &token, "recovery_code", code).await.expect(200);
            let token = owner.first_step().await;
            verify(&server, &token, "recovery_code", code).await.expect(401);
        }
        let status = owner.client.get("/v1/auth/mfa/recovery-codes").await.expect(200).body;
        assert_eq!((&status["total"], &status["remaining"]), (&json!(10), &json!(6)));
        assert!(server.mails().await.iter().any(|mail| mail.subject == "A recovery code was used" && mail.text.contains("Codes left: 6")));
        owner.grow_old().await;
        let renew = "/v1/auth/mfa/recovery-codes";
        let refused = owner.client.post(renew, &json!({})).await.expect(403).body;
        assert_eq!(refused["code"], "reauthentication_required");
        let by_password = json!({"method": "password", "password": owner.password});
        owner.client.post("/v1/auth/reauthenticate", &by_password).await.expect(200);
        let fresh = owner.client.post(renew, &json!({})).await.expect(201).body;
        assert_eq!(texts(&fresh["recovery_codes"]).len(), 10);
        let token = owner.first_step().await;
        verify(&server, &token, "recovery_code", &codes[5]).await.expect(401);
        verify(&server, &token, "recovery_code", fresh["recovery_codes"][0].as_str().unwrap()).await.expect(200);
        // Another user's codes are nobody else's.
        let stranger = Person::stranger(&server).await.enrol().await;
        let token = stranger.first_step().await;
        verify(&server, &token, "recovery_code", fresh["recovery_codes"][1].as_str().unwrap()).await.expect(401);
        let events = events(&server).await;
        assert_eq!((events["recovery_code_used"], events["recovery_codes_regenerated"]), (5, 1));
    }

    async fn recovery_codes_need_a_second_factor(server: Server) {
        let owner = Person::owner(&server).await;
        owner.client.post("/v1/auth/mfa/recovery-codes", &json!({})).await.expect(409);
        let status = owner.client.get("/v1/auth/mfa/recovery-codes").await.expect(200).body;
        assert_eq!(status, json!({"total": 0, "remaining": 0, "generated_at": null}));
    }

    async fn tokens_can_not_be_swapped(server: Server) {
        let owner = Person::owner(&server).await.enrol().await;
        let token = owner.first_step().await;
        let anonymous = server.anonymous();
        anonymous.post("/v1/auth/token/refresh", &json!({ "refresh": token })).await.expect(401);
        server.client(&token).get("/v1/auth/me").await.expect(401);
        let code = owner.next_code();
        let long = "x".repeat(10_000);
        for other in [owner.refresh.as_str(), owner.client.bearer(), "garbage", "'; drop table users", &long] {
            let refused = verify(&server, other, "totp", &code).await.expect(401).body;
            assert_eq!(refused["code"], "token_not_valid");
            challenge(&server, other, "totp").await.expect(401);
        }
        // A token of a login is that user's: another's code does not complete it.
        let stranger = Person::stranger(&server).await.enrol().await;
        verify(&server, &stranger.first_step().await, "totp", &code).await.expect(401);
        for method in ["email", "webauthn"] {
            let refused = challenge(&server, &token, method).await.expect(400).body;
            assert_eq!(refused, json!({"method": ["This login can't be completed with this method."]}));
        }
        let verify_at = "/v1/auth/mfa/verify";
        let body = json!({"mfa_token": token, "method": "webauthn", "credential": {"credential": {"id": "x"}}});
        anonymous.post(verify_at, &body).await.expect(400);
        let required = json!(["This field is required."]);
        let faults = anonymous.post(verify_at, &json!({})).await.expect(400).body;
        assert_eq!(faults, json!({"mfa_token": required, "method": required}));
        for (method, field) in [("totp", "code"), ("email", "code"), ("recovery_code", "code"), ("webauthn", "credential")] {
            let faults = anonymous.post(verify_at, &json!({"mfa_token": token, "method": method})).await.expect(400).body;
            assert_eq!(faults, json!({ field: required }));
        }
        let faults = json!({"mfa_token": 1, "method": "pigeon", "code": "x".repeat(33), "remember_device": "yes", "device_name": "x".repeat(101)});
        let faults = anonymous.post(verify_at, &faults).await.expect(400).body;
        assert_eq!(faults.as_object().unwrap().len(), 5, "{faults}");
        // None of that was a guess.
        verify(&server, &token, "totp", &code).await.expect(200);
    }

    async fn guesses_in_a_session_are_counted(server: Server) {
        let owner = Person::owner(&server).await.enrol().await;
        let body = json!({"method": "totp", "code": owner.wrong_code()});
        let path = "/v1/auth/reauthenticate";
        let mut judged = 0;
        for _ in 0..3 {
            judged += at_once(|_| owner.client.post(path, &body), 400).await;
        }
        assert_eq!(judged, 10);
        let right = json!({"method": "totp", "code": owner.next_code()});
        owner.client.post(path, &right).await.expect(429);
        let body = json!({"password": "Wrong-Guess-1"});
        let disable = "/v1/auth/mfa/totp/disable";
        for _ in 0..5 {
            owner.client.post(disable, &body).await.expect(400);
        }
        owner.client.post(disable, &json!({"password": owner.password})).await.expect(429);
    }
}
