//! Limits, and the bearer token: what comes before any route.

use std::net::IpAddr;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, header};

use super::{error::ApiError, facts::RequestFacts, limits::Verdict};
use crate::{
    App,
    access::{AuthFault, Bearer, Credentials, INVALID, MISSING},
};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// Refuses what is over a limit; puts the bearer token, read but not yet looked up, beside the request.
pub(super) async fn gate(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let now = app.clock().now();
    let address = request
        .extensions()
        .get::<RequestFacts>()
        .map(|facts| facts.address);
    let by_address = address.map(|address| app.address_limit().count(network(address), now));
    if let Some(verdict) = by_address.filter(|verdict| verdict.retry_after.is_some()) {
        return over(&verdict);
    }
    let bearer = match token(request.headers()) {
        Ok(token) => read_bearer(&app, token).await,
        Err(fault) => Err(fault),
    };
    let by_credential = bearer.as_ref().ok().map(|bearer| match bearer {
        Bearer::Session { id, .. } => app.credential_limit().count(id, now),
        Bearer::Secret { hash } => app.credential_limit().count(hash, now),
    });
    if let Some(verdict) = by_credential.filter(|verdict| verdict.retry_after.is_some()) {
        return over(&verdict);
    }
    request.extensions_mut().insert(Credentials(bearer));
    let mut response = next.run(request).await;
    if let Some(verdict) = by_credential.or(by_address) {
        mark(&mut response, &verdict);
    }
    response
}

/// Reads a bearer token, a second time if its key is one that another node has begun to sign with.
async fn read_bearer(app: &App, token: &str) -> Result<Bearer, AuthFault> {
    let read = app.access().read_bearer(token);
    if read.is_ok() {
        return read;
    }
    match app.access().learn_key(token).await {
        Ok(true) => app.access().read_bearer(token),
        Ok(false) => read,
        Err(error) => {
            tracing::warn!(%error, "the signing keys could not be read again");
            read
        }
    }
}

/// What counts as one client: an IPv4 address, or the /64 that an IPv6 host can choose its addresses from.
fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address) >> 64 << 64,
    }
}

fn over(verdict: &Verdict) -> Response {
    metrics::counter!("onet_http_throttled").increment(1);
    let mut response = ApiError::throttled(verdict.retry_after.unwrap_or(1)).into_response();
    mark(&mut response, verdict);
    response
}

fn mark(response: &mut Response, verdict: &Verdict) {
    response.headers_mut().insert(POLICY, verdict.policy());
    response.headers_mut().insert(STATE, verdict.state());
}

/// The bearer token of the `Authorization` header. The scheme is matched without case (RFC 9110).
fn token(headers: &HeaderMap) -> Result<&str, AuthFault> {
    let value = headers.get(header::AUTHORIZATION).ok_or(MISSING)?;
    let value = value.to_str().map_err(|_| INVALID)?;
    let (scheme, token) = value.trim().split_once(' ').ok_or(INVALID)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(token.trim())
    } else {
        Err(MISSING)
    }
}
