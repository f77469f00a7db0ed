//! A new password for who has forgotten the old one: ask for a link, check it, use it.

use std::time::Duration;

use axum::{Extension, Json, extract::State};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use http::StatusCode;
use kernel::{
    audit::Origin,
    http::{ApiError, ApiResult, Body, Change, Faults, RequestFacts},
    id::Id,
    store::Tx,
};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{
    AuthError,
    api::{DetailMessage, EmailOnly},
    challenges::{self, Purpose, gone},
    completion::{self, Desk, Mailbox},
    password_rules,
    proof_mail::{self, Asked, Form},
    refusals::Public,
    sessions,
};
use crate::{
    letters, mfa,
    schema::users,
    security::{self, Incident, SecurityEvent},
    state::Area,
    users::{self as accounts, email_key},
};

/// [Password] Request a password reset
///
/// Mails a reset link. The answer is the same for unknown addresses.
#[utoipa::path(
    post,
    path = "/v1/auth/password/reset",
    operation_id = "request_password_reset",
    tag = "Authentication",
    security(()),
    request_body = EmailOnly,
    responses(
        (status = 202, body = DetailMessage, description = "Mail sent if the account exists"),
        Public,
    )
)]
pub(super) async fn request_password_reset(
    Extension(request): Extension<RequestFacts>,
    State(Area { identity, .. }): State<Area>,
    change: Change<EmailOnly>,
) -> ApiResult<(StatusCode, Json<DetailMessage>)> {
    let key = email_key(&change.body()?.email);
    identity
        .mail_throttle()
        .count(&key, request.address, identity.clock().now())?;
    let asked = Asked::new(Form::Link, identity.account_url("reset-password"), &request);
    let lifetime = Duration::from_secs(identity.settings().reset_minutes.saturating_mul(60));
    let store = identity.store().clone();
    store
        .write("request_password_reset", move |tx| {
            proof_mail::ask(
                tx,
                &identity,
                Purpose::ResetPassword,
                &key,
                asked.clone(),
                lifetime,
            )
        })
        .await?;
    let detail = "If there is an account with this address, a mail is on its way.".to_owned();
    Ok((StatusCode::ACCEPTED, Json(DetailMessage { detail })))
}

/// The body of `validate_password_reset_token`.
#[derive(Clone, Deserialize, ToSchema)]
pub(super) struct PasswordResetValidate {
    #[schema(max_length = 255, write_only)]
    token: String,
}

impl Body for PasswordResetValidate {
    type Wire = Self;
}

/// [Password] Check a reset link
///
/// Tells whether a reset token is still usable, without consuming it.
#[utoipa::path(
    post,
    path = "/v1/auth/password/reset/validate",
    operation_id = "validate_password_reset_token",
    tag = "Authentication",
    security(()),
    request_body = PasswordResetValidate,
    responses(
        (status = 200, body = DetailMessage, description = "Token usable"),
        (status = 410, body = AuthError, description = "Link or code expired"),
        Public,
    )
)]
pub(super) async fn validate_password_reset_token(
    Extension(request): Extension<RequestFacts>,
    State(Area { identity, .. }): State<Area>,
    change: Change<PasswordResetValidate>,
) -> ApiResult<Json<DetailMessage>> {
    let token = change.body()?.token.clone();
    owner(&identity, &request, token).await?;
    let detail = "The link can be used.".to_owned();
    Ok(Json(DetailMessage { detail }))
}

/// The address of the account that a reset token is for. Nothing is used up.
///
/// # Errors
/// 410 for a token that can't be used, 429 for who tries many.
async fn owner(identity: &crate::Identity, request: &RequestFacts, token: String) -> ApiResult<String> {
    let now = identity.clock().now();
    identity.throttle().admit("", request.address, now)?;
    let desk = identity.clone();
    let found = identity
        .store()
        .read("validate_password_reset_token", move |conn| {
            let row = challenges::find_by_token(conn, desk.secrets(), Purpose::ResetPassword, &token, now)?;
            match row.and_then(|row| row.user_id) {
                Some(user) => Ok::<_, ApiError>(Some(accounts::find(conn, user)?.email)),
                None => Ok(None),
            }
        })
        .await?;
    identity
        .throttle()
        .judge("", request.address, now, found.is_some())?;
    found.ok_or_else(gone)
}

/// The body of `confirm_password_reset`.
#[derive(Clone, Deserialize, ToSchema)]
pub(super) struct PasswordResetConfirm {
    /// Token of the mailed link.
    #[schema(max_length = 255, write_only)]
    token: String,
    /// At least 8 characters with one uppercase letter, one lowercase letter and one number.
    #[schema(
        format = "password",
        min_length = 8,
        max_length = 128,
        write_only,
        extensions(("x-verbatim" = json!(true)))
    )]
    new_password: String,
    /// The new password once more.
    #[serde(default)]
    #[schema(
        value_type = String,
        required = false,
        format = "password",
        min_length = 8,
        max_length = 128,
        write_only,
        extensions(("x-verbatim" = json!(true)))
    )]
    new_password_confirm: Option<String>,
}

impl Body for PasswordResetConfirm {
    type Wire = Self;
}

/// [Password] Set a new password with a reset link
///
/// Sets the password, consumes the token and ends every session. A second factor stays required at the next login.
#[utoipa::path(
    post,
    path = "/v1/auth/password/reset/confirm",
    operation_id = "confirm_password_reset",
    tag = "Authentication",
    security(()),
    request_body = PasswordResetConfirm,
    responses(
        (status = 200, body = DetailMessage, description = "Password reset"),
        (status = 403, body = AuthError, description = "The account is disabled"),
        (status = 410, body = AuthError, description = "Link or code expired"),
        Public,
    )
)]
pub(super) async fn confirm_password_reset(
    Extension(request): Extension<RequestFacts>,
    State(Area { identity, .. }): State<Area>,
    change: Change<PasswordResetConfirm>,
) -> ApiResult<Json<DetailMessage>> {
    let wanted = change.body()?.clone();
    // Before anything is hashed for a link that can't be used.
    let email = owner(&identity, &request, wanted.token.clone()).await?;
    let mut faults = Faults::default();
    let repeated = wanted
        .new_password_confirm
        .as_deref()
        .map(|repeated| ("new_password_confirm", repeated));
    password_rules::judge(
        &mut faults,
        "new_password",
        &wanted.new_password,
        &email,
        repeated,
    );
    faults.into_result()?;
    let hash = identity.passwords().hash(wanted.new_password.clone()).await?;
    let desk = Desk { identity, request };
    let store = desk.identity.store().clone();
    store
        .write("confirm_password_reset", move |tx| {
            reset(tx, &desk, &wanted.token, &hash)
        })
        .await?;
    let detail = "The password was reset. Log in with it.".to_owned();
    Ok(Json(DetailMessage { detail }))
}

fn reset(tx: &mut Tx<'_>, desk: &Desk, token: &str, hash: &str) -> ApiResult<()> {
    let identity = &desk.identity;
    let row = challenges::lock_by_token(tx, identity.secrets(), Purpose::ResetPassword, token)?;
    let row = match row {
        Some(row) if challenges::use_up(tx, row.id)? => row,
        _ => return Err(gone()),
    };
    let user = completion::admit(tx, desk, row.user_id.ok_or_else(gone)?, Mailbox::Login)?;
    diesel::update(users::table.find(user.id))
        .set((users::password_hash.eq(hash), users::modified.eq(tx.now())))
        .execute(tx.conn())?;
    // Whoever had the old password may have had more.
    let ended = sessions::end_others(tx, user.id, None)?.len();
    mfa::forget_trusted_devices(tx, user.id)?;
    challenges::void(tx, Purpose::ResetPassword, user.id)?;
    challenges::void(tx, Purpose::Mfa, user.id)?;
    let origin = Origin::caller(&user.caller(Id::new()), &desk.request);
    let incident = Incident {
        user: &user,
        event: SecurityEvent::PasswordReset,
        description: "Password reset by a mailed link",
        session: None,
        metadata: json!({"revoked_sessions": ended}),
        letter: Some((letters::PASSWORD_RESET_DONE, json!({}))),
    };
    security::record(tx, identity, &origin, &incident)?;
    Ok(())
}
