//! `complete_passkey_login`.

use axum::{Extension, Json, extract::State};
use kernel::{
    access::User,
    audit::Origin,
    http::{ApiError, ApiResult, Change, RequestFacts},
    id::Id,
    store::{StoreError, Tx},
};
use serde_json::json;
use webauthn_rs_core::proto::PublicKeyCredential;

use super::{
    api::PasskeyLogin,
    assertion::{self, Judgement},
    rows,
};
use crate::{
    auth::{
        AuthError, AuthMethod, Desk, LoginResponse,
        challenges::{self, ChallengeId, Purpose, gone},
        completion::{self, FirstFactor, Mailbox},
        refusals::Public,
    },
    mfa::Factors,
    security::{self, Incident, SecurityEvent},
    state::Area,
    users,
};

/// [Passwordless] Log in with a passkey
///
/// Verifies the assertion. A passkey with user verification (a PIN or a finger) counts as both factors. One without is
/// the first; the second is then an app's or a mailed code, and never the same passkey again.
#[utoipa::path(
    post,
    path = "/v1/auth/passkeys/login/complete",
    operation_id = "complete_passkey_login",
    tag = "Authentication",
    security(()),
    request_body = PasskeyLogin,
    responses(
        (status = 200, body = LoginResponse, description = "Logged in, or second factor needed"),
        (status = 401, body = AuthError, description = "Authentication credentials missing or invalid"),
        (status = 403, body = AuthError, description = "Insufficient permissions"),
        (status = 410, body = AuthError, description = "Link or code expired"),
        Public,
    )
)]
pub(super) async fn complete_passkey_login(
    Extension(request): Extension<RequestFacts>,
    State(Area { identity, .. }): State<Area>,
    change: Change<PasskeyLogin>,
) -> ApiResult<Json<LoginResponse>> {
    let given = change.body()?;
    let (id, remember_me) = (given.challenge_id, given.remember_me);
    let answer = assertion::answer(&given.credential)?;
    let (address, now) = (request.address, identity.clock().now());
    identity.throttle().admit("", address, now)?;
    let desk = Desk {
        identity: identity.clone(),
        request,
    };
    let outcome = identity
        .store()
        .write("complete_passkey_login", move |tx| {
            log_in(tx, &desk, id, &answer, remember_me)
        })
        .await?;
    identity.throttle().judge("", address, now, outcome.is_ok())?;
    outcome.map(Json)
}

/// A refusal is kept: the challenge is used up, and the passkey's owner can see it.
fn log_in(
    tx: &mut Tx<'_>,
    desk: &Desk,
    id: ChallengeId,
    answer: &PublicKeyCredential,
    remember_me: bool,
) -> ApiResult<Result<LoginResponse, ApiError>> {
    let challenge = challenges::lock_by_id(tx, Purpose::WebauthnLogin, id)?;
    let Some(challenge) = challenge.filter(|row| row.is_open(tx.now())) else {
        return Ok(Err(gone()));
    };
    if !challenges::use_up(tx, challenge.id)? {
        return Ok(Err(gone()));
    }
    let judgement = assertion::judge(tx, &desk.identity, &challenge, challenge.user_id, answer)?;
    let (user, passkey, credential, is_user_verified) = match judgement {
        Judgement::Right {
            user,
            passkey,
            credential,
            is_user_verified,
        } => (user, passkey, credential, is_user_verified),
        Judgement::Wrong { owner, reason } => {
            if let Some(owner) = owner {
                note_failure(tx, desk, owner, reason)?;
            }
            return Ok(Err(refusal()));
        }
    };
    rows::note_use(tx, passkey, &credential)?;
    if !is_user_verified {
        let factors = Factors::of(tx.conn(), user)?;
        // Having a device is one factor, however often it is shown.
        if !factors.totp && !factors.email {
            note_failure(tx, desk, user, "user_not_verified")?;
            return Ok(Err(refusal()));
        }
    }
    let first = FirstFactor {
        user,
        method: AuthMethod::Passkey,
        is_multi_factor: is_user_verified,
        mailbox: Mailbox::Unknown,
        remember_me,
        trusted_device_token: None,
    };
    completion::proceed(tx, desk, &first).map(Ok)
}

/// 401, without the reason.
fn refusal() -> ApiError {
    ApiError::unauthenticated("invalid_credentials", "This passkey can't be used to log in.")
}

fn note_failure(tx: &mut Tx<'_>, desk: &Desk, owner: Id<User>, reason: &str) -> Result<(), StoreError> {
    let user = users::find(tx.conn(), owner)?;
    let origin = Origin::caller(&user.caller(Id::new()), &desk.request);
    let description = if reason == "counter_went_back" {
        "Passkey refused: its counter went back, so that it may have been copied"
    } else {
        "Passkey refused"
    };
    let incident = Incident {
        user: &user,
        event: SecurityEvent::LoginFailed,
        description,
        session: None,
        metadata: json!({"auth_method": AuthMethod::Passkey, "reason": reason}),
        letter: None,
    };
    security::record(tx, &desk.identity, &origin, &incident)
}
