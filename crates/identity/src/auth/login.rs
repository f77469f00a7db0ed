//! `login`: a password for a session.

use axum::{Extension, Json, extract::State};
use kernel::{
    audit::Origin,
    http::{ApiError, ApiResult, Change, RequestFacts},
    id::Id,
    store::StoreError,
};
use serde_json::json;

use super::{
    AuthError, ValidationError,
    api::{Login, LoginResponse},
    completion::{self, Desk, FirstFactor, Mailbox},
    guard,
    methods::AuthMethod,
    throttle::Verdict,
};
use crate::{
    Identity, letters,
    security::{self, Incident, SecurityEvent},
    state::Area,
    users::{UserRow, email_key, find_by_email},
};

/// The window of the throttle, for the mail.
const LOCKED_MINUTES: u64 = 15;
/// [Authentication] Log in with e-mail and password
///
/// Checks the password. Without a second factor it opens a session and returns tokens; otherwise it returns an MFA
/// token and the methods that can complete the login. Unknown addresses and wrong passwords get the same answer.
#[utoipa::path(
    post,
    path = "/v1/auth/login",
    operation_id = "login",
    tag = "Authentication",
    security(()),
    request_body = Login,
    responses(
        (status = 200, body = LoginResponse, description = "Logged in, or second factor needed"),
        (status = 400, body = ValidationError, description = "Invalid request parameters"),
        (status = 401, body = AuthError, description = "Authentication credentials missing or invalid"),
        (status = 403, body = AuthError, description = "Insufficient permissions"),
        (status = 413, body = AuthError, description = "Body too large"),
        (status = 415, body = AuthError, description = "Unsupported media type"),
        (status = 429, body = AuthError, description = "Too many attempts; see the Retry-After header",
            headers(("Retry-After" = isize))),
        (status = 503, body = AuthError, description = "Temporarily unavailable"),
    )
)]
pub(super) async fn login(
    Extension(request): Extension<RequestFacts>,
    State(Area { identity, .. }): State<Area>,
    change: Change<Login>,
) -> ApiResult<Json<LoginResponse>> {
    let login = change.body()?;
    let key = email_key(&login.email);
    let now = identity.clock().now();
    guard::admit(&identity, &key, &request, login.trusted_device_token.as_deref()).await?;
    let wanted = key.clone();
    let user = identity
        .store()
        .read("login", move |conn| find_by_email(conn, &wanted))
        .await?;
    if !identity.settings().password_login {
        return Err(refusal());
    }
    // An account that can't log in is one without a password, and every answer takes one comparison.
    let hash = user.as_ref().and_then(|user| user.password_hash.clone());
    let is_right = identity.passwords().verify(login.password.clone(), hash).await?;
    let verdict = identity.throttle().judge(&key, request.address, now, is_right)?;
    match user {
        Some(user) if is_right => {
            let first = FirstFactor {
                user: user.id,
                method: AuthMethod::Password,
                is_multi_factor: false,
                mailbox: Mailbox::Unknown,
                remember_me: login.remember_me,
                trusted_device_token: login.trusted_device_token.clone(),
            };
            let desk = Desk { identity, request };
            let store = desk.identity.store().clone();
            let answer = store
                .write("login", move |tx| completion::proceed(tx, &desk, &first))
                .await?;
            Ok(Json(answer))
        }
        user => {
            if let Some(user) = user {
                note_failure(&identity, user, &request, verdict);
            }
            Err(refusal())
        }
    }
}

fn refusal() -> ApiError {
    let detail = "No active account found with the given credentials";
    ApiError::unauthenticated("invalid_credentials", detail)
}

/// Records that someone failed to log in as `user`.
///
/// In the background: an answer that waited for it would tell by its time that the account exists.
fn note_failure(identity: &Identity, user: UserRow, request: &RequestFacts, verdict: Verdict) {
    let origin = Origin::caller(&user.caller(Id::new()), request);
    let identity = identity.clone();
    let store = identity.store().clone();
    tokio::spawn(async move {
        let noted = store.write("note_failed_login", move |tx| {
            let incident = Incident {
                user: &user,
                event: SecurityEvent::LoginFailed,
                description: "Login refused",
                session: None,
                metadata: json!({"auth_method": AuthMethod::Password}),
                letter: None,
            };
            security::record(tx, &identity, &origin, &incident)?;
            if verdict == Verdict::Besieged {
                let locked = Incident {
                    event: SecurityEvent::AccountLocked,
                    description: "Too many failed logins: closed to unknown places for a while",
                    letter: Some((letters::ACCOUNT_LOCKED, json!({"minutes": LOCKED_MINUTES}))),
                    ..incident
                };
                security::record(tx, &identity, &origin, &locked)?;
            }
            Ok::<_, StoreError>(())
        });
        if let Err(error) = noted.await {
            tracing::error!(%error, "a failed login was not recorded");
        }
    });
}
