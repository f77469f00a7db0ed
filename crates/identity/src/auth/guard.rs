//! Who may guess: the throttle's word, and the exception for a user's own places.

use std::net::IpAddr;

use http::StatusCode;
use kernel::http::{ApiError, ApiResult, RequestFacts};

use super::{sessions, throttle};
use crate::{Identity, mfa, users::find_by_email};

/// Refuses a guess at the account with this address before anything is computed for it.
///
/// An account that is guessed at from everywhere is open to places that its user is known at, and to trusted devices.
/// One that does not exist has no such places: the answers are the same.
///
/// # Errors
/// 429 until the window of the throttle ends.
pub(crate) async fn admit(
    identity: &Identity,
    email_key: &str,
    request: &RequestFacts,
    device: Option<&str>,
) -> ApiResult<()> {
    let now = identity.clock().now();
    identity.throttle().admit(email_key, request.address, now)?;
    let Some(left) = identity.throttle().is_besieged(email_key, now) else {
        return Ok(());
    };
    if is_known_place(identity, email_key, request.address, device).await? {
        return Ok(());
    }
    metrics::counter!("onet_logins_throttled").increment(1);
    Err(throttle::refusal(left))
}

async fn is_known_place(
    identity: &Identity,
    email_key: &str,
    address: IpAddr,
    device: Option<&str>,
) -> ApiResult<bool> {
    let since = identity.clock().now() - sessions::KNOWN_FOR;
    let device = device.map(|token| identity.secrets().hash_token(token));
    let (key, address) = (email_key.to_owned(), address.to_string());
    let known = identity
        .store()
        .read("is_known_place", move |conn| {
            let Some(user) = find_by_email(conn, &key)?.map(|user| user.id) else {
                return Ok(false);
            };
            if let Some(hash) = &device
                && mfa::is_trusted(conn, user, hash)?
            {
                return Ok(true);
            }
            sessions::was_used_from(conn, user, &address, since)
        })
        .await;
    Ok(known?)
}

/// Counts the outcome of a guess. A code whose time was over says nothing about whoever shows it: it is neither counted
/// nor forgiven for.
///
/// # Errors
/// 429 until the window of the throttle ends.
pub(crate) fn judge<T>(
    identity: &Identity,
    account: &str,
    request: &RequestFacts,
    outcome: &Result<T, ApiError>,
) -> ApiResult<()> {
    let has_ended = outcome
        .as_ref()
        .is_err_and(|error| error.status() == StatusCode::GONE);
    if has_ended && !account.is_empty() {
        return Ok(());
    }
    let now = identity.clock().now();
    identity
        .throttle()
        .judge(account, request.address, now, outcome.is_ok())
        .map(drop)
}
