//! A login at an OpenID Connect provider that others have written (`oidc-provider-mock`), over the whole way.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use kernel::config::OauthKind;
use serde_json::json;
use testkit::{Engine, Server};

use super::oauth_double;

/// The provider's process; it ends with the test.
struct Provider {
    process: Child,
    base: String,
    browser: reqwest::Client,
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Provider {
    /// Starts it, where the test command has installed it; without it this test can't run and says so.
    async fn start() -> Option<Self> {
        let Some(folder) = std::env::var_os("ONET_TEST_PYTHON_BIN") else {
            eprintln!("skipped: oidc-provider-mock is installed by `cargo xtask test`");
            return None;
        };
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let process = Command::new(std::path::Path::new(&folder).join("oidc-provider-mock"))
            .args(["--port", &port.to_string(), "--require-nonce"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("oidc-provider-mock starts");
        kernel::outbound::install_tls();
        let browser = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let provider = Self {
            process,
            base: format!("http://127.0.0.1:{port}"),
            browser,
        };
        let began = Instant::now();
        let document = format!("{}/.well-known/openid-configuration", provider.base);
        while provider.browser.get(&document).send().await.is_err() {
            assert!(began.elapsed() < Duration::from_secs(60), "it does not answer");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Some(provider)
    }

    /// Logs `sub` in at the provider's page and agrees: the page that the browser is sent back to.
    async fn consent(&self, url: &str, sub: &str) -> reqwest::Url {
        let form = self
            .browser
            .post(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("sub={sub}"));
        let answer = form.send().await.unwrap();
        assert_eq!(answer.status(), 302);
        answer.headers()["location"].to_str().unwrap().parse().unwrap()
    }
}

async fn whole_way(engine: Engine) {
    let Some(provider) = Provider::start().await else {
        return;
    };
    let server = Server::start(engine, |config| {
        let settings = oauth_double::settings(OauthKind::Oidc, &provider.base);
        config.auth.oauth.insert("company".to_owned(), settings);
    })
    .await;
    let person = json!({"email": "ada@example.org", "email_verified": true, "given_name": "Ada", "family_name": "Lovelace"});
    let told = provider
        .browser
        .put(format!("{}/users/ada", provider.base))
        .json(&person);
    assert!(told.send().await.unwrap().status().is_success());
    let client = server.anonymous();
    let page = format!("{}/account/oauth/callback", server.app.config().server.base_url());
    let mut ids = Vec::new();
    for _ in 0..2 {
        let way = client
            .post("/v1/auth/oauth/company/authorize", &json!({"redirect_uri": page}))
            .await
            .expect(200)
            .body;
        let back = provider
            .consent(way["authorization_url"].as_str().unwrap(), "ada")
            .await;
        assert!(back.as_str().starts_with(&page), "{back}");
        let answer: std::collections::HashMap<String, String> = back.query_pairs().into_owned().collect();
        assert_eq!(answer["state"], way["state"].as_str().unwrap());
        let body = json!({"code": answer["code"], "state": answer["state"], "redirect_uri": page});
        let login = client
            .post("/v1/auth/oauth/company/callback", &body)
            .await
            .expect(200)
            .body;
        assert_eq!(login["user"]["email"], "ada@example.org");
        assert_eq!(login["user"]["name"], "Ada Lovelace");
        ids.push(login["user"]["id"].clone());
        client
            .post("/v1/auth/oauth/company/callback", &body)
            .await
            .expect(401);
    }
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite() {
    whole_way(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres() {
    whole_way(Engine::Postgres).await;
}
