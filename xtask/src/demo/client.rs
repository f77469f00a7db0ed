//! A customer's program: HTTP and JSON, and nothing that only we know.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use ureq::Agent;
use ureq::http::Request;

use crate::screen::{Screen, field};

/// Longer than any answer may take: the demo shall fail, not hang.
const LIMIT: Duration = Duration::from_secs(30);

/// Calls one server, as one user once it has a token.
#[derive(Clone)]
pub(crate) struct Client {
    agent: Agent,
    base_url: String,
    token: Option<String>,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) reason: &'static str,
    pub(crate) body: Value,
    pub(crate) took: Duration,
}

impl Client {
    pub(crate) fn new(base_url: &str) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(LIMIT))
            // A refusal is an answer like others.
            .http_status_as_error(false)
            // The server is on this machine: a proxy of the user's could not reach it.
            .proxy(None)
            .build();
        Self {
            agent: config.into(),
            base_url: base_url.to_owned(),
            token: None,
        }
    }

    /// The same server, as the user whom the token stands for.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..self.clone()
        }
    }

    /// The address that all paths are appended to.
    pub(crate) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Sends one request and reads its answer, silently.
    pub(crate) fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Reply> {
        self.exchange(method, path, body)
            .with_context(|| format!("no answer to {method} {path}"))
    }

    /// The same, in front of the reader. What is interesting in the answer is for the caller to show.
    pub(crate) fn show(
        &self,
        screen: Screen,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply> {
        screen.sent(method, path, body);
        let reply = self.call(method, path, body)?;
        screen.received(reply.status, reply.reason, reply.took);
        Ok(reply)
    }

    fn exchange(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Reply> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base_url));
        request = request.header("accept", "application/json");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let begun = Instant::now();
        let mut response = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                self.agent.run(request.body(body.to_string())?)?
            }
            None => self.agent.run(request.body(())?)?,
        };
        let text = response.body_mut().read_to_string()?;
        let took = begun.elapsed();
        let status = response.status();
        // Health checks and failing proxies answer in plain text, which is shown as it is.
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Reply {
            status: status.as_u16(),
            reason: status.canonical_reason().unwrap_or_default(),
            body,
            took,
        })
    }
}

impl Reply {
    /// The body of an answer that must have this status.
    pub(crate) fn expect(self, status: u16) -> Result<Value> {
        if self.status != status {
            bail!(
                "expected status {status}, got {} {}: {}",
                self.status,
                self.reason,
                self.body
            );
        }
        Ok(self.body)
    }
}

/// The text at a dotted path of a body.
pub(crate) fn text<'a>(body: &'a Value, path: &str) -> Result<&'a str> {
    field(body, path)
        .and_then(Value::as_str)
        .with_context(|| format!("the answer has no text at `{path}`"))
}

/// The items of a page.
pub(crate) fn results(page: &Value) -> Result<&[Value]> {
    page["results"]
        .as_array()
        .map(Vec::as_slice)
        .context("the answer is not a page with `results`")
}
