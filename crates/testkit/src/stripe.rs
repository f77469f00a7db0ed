//! Stripe for tests: localstripe, a stateful stand-in that others have written, behind a front of our own.
//!
//! The front does what Stripe documents and localstripe lacks: idempotency keys; `description`, `return_url` and
//! `off_session` of intents; pages to confirm on; banks that want to hear from the payer. It can also lose answers,
//! after the request has been carried out, and forget its keys as Stripe does after a day.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::{OriginalUri, State},
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use url::form_urlencoded;

use crate::smtp::free_port;

/// The key that onetd calls it with.
pub const SECRET_KEY: &str = "sk_test_12345";

/// A running stand-in. Dropping it ends it.
#[derive(Debug)]
pub struct Stripe {
    /// Where onetd finds it.
    pub url: String,
    behind: Behind,
    front: Arc<Front>,
    child: Child,
    _stdin: Option<ChildStdin>,
    serving: JoinHandle<()>,
}

/// localstripe itself.
#[derive(Clone, Debug)]
struct Behind {
    base: String,
    http: reqwest::Client,
}

#[derive(Debug)]
struct Front {
    behind: Behind,
    state: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    answers: BTreeMap<String, (Bytes, StatusCode, Value)>,
    forgets_keys: bool,
    /// The ends of paths whose next answers are lost.
    lost: Vec<String>,
    return_urls: BTreeMap<String, String>,
    /// Intents whose banks want to hear from the payer.
    unheard: BTreeSet<String>,
    keys_seen: Vec<String>,
}

impl Behind {
    async fn call(&self, method: Method, path: &str, form: &[(String, String)]) -> (StatusCode, Value) {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(SECRET_KEY)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        let answer = request.send().await.expect("localstripe answers");
        let status = answer.status();
        let text = answer.text().await.expect("a whole answer");
        (status, serde_json::from_str(&text).unwrap_or_default())
    }
}

impl Stripe {
    /// Starts it. Nothing if the test command has not installed it; says so then.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start() -> Option<Self> {
        let Some(folder) = std::env::var_os("ONET_TEST_PYTHON_BIN") else {
            eprintln!("skipped: localstripe is installed by `cargo xtask test`");
            return None;
        };
        let port = free_port();
        let mut child = Command::new(Path::new(&folder).join("python"))
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/python/stripe_server.py"))
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let stdin = child.stdin.take();
        kernel::outbound::install_tls();
        let http = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("an HTTP client");
        let behind = Behind {
            base: format!("http://127.0.0.1:{port}"),
            http,
        };
        let began = Instant::now();
        while behind
            .http
            .get(format!("{}/v1/charges", behind.base))
            .send()
            .await
            .is_err()
        {
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "localstripe does not answer"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let front = Arc::new(Front {
            behind: behind.clone(),
            state: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound address"));
        let router = Router::new().fallback(serve).with_state(Arc::clone(&front));
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("it serves");
        });
        Some(Self {
            url,
            behind,
            front,
            child,
            _stdin: stdin,
            serving,
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut Known) -> T) -> T {
        change(&mut self.front.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What Stripe's script in the payer's browser gives for a card of this number.
    ///
    /// # Panics
    /// If there is no such card.
    pub async fn card(&self, number: &str) -> String {
        self.method(&[
            ("type", "card"),
            ("card[number]", number),
            ("card[exp_month]", "12"),
            ("card[exp_year]", "2050"),
            ("card[cvc]", "123"),
        ])
        .await
    }

    /// The same for an account.
    ///
    /// # Panics
    /// If there is no such account.
    pub async fn account(&self, iban: &str) -> String {
        self.method(&[("type", "sepa_debit"), ("sepa_debit[iban]", iban)])
            .await
    }

    async fn method(&self, form: &[(&str, &str)]) -> String {
        let (status, made) = self.call("payment_methods", form).await;
        assert_eq!(status, StatusCode::OK, "{made}");
        made["id"].as_str().expect("a name").to_owned()
    }

    /// POST to localstripe itself.
    pub async fn call(&self, path: &str, form: &[(&str, &str)]) -> (StatusCode, Value) {
        let form: Vec<(String, String)> = form
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        self.behind
            .call(Method::POST, &format!("/v1/{path}"), &form)
            .await
    }

    /// GET from localstripe itself.
    pub async fn get(&self, path: &str) -> Value {
        self.behind.call(Method::GET, &format!("/v1/{path}"), &[]).await.1
    }

    /// The payer does, or fails to do, what their bank wants on the page that they were sent to.
    ///
    /// # Panics
    /// If the page is of no open payment.
    pub async fn confirm_on_page(&self, page: &str, success: bool) {
        let intent = page.rsplit('/').next().expect("a page");
        let secret = self.get(&format!("payment_intents/{intent}")).await["client_secret"].clone();
        let form = [
            ("client_secret", secret.as_str().expect("it has a secret")),
            ("success", if success { "true" } else { "false" }),
        ];
        let (status, answer) = self
            .call(&format!("payment_intents/{intent}/_authenticate"), &form)
            .await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }

    /// Charges that have moved money, in hundredths.
    ///
    /// # Panics
    /// If localstripe answers otherwise than it does.
    pub async fn charged(&self) -> Vec<i64> {
        let charges = self.get("charges?limit=100").await;
        let charges = charges["data"].as_array().expect("a list").clone();
        let paid = charges
            .into_iter()
            .filter(|charge| charge["status"] == "succeeded");
        paid.map(|charge| charge["amount"].as_i64().expect("a number"))
            .collect()
    }

    /// Events go to `url` from now on, signed with `secret`.
    ///
    /// # Panics
    /// If localstripe does not take it.
    pub async fn report_to(&self, url: &str, secret: &str) {
        let form = [
            ("url".to_owned(), url.to_owned()),
            ("secret".to_owned(), secret.to_owned()),
        ];
        let (status, _) = self
            .behind
            .call(Method::POST, "/_config/webhooks/onet", &form)
            .await;
        assert_eq!(status, StatusCode::OK);
    }

    /// Carries out the next POST to a path that ends so, and loses the answer.
    pub fn lose_answer(&self, path: &str) {
        self.with(|known| known.lost.push(path.to_owned()));
    }

    /// Forgets idempotency keys at once, as Stripe does after a day.
    pub fn forget_keys(&self) {
        self.with(|known| known.forgets_keys = true);
    }

    /// The idempotency keys of all requests that had one, in order.
    #[must_use]
    pub fn keys_seen(&self) -> Vec<String> {
        self.with(|known| known.keys_seen.clone())
    }
}

impl Drop for Stripe {
    fn drop(&mut self) {
        self.serving.abort();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn serve(
    State(front): State<Arc<Front>>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().to_owned();
    let known = || front.state.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(headers["authorization"], format!("Bearer {SECRET_KEY}"));
    let key = headers
        .get("idempotency-key")
        .map(|key| key.to_str().expect("text").to_owned());
    if let Some(key) = &key {
        let mut known = known();
        known.keys_seen.push(key.clone());
        if let Some((first, status, answer)) = known.answers.get(key) {
            if *first != body {
                let error =
                    json!({"error": {"type": "idempotency_error", "message": "Keys are for one request."}});
                return respond(StatusCode::BAD_REQUEST, &error);
            }
            return respond(*status, answer);
        }
    }
    let form: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
    let (status, answer) = front.carry_out(method.clone(), &path, form).await;
    let mut known = known();
    if let Some(key) = key
        && !known.forgets_keys
    {
        known.answers.insert(key, (body, status, answer.clone()));
    }
    if method == Method::POST
        && let Some(place) = known.lost.iter().position(|end| path.ends_with(end.as_str()))
    {
        known.lost.remove(place);
        return StatusCode::BAD_GATEWAY.into_response();
    }
    respond(status, &answer)
}

fn respond(status: StatusCode, answer: &Value) -> Response {
    (status, axum::Json(answer)).into_response()
}

impl Front {
    async fn carry_out(
        &self,
        method: Method,
        path: &str,
        mut form: Vec<(String, String)>,
    ) -> (StatusCode, Value) {
        let mut take = |name: &str| {
            let place = form.iter().position(|(key, _)| key == name)?;
            Some(form.remove(place).1)
        };
        let known = || self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(rest) = path.strip_prefix("/v1/payment_intents") else {
            return self.behind.call(method, path, &form).await;
        };
        if rest.is_empty() {
            assert!(take("description").is_some(), "payments say what they are for");
            return self.behind.call(method, path, &form).await;
        }
        let intent = rest.split('/').nth(1).expect("a name").to_owned();
        if rest.ends_with("/confirm") {
            let return_url = take("return_url");
            let payer_is_away = take("off_session").is_some();
            let is_anew = take("payment_method").is_some();
            assert_ne!(
                return_url.is_some(),
                payer_is_away,
                "somebody comes back, or nobody is there"
            );
            if let Some(url) = return_url {
                known().return_urls.insert(intent.clone(), url);
            }
            if is_anew && known().unheard.remove(&intent) {
                let found = self
                    .behind
                    .call(Method::GET, &format!("/v1/payment_intents/{intent}"), &[])
                    .await;
                return (found.0, self.shown(&intent, found.1));
            }
            let (status, answer) = self.behind.call(method, path, &form).await;
            if payer_is_away && answer["status"] == "requires_action" {
                known().unheard.insert(intent.clone());
                let error = json!({"type": "card_error", "code": "authentication_required",
                    "message": "Your card was declined. This transaction requires authentication."});
                return (StatusCode::PAYMENT_REQUIRED, json!({ "error": error }));
            }
            return (status, self.shown(&intent, answer));
        }
        let (status, answer) = self.behind.call(method, path, &form).await;
        (status, self.shown(&intent, answer))
    }

    /// An intent as Stripe shows it.
    fn shown(&self, intent: &str, mut answer: Value) -> Value {
        let known = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if answer["status"] != "requires_action" {
            return answer;
        }
        if known.unheard.contains(intent) {
            answer["status"] = json!("requires_payment_method");
            answer["next_action"] = Value::Null;
            answer["last_payment_error"] = json!({"code": "authentication_required",
                "message": "Your card was declined. This transaction requires authentication."});
        } else if let Some(back) = known.return_urls.get(intent) {
            let page = format!("https://hooks.stripe.example/redirect/authenticate/{intent}");
            answer["next_action"] =
                json!({"type": "redirect_to_url", "redirect_to_url": {"url": page, "return_url": back}});
        }
        answer
    }
}
