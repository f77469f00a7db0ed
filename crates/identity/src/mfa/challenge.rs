//! `request_mfa_challenge`: the second step of a login asks for its proof.

use axum::{Extension, Json, extract::State};
use kernel::{
    access::User,
    http::{ApiError, ApiResult, Change, RequestFacts},
    id::Id,
    store::Tx,
};

use super::{
    api::{MfaChallenge, MfaChallengeRequest},
    email,
    verify::not_offered,
};
use crate::{
    Identity,
    auth::{
        AuthError, Desk, MfaMethod, MfaStep,
        challenges::{self, ChallengeRow, Purpose},
        completion::{self, Mailbox, Pending},
        refusals::Public,
    },
    state::Area,
    webauthn::second_factor,
};

/// [MFA] Request a second-factor challenge
///
/// During login: mails a code for `email`, returns request options for `webauthn`, does nothing for `totp`. Mails are
/// at most one a minute.
#[utoipa::path(
    post,
    path = "/v1/auth/mfa/challenge",
    operation_id = "request_mfa_challenge",
    tag = "Authentication",
    security(()),
    request_body = MfaChallengeRequest,
    responses(
        (status = 200, body = MfaChallenge, description = "Challenge"),
        (status = 401, body = AuthError, description = "Authentication credentials missing or invalid"),
        (status = 403, body = AuthError, description = "Insufficient permissions"),
        Public,
    )
)]
pub(super) async fn request_mfa_challenge(
    Extension(request): Extension<RequestFacts>,
    State(Area { identity, .. }): State<Area>,
    change: Change<MfaChallengeRequest>,
) -> ApiResult<Json<MfaChallenge>> {
    let wanted = change.body()?;
    let (token, method) = (wanted.mfa_token.clone(), wanted.method);
    let store = identity.store().clone();
    let desk = Desk { identity, request };
    let challenge = store
        .write("request_mfa_challenge", move |tx| {
            let secrets = desk.identity.secrets();
            let login = challenges::lock_by_token(tx, secrets, Purpose::Mfa, &token)?;
            let (login, id) = login
                .and_then(|login| login.user_id.map(|id| (login, id)))
                .ok_or_else(ended)?;
            let pending: Pending = login.payload()?;
            if !pending.methods.contains(&MfaStep::from(method)) {
                return Err(not_offered());
            }
            let user = completion::admit(tx, &desk, id, Mailbox::Unknown)?;
            match method {
                MfaMethod::Totp => Ok(at_hand(tx.now(), &login)),
                MfaMethod::Email => email::mail_login_code(tx, &desk.identity, &user, &login),
                MfaMethod::Webauthn => passkey(tx, &desk.identity, id, &login),
            }
        })
        .await?;
    Ok(Json(challenge))
}

/// Asks for one of the user's passkeys.
fn passkey(
    tx: &mut Tx<'_>,
    identity: &Identity,
    user: Id<User>,
    login: &ChallengeRow,
) -> ApiResult<MfaChallenge> {
    let (_, options) = second_factor::challenge(tx, identity, user, Some(login.id))?;
    Ok(MfaChallenge {
        method: MfaMethod::Webauthn,
        destination: None,
        public_key: Some(options),
        expires_in: login.expires_at.since(tx.now()).as_secs(),
        resend_after: None,
    })
}

/// The app has the code already.
fn at_hand(now: kernel::time::Time, login: &ChallengeRow) -> MfaChallenge {
    MfaChallenge {
        method: MfaMethod::Totp,
        destination: None,
        public_key: None,
        expires_in: login.expires_at.since(now).as_secs(),
        resend_after: None,
    }
}

/// 401: the token of the first step is no longer one, or never was.
fn ended() -> ApiError {
    ApiError::unauthenticated("token_not_valid", "This login has ended: log in again.")
}
