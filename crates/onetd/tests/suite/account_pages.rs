//! The pages to log in and to look after an account: as files, and in a browser.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use testkit::{Engine, Server, on_both};
use tokio::net::{TcpListener, TcpStream};

on_both! {
    async fn pages_load_nothing_from_elsewhere_and_change_nothing(server: Server) {
        let anonymous = server.anonymous();
        for page in ["login", "register", "verify-email?token=x", "reset-password?token=x", "confirm-email?token=x",
            "invitation?token=x", "oauth/callback?code=x&state=y", "security"] {
            let answer = anonymous.get(&format!("/account/{page}")).await.expect(200);
            assert!(answer.header("content-security-policy").starts_with("default-src 'none'; script-src 'self';"));
            assert_eq!(answer.header("referrer-policy"), "no-referrer");
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
            assert!(!answer.text.contains("http") && !answer.text.contains("<style"), "{page}");
        }
        let main = anonymous.get("/account/assets/main.js").await.expect(200);
        assert!(main.header("content-type").starts_with("text/javascript"));
        for line in main.text.lines().filter_map(|line| line.split_once("from \"./")) {
            let file = line.1.trim_end_matches("\";");
            anonymous.get(&format!("/account/assets/{file}")).await.expect(200);
        }
        anonymous.get("/account/assets/mod.rs").await.expect(404);
        anonymous.get("/account/elsewhere").await.expect(404);
    }

    async fn an_installation_with_a_console_has_none(server: Server, |config| { config.server.account_pages = false; }) {
        server.anonymous().get("/account/login").await.expect(404);
        server.anonymous().get("/account/assets/main.js").await.expect(404);
    }

    async fn mailed_links_open_by_post_alone(server: Server) {
        let anonymous = server.anonymous();
        let email = &server.facts.owner.email;
        let wanted = json!({"email": email, "method": "magic_link"});
        anonymous.post("/v1/auth/passwordless/request", &wanted).await.expect(202);
        let mail = server.mail_to(email).await;
        let (_, token) = mail.text.split_once("/account/login?token=").unwrap();
        let token = token.split_whitespace().next().unwrap();
        // As a mail scanner does.
        for _ in 0..3 {
            anonymous.get(&format!("/account/login?token={token}")).await.expect(200);
        }
        anonymous.post("/v1/auth/passwordless/verify", &json!({"token": token})).await.expect(200);
    }
}

/// Chromium, driven by W3C WebDriver. Both end with it.
pub(crate) struct Browser {
    driver: Child,
    /// Chromium's own process, which outlives a driver that is killed.
    process: Option<u64>,
    http: reqwest::Client,
    session: String,
    _profile: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(process) = self.process {
            let _ = Command::new("kill").arg(process.to_string()).status();
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

impl Browser {
    /// Nothing if it is not installed.
    pub(crate) async fn start() -> Option<Self> {
        let profile = tempfile::tempdir().unwrap();
        let port = testkit::smtp::free_port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(driver) = driver else {
            eprintln!("skipped: the browser for tests is installed by `cargo xtask test`");
            return None;
        };
        let mut browser = Self {
            driver,
            process: None,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            session: format!("http://127.0.0.1:{port}"),
            _profile: profile,
        };
        browser
            .until("chromedriver answers", async |browser| {
                let status = browser
                    .http
                    .get(format!("{}/status", browser.session))
                    .send()
                    .await;
                status.is_ok()
            })
            .await;
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--lang=en",
            &format!("--user-data-dir={}", browser._profile.path().display()),
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": {"args": arguments}}}});
        let made = browser.call("/session", &wanted).await.expect("a browser");
        browser.process = made["capabilities"]["goog:processID"].as_u64();
        let id = made["sessionId"].as_str().unwrap().to_owned();
        browser.session = format!("{}/session/{id}", browser.session);
        Some(browser)
    }

    /// A command; `None` if it was refused.
    pub(crate) async fn call(&self, command: &str, body: &Value) -> Option<Value> {
        let answer = self
            .http
            .post(format!("{}{command}", self.session))
            .json(body)
            .send()
            .await
            .unwrap();
        let is_done = answer.status().is_success();
        let mut body: Value = answer.json().await.unwrap();
        is_done.then(|| body["value"].take())
    }

    pub(crate) async fn until(&self, what: &str, is_so: impl AsyncFn(&Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !is_so(self).await {
            assert!(
                Instant::now() < end,
                "{what}: not within a minute; the page: {}",
                self.text().await
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn open(&self, url: &str) {
        self.call("/url", &json!({ "url": url })).await.unwrap();
    }

    async fn find(&self, css: &str) -> Option<String> {
        let found = self
            .call("/element", &json!({"using": "css selector", "value": css}))
            .await?;
        let id = found.as_object()?.values().next()?.as_str()?;
        Some(id.to_owned())
    }

    pub(crate) async fn wait_for(&self, css: &str) -> String {
        self.until(css, async |browser| browser.find(css).await.is_some())
            .await;
        self.find(css).await.unwrap()
    }

    pub(crate) async fn enter(&self, css: &str, text: &str) {
        let id = self.wait_for(css).await;
        self.call(&format!("/element/{id}/value"), &json!({ "text": text }))
            .await
            .unwrap();
    }

    pub(crate) async fn click(&self, css: &str) {
        let id = self.wait_for(css).await;
        self.call(&format!("/element/{id}/click"), &json!({}))
            .await
            .unwrap();
    }

    /// What the page says.
    pub(crate) async fn text(&self) -> String {
        let script = json!({"script": "return document.body.innerText", "args": []});
        let text = self.call("/execute/sync", &script).await.unwrap_or_default();
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Closes the browser.
    pub(crate) async fn quit(mut self) {
        self.http.delete(&self.session).send().await.unwrap();
        // Its number may be another's by now.
        self.process = None;
    }
}

/// Leads from `listener`, whose port is known before the server is started, to the server.
pub(crate) fn lead(listener: TcpListener, server: &Server) {
    let to = server.base.trim_start_matches("http://").to_owned();
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let to = to.clone();
            tokio::spawn(async move {
                let mut to = TcpStream::connect(to).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
            });
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_logs_in_with_a_passkey_that_it_has_registered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    let page = origin.clone();
    let server = Server::start(Engine::Sqlite, move |config| {
        config.auth.webauthn_origins = vec![page];
    })
    .await;
    lead(listener, &server);
    let Some(browser) = Browser::start().await else {
        return;
    };
    let authenticator = json!({"protocol": "ctap2", "transport": "internal", "hasResidentKey": true,
        "hasUserVerification": true, "isUserVerified": true});
    browser
        .call("/webauthn/authenticator", &authenticator)
        .await
        .expect("an authenticator");

    let owner = &server.facts.owner;
    browser.open(&format!("{origin}/account/login")).await;
    browser.enter("input[name=email]", &owner.email).await;
    browser.enter("input[name=password]", "Wrong-Guess-1").await;
    browser.click("button.main").await;
    browser.wait_for(".fault").await;
    assert!(browser.text().await.contains("No active account found"));
    browser.open(&format!("{origin}/account/login")).await;
    browser.enter("input[name=email]", &owner.email).await;
    browser.enter("input[name=password]", &owner.password).await;
    browser.click("button.main").await;
    browser.click("#add-passkey").await;
    browser.wait_for(".passkey").await;

    browser.click("#logout").await;
    browser.click("#passkey").await;
    browser.wait_for("#me").await;
    let text = browser.text().await;
    assert!(text.contains(&owner.email), "{text}");
    let this = text
        .lines()
        .skip_while(|line| !line.contains("(this one)"))
        .nth(1)
        .unwrap_or_default();
    assert!(this.ends_with("passkey"), "{text}");
    // The passkey is a second factor now, too: a password alone is not enough any more.
    let by_password = json!({"email": owner.email, "password": owner.password});
    let asked = server
        .anonymous()
        .post("/v1/auth/login", &by_password)
        .await
        .expect(200)
        .body;
    assert_eq!(
        (&asked["mfa_required"], &asked["mfa_methods"]),
        (&json!(true), &json!(["webauthn"]))
    );
    browser.quit().await;
}
