//! Somebody who has second factors, and what is done with them.
//!
//! The app is `oathtool`, the phone's camera `zbarimg`: neither shares code with onet.

use std::{collections::HashMap, io::Write, process::Command, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use diesel::{QueryDsl, RunQueryDsl};
use identity::schema::security_events;
use kernel::{store::StoreError, time::Time};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, Client, Server};

pub(super) const STEP: Duration = Duration::from_secs(30);

/// What an app with this secret shows at `time`.
pub(super) fn app_code(secret: &str, time: Time) -> String {
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
pub(super) fn scanned(data_uri: &str) -> String {
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
pub(super) struct Person<'s> {
    pub(super) server: &'s Server,
    pub(super) email: String,
    pub(super) password: String,
    pub(super) client: Client,
    pub(super) refresh: String,
    pub(super) secret: String,
    pub(super) recovery_codes: Vec<String>,
}

impl<'s> Person<'s> {
    pub(super) async fn owner(server: &'s Server) -> Self {
        Self::of(server, &server.facts.owner.email, &server.facts.owner.password).await
    }

    pub(super) async fn stranger(server: &'s Server) -> Self {
        Self::of(
            server,
            &server.facts.stranger.email,
            &server.facts.stranger.password,
        )
        .await
    }

    pub(super) async fn of(server: &'s Server, email: &str, password: &str) -> Self {
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
    pub(super) async fn enrol(mut self) -> Self {
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
    pub(super) async fn take_mails(mut self) -> Self {
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

    pub(super) fn code(&self) -> String {
        app_code(&self.secret, self.server.clock.now())
    }

    /// The next code of the app: the present one may be spent.
    pub(super) fn next_code(&self) -> String {
        self.server.clock.advance(STEP);
        self.code()
    }

    pub(super) fn wrong_code(&self) -> String {
        let right: Vec<String> = (0..4)
            .map(|step| app_code(&self.secret, self.server.clock.now() + STEP * step - STEP))
            .collect();
        (0..)
            .map(|guess| format!("{guess:06}"))
            .find(|guess| !right.contains(guess))
            .unwrap()
    }

    pub(super) async fn password_login(&self, more: Value) -> Answer {
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
    pub(super) async fn first_step(&self) -> String {
        let answer = self.password_login(json!({})).await.body;
        assert_eq!(answer["mfa_required"], true, "{answer}");
        assert!(answer["access"].is_null() && answer["refresh"].is_null() && answer["user"].is_null());
        answer["mfa_token"].as_str().unwrap().to_owned()
    }

    /// A refreshed access token: the session goes on, but the login is as old as it is.
    pub(super) async fn refreshed(&mut self) {
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
    pub(super) async fn grow_old(&mut self) {
        self.server.clock.advance(Duration::from_mins(16));
        self.refreshed().await;
    }

    pub(super) async fn status(&self) -> Value {
        self.client.get("/v1/auth/mfa").await.expect(200).body
    }
}

pub(super) fn texts(list: &Value) -> Vec<String> {
    let texts = list.as_array().unwrap_or_else(|| panic!("no list: {list}"));
    texts
        .iter()
        .map(|text| text.as_str().unwrap().to_owned())
        .collect()
}

pub(super) async fn verify(server: &Server, token: &str, method: &str, code: &str) -> Answer {
    let body = json!({ "mfa_token": token, "method": method, "code": code });
    server.anonymous().post("/v1/auth/mfa/verify", &body).await
}

/// The same from another address, told by a proxy that the server trusts.
pub(super) async fn verify_from(
    server: &Server,
    address: &str,
    token: &str,
    method: &str,
    code: &str,
) -> Answer {
    let body = json!({ "mfa_token": token, "method": method, "code": code }).to_string();
    let from = [("x-forwarded-for", address)];
    server
        .anonymous()
        .send(Method::POST, "/v1/auth/mfa/verify", &from, Some(body))
        .await
}

pub(super) async fn challenge(server: &Server, token: &str, method: &str) -> Answer {
    let body = json!({ "mfa_token": token, "method": method });
    server.anonymous().post("/v1/auth/mfa/challenge", &body).await
}

/// The code in the newest mail.
pub(super) async fn mailed_code(server: &Server, address: &str) -> String {
    let mail = server.mail_to(address).await;
    let code: String = mail.subject.chars().take_while(char::is_ascii_digit).collect();
    assert!(code.len() == 6 && mail.text.contains(&code), "{}", mail.subject);
    code
}

pub(super) async fn subjects(server: &Server, address: &str) -> Vec<String> {
    let mails = server.mails().await.into_iter();
    mails
        .filter(|mail| mail.to == address)
        .map(|mail| mail.subject)
        .collect()
}

/// How often each security event was recorded.
pub(super) async fn events(server: &Server) -> HashMap<String, usize> {
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
pub(super) async fn at_once<F: Future<Output = Answer>>(send: impl Fn(usize) -> F, status: u16) -> usize {
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
