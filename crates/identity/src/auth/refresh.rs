//! `refresh_token`: a used-up access token for a new one.

use axum::{Extension, Json, extract::State};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use kernel::{
    access::Credential,
    audit::{AuditStatus, Changes, Event, Origin},
    http::{ApiError, ApiResult, Change, RequestFacts},
    id::Id,
    store::{StoreError, Tx},
    time::Time,
};

use super::{
    AuthError, ValidationError,
    api::{TokenPair, TokenRefresh},
    methods::AuthMethod,
    sessions::{self, Bearing, RefreshRow, SessionFacts},
};
use crate::{
    schema::{credentials, refresh_tokens},
    secrets::new_refresh_token,
    state::Area,
    users::UserRow,
};

/// What became of a refresh token.
enum Rotation {
    /// Its session goes on.
    Done { session: Bearing, now: Time },
    /// It is unknown, or its time or its session has ended.
    Ended,
    /// It was used before: now its session has ended.
    Reused,
}

/// [Tokens] Refresh the access token
///
/// Returns a new pair and retires the given refresh token. Presenting a retired token ends the whole session.
#[utoipa::path(
    post,
    path = "/v1/auth/token/refresh",
    operation_id = "refresh_token",
    tag = "Authentication",
    security(()),
    request_body = TokenRefresh,
    responses(
        (status = 200, body = TokenPair, description = "New tokens"),
        (status = 400, body = ValidationError, description = "Invalid request parameters"),
        (status = 401, body = AuthError, description = "Authentication credentials missing or invalid"),
        (status = 413, body = AuthError, description = "Body too large"),
        (status = 415, body = AuthError, description = "Unsupported media type"),
        (status = 429, body = AuthError, description = "Too many attempts; see the Retry-After header",
            headers(("Retry-After" = isize))),
        (status = 503, body = AuthError, description = "Temporarily unavailable"),
    )
)]
pub(super) async fn refresh_token(
    Extension(request): Extension<RequestFacts>,
    State(Area { identity, .. }): State<Area>,
    change: Change<TokenRefresh>,
) -> ApiResult<Json<TokenPair>> {
    let presented = identity.secrets().hash_token(&change.body()?.refresh);
    let refresh = new_refresh_token();
    let next = identity.secrets().hash_token(&refresh);
    let rotation = identity
        .store()
        .write("refresh_token", move |tx| rotate(tx, &presented, &next, &request))
        .await?;
    match rotation {
        Rotation::Done { session, now } => sessions::pair(&identity, &session, now, refresh).map(Json),
        Rotation::Ended | Rotation::Reused => Err(refusal()),
    }
}

/// The answer does not say why: who asks may be a thief.
pub(super) fn refusal() -> ApiError {
    ApiError::unauthenticated("token_not_valid", "Token is invalid or expired")
}

/// Retires the token `presented` for `next`, or ends the session if it was retired before.
fn rotate(
    tx: &mut Tx<'_>,
    presented: &str,
    next: &str,
    request: &RequestFacts,
) -> Result<Rotation, StoreError> {
    let now = tx.now();
    let Some((token, session, user)) = sessions::lock_by_refresh_token(tx, presented)? else {
        return Ok(Rotation::Ended);
    };
    if !is_open(&session, &user, now) {
        return Ok(Rotation::Ended);
    }
    if token.used_at.is_none() && token.expires_at <= now {
        return Ok(Rotation::Ended);
    }
    if !retire(tx, &token)? {
        sessions::end(tx, session.id)?;
        let origin = Origin::caller(&user.caller(session.id), request);
        tx.audit(&origin, None, None, &reuse(&session, &user))?;
        return Ok(Rotation::Reused);
    }
    // As long as before: `remember_me` was decided at the login.
    let lifetime = token.expires_at.since(token.created);
    sessions::add_refresh_token(tx, session.id, next, lifetime)?;
    diesel::update(credentials::table.find(session.id))
        .set((
            credentials::expires_at.eq(now + lifetime),
            credentials::last_used_at.eq(now),
            credentials::last_used_ip.eq(request.address.to_string()),
        ))
        .execute(tx.conn())?;
    forget_expired(tx, session.id)?;
    let session = Bearing {
        id: session.id,
        user: user.id,
        // Sessions of before there was more than one way to log in.
        method: session.auth_method.unwrap_or(AuthMethod::Password),
        mfa: session.mfa_method,
        lifetime,
    };
    Ok(Rotation::Done { session, now })
}

fn is_open(session: &SessionFacts, user: &UserRow, now: Time) -> bool {
    let has_ended = session.expires_at.is_some_and(|end| end <= now);
    session.revoked_at.is_none() && !has_ended && user.is_active
}

/// Marks the token as used. Of two requests with the same token, one succeeds.
fn retire(tx: &mut Tx<'_>, token: &RefreshRow) -> Result<bool, StoreError> {
    let unused = refresh_tokens::table
        .filter(refresh_tokens::token_hash.eq(&token.token_hash))
        .filter(refresh_tokens::used_at.is_null());
    let retired = diesel::update(unused)
        .set(refresh_tokens::used_at.eq(tx.now()))
        .execute(tx.conn())?;
    Ok(retired == 1)
}

/// Tokens past their end can do no harm any more, used or not.
fn forget_expired(tx: &mut Tx<'_>, session: Id<Credential>) -> Result<(), StoreError> {
    let expired = refresh_tokens::table
        .filter(refresh_tokens::session_id.eq(session))
        .filter(refresh_tokens::expires_at.lt(tx.now()));
    diesel::delete(expired).execute(tx.conn())?;
    Ok(())
}

fn reuse(session: &SessionFacts, user: &UserRow) -> Event {
    Event {
        action: "session.reuse_detected",
        resource_type: "session",
        resource_id: session.id.cast(),
        resource_name: user.email.clone(),
        description: "A refresh token came back after its use: the session was ended".to_owned(),
        changes: Changes::default(),
        status: AuditStatus::Failure,
    }
}
