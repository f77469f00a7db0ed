//! Codes by mail.
//!
//! A code belongs to what it was mailed for: to one login (its `mfa` challenge) or to one session that confirms who
//! uses it. The newest counts. Codes are six digits, work once, and are void after five wrong ones.

pub(super) mod disable;
pub(super) mod enable;

use std::time::Duration;

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl, SelectableHelper};
use kernel::{
    access::{Caller, Credential, User},
    http::{ApiError, ApiResult, Faults},
    id::Id,
    mail::wording::masked,
    store::{StoreError, Tx},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{api::MfaChallenge, rows};
use crate::{
    Identity,
    auth::{
        MfaMethod,
        challenges::{self, Attempt, ChallengeId, ChallengeRow, NewChallenge, Purpose},
    },
    letters,
    schema::challenges as table,
    secrets,
    users::{self, UserRow, email_key},
};

/// What a mailed code belongs to: the payload of its challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Belongs {
    /// A login that waits for its second factor.
    Login(ChallengeId),
    /// A session.
    Session(Id<Credential>),
}

impl Belongs {
    const fn purpose(self) -> Purpose {
        match self {
            Self::Login(_) => Purpose::MfaEmail,
            Self::Session(_) => Purpose::Reauthenticate,
        }
    }
}

/// Mails the code for a login's second step, which ends with the login's token.
///
/// # Errors
/// 429 for a second mail within the pause.
pub(super) fn mail_login_code(
    tx: &mut Tx<'_>,
    identity: &Identity,
    user: &UserRow,
    login: &ChallengeRow,
) -> ApiResult<MfaChallenge> {
    let lifetime = code_lifetime(identity).min(login.expires_at.since(tx.now()));
    mail(tx, identity, user, Belongs::Login(login.id), lifetime)
}

/// Mails a code with which the session's user can confirm who they are.
///
/// # Errors
/// 400 if the address may be somebody else's, 429 for a second mail within the pause.
pub(crate) fn mail_confirmation(
    tx: &mut Tx<'_>,
    identity: &Identity,
    caller: &Caller,
) -> ApiResult<MfaChallenge> {
    let user = users::lock(tx, caller.user)?;
    if !user.email_verified {
        return Err(Faults::one("method", "Confirm your e-mail address first.").into());
    }
    let lifetime = code_lifetime(identity);
    mail(tx, identity, &user, Belongs::Session(caller.credential), lifetime)
}

fn code_lifetime(identity: &Identity) -> Duration {
    Duration::from_secs(identity.settings().code_minutes.saturating_mul(60))
}

fn mail(
    tx: &mut Tx<'_>,
    identity: &Identity,
    user: &UserRow,
    belongs: Belongs,
    lifetime: Duration,
) -> ApiResult<MfaChallenge> {
    let pause = Duration::from_secs(identity.settings().mail_pause_seconds);
    let key = email_key(&user.email);
    if let Some(last) = challenges::last_for_address(tx, belongs.purpose(), &key)? {
        let wait = (last.created + pause).since(tx.now());
        if !wait.is_zero() {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            return Err(ApiError::throttled(seconds));
        }
    }
    let code = secrets::new_code();
    let new = NewChallenge {
        purpose: belongs.purpose(),
        user: Some(user.id),
        email_key: Some(&key),
        token: None,
        code: Some(&code),
        payload: belongs,
        lifetime,
    };
    challenges::issue(tx, identity.secrets(), &new)?;
    let minutes = lifetime.as_secs().div_ceil(60);
    letters::post(
        tx,
        identity,
        user,
        letters::MFA_CODE,
        json!({ "code": code, "minutes": minutes }),
    )?;
    Ok(MfaChallenge {
        method: MfaMethod::Email,
        destination: Some(masked(&user.email)),
        public_key: None,
        expires_in: lifetime.as_secs(),
        resend_after: Some(pause.as_secs()),
    })
}

/// Whether `code` is the one that was mailed for this login; then it is used up. The user's row is locked.
pub(super) fn accept(
    tx: &mut Tx<'_>,
    identity: &Identity,
    user: Id<User>,
    login: ChallengeId,
    code: &str,
) -> Result<bool, StoreError> {
    let is_right = try_newest(tx, identity, user, Belongs::Login(login), code)?;
    if is_right {
        rows::note_mailed_code(tx, user)?;
    }
    Ok(is_right)
}

/// Whether `code` is the one that was mailed for this session; then it is used up. The user's row is locked.
pub(super) fn accept_confirmation(
    tx: &mut Tx<'_>,
    identity: &Identity,
    caller: &Caller,
    code: &str,
) -> Result<bool, StoreError> {
    let belongs = Belongs::Session(caller.credential);
    try_newest(tx, identity, caller.user, belongs, code)
}

fn try_newest(
    tx: &mut Tx<'_>,
    identity: &Identity,
    user: Id<User>,
    belongs: Belongs,
    code: &str,
) -> Result<bool, StoreError> {
    /// A code is mailed once in a pause: these are more than can be open.
    const MOST: i64 = 100;
    let now = tx.now();
    let open: Vec<ChallengeRow> = table::table
        .filter(table::user_id.eq(user))
        .filter(table::purpose.eq(belongs.purpose()))
        .filter(table::expires_at.gt(now))
        .order((table::created.desc(), table::id.desc()))
        .limit(MOST)
        .select(ChallengeRow::as_select())
        .load(tx.conn())?;
    let newest = open
        .into_iter()
        .find(|row| row.payload::<Belongs>().is_ok_and(|found| found == belongs));
    let Some(newest) = newest else {
        return Ok(false);
    };
    match challenges::try_code(tx, identity.secrets(), &newest, code)? {
        Attempt::Right => Ok(true),
        Attempt::Wrong | Attempt::Gone => Ok(false),
    }
}
