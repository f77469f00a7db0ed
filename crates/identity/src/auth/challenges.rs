//! Proofs that are asked for: a mailed code or link, the token between the two steps of a login, the state of an
//! OAuth login, a passkey's challenge.
//!
//! One table and one set of rules for all of them. A proof is found by the keyed hash of a random token, or by its id
//! together with a short code; it works once, until its end, and for its purpose only. Of many requests with the same
//! proof exactly one wins. A code is void after [`MOST_ATTEMPTS`] wrong ones (NIST SP 800-63B-4, section 3.2.2).

use std::time::Duration;

use diesel::{
    ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, RunQueryDsl, Selectable,
    SelectableHelper,
};
use kernel::{
    access::User,
    http::ApiError,
    id::Id,
    json::JsonText,
    store::{Conn, StoreError, Tx, lock},
    time::Time,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{schema::challenges, secrets::Secrets};

/// Wrong codes after which a challenge is void.
pub(crate) const MOST_ATTEMPTS: i32 = 5;

/// Names the ids of challenges.
#[derive(Debug)]
pub(crate) enum Challenge {}
/// The id of a challenge.
pub(crate) type ChallengeId = Id<Challenge>;

kernel::words! {
    /// What a proof is for. One that was made for a purpose proves nothing else.
    pub(crate) enum Purpose {
        /// The address of a new account.
        VerifyEmail = "verify_email",
        /// A new address of an account.
        ChangeEmail = "change_email",
        /// A new password without the old one.
        ResetPassword = "reset_password",
        /// A login by a mailed code or link.
        Passwordless = "passwordless",
        /// The first factor was given, the second is awaited: `mfa_token`.
        Mfa = "mfa",
        /// A mailed code as second factor; `payload` names the `mfa` challenge that it belongs to.
        MfaEmail = "mfa_email",
        /// A mailed code for `reauthenticate`.
        Reauthenticate = "reauthenticate",
        /// The way through an identity provider and back.
        Oauth = "oauth",
        /// A new passkey.
        WebauthnRegister = "webauthn_register",
        /// A login by passkey.
        WebauthnLogin = "webauthn_login",
        /// A passkey as second factor, or for `reauthenticate`.
        WebauthnVerify = "webauthn_verify",
        /// No proof, but the count of an account's wrong second factors from devices that it was not used from.
        WrongFactor = "wrong_factor",
        /// The same, from those that it was.
        WrongFactorKnown = "wrong_factor_known",
    }
}

/// A row of `challenges`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = challenges)]
pub(crate) struct ChallengeRow {
    pub(crate) id: ChallengeId,
    pub(crate) purpose: Purpose,
    pub(crate) user_id: Option<Id<User>>,
    pub(crate) email_key: Option<String>,
    pub(crate) token_hash: Option<String>,
    pub(crate) code_hash: Option<String>,
    pub(crate) attempts: i32,
    pub(crate) payload: JsonText,
    pub(crate) expires_at: Time,
    pub(crate) used_at: Option<Time>,
    pub(crate) created: Time,
}

impl ChallengeRow {
    /// What the purpose keeps in it.
    ///
    /// # Errors
    /// A row that this version can't read.
    pub(crate) fn payload<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        self.payload.read().map_err(ApiError::internal)
    }

    /// Whether it can still be used.
    pub(crate) fn is_open(&self, now: Time) -> bool {
        self.used_at.is_none() && self.expires_at > now && self.attempts < MOST_ATTEMPTS
    }
}

/// A proof to be asked for.
pub(crate) struct NewChallenge<'a, P> {
    /// What for.
    pub(crate) purpose: Purpose,
    /// Whose; nobody's where an unknown address asks.
    pub(crate) user: Option<Id<User>>,
    /// The address it is mailed to, in the form that is compared.
    pub(crate) email_key: Option<&'a str>,
    /// The random token, for links and the like.
    pub(crate) token: Option<&'a str>,
    /// The short code, for people.
    pub(crate) code: Option<&'a str>,
    /// What the purpose needs to know later. Never a secret in the clear.
    pub(crate) payload: P,
    /// How long it works.
    pub(crate) lifetime: Duration,
}

/// Asks for a proof. Earlier ones stay valid: see [`void`].
pub(crate) fn issue<P: Serialize>(
    tx: &mut Tx<'_>,
    secrets: &Secrets,
    new: &NewChallenge<'_, P>,
) -> Result<ChallengeRow, StoreError> {
    let now = tx.now();
    let id = Id::new();
    let row = ChallengeRow {
        id,
        purpose: new.purpose,
        user_id: new.user,
        email_key: new.email_key.map(str::to_owned),
        token_hash: new.token.map(|token| secrets.hash_token(token)),
        code_hash: new.code.map(|code| hash_code(secrets, id, code)),
        attempts: 0,
        payload: JsonText::of(&new.payload),
        expires_at: now + new.lifetime,
        used_at: None,
        created: now,
    };
    diesel::insert_into(challenges::table)
        .values(&row)
        .execute(tx.conn())?;
    Ok(row)
}

/// Gives a challenge that an address asked for its owner, token and code.
pub(crate) fn fill(
    tx: &mut Tx<'_>,
    secrets: &Secrets,
    row: &ChallengeRow,
    user: Id<User>,
    token: Option<&str>,
    code: Option<&str>,
) -> Result<(), StoreError> {
    diesel::update(challenges::table.find(row.id))
        .set((
            challenges::user_id.eq(user),
            challenges::token_hash.eq(token.map(|token| secrets.hash_token(token))),
            challenges::code_hash.eq(code.map(|code| hash_code(secrets, row.id, code))),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// A short code is hashed with its challenge's id: equal codes look different, and one can't be tried elsewhere.
fn hash_code(secrets: &Secrets, id: ChallengeId, code: &str) -> String {
    secrets.hash_token(&format!("{id}:{code}"))
}

/// Makes a user's open proofs of a purpose useless.
pub(crate) fn void(tx: &mut Tx<'_>, purpose: Purpose, user: Id<User>) -> Result<(), StoreError> {
    let open = challenges::table
        .filter(challenges::user_id.eq(user))
        .filter(challenges::purpose.eq(purpose))
        .filter(challenges::used_at.is_null());
    diesel::update(open)
        .set(challenges::used_at.eq(tx.now()))
        .execute(tx.conn())?;
    Ok(())
}

/// The newest proof that was asked for by an address, used or not: for the pause between two mails.
pub(crate) fn last_for_address(
    tx: &mut Tx<'_>,
    purpose: Purpose,
    email_key: &str,
) -> Result<Option<ChallengeRow>, StoreError> {
    let query = challenges::table
        .filter(challenges::email_key.eq(email_key))
        .filter(challenges::purpose.eq(purpose))
        .order(challenges::created.desc())
        .select(ChallengeRow::as_select());
    Ok(query.first(tx.conn()).optional()?)
}

/// A user's newest proof of a purpose, locked, used or not.
pub(crate) fn lock_last_of_user(
    tx: &mut Tx<'_>,
    purpose: Purpose,
    user: Id<User>,
) -> Result<Option<ChallengeRow>, StoreError> {
    let query = challenges::table
        .filter(challenges::user_id.eq(user))
        .filter(challenges::purpose.eq(purpose))
        .order((challenges::created.desc(), challenges::id.desc()))
        .limit(1)
        .select(ChallengeRow::as_select());
    Ok(lock("challenges", query).get_result(tx.conn()).optional()?)
}

/// The open proof of a purpose with this token, only looked at.
pub(crate) fn find_by_token(
    conn: &mut Conn,
    secrets: &Secrets,
    purpose: Purpose,
    token: &str,
    now: Time,
) -> Result<Option<ChallengeRow>, StoreError> {
    let query = challenges::table
        .filter(challenges::token_hash.eq(secrets.hash_token(token)))
        .filter(challenges::purpose.eq(purpose))
        .select(ChallengeRow::as_select());
    let row: Option<ChallengeRow> = query.first(conn).optional()?;
    Ok(row.filter(|row| row.is_open(now)))
}

/// The open proof of a purpose with this token, locked. `None` if there is none, or it has ended or was used.
pub(crate) fn lock_by_token(
    tx: &mut Tx<'_>,
    secrets: &Secrets,
    purpose: Purpose,
    token: &str,
) -> Result<Option<ChallengeRow>, StoreError> {
    let row = lock_by_token_even_ended(tx, secrets, purpose, token)?;
    let now = tx.now();
    Ok(row.filter(|row| row.is_open(now)))
}

/// The proof of a purpose with this token, locked, open or not.
pub(crate) fn lock_by_token_even_ended(
    tx: &mut Tx<'_>,
    secrets: &Secrets,
    purpose: Purpose,
    token: &str,
) -> Result<Option<ChallengeRow>, StoreError> {
    let query = challenges::table
        .filter(challenges::token_hash.eq(secrets.hash_token(token)))
        .filter(challenges::purpose.eq(purpose))
        .select(ChallengeRow::as_select());
    Ok(lock("challenges", query).get_result(tx.conn()).optional()?)
}

/// The proof of a purpose with this id, only looked at.
pub(crate) fn find_by_id(
    conn: &mut Conn,
    purpose: Purpose,
    id: ChallengeId,
) -> Result<Option<ChallengeRow>, StoreError> {
    let query = challenges::table
        .filter(challenges::id.eq(id))
        .filter(challenges::purpose.eq(purpose))
        .select(ChallengeRow::as_select());
    Ok(query.first(conn).optional()?)
}

/// The proof of a purpose with this id, locked, open or not.
pub(crate) fn lock_by_id(
    tx: &mut Tx<'_>,
    purpose: Purpose,
    id: ChallengeId,
) -> Result<Option<ChallengeRow>, StoreError> {
    let query = challenges::table
        .filter(challenges::id.eq(id))
        .filter(challenges::purpose.eq(purpose))
        .select(ChallengeRow::as_select());
    Ok(lock("challenges", query).get_result(tx.conn()).optional()?)
}

/// What became of a code.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// It was right, and is used up now.
    Right,
    /// It was wrong. This was counted: the transaction must be committed.
    Wrong,
    /// The challenge has ended, was used, or was tried too often.
    Gone,
}

/// Tries a code on a challenge that is locked. A wrong one is counted, so the transaction must not be rolled back.
pub(crate) fn try_code(
    tx: &mut Tx<'_>,
    secrets: &Secrets,
    row: &ChallengeRow,
    code: &str,
) -> Result<Attempt, StoreError> {
    if !row.is_open(tx.now()) {
        return Ok(Attempt::Gone);
    }
    // Keyed hashes: the time of the comparison tells nothing about the code.
    if row.code_hash.as_deref() == Some(hash_code(secrets, row.id, code).as_str()) {
        return Ok(if use_up(tx, row.id)? {
            Attempt::Right
        } else {
            Attempt::Gone
        });
    }
    count_failure(tx, row.id)?;
    Ok(Attempt::Wrong)
}

/// Counts a wrong proof against a challenge.
pub(crate) fn count_failure(tx: &mut Tx<'_>, id: ChallengeId) -> Result<(), StoreError> {
    diesel::update(challenges::table.find(id))
        .set(challenges::attempts.eq(challenges::attempts + 1))
        .execute(tx.conn())?;
    Ok(())
}

/// Uses a challenge up. Of many that try at once, one is told `true`.
pub(crate) fn use_up(tx: &mut Tx<'_>, id: ChallengeId) -> Result<bool, StoreError> {
    let unused = challenges::table
        .filter(challenges::id.eq(id))
        .filter(challenges::used_at.is_null());
    let used = diesel::update(unused)
        .set(challenges::used_at.eq(tx.now()))
        .execute(tx.conn())?;
    Ok(used == 1)
}

/// Forgets challenges that ended more than a day ago, a bounded number at a time. Tells how many.
pub(crate) fn forget_old(tx: &mut Tx<'_>) -> Result<usize, StoreError> {
    const AT_ONCE: i64 = 1000;
    let day_ago = tx.now() - Duration::from_secs(24 * 60 * 60);
    let old: Vec<ChallengeId> = challenges::table
        .filter(challenges::expires_at.lt(day_ago))
        .limit(AT_ONCE)
        .select(challenges::id)
        .load(tx.conn())?;
    Ok(diesel::delete(challenges::table.filter(challenges::id.eq_any(old))).execute(tx.conn())?)
}

/// 410: the link or code has ended, was used, or never was.
pub(crate) fn gone() -> ApiError {
    ApiError::new(
        http::StatusCode::GONE,
        "expired",
        "This link or code has expired or was used already. Ask for a new one.",
    )
}
