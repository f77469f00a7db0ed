//! An HTTP server on loopback that takes webhooks, or does not, as the test wants.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use kernel::secrets::keyed_hash;
use serde_json::Value;
use testkit::server::Config;

/// What was posted.
#[derive(Clone, Debug)]
pub(crate) struct Posted {
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Posted {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Whether one of the signatures is made with this secret.
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let key = BASE64_STANDARD
            .decode(secret.strip_prefix("whsec_").unwrap())
            .unwrap();
        let signed = format!(
            "{}.{}.{}",
            self.header("webhook-id"),
            self.header("webhook-timestamp"),
            self.body
        );
        let wanted = format!(
            "v1,{}",
            BASE64_STANDARD.encode(keyed_hash(&key, signed.as_bytes()))
        );
        self.header("webhook-signature")
            .split(' ')
            .any(|signature| signature == wanted)
    }
}

#[derive(Default)]
struct Inner {
    answers: VecDeque<u16>,
    posted: Vec<Posted>,
}

/// A running receiver.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    inner: Arc<Mutex<Inner>>,
}

/// Lets onet call this machine.
pub(crate) fn allow(config: &mut Config) {
    config.outbound.allowed_networks = vec!["127.0.0.0/8".parse().unwrap()];
    config.outbound.allow_http = true;
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let inner: Arc<Mutex<Inner>> = Arc::default();
        let take = |State(inner): State<Arc<Mutex<Inner>>>, headers: HeaderMap, body: Bytes| async move {
            let mut inner = inner.lock().unwrap();
            let body = String::from_utf8(body.to_vec()).unwrap();
            inner.posted.push(Posted { headers, body });
            let status = inner.answers.pop_front().unwrap_or(204);
            StatusCode::from_u16(status).unwrap()
        };
        let app = Router::new().fallback(take).with_state(Arc::clone(&inner));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks/geheim", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, inner }
    }

    /// The next requests are answered like this, those after them with 204.
    pub(crate) fn answer(&self, statuses: &[u16]) {
        self.inner.lock().unwrap().answers.extend(statuses);
    }

    pub(crate) fn posted(&self) -> Vec<Posted> {
        self.inner.lock().unwrap().posted.clone()
    }
}
