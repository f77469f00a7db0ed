//! Second factors: authenticator app, codes by mail, recovery codes, trusted devices, and confirming who one is.
//!
//! The app is `oathtool`, the phone's camera `zbarimg`: neither shares code with onet.

use std::{collections::HashMap, io::Write, process::Command, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use identity::schema::{challenges, mfa_methods, recovery_codes, security_events, trusted_devices, users};
use kernel::{store::StoreError, time::Time};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, Client, Server, on_both};

const STEP: Duration = Duration::from_secs(30);

/// What an app with this secret shows at `time`.
fn app_code(secret: &str, time: Time) -> String {
    let output = Command::new("oathtool")
        .args(["--totp", "--base32", "--digits=6"])
        .arg(format!("--now=@{}", time.seconds()))
        .arg(secret)
        .output()
        .expect("oathtool runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// What a camera reads in a picture.
fn scanned(data_uri: &str) -> String {
    let picture = data_uri.strip_prefix("data:image/png;base64,").expect("a PNG");
    let mut file = tempfile::Builder::new().suffix(".png").tempfile().unwrap();
    file.write_all(&BASE64_STANDARD.decode(picture).unwrap()).unwrap();
    let output = Command::new("zbarimg")
        .args(["--raw", "--quiet"])
        .arg(file.path())
        .output()
        .expect("zbarimg runs");
    assert!(output.status.success(), "no QR code in the picture");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Somebody with a session and, after [`Person::enrol`], an app.
struct Person<'s> {
    server: &'s Server,
    email: String,
    password: String,
    client: Client,
    refresh: String,
    secret: String,
    recovery_codes: Vec<String>,
}

impl<'s> Person<'s> {
    async fn owner(server: &'s Server) -> Self {
        Self::of(server, &server.facts.owner.email, &server.facts.owner.password).await
    }

    async fn stranger(server: &'s Server) -> Self {
        Self::of(
            server,
            &server.facts.stranger.email,
            &server.facts.stranger.password,
        )
        .await
    }

    async fn of(server: &'s Server, email: &str, password: &str) -> Self {
        let (client, tokens) = server.log_in(email, password).await;
        Self {
            server,
            email: email.to_owned(),
            password: password.to_owned(),
            client,
            refresh: tokens["refresh"].as_str().unwrap().to_owned(),
            secret: String::new(),
            recovery_codes: Vec::new(),
        }
    }

    /// Sets the app up. Its first code is spent by that.
    async fn enrol(mut self) -> Self {
        let setup = self
            .client
            .post("/v1/auth/mfa/totp/setup", &json!({}))
            .await
            .expect(200)
            .body;
        self.secret = setup["secret"].as_str().unwrap().to_owned();
        let code = json!({ "code": self.code() });
        let enabled = self
            .client
            .post("/v1/auth/mfa/totp/confirm", &code)
            .await
            .expect(200)
            .body;
        assert_eq!(
            (&enabled["enabled"], &enabled["method"]),
            (&json!(true), &json!("totp"))
        );
        self.recovery_codes = texts(&enabled["recovery_codes"]);
        self
    }

    /// Switches mailed codes on.
    async fn take_mails(mut self) -> Self {
        let enabled = self
            .client
            .post("/v1/auth/mfa/email/enable", &json!({}))
            .await
            .expect(200)
            .body;
        if !enabled["recovery_codes"].is_null() {
            self.recovery_codes = texts(&enabled["recovery_codes"]);
        }
        self
    }

    fn code(&self) -> String {
        app_code(&self.secret, self.server.clock.now())
    }

    /// The next code of the app: the present one may be spent.
    fn next_code(&self) -> String {
        self.server.clock.advance(STEP);
        self.code()
    }

    fn wrong_code(&self) -> String {
        let right: Vec<String> = (0..4)
            .map(|step| app_code(&self.secret, self.server.clock.now() + STEP * step - STEP))
            .collect();
        (0..)
            .map(|guess| format!("{guess:06}"))
            .find(|guess| !right.contains(guess))
            .unwrap()
    }

    async fn password_login(&self, more: Value) -> Answer {
        let mut body = json!({ "email": self.email, "password": self.password });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        self.server
            .anonymous()
            .post("/v1/auth/login", &body)
            .await
            .expect(200)
    }

    /// The first step of a login, which asks for a second factor.
    async fn first_step(&self) -> String {
        let answer = self.password_login(json!({})).await.body;
        assert_eq!(answer["mfa_required"], true, "{answer}");
        assert!(answer["access"].is_null() && answer["refresh"].is_null() && answer["user"].is_null());
        answer["mfa_token"].as_str().unwrap().to_owned()
    }

    /// A refreshed access token: the session goes on, but the login is as old as it is.
    async fn refreshed(&mut self) {
        let body = json!({ "refresh": self.refresh });
        let tokens = self
            .server
            .anonymous()
            .post("/v1/auth/token/refresh", &body)
            .await
            .expect(200)
            .body;
        self.refresh = tokens["refresh"].as_str().unwrap().to_owned();
        self.client = self.server.client(tokens["access"].as_str().unwrap());
    }

    /// Time passes until the login is no longer a recent one.
    async fn grow_old(&mut self) {
        self.server.clock.advance(Duration::from_mins(16));
        self.refreshed().await;
    }

    async fn status(&self) -> Value {
        self.client.get("/v1/auth/mfa").await.expect(200).body
    }
}

fn texts(list: &Value) -> Vec<String> {
    let texts = list.as_array().unwrap_or_else(|| panic!("no list: {list}"));
    texts
        .iter()
        .map(|text| text.as_str().unwrap().to_owned())
        .collect()
}

async fn verify(server: &Server, token: &str, method: &str, code: &str) -> Answer {
    let body = json!({ "mfa_token": token, "method": method, "code": code });
    server.anonymous().post("/v1/auth/mfa/verify", &body).await
}

/// The same from another address, told by a proxy that the server trusts.
async fn verify_from(server: &Server, address: &str, token: &str, method: &str, code: &str) -> Answer {
    let body = json!({ "mfa_token": token, "method": method, "code": code }).to_string();
    let from = [("x-forwarded-for", address)];
    server
        .anonymous()
        .send(Method::POST, "/v1/auth/mfa/verify", &from, Some(body))
        .await
}

async fn challenge(server: &Server, token: &str, method: &str) -> Answer {
    let body = json!({ "mfa_token": token, "method": method });
    server.anonymous().post("/v1/auth/mfa/challenge", &body).await
}

/// The code in the newest mail.
async fn mailed_code(server: &Server, address: &str) -> String {
    let mail = server.mail_to(address).await;
    let code: String = mail.subject.chars().take_while(char::is_ascii_digit).collect();
    assert!(code.len() == 6 && mail.text.contains(&code), "{}", mail.subject);
    code
}

async fn subjects(server: &Server, address: &str) -> Vec<String> {
    let mails = server.mails().await.into_iter();
    mails
        .filter(|mail| mail.to == address)
        .map(|mail| mail.subject)
        .collect()
}

/// How often each security event was recorded.
async fn events(server: &Server) -> HashMap<String, usize> {
    let read = server.app.store().read("test", |conn| {
        let events: Vec<String> = security_events::table.select(security_events::event).load(conn)?;
        Ok::<_, StoreError>(events)
    });
    let mut counts = HashMap::new();
    for event in read.await.unwrap() {
        *counts.entry(event).or_default() += 1;
    }
    counts
}

/// Sends eight at once; how many were answered with `status`.
async fn at_once<F: Future<Output = Answer>>(send: impl Fn(usize) -> F, status: u16) -> usize {
    let answers = tokio::join!(
        send(0),
        send(1),
        send(2),
        send(3),
        send(4),
        send(5),
        send(6),
        send(7)
    );
    let answers: [Answer; 8] = answers.into();
    answers.iter().filter(|answer| answer.status == status).count()
}

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
