//! `verify_mfa`: the second factor opens the session.

use axum::{Extension, Json, extract::State};
use kernel::{
    audit::Origin,
    http::{ApiError, ApiResult, Change, Faults, RequestFacts},
    id::Id,
    store::{StoreError, Tx},
};
use serde_json::json;

use super::{api::MfaVerify, email, guesses, recovery, totp, trusted_devices};
use crate::{
    auth::{
        AuthError, Desk, LoginResponse, MfaStep,
        challenges::{self, ChallengeRow, Purpose},
        completion::{self, Mailbox, Opening, Pending},
        refusals::Public,
    },
    security::{self, Incident, SecurityEvent},
    state::Area,
    users::UserRow,
    webauthn::second_factor,
};

/// What became of a second factor. All of these are committed.
enum Outcome {
    Done(Box<LoginResponse>),
    /// It was wrong. This was counted.
    Wrong,
}

/// [MFA] Complete a login with a second factor
///
/// Checks the code, assertion or recovery code and opens the session. After five failures the MFA token is void and the
/// login starts over. Ten failures an hour, over all its logins, are what an account takes, and fewer when they go on:
/// then 429, except where it was used from lately.
#[utoipa::path(
    post,
    path = "/v1/auth/mfa/verify",
    operation_id = "verify_mfa",
    tag = "Authentication",
    security(()),
    request_body = MfaVerify,
    responses(
        (status = 200, body = LoginResponse, description = "Logged in"),
        (status = 401, body = AuthError, description = "Authentication credentials missing or invalid"),
        (status = 403, body = AuthError, description = "Insufficient permissions"),
        (status = 410, body = AuthError, description = "Link or code expired"),
        Public,
    )
)]
pub(super) async fn verify_mfa(
    Extension(request): Extension<RequestFacts>,
    State(Area { identity, .. }): State<Area>,
    change: Change<MfaVerify>,
) -> ApiResult<Json<LoginResponse>> {
    change.body()?.check()?;
    let store = identity.store().clone();
    let desk = Desk { identity, request };
    let outcome = store
        .write("verify_mfa", move |tx| verify(tx, &desk, change.body()?))
        .await?;
    match outcome {
        Outcome::Done(answer) => Ok(Json(*answer)),
        Outcome::Wrong => Err(ApiError::unauthenticated(
            "invalid_code",
            "The code is wrong or was used already.",
        )),
    }
}

impl MfaVerify {
    /// What each method needs.
    fn check(&self) -> Result<(), Faults> {
        let mut faults = Faults::default();
        let required = "This field is required.";
        match self.method {
            MfaStep::Totp | MfaStep::Email | MfaStep::RecoveryCode => {
                faults.check("code", self.code.is_some(), required);
            }
            MfaStep::Webauthn => faults.check("credential", self.credential.is_some(), required),
        }
        faults.into_result()
    }
}

fn verify(tx: &mut Tx<'_>, desk: &Desk, given: &MfaVerify) -> ApiResult<Outcome> {
    let identity = &desk.identity;
    let login = lock_login(tx, desk, &given.mfa_token)?;
    let id = login.user_id.ok_or_else(unknown_token)?;
    let pending: Pending = login.payload()?;
    if !pending.methods.contains(&given.method) {
        return Err(not_offered());
    }
    let user = completion::admit(tx, desk, id, Mailbox::Unknown)?;
    let guesses = guesses::admit(tx, id, desk.request.address)?;
    let origin = Origin::caller(&user.caller(Id::new()), &desk.request);
    let code = given.code.as_deref().unwrap_or_default();
    let is_right = match given.method {
        MfaStep::Totp => totp::accept(tx, identity.sealer(), id, code)?,
        MfaStep::Email => email::accept(tx, identity, id, login.id, code)?,
        MfaStep::RecoveryCode => recovery::accept(tx, identity, &origin, &user, code, None)?,
        MfaStep::Webauthn => {
            let shown = given.credential.as_ref().ok_or_else(not_offered)?;
            let challenge = shown.challenge_id.map(|id| id.cast());
            second_factor::accept(tx, identity, id, Some(login.id), challenge, &shown.credential)?
        }
    };
    if !is_right {
        challenges::count_failure(tx, login.id)?;
        guesses::count(tx, identity, &origin, &user, guesses)?;
        note_failure(tx, desk, &origin, &user, &pending, given.method)?;
        return Ok(Outcome::Wrong);
    }
    challenges::use_up(tx, login.id)?;
    let trusted = if given.remember_device {
        let name = given.device_name.as_deref();
        Some(trusted_devices::trust(tx, desk, id, name)?)
    } else {
        None
    };
    let (trusted_device, token) = trusted.unzip();
    let opening = Opening {
        method: pending.method,
        mfa: Some(given.method),
        remember_me: pending.remember_me,
        trusted_device,
    };
    let mut answer = completion::open(tx, desk, user, &opening)?;
    answer.trusted_device_token = token;
    Ok(Outcome::Done(Box::new(answer)))
}

/// The login that a token stands for, locked.
fn lock_login(tx: &mut Tx<'_>, desk: &Desk, token: &str) -> ApiResult<ChallengeRow> {
    let secrets = desk.identity.secrets();
    let login = challenges::lock_by_token_even_ended(tx, secrets, Purpose::Mfa, token)?;
    let login = login.ok_or_else(unknown_token)?;
    if login.is_open(tx.now()) {
        return Ok(login);
    }
    Err(ApiError::new(
        http::StatusCode::GONE,
        "challenge_expired",
        "This login has expired, was completed or was tried too often: log in again.",
    ))
}

fn note_failure(
    tx: &mut Tx<'_>,
    desk: &Desk,
    origin: &Origin,
    user: &UserRow,
    pending: &Pending,
    method: MfaStep,
) -> Result<(), StoreError> {
    let incident = Incident {
        user,
        event: SecurityEvent::LoginFailed,
        description: "Second factor refused",
        session: None,
        metadata: json!({ "auth_method": pending.method, "mfa_method": method }),
        letter: None,
    };
    security::record(tx, &desk.identity, origin, &incident)
}

fn unknown_token() -> ApiError {
    ApiError::unauthenticated("token_not_valid", "Token is invalid or expired")
}

/// 400: a method that the first step did not offer.
pub(super) fn not_offered() -> ApiError {
    Faults::one("method", "This login can't be completed with this method.").into()
}
