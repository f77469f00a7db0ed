//! Asking for a passkey and judging what the browser answers: the same for a login and for a second factor.

use std::time::Duration;

use kernel::{
    access::User,
    http::{ApiError, ApiResult, Faults},
    id::Id,
    store::Tx,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use webauthn_rs_core::{
    error::WebauthnError,
    proto::{
        AllowCredentials, AuthenticationState, Credential, PublicKeyCredential,
        PublicKeyCredentialRequestOptions, UserVerificationPolicy,
    },
};

use super::rows::{self, PasskeyId, PasskeyRow};
use crate::{
    Identity,
    auth::challenges::{self, ChallengeId, ChallengeRow, NewChallenge, Purpose},
    users,
};

/// How long an answer may take.
pub(super) const LIFETIME: Duration = Duration::from_secs(10 * 60);
const SEALED_FOR: &str = "webauthn-assert/1";

/// What a challenge keeps.
#[derive(Serialize, Deserialize)]
struct Asked {
    /// Sealed: what was asked of the browser.
    state: String,
    /// The login that it is the second step of.
    login: Option<ChallengeId>,
}

/// What is asked for.
pub(super) struct Question<'a> {
    pub(super) purpose: Purpose,
    /// Whose passkeys will do; anybody's discoverable one if `None`.
    pub(super) user: Option<Id<User>>,
    pub(super) passkeys: &'a [PasskeyRow],
    /// Named besides the passkeys, where there are none: see `begin_login`.
    pub(super) decoy: Option<AllowCredentials>,
    pub(super) login: Option<ChallengeId>,
}

/// Asks for a passkey.
pub(super) fn ask(
    tx: &mut Tx<'_>,
    identity: &Identity,
    question: Question<'_>,
) -> ApiResult<(ChallengeId, PublicKeyCredentialRequestOptions)> {
    let Question {
        purpose,
        user,
        passkeys,
        decoy,
        login,
    } = question;
    let known: Vec<Credential> = passkeys
        .iter()
        .map(PasskeyRow::credential)
        .collect::<Result<_, _>>()?;
    let core = identity.relying_party().core();
    let (asked, mut state) = core
        .new_challenge_authenticate_builder(known, Some(UserVerificationPolicy::Preferred))
        .and_then(|builder| core.generate_challenge_authenticate(builder))
        .map_err(ApiError::internal)?;
    // Read again when the answer comes: with the counter as it is then.
    state.set_allowed_credentials(Vec::new());
    let mut options = asked.public_key;
    for (allowed, passkey) in options.allow_credentials.iter_mut().zip(passkeys) {
        allowed.transports = passkey.transports.read().ok();
    }
    options.allow_credentials.extend(decoy);
    let plain = serde_json::to_vec(&state).map_err(ApiError::internal)?;
    let new = NewChallenge {
        purpose,
        user,
        email_key: None,
        token: None,
        code: None,
        payload: Asked {
            state: identity.sealer().seal(SEALED_FOR, &plain),
            login,
        },
        lifetime: LIFETIME,
    };
    let row = challenges::issue(tx, identity.secrets(), &new)?;
    Ok((row.id, options))
}

/// The login that a challenge is the second step of.
pub(super) fn login_of(row: &ChallengeRow) -> ApiResult<Option<ChallengeId>> {
    let Asked { state: _, login } = row.payload()?;
    Ok(login)
}

/// What the browser answered, if it did so as browsers do.
///
/// # Errors
/// 400.
pub(super) fn answer(given: &Map<String, Value>) -> ApiResult<PublicKeyCredential> {
    let answer: Option<PublicKeyCredential> = serde_json::from_value(Value::Object(given.clone())).ok();
    answer
        .filter(|answer| answer.type_ == "public-key" && answer.id == rows::text(&answer.raw_id))
        .ok_or_else(|| {
            Faults::one(
                "credential",
                "This is not what browsers answer to request options.",
            )
            .into()
        })
}

/// What an answer proves.
#[derive(Debug)]
pub(super) enum Judgement {
    /// A passkey of this user answered the challenge.
    Right {
        user: Id<User>,
        passkey: PasskeyId,
        credential: Box<Credential>,
        is_user_verified: bool,
    },
    /// Nothing. `owner` is who has the passkey that was named.
    Wrong {
        owner: Option<Id<User>>,
        /// For the log of security events, never for whoever answered.
        reason: &'static str,
    },
}

/// Judges an answer to a challenge that is locked and was open.
///
/// `user` is whose passkey it must be; with `None` the authenticator must say whose it is (section 7.2, step 6).
pub(super) fn judge(
    tx: &mut Tx<'_>,
    identity: &Identity,
    row: &ChallengeRow,
    user: Option<Id<User>>,
    answer: &PublicKeyCredential,
) -> ApiResult<Judgement> {
    let wrong = |owner, reason| Ok(Judgement::Wrong { owner, reason });
    let Some(named) = rows::find_by_credential(tx.conn(), &answer.raw_id)? else {
        return wrong(None, "unknown_passkey");
    };
    let owner = named.user_id;
    if user.is_some_and(|user| user != owner) {
        return wrong(None, "foreign_passkey");
    }
    match answer.get_user_unique_id() {
        Some(handle) if handle == owner.uuid().as_bytes() => {}
        None if user.is_some() => {}
        Some(_) | None => return wrong(None, "foreign_passkey"),
    }
    // One after the other: each sees the counter that the one before has left.
    users::lock(tx, owner)?;
    let Some(passkey) = rows::find_by_credential(tx.conn(), &answer.raw_id)? else {
        return wrong(None, "unknown_passkey");
    };
    let Asked { state, login: _ } = row.payload()?;
    let state = identity
        .sealer()
        .open(SEALED_FOR, &state)
        .map_err(ApiError::internal)?;
    let state: AuthenticationState = serde_json::from_slice(&state).map_err(ApiError::internal)?;
    let mut credential = passkey.credential()?;
    let core = identity.relying_party().core();
    let result = match core.authenticate_single_credential(answer, &state, &credential) {
        Ok(result) => result,
        Err(WebauthnError::CredentialPossibleCompromise) => return wrong(Some(owner), "counter_went_back"),
        Err(fault) => {
            tracing::info!(%fault, "a passkey was refused");
            return wrong(Some(owner), "not_proved");
        }
    };
    credential.counter = result.counter();
    credential.backup_state = result.backup_state();
    Ok(Judgement::Right {
        user: owner,
        passkey: passkey.id,
        credential: Box::new(credential),
        is_user_verified: result.user_verified(),
    })
}
