//! Stripe's API as onet uses it: form-encoded requests, JSON answers (<https://docs.stripe.com/api>).

use axum::http::{Method, Request, StatusCode, header};
use kernel::{config::Secret, outbound::trusted::Http};
use serde_json::Value;
use url::form_urlencoded::Serializer;

use crate::payments::DriverError;

/// The version of the API that this driver speaks, whatever the account's default is.
const VERSION: &str = "2024-06-20";

/// The API, with the operator's key.
pub(super) struct Api {
    http: Http,
    base: String,
    key: Secret,
}

/// What Stripe says when it does not do what it was asked: `error` of its answer.
#[derive(Debug, Default)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: String,
    /// In words for the payer where it is about a card.
    pub(super) message: String,
    is_card_error: bool,
}

/// There is no answer that can be used.
#[derive(Debug)]
pub(super) enum Fault {
    /// It can be asked again.
    Unreachable(String),
    Refused(Refusal),
}

impl From<Fault> for DriverError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unreachable(detail) => Self::Unreachable(detail),
            Fault::Refused(refusal) => Self::Refused(refusal.for_payer()),
        }
    }
}

impl Refusal {
    /// What may be shown: Stripe writes messages about cards for payers, all others for whoever has written the program.
    pub(super) fn for_payer(&self) -> String {
        if self.is_card_error || self.status == 402 {
            self.message.clone()
        } else {
            tracing::warn!(self.status, self.code, self.message, "Stripe refused a request");
            "The payment provider did not accept this.".to_owned()
        }
    }
}

impl Api {
    pub(super) fn new(base: &str, key: Secret) -> Self {
        Self {
            http: Http::default(),
            base: base.trim_end_matches('/').to_owned(),
            key,
        }
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, Fault> {
        self.call(Method::GET, path, &[], None).await
    }

    /// `key`: what is done once under it, however often it is sent.
    pub(super) async fn post(
        &self,
        path: &str,
        form: &[(&str, &str)],
        key: Option<&str>,
    ) -> Result<Value, Fault> {
        self.call(Method::POST, path, form, key).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        form: &[(&str, &str)],
        key: Option<&str>,
    ) -> Result<Value, Fault> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}/v1/{path}", self.base))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.key.expose()))
            .header("stripe-version", VERSION);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let body = Serializer::new(String::new()).extend_pairs(form).finish();
        if !form.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        let unreachable = |error: &dyn std::fmt::Display| Fault::Unreachable(error.to_string());
        let request = request
            .body(body.into_bytes())
            .map_err(|error| unreachable(&error))?;
        let answer = self
            .http
            .send(request)
            .await
            .map_err(|error| unreachable(&error))?;
        let status = answer.status();
        let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        if status.is_success() && body.is_object() {
            return Ok(body);
        }
        let refusal = Refusal {
            status: status.as_u16(),
            code: text(&body["error"]["code"]),
            message: text(&body["error"]["message"]),
            is_card_error: body["error"]["type"] == "card_error",
        };
        match status {
            // The request itself, or the card.
            StatusCode::BAD_REQUEST | StatusCode::PAYMENT_REQUIRED | StatusCode::NOT_FOUND => {
                Err(Fault::Refused(refusal))
            }
            // The key does not hold, the same request runs at this moment, too many, or Stripe's own fault: later.
            _ => Err(Fault::Unreachable(format!(
                "{status}: {} {}",
                refusal.code, refusal.message
            ))),
        }
    }
}

/// A text; empty if it is none.
pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
