//! `verify_email` and `resend_verification_email`: an address is its account's, and the account is open.

use axum::{Extension, Json, extract::State};
use http::StatusCode;
use kernel::{
    http::{ApiError, ApiResult, Body, Change, Faults, RequestFacts},
    store::Tx,
};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{
    AuthError,
    api::{DetailMessage, EmailOnly, LoginResponse},
    challenges::{self, Attempt, Purpose, gone},
    completion::{self, Desk, FirstFactor, Mailbox},
    guard,
    methods::AuthMethod,
    proof_mail::{self, Asked, Form},
    refusals::Public,
    register::verification,
};
use crate::{
    letters,
    state::Area,
    users::{self, email_key, find_by_email},
};

/// Either `token`, or `email` together with `code`.
#[derive(Clone, Deserialize, ToSchema)]
pub(super) struct VerifyEmail {
    /// Token of the mailed link.
    #[serde(default)]
    #[schema(value_type = String, required = false, max_length = 255, write_only)]
    token: Option<String>,
    #[serde(default)]
    #[schema(value_type = String, required = false, format = "email", max_length = 254)]
    email: Option<String>,
    /// 6-digit code.
    #[serde(default)]
    #[schema(value_type = String, required = false, pattern = r"^\d{6}$", write_only)]
    code: Option<String>,
}

impl Body for VerifyEmail {
    type Wire = Self;
}

/// What was shown.
enum Proof {
    Token(String),
    Code { email_key: String, code: String },
}

impl VerifyEmail {
    fn proof(&self) -> Result<Proof, Faults> {
        match (&self.token, &self.email, &self.code) {
            (Some(token), ..) => Ok(Proof::Token(token.clone())),
            (None, Some(email), Some(code)) => Ok(Proof::Code {
                email_key: email_key(email),
                code: code.clone(),
            }),
            (None, email, code) => {
                let mut faults = Faults::default();
                if email.is_none() && code.is_none() {
                    faults.add(
                        "token",
                        "Give the token of the link, or the address and the code.",
                    );
                } else {
                    faults.check("email", email.is_some(), "This field is required.");
                    faults.check("code", code.is_some(), "This field is required.");
                }
                Err(faults)
            }
        }
    }
}

/// [Email Verification] Verify an e-mail address
///
/// Marks the address as verified and logs the user in. Tokens and codes work once.
#[utoipa::path(
    post,
    path = "/v1/auth/email/verify",
    operation_id = "verify_email",
    tag = "Authentication",
    security(()),
    request_body = VerifyEmail,
    responses(
        (status = 200, body = LoginResponse, description = "Address verified"),
        (status = 403, body = AuthError, description = "The account is disabled"),
        (status = 410, body = AuthError, description = "Link or code expired"),
        Public,
    )
)]
pub(super) async fn verify_email(
    Extension(request): Extension<RequestFacts>,
    State(Area { identity, .. }): State<Area>,
    change: Change<VerifyEmail>,
) -> ApiResult<Json<LoginResponse>> {
    let proof = change.body()?.proof()?;
    let account = match &proof {
        Proof::Token(_) => String::new(),
        Proof::Code { email_key, .. } => email_key.clone(),
    };
    guard::admit(&identity, &account, &request, None).await?;
    let desk = Desk {
        identity: identity.clone(),
        request: request.clone(),
    };
    let outcome = identity
        .store()
        .write("verify_email", move |tx| verify(tx, &desk, &proof))
        .await?;
    guard::judge(&identity, &account, &request, &outcome)?;
    outcome.map(Json)
}

/// The outcome of a wrong proof is kept, and with it the count of wrong codes.
fn verify(tx: &mut Tx<'_>, desk: &Desk, proof: &Proof) -> ApiResult<Result<LoginResponse, ApiError>> {
    let secrets = desk.identity.secrets();
    let row = match proof {
        Proof::Token(token) => {
            let row = challenges::lock_by_token(tx, secrets, Purpose::VerifyEmail, token)?;
            match row {
                Some(row) if challenges::use_up(tx, row.id)? => row,
                _ => return Ok(Err(gone())),
            }
        }
        Proof::Code { email_key, code } => {
            let user = find_by_email(tx.conn(), email_key)?;
            let row = match user {
                Some(user) => challenges::lock_last_of_user(tx, Purpose::VerifyEmail, user.id)?,
                None => None,
            };
            // Nobody's address, and one that has nothing to verify, look like a wrong code.
            let Some(row) = row else {
                return Ok(Err(wrong_code()));
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
        mailbox: Mailbox::Verification,
        remember_me: false,
        trusted_device_token: None,
    };
    let was_verified = users::find(tx.conn(), user)?.email_verified;
    let answer = completion::proceed(tx, desk, &first)?;
    if !was_verified {
        let user = users::find(tx.conn(), user)?;
        let values = json!({"login_url": desk.identity.account_url("login")});
        letters::post(tx, &desk.identity, &user, letters::WELCOME, values)?;
    }
    Ok(Ok(answer))
}

/// 400 on `code`.
pub(super) fn wrong_code() -> ApiError {
    Faults::one("code", "This code is not valid.").into()
}

/// [Email Verification] Resend the verification mail
///
/// Sends a new link and code and voids earlier ones. Always answers the same way, whether or not the address is known.
#[utoipa::path(
    post,
    path = "/v1/auth/email/resend",
    operation_id = "resend_verification_email",
    tag = "Authentication",
    security(()),
    request_body = EmailOnly,
    responses(
        (status = 202, body = DetailMessage, description = "Mail sent if the address awaits verification"),
        Public,
    )
)]
pub(super) async fn resend_verification_email(
    Extension(request): Extension<RequestFacts>,
    State(Area { identity, .. }): State<Area>,
    change: Change<EmailOnly>,
) -> ApiResult<(StatusCode, Json<DetailMessage>)> {
    let key = email_key(&change.body()?.email);
    identity
        .mail_throttle()
        .count(&key, request.address, identity.clock().now())?;
    let asked = Asked::new(Form::Both, identity.account_url("verify-email"), &request);
    let (store, lifetime) = (identity.store().clone(), verification(&identity));
    store
        .write("resend_verification_email", move |tx| {
            proof_mail::ask(tx, &identity, Purpose::VerifyEmail, &key, asked.clone(), lifetime)
        })
        .await?;
    let detail = "If this address awaits verification, a mail is on its way.".to_owned();
    Ok((StatusCode::ACCEPTED, Json(DetailMessage { detail })))
}
