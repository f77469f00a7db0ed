//! What Stripe reports: taken as a hint that there is something new, never as the news. The payment is asked about as
//! always, so a report that is lost, late, doubled or made up changes nothing but the time.

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, RunQueryDsl};
use hmac::{Hmac, KeyInit, Mac};
use kernel::{http::ApiResult, store::StoreError, time::Time};
use serde_json::Value;
use sha2::Sha256;

use super::NAME;
use crate::{
    Billing,
    payments::{self, PaymentId},
    schema::payments as rows,
};

/// How old a report may be, in seconds: Stripe's own libraries allow as much.
const TOLERANCE: u64 = 300;

/// `POST /hooks/stripe`: 200 for whatever Stripe has signed, 400 for all else, 404 without a secret.
pub(crate) fn routes(billing: &Billing) -> Router {
    Router::new()
        .route("/hooks/stripe", post(receive))
        .with_state(billing.clone())
}

async fn receive(State(billing): State<Billing>, headers: HeaderMap, body: Bytes) -> ApiResult<StatusCode> {
    let secret = billing.settings().stripe.webhook_secret.expose();
    if secret.is_empty() || billing.driver(NAME).is_none() {
        return Ok(StatusCode::NOT_FOUND);
    }
    let signature = headers
        .get("stripe-signature")
        .and_then(|value| value.to_str().ok());
    let now = billing.app().clock().now();
    if !signature.is_some_and(|signature| is_signed(secret, signature, &body, now)) {
        return Ok(StatusCode::BAD_REQUEST);
    }
    if let Some(reference) = subject(&body) {
        let write = billing.app().store().write("stripe_webhook", move |tx| {
            let found: Option<PaymentId> = rows::table
                .filter(rows::driver.eq(NAME))
                .filter(rows::reference.eq(&reference))
                .select(rows::id)
                .first(tx.conn())
                .optional()?;
            match found {
                Some(payment) => payments::ask(tx, payment),
                None => Ok::<_, StoreError>(()),
            }
        });
        write.await?;
    }
    Ok(StatusCode::OK)
}

/// The intent that a report is about.
fn subject(body: &[u8]) -> Option<String> {
    let event: Value = serde_json::from_slice(body).ok()?;
    let object = &event["data"]["object"];
    let name = if object["object"] == "payment_intent" {
        &object["id"]
    } else {
        &object["payment_intent"]
    };
    name.as_str().map(str::to_owned)
}

/// `t=SECONDS,v1=HEX[,v1=HEX…]`: HMAC-SHA256 over `SECONDS.BODY`, one for each secret that is valid at the time
/// (<https://docs.stripe.com/webhooks#verify-manually>).
fn is_signed(secret: &str, signature: &str, body: &[u8], now: Time) -> bool {
    let parts = || {
        signature
            .split(',')
            .filter_map(|part| part.trim().split_once('='))
    };
    let Some(time) = parts().find_map(|(name, value)| (name == "t").then_some(value)) else {
        return false;
    };
    let now = now.micros() / 1_000_000;
    if !time
        .parse::<i64>()
        .is_ok_and(|time| now.abs_diff(time) <= TOLERANCE)
    {
        return false;
    }
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return false;
    };
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    parts()
        .filter(|(name, _)| *name == "v1")
        .filter_map(|(_, hex)| from_hex(hex))
        .any(|given| mac.clone().verify_slice(&given).is_ok())
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|value| u8::try_from(value).ok()))
        .collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `printf '1700000000.{}' | openssl dgst -sha256 -hmac whsec_test`.
    const SIGNATURE: &str = "35495024f4ef3f94e5a93e22221544c4b75e9a42300cd965ab81cb85cd994e91";

    #[test]
    fn signatures_are_checked() {
        let now = Time::from_micros(1_700_000_100 * 1_000_000);
        let ok = |secret: &str, signature: &str, body: &[u8], now| is_signed(secret, signature, body, now);
        let good = format!("t=1700000000,v1={SIGNATURE}");
        assert!(ok("whsec_test", &good, b"{}", now));
        assert!(ok(
            "whsec_test",
            &format!("t=1700000000, v1=00, v1={SIGNATURE}"),
            b"{}",
            now
        ));
        assert!(!ok("whsec_else", &good, b"{}", now));
        assert!(!ok("whsec_test", &good, b"{ }", now));
        assert!(!ok(
            "whsec_test",
            &format!("t=1700000001,v1={SIGNATURE}"),
            b"{}",
            now
        ));
        assert!(!ok(
            "whsec_test",
            &format!("t=1700000000,v0={SIGNATURE}"),
            b"{}",
            now
        ));
        assert!(!ok(
            "whsec_test",
            &good,
            b"{}",
            Time::from_micros(1_700_000_301 * 1_000_000)
        ));
        assert!(!ok("whsec_test", "", b"{}", now));
        assert!(!ok("whsec_test", "t=1700000000,v1=zz", b"{}", now));
    }
}
