//! Proofs that whoever has a session is still its user: asked for before credentials change.

use kernel::{
    access::Caller,
    audit::{AuditStatus, Changes, Event, Origin},
    http::{ApiError, ApiResult, Faults, RequestFacts},
    store::{StoreError, Tx},
};

use super::{
    Factors,
    api::{MfaChallenge, WebAuthnAssertion},
    email, guesses, recovery, totp,
};
use crate::{
    Identity,
    auth::{MfaMethod, completion::MFA_LIFETIME},
    recent_login_only,
    state::Area,
    users::{self, UserRow},
    webauthn::second_factor,
};

/// What a request brings to prove that its sender is the account's user.
#[derive(Clone)]
pub(crate) struct Proof {
    /// The account's password.
    pub(crate) password: Option<String>,
    /// A code of any second factor that is enabled, or a recovery code.
    pub(crate) code: Option<String>,
}

/// Which codes are right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CodeKind {
    /// The authenticator app's.
    Totp,
    /// The one that was mailed to this session ([`super::mail_confirmation`]).
    Email,
    /// One of the recovery codes.
    RecoveryCode,
    /// Any of them.
    Any,
}

/// Lets the caller pass who proves that they are the account's user, or has done so a short while ago.
///
/// A proof that is given must be right, even where none is needed. It is used up in a transaction of its own, before
/// what it is for: wrong ones are counted whatever happens next.
///
/// # Errors
/// 403 for keys and tokens, and where there is no proof and the last one is too long ago; 400 for a wrong one; 429
/// after too many.
pub(crate) async fn require(
    area: &Area,
    caller: &Caller,
    request: &RequestFacts,
    proof: &Proof,
) -> ApiResult<()> {
    crate::login_only(caller)?;
    match proof {
        Proof {
            password: Some(password),
            ..
        } => check_password(area, caller, request, password).await,
        Proof {
            password: None,
            code: Some(code),
        } => check_code(area, caller, request, CodeKind::Any, code).await,
        Proof {
            password: None,
            code: None,
        } => recent_login_only(&area.identity, caller),
    }
}

/// Compares a password with the caller's.
///
/// # Errors
/// 400 if it is another, or the account has none; 429 after too many.
pub(crate) async fn check_password(
    area: &Area,
    caller: &Caller,
    request: &RequestFacts,
    password: &str,
) -> ApiResult<()> {
    let identity = &area.identity;
    let id = caller.user;
    let user = identity
        .store()
        .read("check_password", move |conn| users::find(conn, id))
        .await?;
    let judged = identity
        .check_password(&user, password, request, "password")
        .await;
    if judged.as_ref().is_err_and(|fault| fault.status() == 400) {
        let origin = Origin::caller(caller, request);
        identity
            .store()
            .write("note_failed_proof", move |tx| note_failure(tx, &origin, &user))
            .await?;
    }
    judged
}

/// Tries a code of the caller's.
///
/// # Errors
/// 400 if it is wrong; 429 after too many.
pub(crate) async fn check_code(
    area: &Area,
    caller: &Caller,
    request: &RequestFacts,
    kind: CodeKind,
    code: &str,
) -> ApiResult<()> {
    let code = code.to_owned();
    check(area, caller, request, move |tx, trial| trial.run(tx, kind, &code)).await
}

/// Checks what a passkey of the caller's has answered to [`passkey_confirmation`].
///
/// # Errors
/// 400 if it is wrong; 429 after too many.
pub(crate) async fn check_passkey(
    area: &Area,
    caller: &Caller,
    request: &RequestFacts,
    shown: &WebAuthnAssertion,
) -> ApiResult<()> {
    let shown = shown.clone();
    check(area, caller, request, move |tx, trial| {
        let challenge = shown.challenge_id.map(kernel::id::Id::cast);
        second_factor::accept(
            tx,
            trial.identity,
            trial.user.id,
            None,
            challenge,
            &shown.credential,
        )
    })
    .await
}

/// Asks a session's user for one of their passkeys.
///
/// # Errors
/// 400 for an account without any.
pub(crate) fn passkey_confirmation(
    tx: &mut Tx<'_>,
    identity: &Identity,
    caller: &Caller,
) -> ApiResult<MfaChallenge> {
    if Factors::of(tx.conn(), caller.user)?.webauthn == 0 {
        return Err(Faults::one("method", "This account has no passkey.").into());
    }
    // The answer need not name the question: the one that was asked last counts.
    let (_, options) = second_factor::challenge(tx, identity, caller.user, None)?;
    Ok(MfaChallenge {
        method: MfaMethod::Webauthn,
        destination: None,
        public_key: Some(options),
        expires_in: MFA_LIFETIME.as_secs(),
        resend_after: None,
    })
}

/// Tries a proof in a transaction of its own. A wrong one is counted and recorded.
async fn check(
    area: &Area,
    caller: &Caller,
    request: &RequestFacts,
    attempt: impl Fn(&mut Tx<'_>, &Trial<'_>) -> ApiResult<bool> + Send + 'static,
) -> ApiResult<()> {
    let identity = area.identity.clone();
    let caller = caller.clone();
    let origin = Origin::caller(&caller, request);
    let store = identity.store().clone();
    let is_right = store
        .write("check_proof", move |tx| {
            let user = users::lock(tx, caller.user)?;
            let guesses = guesses::admit_session(tx, user.id)?;
            let trial = Trial {
                identity: &identity,
                origin: &origin,
                caller: &caller,
                user: &user,
            };
            let is_right = attempt(tx, &trial)?;
            if !is_right {
                guesses::count(tx, &identity, &origin, &user, guesses)?;
                note_failure(tx, &origin, &user)?;
            }
            Ok::<_, ApiError>(is_right)
        })
        .await?;
    if is_right { Ok(()) } else { Err(wrong_code()) }
}

/// A code that is tried by somebody with a session.
struct Trial<'a> {
    identity: &'a Identity,
    origin: &'a Origin,
    caller: &'a Caller,
    user: &'a UserRow,
}

impl Trial<'_> {
    fn run(&self, tx: &mut Tx<'_>, kind: CodeKind, code: &str) -> ApiResult<bool> {
        match kind {
            CodeKind::Totp => totp::accept(tx, self.identity.sealer(), self.user.id, code),
            CodeKind::Email => Ok(email::accept_confirmation(tx, self.identity, self.caller, code)?),
            CodeKind::RecoveryCode => Ok(recovery::accept(
                tx,
                self.identity,
                self.origin,
                self.user,
                code,
                Some(self.caller.credential),
            )?),
            CodeKind::Any if recovery::is_code(code) => self.run(tx, CodeKind::RecoveryCode, code),
            CodeKind::Any => Ok(self.run(tx, CodeKind::Totp, code)? || self.run(tx, CodeKind::Email, code)?),
        }
    }
}

fn note_failure(tx: &mut Tx<'_>, origin: &Origin, user: &UserRow) -> Result<(), StoreError> {
    let event = Event {
        action: "user.confirmation_failed",
        resource_type: "user",
        resource_id: user.id.cast(),
        resource_name: user.email.clone(),
        description: "A wrong proof of identity was given in a session".to_owned(),
        changes: Changes::default(),
        status: AuditStatus::Failure,
    };
    tx.audit(origin, None, None, &event)
}

/// 400: a code that was tried in a session. (A 401 there would be about the session itself.)
pub(super) fn wrong_code() -> ApiError {
    ApiError::new(
        http::StatusCode::BAD_REQUEST,
        "invalid_code",
        "The code is wrong or was used already.",
    )
}
