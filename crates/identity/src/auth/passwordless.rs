//! Logging in with a mailed code or link.

use std::time::Duration;

use axum::{Extension, Json, extract::State};
use http::StatusCode;
use kernel::{
    http::{ApiError, ApiResult, Body, Change, Faults, RequestFacts},
    id::AnyId,
    openapi::Whole,
    store::Tx,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    AuthError,
    api::LoginResponse,
    challenges::{self, Attempt, ChallengeId, Purpose, gone},
    completion::{self, Desk, FirstFactor, Mailbox},
    guard,
    methods::AuthMethod,
    options::PasswordlessMethod,
    proof_mail::{self, Asked, Form},
    refusals::Public,
    verify_email::wrong_code,
};
use crate::{Identity, state::Area, users::email_key};

/// The body of `request_passwordless_login`.
#[derive(Clone, Deserialize, ToSchema)]
pub(super) struct PasswordlessRequest {
    #[schema(format = "email", max_length = 254)]
    email: String,
    #[serde(default)]
    #[schema(value_type = PasswordlessMethod, required = false)]
    method: Option<PasswordlessMethod>,
    /// Page that receives the magic link; must be on the allow-list.
    #[serde(default)]
    #[schema(value_type = String, required = false, format = "uri", max_length = 2048)]
    redirect_uri: Option<String>,
}

impl Body for PasswordlessRequest {
    type Wire = Self;
}

/// A code or link that is on its way, if the account exists.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PasswordlessChallenge {
    #[schema(value_type = AnyId)]
    challenge_id: ChallengeId,
    method: PasswordlessMethod,
    /// Seconds.
    #[schema(value_type = Whole)]
    expires_in: u64,
    /// Seconds before another mail can be asked for.
    #[schema(value_type = Whole)]
    resend_after: u64,
}

/// [Passwordless] Request a login code or magic link
///
/// Mails a 6-digit code or a link that logs in without a password. The answer is the same for unknown addresses.
#[utoipa::path(
    post,
    path = "/v1/auth/passwordless/request",
    operation_id = "request_passwordless_login",
    tag = "Authentication",
    security(()),
    request_body = PasswordlessRequest,
    responses(
        (status = 202, body = PasswordlessChallenge, description = "Mail sent if the account exists"),
        (status = 403, body = AuthError, description = "Not offered on this installation"),
        Public,
    )
)]
pub(super) async fn request_passwordless_login(
    Extension(request): Extension<RequestFacts>,
    State(Area { identity, .. }): State<Area>,
    change: Change<PasswordlessRequest>,
) -> ApiResult<(StatusCode, Json<PasswordlessChallenge>)> {
    let wanted = change.body()?;
    let offered = &identity.settings().passwordless;
    let default = PasswordlessMethod::ALL
        .iter()
        .find(|method| offered.contains(&method.setting()));
    let method = wanted
        .method
        .or(default.copied())
        .filter(|method| offered.contains(&method.setting()))
        .ok_or_else(not_offered)?;
    let page = match &wanted.redirect_uri {
        Some(uri) if identity.allows_redirect(uri) => uri.clone(),
        Some(_) => return Err(Faults::one("redirect_uri", "This address is not on the allow-list.").into()),
        None => identity.account_url("login"),
    };
    let key = email_key(&wanted.email);
    identity
        .mail_throttle()
        .count(&key, request.address, identity.clock().now())?;
    let form = match method {
        PasswordlessMethod::Code => Form::Code,
        PasswordlessMethod::MagicLink => Form::Link,
    };
    let asked = Asked::new(form, page, &request);
    let lifetime = Duration::from_secs(identity.settings().code_minutes.saturating_mul(60));
    let resend_after = identity.settings().mail_pause_seconds;
    let store = identity.store().clone();
    let challenge_id = store
        .write("request_passwordless_login", move |tx| {
            proof_mail::ask(
                tx,
                &identity,
                Purpose::Passwordless,
                &key,
                asked.clone(),
                lifetime,
            )
        })
        .await?;
    let answer = PasswordlessChallenge {
        challenge_id,
        method,
        expires_in: lifetime.as_secs(),
        resend_after,
    };
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

fn not_offered() -> ApiError {
    let detail = "This way to log in is not offered on this installation.";
    ApiError::new(StatusCode::FORBIDDEN, "method_not_offered", detail)
}

/// Either `challenge_id` with `code`, or `token`.
#[derive(Clone, Deserialize, ToSchema)]
pub(super) struct PasswordlessVerify {
    #[serde(default)]
    #[schema(value_type = AnyId, required = false)]
    challenge_id: Option<ChallengeId>,
    /// 6-digit code.
    #[serde(default)]
    #[schema(value_type = String, required = false, pattern = r"^\d{6}$", write_only)]
    code: Option<String>,
    /// Token of the magic link.
    #[serde(default)]
    #[schema(value_type = String, required = false, max_length = 255, write_only)]
    token: Option<String>,
    #[serde(default)]
    #[schema(default = false)]
    remember_me: bool,
    #[serde(default)]
    #[schema(value_type = String, required = false, max_length = 255, write_only)]
    trusted_device_token: Option<String>,
}

impl Body for PasswordlessVerify {
    type Wire = Self;
}

enum Proof {
    Token(String),
    Code { id: ChallengeId, code: String },
}

impl PasswordlessVerify {
    fn proof(&self) -> Result<Proof, Faults> {
        match (&self.token, self.challenge_id, &self.code) {
            (Some(token), ..) => Ok(Proof::Token(token.clone())),
            (None, Some(id), Some(code)) => Ok(Proof::Code {
                id,
                code: code.clone(),
            }),
            (None, id, code) => {
                let mut faults = Faults::default();
                if id.is_none() && code.is_none() {
                    faults.add(
                        "token",
                        "Give the token of the link, or the challenge's id and the code.",
                    );
                } else {
                    faults.check("challenge_id", id.is_some(), "This field is required.");
                    faults.check("code", code.is_some(), "This field is required.");
                }
                Err(faults)
            }
        }
    }
}

/// [Passwordless] Log in with a code or magic link
///
/// Consumes the code or link. It proves control of the mailbox, so the `email` second factor is not asked again; other
/// enabled factors are.
#[utoipa::path(
    post,
    path = "/v1/auth/passwordless/verify",
    operation_id = "verify_passwordless_login",
    tag = "Authentication",
    security(()),
    request_body = PasswordlessVerify,
    responses(
        (status = 200, body = LoginResponse, description = "Logged in, or second factor needed"),
        (status = 401, body = AuthError, description = "Authentication credentials missing or invalid"),
        (status = 403, body = AuthError, description = "Insufficient permissions"),
        (status = 410, body = AuthError, description = "Link or code expired"),
        Public,
    )
)]
pub(super) async fn verify_passwordless_login(
    Extension(request): Extension<RequestFacts>,
    State(Area { identity, .. }): State<Area>,
    change: Change<PasswordlessVerify>,
) -> ApiResult<Json<LoginResponse>> {
    let body = change.body()?.clone();
    let proof = body.proof()?;
    let account = account(&identity, &proof).await?;
    guard::admit(
        &identity,
        &account,
        &request,
        body.trusted_device_token.as_deref(),
    )
    .await?;
    let desk = Desk {
        identity: identity.clone(),
        request: request.clone(),
    };
    let outcome = identity
        .store()
        .write("verify_passwordless_login", move |tx| {
            verify(tx, &desk, &body, &proof)
        })
        .await?;
    guard::judge(&identity, &account, &request, &outcome)?;
    outcome.map(Json)
}

/// The address that a code is guessed for; nothing for tokens, which can't be guessed.
async fn account(identity: &Identity, proof: &Proof) -> ApiResult<String> {
    let Proof::Code { id, .. } = proof else {
        return Ok(String::new());
    };
    let id = *id;
    let row = identity
        .store()
        .read("passwordless_account", move |conn| {
            challenges::find_by_id(conn, Purpose::Passwordless, id)
        })
        .await?;
    Ok(row.and_then(|row| row.email_key).unwrap_or_default())
}

/// The outcome of a wrong proof is kept, and with it the count of wrong codes.
fn verify(
    tx: &mut Tx<'_>,
    desk: &Desk,
    body: &PasswordlessVerify,
    proof: &Proof,
) -> ApiResult<Result<LoginResponse, ApiError>> {
    let secrets = desk.identity.secrets();
    let row = match proof {
        Proof::Token(token) => {
            let row = challenges::lock_by_token(tx, secrets, Purpose::Passwordless, token)?;
            match row {
                Some(row) if challenges::use_up(tx, row.id)? => row,
                _ => return Ok(Err(gone())),
            }
        }
        Proof::Code { id, code } => {
            let Some(row) = challenges::lock_by_id(tx, Purpose::Passwordless, *id)? else {
                return Ok(Err(gone()));
            };
            match challenges::try_code(tx, secrets, &row, code)? {
                Attempt::Right => row,
                Attempt::Wrong => return Ok(Err(wrong_code())),
                Attempt::Gone => return Ok(Err(gone())),
            }
        }
    };
    let Some(user) = row.user_id else {
        return Ok(Err(gone()));
    };
    let first = FirstFactor {
        user,
        method: AuthMethod::Passwordless,
        is_multi_factor: false,
        mailbox: Mailbox::Login,
        remember_me: body.remember_me,
        trusted_device_token: body.trusted_device_token.clone(),
    };
    completion::proceed(tx, desk, &first).map(Ok)
}
