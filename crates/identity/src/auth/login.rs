//! `login`: a password for a session.

use std::time::Duration;

use axum::{Extension, Json, extract::State};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use kernel::{
    access::Credential,
    audit::{AuditStatus, Changes, Event, Origin},
    http::{ApiError, ApiResult, Change, RequestFacts},
    id::Id,
    store::StoreError,
};

use super::{
    AuthError, ValidationError,
    api::{Login, LoginResponse},
    sessions::{self, Place},
};
use crate::{
    Identity,
    schema::users,
    secrets::new_refresh_token,
    state::Area,
    users::{UserRow, email_key, find_by_email},
};

const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;

/// [Authentication] Log in with e-mail and password
///
/// Checks the password, opens a session and returns its tokens. Unknown addresses and wrong passwords get the
/// same answer.
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
    identity.throttle().admit(&key, request.address, now)?;
    let wanted = key.clone();
    let user = identity
        .store()
        .read("login", move |conn| find_by_email(conn, &wanted))
        .await?;
    // An account that can't log in is one without a password, and every answer takes one comparison.
    let hash = user
        .as_ref()
        .filter(|user| user.is_active)
        .and_then(|user| user.password_hash.clone());
    let is_right = identity.passwords().verify(login.password.clone(), hash).await?;
    identity.throttle().judge(&key, request.address, now, is_right)?;
    match user {
        Some(user) if is_right => open(&identity, user, &request, login.remember_me).await.map(Json),
        user => {
            if let Some(user) = user {
                note_failure(&identity, &user, &request);
            }
            Err(refusal())
        }
    }
}

fn refusal() -> ApiError {
    let detail = "No active account found with the given credentials";
    ApiError::unauthenticated("invalid_credentials", detail)
}

async fn open(
    identity: &Identity,
    mut user: UserRow,
    request: &RequestFacts,
    remember: bool,
) -> ApiResult<LoginResponse> {
    let settings = identity.settings();
    let lifetime = if remember {
        Duration::from_secs(settings.refresh_remember_days.saturating_mul(DAY))
    } else {
        Duration::from_secs(settings.refresh_hours.saturating_mul(HOUR))
    };
    let session = Id::<Credential>::new();
    let refresh = new_refresh_token();
    let refresh_hash = identity.secrets().hash_token(&refresh);
    let place = Place {
        address: request.address.to_string(),
        user_agent: request.user_agent.clone(),
    };
    let origin = Origin::caller(&user.caller(session), request);
    let event = event(&user, "user.logged_in", AuditStatus::Success, "Logged in");
    let id = user.id;
    let now = identity
        .store()
        .write("login", move |tx| {
            sessions::open(tx, session, id, &place, &refresh_hash, lifetime)?;
            let now = tx.now();
            diesel::update(users::table.find(id))
                .set(users::last_login.eq(now))
                .execute(tx.conn())?;
            tx.audit(&origin, None, None, &event)?;
            Ok::<_, StoreError>(now)
        })
        .await?;
    user.last_login = Some(now);
    let tokens = sessions::pair(identity, id, session, now, refresh, lifetime)?;
    Ok(LoginResponse::complete(tokens, session, user.into()))
}

/// Records that someone failed to log in as `user`.
///
/// In the background: an answer that waited for it would tell by its time that the account exists.
fn note_failure(identity: &Identity, user: &UserRow, request: &RequestFacts) {
    let origin = Origin::caller(&user.caller(Id::new()), request);
    let event = event(user, "user.login_failed", AuditStatus::Failure, "Login refused");
    let store = identity.store().clone();
    tokio::spawn(async move {
        let noted = store.write("note_failed_login", move |tx| {
            tx.audit(&origin, None, None, &event)
        });
        if let Err(error) = noted.await {
            tracing::error!(%error, "a failed login was not recorded");
        }
    });
}

fn event(user: &UserRow, action: &'static str, status: AuditStatus, description: &str) -> Event {
    Event {
        action,
        resource_type: "user",
        resource_id: user.id.cast(),
        resource_name: user.email.clone(),
        description: description.to_owned(),
        changes: Changes::default(),
        status,
    }
}
