//! `verify_token`: whether a token holds, for programs that are shown one (RFC 7662 in the API's words).

use axum::{Extension, Json, extract::State};
use diesel::{ExpressionMethods, JoinOnDsl, OptionalExtension, QueryDsl, RunQueryDsl};
use kernel::{
    access::{Access, ActorType, Bearer, Credential, User},
    http::{ApiError, ApiResult, Change, RequestFacts},
    id::Id,
    store::{Conn, StoreError},
    time::Time,
};

use super::api::{TokenIntrospection, TokenType, TokenVerify};
use crate::{
    Identity,
    auth::{AuthError, ValidationError},
    credentials::Scope,
    schema::{credentials, refresh_tokens, users},
    secrets::is_refresh_token,
    state::Area,
};

/// [Tokens] Verify a token
///
/// Tells whether a token, key or project token is valid and what it may do. From where it may be used (`allowed_ips`) is
/// not looked at: who asks is not who was given the token.
#[utoipa::path(
    post,
    path = "/v1/auth/token/verify",
    operation_id = "verify_token",
    tag = "Authentication",
    security(()),
    request_body = TokenVerify,
    responses(
        (status = 200, body = TokenIntrospection, description = "Token is valid"),
        (status = 400, body = ValidationError, description = "Invalid request parameters"),
        (status = 401, body = AuthError, description = "The token is not valid"),
        (status = 413, body = AuthError, description = "Body too large"),
        (status = 415, body = AuthError, description = "Unsupported media type"),
        (status = 429, body = AuthError, description = "Too many attempts; see the Retry-After header",
            headers(("Retry-After" = isize))),
        (status = 503, body = AuthError, description = "Temporarily unavailable"),
    )
)]
pub(super) async fn verify_token(
    Extension(request): Extension<RequestFacts>,
    State(Area { identity, .. }): State<Area>,
    change: Change<TokenVerify>,
) -> ApiResult<Json<TokenIntrospection>> {
    identity.count_token_check(request.address)?;
    let token = &change.body()?.token;
    let found = if is_refresh_token(token) {
        refresh(&identity, token).await?
    } else {
        bearer(&identity, token).await?
    };
    Ok(Json(found))
}

/// The answer does not say why: who asks may be a thief.
fn refusal() -> ApiError {
    ApiError::unauthenticated("token_not_valid", "Token is invalid or expired")
}

fn every_scope() -> Vec<String> {
    Scope::ALL.iter().map(|scope| scope.as_str().to_owned()).collect()
}

/// An access token, API key or project token.
async fn bearer(identity: &Identity, token: &str) -> ApiResult<TokenIntrospection> {
    let bearer = match identity.read_bearer(token) {
        Ok(bearer) => bearer,
        Err(_) if identity.learn_key(token).await? => identity.read_bearer(token).map_err(|_| refusal())?,
        Err(_) => return Err(refusal()),
    };
    let (caller, created) = identity.inspect(&bearer).await?.ok_or_else(refusal)?;
    let is_session = caller.actor_type == ActorType::User;
    let issued_at = match bearer {
        Bearer::Session { .. } => identity
            .tokens()
            .read(token, identity.clock().now())
            .map_or(created, |claims| {
                Time::from_micros(claims.iat.saturating_mul(1_000_000))
            }),
        Bearer::Secret { .. } => created,
    };
    Ok(TokenIntrospection {
        active: true,
        token_type: match caller.actor_type {
            ActorType::ApiKey => TokenType::ApiKey,
            ActorType::ProjectToken => TokenType::ProjectToken,
            ActorType::User | ActorType::System => TokenType::Access,
        },
        user_id: Some(caller.user),
        organization_id: caller.organization,
        project_id: caller.project,
        session_id: is_session.then_some(caller.credential),
        scopes: caller.scopes.unwrap_or_else(every_scope),
        issued_at: Some(issued_at),
        expires_at: caller.expires_at,
    })
}

async fn refresh(identity: &Identity, token: &str) -> ApiResult<TokenIntrospection> {
    let hash = identity.secrets().hash_token(token);
    let now = identity.clock().now();
    let found = identity
        .store()
        .read("verify_token", move |conn| find_refresh(conn, &hash, now))
        .await?
        .ok_or_else(refusal)?;
    let (session, user, issued_at, expires_at) = found;
    Ok(TokenIntrospection {
        active: true,
        token_type: TokenType::Refresh,
        user_id: Some(user),
        organization_id: None,
        project_id: None,
        session_id: Some(session),
        scopes: every_scope(),
        issued_at: Some(issued_at),
        expires_at: Some(expires_at),
    })
}

/// Session, user, beginning and end of a refresh token that can be used at `now`.
#[expect(clippy::type_complexity, reason = "the columns of one query, read once")]
fn find_refresh(
    conn: &mut Conn,
    hash: &str,
    now: Time,
) -> Result<Option<(Id<Credential>, Id<User>, Time, Time)>, StoreError> {
    let query = refresh_tokens::table
        .inner_join(credentials::table.on(credentials::id.eq(refresh_tokens::session_id)))
        .inner_join(users::table.on(users::id.eq(credentials::user_id)))
        .filter(refresh_tokens::token_hash.eq(hash))
        .filter(refresh_tokens::used_at.is_null())
        .filter(refresh_tokens::expires_at.gt(now))
        .filter(credentials::revoked_at.is_null())
        .filter(credentials::expires_at.gt(now))
        .filter(users::is_active.eq(true))
        .select((
            credentials::id,
            users::id,
            refresh_tokens::created,
            refresh_tokens::expires_at,
        ));
    Ok(query.first(conn).optional()?)
}
