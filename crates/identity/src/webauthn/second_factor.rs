//! A passkey as second factor of a login, or as proof in a session.

use kernel::{
    access::User,
    http::{ApiError, ApiResult},
    id::Id,
    store::Tx,
};
use serde_json::{Map, Value};

use super::{
    assertion::{self, Judgement, Question},
    rows,
};
use crate::{
    Identity,
    auth::challenges::{self, ChallengeId, ChallengeRow, Purpose},
};

/// Asks for one of the user's passkeys. `login` is the first step of a login that this is the second of; its earlier
/// questions are void.
///
/// Returns the challenge's id and the options for the browser: an object.
///
/// # Errors
/// The database refused.
pub(crate) fn challenge(
    tx: &mut Tx<'_>,
    identity: &Identity,
    user: Id<User>,
    login: Option<ChallengeId>,
) -> ApiResult<(ChallengeId, Value)> {
    challenges::void(tx, Purpose::WebauthnVerify, user)?;
    let passkeys = rows::of_user(tx.conn(), user)?;
    let question = Question {
        purpose: Purpose::WebauthnVerify,
        user: Some(user),
        passkeys: &passkeys,
        decoy: None,
        login,
    };
    let (id, options) = assertion::ask(tx, identity, question)?;
    let options = serde_json::to_value(options).map_err(ApiError::internal)?;
    Ok((id, options))
}

/// Whether `credential` answers the challenge with this id, or else the one that was asked last, for the same login.
/// The challenge is used up either way, so the transaction must be committed.
///
/// # Errors
/// 400 for something that browsers don't answer.
pub(crate) fn accept(
    tx: &mut Tx<'_>,
    identity: &Identity,
    user: Id<User>,
    login: Option<ChallengeId>,
    id: Option<ChallengeId>,
    credential: &Map<String, Value>,
) -> ApiResult<bool> {
    let answer = assertion::answer(credential)?;
    let challenge = match id {
        Some(id) => challenges::lock_by_id(tx, Purpose::WebauthnVerify, id)?,
        None => challenges::lock_last_of_user(tx, Purpose::WebauthnVerify, user)?,
    };
    let Some(challenge) = challenge.filter(|row| row.user_id == Some(user) && row.is_open(tx.now())) else {
        return Ok(false);
    };
    if !belongs(&challenge, login)? || !challenges::use_up(tx, challenge.id)? {
        return Ok(false);
    }
    match assertion::judge(tx, identity, &challenge, Some(user), &answer)? {
        Judgement::Right {
            passkey, credential, ..
        } => {
            rows::note_use(tx, passkey, &credential)?;
            Ok(true)
        }
        Judgement::Wrong { .. } => Ok(false),
    }
}

fn belongs(challenge: &ChallengeRow, login: Option<ChallengeId>) -> ApiResult<bool> {
    Ok(assertion::login_of(challenge)? == login)
}
