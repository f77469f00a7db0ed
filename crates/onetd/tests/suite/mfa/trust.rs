//! Devices that skip the second factor, and confirming who one is.

use std::time::Duration;

use diesel::{QueryDsl, RunQueryDsl};
use identity::schema::trusted_devices;
use kernel::store::StoreError;
use serde_json::json;
use testkit::on_both;

use super::person::{Person, mailed_code, texts, verify};

on_both! {
    async fn trusted_devices_skip_the_second_factor(server: Server) {
        let owner = Person::owner(&server).await.enrol().await;
        let token = owner.first_step().await;
        let trusting = json!({"mfa_token": token, "method": "totp", "code": owner.next_code(), "remember_device": true, "device_name": "Laptop"});
        let session = server.anonymous().post("/v1/auth/mfa/verify", &trusting).await.expect(200).body;
        let device = session["trusted_device_token"].as_str().unwrap().to_owned();
        let with = json!({ "trusted_device_token": device });
        let login = owner.password_login(with.clone()).await.body;
        assert!(login["mfa_required"] == false && login["trusted_device_token"].is_null(), "{login}");
        assert_eq!(owner.password_login(json!({"trusted_device_token": "x".repeat(40)})).await.body["mfa_required"], true);
        let list = owner.client.get("/v1/auth/mfa/trusted-devices").await.expect(200);
        assert!(!list.text.contains(&device));
        assert_eq!((&list.body[0]["name"], &list.body[0]["ip_address"]), (&json!("Laptop"), &json!("127.0.0.1")));
        assert!(!list.body[0]["last_used_at"].is_null());
        // Neither somebody else's login nor somebody else's hand.
        let stranger = Person::stranger(&server).await.enrol().await;
        assert_eq!(stranger.password_login(with.clone()).await.body["mfa_required"], true);
        let one = format!("/v1/auth/mfa/trusted-devices/{}", list.body[0]["id"].as_str().unwrap());
        stranger.client.delete(&one).await.expect(404);
        stranger.client.delete("/v1/auth/mfa/trusted-devices").await.expect(204);
        assert_eq!(stranger.client.get("/v1/auth/mfa/trusted-devices").await.expect(200).body, json!([]));
        assert_eq!(owner.password_login(with.clone()).await.body["mfa_required"], false);
        owner.client.delete(&one).await.expect(204);
        owner.client.delete(&one).await.expect(404);
        assert_eq!(owner.password_login(with).await.body["mfa_required"], true);
    }

    async fn trust_ends_in_time_and_by_wish(server: Server) {
        let owner = Person::owner(&server).await.enrol().await;
        let trust = async || {
            let body = json!({"mfa_token": owner.first_step().await, "method": "totp", "code": owner.next_code(), "remember_device": true});
            let session = server.anonymous().post("/v1/auth/mfa/verify", &body).await.expect(200).body;
            json!({ "trusted_device_token": session["trusted_device_token"] })
        };
        let (one, other) = (trust().await, trust().await);
        owner.client.delete("/v1/auth/mfa/trusted-devices").await.expect(204);
        for device in [one, other] {
            assert_eq!(owner.password_login(device).await.body["mfa_required"], true);
        }
        let device = trust().await;
        server.clock.advance(Duration::from_hours(30 * 24 - 1));
        assert_eq!(owner.password_login(device.clone()).await.body["mfa_required"], false);
        server.clock.advance(Duration::from_hours(1));
        assert_eq!(owner.password_login(device).await.body["mfa_required"], true);
        // Their number is bounded.
        for _ in 0..22 {
            trust().await;
        }
        let kept = server.app.store().read("test", |conn| {
            let kept: i64 = trusted_devices::table.count().get_result(conn)?;
            Ok::<_, StoreError>(kept)
        });
        assert_eq!(kept.await.unwrap(), 20);
    }

    async fn confirming_opens_a_window(server: Server) {
        let mut owner = Person::owner(&server).await.enrol().await;
        owner.grow_old().await;
        let path = "/v1/auth/reauthenticate";
        let renew = "/v1/auth/mfa/recovery-codes";
        let required = json!(["This field is required."]);
        for (method, field) in [("password", "password"), ("totp", "code"), ("recovery_code", "code")] {
            let faults = owner.client.post(path, &json!({ "method": method })).await.expect(400).body;
            assert_eq!(faults, json!({ field: required }));
        }
        // Without a proof a passkey is asked for, where there is one.
        let faults = owner.client.post(path, &json!({ "method": "webauthn" })).await.expect(400).body;
        assert_eq!(faults, json!({"method": ["This account has no passkey."]}));
        let refused = owner.client.post(path, &json!({"method": "password", "password": "Wrong-Guess-1"})).await.expect(400).body;
        assert_eq!(refused, json!({"password": ["This password is not correct."]}));
        for (method, code) in [("totp", owner.wrong_code()), ("recovery_code", "aaaaa-aaaaa".to_owned()), ("email", "123456".to_owned())] {
            let refused = owner.client.post(path, &json!({ "method": method, "code": code })).await.expect(400).body;
            assert_eq!(refused["code"], "invalid_code");
        }
        let passkey = json!({"method": "webauthn", "credential": {"credential": {}}});
        owner.client.post(path, &passkey).await.expect(400);
        owner.client.post(renew, &json!({})).await.expect(403);
        for method in ["totp", "recovery_code", "password"] {
            let body = match method {
                "totp" => json!({ "method": method, "code": owner.next_code() }),
                "recovery_code" => json!({ "method": method, "code": owner.recovery_codes[0] }),
                _ => json!({ "method": method, "password": owner.password }),
            };
            let window = owner.client.post(path, &body).await.expect(200).body;
            assert_eq!(window["expires_in"], 900);
            let fresh = owner.client.post(renew, &json!({})).await.expect(201).body;
            assert!(fresh["generated_at"].is_string());
            if method != "password" {
                owner.client.post(path, &body).await.expect(400);
            }
            owner.recovery_codes = texts(&fresh["recovery_codes"]);
            owner.grow_old().await;
            owner.client.post(renew, &json!({})).await.expect(403);
        }
    }

    async fn a_mailed_confirmation_is_one_sessions(server: Server) {
        let mut owner = Person::owner(&server).await;
        let mut elsewhere = Person::owner(&server).await;
        owner.grow_old().await;
        elsewhere.refreshed().await;
        let path = "/v1/auth/reauthenticate";
        let asked = owner.client.post(path, &json!({"method": "email"})).await.expect(202).body;
        assert_eq!((&asked["method"], &asked["destination"]), (&json!("email"), &json!("a•••@example.com")));
        owner.client.post(path, &json!({"method": "email"})).await.expect(429);
        let code = mailed_code(&server, &owner.email).await;
        let confirm = json!({ "method": "email", "code": code });
        elsewhere.client.post(path, &confirm).await.expect(400);
        owner.client.post(path, &confirm).await.expect(200);
        owner.client.post(path, &confirm).await.expect(400);
        let keys = server.owner().post(path, &json!({"method": "email"})).await.expect(403);
        assert_eq!(keys.body["code"], "permission_denied");
        // A mailed code proves nothing where a login is to be completed.
        let enrolled = owner.take_mails().await;
        let token = enrolled.first_step().await;
        server.clock.advance(Duration::from_mins(2));
        enrolled.client.post(path, &json!({"method": "email"})).await.expect(202);
        let code = mailed_code(&server, &enrolled.email).await;
        verify(&server, &token, "email", &code).await.expect(401);
    }
}
