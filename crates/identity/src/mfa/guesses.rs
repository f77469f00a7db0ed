//! Guessing second factors, made hopeless: wrong ones are counted by account, over all its logins and confirmations.
//!
//! A login's own token is void after five, but whoever knows the password can get tokens without end. So the account
//! itself takes ten wrong ones in an hour; when these are reached, ten in the next two hours, then four, and so on up to
//! a day, until one window was quiet. That is fifty guesses in the first day and ten in each that follows, at a million
//! codes of which three are right (NIST SP 800-63B-4, section 3.2.2). Kept in the database: all nodes share the count,
//! and a restart does not forget it.
//!
//! That would let a stranger who knows the password keep the user out. So the devices that the account's sessions
//! come from have a count of their own; and a trusted device needs no second factor at all.

use std::{net::IpAddr, time::Duration};

use kernel::{
    access::User,
    audit::Origin,
    http::{ApiError, ApiResult},
    id::Id,
    store::{StoreError, Tx},
};
use serde_json::json;

use crate::{
    Identity,
    auth::{
        KNOWN_FOR,
        challenges::{self, ChallengeRow, NewChallenge, Purpose},
        was_used_from,
    },
    letters,
    security::{self, Incident, SecurityEvent},
    users::UserRow,
};

/// Wrong second factors that an account takes in a window.
const MOST_WRONG: i32 = 10;
/// Counted from the first of them.
const WINDOW: Duration = Duration::from_secs(60 * 60);
/// What the windows of an account under attack grow to.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Which count an attempt belongs to, and where it stands.
pub(super) struct Guesses {
    purpose: Purpose,
    /// The newest window, which may have ended.
    last: Option<ChallengeRow>,
}

/// Refuses an attempt on an account that has had too many, whether it would be right or not.
///
/// The user's row must be locked, so that attempts at once are judged one after the other.
///
/// # Errors
/// 429 until the window ends.
pub(super) fn admit(tx: &mut Tx<'_>, user: Id<User>, from: IpAddr) -> ApiResult<Guesses> {
    let purpose = if is_known(tx, user, from)? {
        Purpose::WrongFactorKnown
    } else {
        Purpose::WrongFactor
    };
    look(tx, user, purpose)
}

/// The same for somebody who has a session already.
///
/// # Errors
/// 429 until the window ends.
pub(super) fn admit_session(tx: &mut Tx<'_>, user: Id<User>) -> ApiResult<Guesses> {
    look(tx, user, Purpose::WrongFactorKnown)
}

fn look(tx: &mut Tx<'_>, user: Id<User>, purpose: Purpose) -> ApiResult<Guesses> {
    let now = tx.now();
    let last = challenges::lock_last_of_user(tx, purpose, user)?;
    match last {
        Some(last) if last.expires_at > now && last.attempts >= MOST_WRONG => {
            metrics::counter!("onet_second_factors_throttled").increment(1);
            let wait = last.expires_at.since(now);
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            Err(ApiError::throttled(seconds))
        }
        last => Ok(Guesses { purpose, last }),
    }
}

/// Counts a wrong second factor. The one that reaches the limit is told to the user. The transaction must be committed.
///
/// # Errors
/// The database refused.
pub(super) fn count(
    tx: &mut Tx<'_>,
    identity: &Identity,
    origin: &Origin,
    user: &UserRow,
    guesses: Guesses,
) -> Result<(), StoreError> {
    let now = tx.now();
    let window = match guesses.last {
        Some(last) if last.expires_at > now => last,
        last => begin(tx, identity, user.id, guesses.purpose, next_window(last.as_ref()))?,
    };
    challenges::count_failure(tx, window.id)?;
    if window.attempts + 1 < MOST_WRONG {
        return Ok(());
    }
    let minutes = window.expires_at.since(now).as_secs().div_ceil(60);
    let incident = Incident {
        user,
        event: SecurityEvent::AccountLocked,
        description: "Too many wrong second factors: further ones are refused for a while",
        session: None,
        metadata: json!({ "minutes": minutes }),
        letter: Some((letters::ACCOUNT_LOCKED, json!({ "minutes": minutes }))),
    };
    security::record(tx, identity, origin, &incident)
}

/// How long the window after `last` is: twice as long if that one was used up.
fn next_window(last: Option<&ChallengeRow>) -> Duration {
    match last {
        Some(last) if last.attempts >= MOST_WRONG => {
            (last.expires_at.since(last.created) * 2).clamp(WINDOW, LONGEST)
        }
        Some(_) | None => WINDOW,
    }
}

fn begin(
    tx: &mut Tx<'_>,
    identity: &Identity,
    user: Id<User>,
    purpose: Purpose,
    lifetime: Duration,
) -> Result<ChallengeRow, StoreError> {
    let window = NewChallenge {
        purpose,
        user: Some(user),
        email_key: None,
        token: None,
        code: None,
        payload: (),
        lifetime,
    };
    challenges::issue(tx, identity.secrets(), &window)
}

/// Whether the user was logged in from this address lately.
fn is_known(tx: &mut Tx<'_>, user: Id<User>, from: IpAddr) -> Result<bool, StoreError> {
    let since = tx.now() - KNOWN_FOR;
    was_used_from(tx.conn(), user, &from.to_string(), since)
}

#[cfg(test)]
mod tests {
    use kernel::{json::JsonText, time::Time};

    use super::*;

    fn window(attempts: i32, hours: u64) -> ChallengeRow {
        let created = Time::from_micros(1_800_000_000_000_000);
        ChallengeRow {
            id: Id::new(),
            purpose: Purpose::WrongFactor,
            user_id: None,
            email_key: None,
            token_hash: None,
            code_hash: None,
            attempts,
            payload: JsonText::of(&()),
            expires_at: created + Duration::from_hours(hours),
            used_at: None,
            created,
        }
    }

    #[test]
    fn windows_of_an_account_under_attack_grow() {
        assert_eq!(next_window(None), Duration::from_hours(1));
        for (attempts, hours, next) in [
            (9, 1, 1),
            (10, 1, 2),
            (10, 2, 4),
            (10, 16, 24),
            (10, 24, 24),
            (3, 24, 1),
        ] {
            let last = window(attempts, hours);
            assert_eq!(
                next_window(Some(&last)),
                Duration::from_hours(next),
                "{attempts} in {hours}"
            );
        }
    }
}
