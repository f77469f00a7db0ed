//! `revoke_token`: the end of a token, for whoever holds it (RFC 7009 in the API's words).

use axum::{Extension, extract::State};
use http::StatusCode;
use kernel::{
    access::{Access, ActorType, Caller, Credential, User},
    audit::Origin,
    http::{ApiError, ApiResult, Change, RequestFacts},
    id::Id,
    store::Tx,
};
use serde_json::json;

use super::api::TokenRevoke;
use crate::{
    Identity,
    auth::{AuthError, ValidationError, sessions},
    credentials::CredentialKind,
    keys::{self, Desk, Holder, KeyRow},
    secrets::{is_key, is_refresh_token},
    security::{self, Incident, SecurityEvent},
    state::Area,
    users::{self, UserRow},
};

/// What a text turned out to be, before the database is asked.
enum Presented {
    /// The keyed hash of an API key or project token.
    Key(String),
    /// The keyed hash of a refresh token.
    Refresh(String),
    /// A session named by an access token that holds.
    Session(Id<Credential>, Id<User>),
}

/// [Tokens] Revoke a token
///
/// Ends the session of a JWT, or revokes the given key or project token. Holding the secret is the proof, which suits leak
/// reports; unknown tokens get the same answer.
#[utoipa::path(
    post,
    path = "/v1/auth/token/revoke",
    operation_id = "revoke_token",
    tag = "Authentication",
    security(()),
    request_body = TokenRevoke,
    responses(
        (status = 204, description = "Token revoked"),
        (status = 400, body = ValidationError, description = "Invalid request parameters"),
        (status = 413, body = AuthError, description = "Body too large"),
        (status = 415, body = AuthError, description = "Unsupported media type"),
        (status = 429, body = AuthError, description = "Too many attempts; see the Retry-After header",
            headers(("Retry-After" = isize))),
        (status = 503, body = AuthError, description = "Temporarily unavailable"),
    )
)]
pub(super) async fn revoke_token(
    Extension(request): Extension<RequestFacts>,
    State(Area { identity, .. }): State<Area>,
    change: Change<TokenRevoke>,
) -> ApiResult<StatusCode> {
    identity.count_token_check(request.address)?;
    if let Some(presented) = read(&identity, &change.body()?.token).await? {
        let shared = identity.clone();
        identity
            .store()
            .write("revoke_token", move |tx| end(tx, &shared, &presented, &request))
            .await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn read(identity: &Identity, token: &str) -> ApiResult<Option<Presented>> {
    if is_key(token) {
        return Ok(Some(Presented::Key(identity.secrets().hash_token(token))));
    }
    if is_refresh_token(token) {
        return Ok(Some(Presented::Refresh(identity.secrets().hash_token(token))));
    }
    identity.learn_key(token).await?;
    // One that has expired ends nothing: old ones lie around in places where they can be read.
    let claims = identity.tokens().read(token, identity.clock().now()).ok();
    Ok(claims.map(|claims| Presented::Session(claims.sid, claims.sub)))
}

fn end(
    tx: &mut Tx<'_>,
    identity: &Identity,
    presented: &Presented,
    request: &RequestFacts,
) -> Result<(), ApiError> {
    match presented {
        Presented::Key(hash) => {
            let Some(row) = keys::rows::lock_by_secret(tx, hash)? else {
                return Ok(());
            };
            let user = users::find(tx.conn(), row.user_id)?;
            // The key itself acts.
            let desk = Desk::new(identity, &as_caller(&row, &user), request, Holder::User(user.id));
            Ok(keys::revoke_row(tx, &desk, &row)?)
        }
        Presented::Refresh(hash) => match sessions::lock_by_refresh_token(tx, hash)? {
            Some((_, session, user)) => end_session(tx, identity, session.id, &user, request),
            None => Ok(()),
        },
        Presented::Session(session, user) => {
            let user = users::find(tx.conn(), *user)?;
            end_session(tx, identity, *session, &user, request)
        }
    }
}

fn end_session(
    tx: &mut Tx<'_>,
    identity: &Identity,
    session: Id<Credential>,
    user: &UserRow,
    request: &RequestFacts,
) -> ApiResult<()> {
    if !sessions::end(tx, session)? {
        return Ok(());
    }
    let incident = Incident {
        user,
        event: SecurityEvent::SessionRevoked,
        description: "Session ended by who showed its token",
        session: Some(session),
        metadata: json!({}),
        letter: None,
    };
    let origin = Origin::caller(&user.caller(session), request);
    Ok(security::record(tx, identity, &origin, &incident)?)
}

/// A key as the one who acts.
fn as_caller(row: &KeyRow, user: &UserRow) -> Caller {
    Caller {
        actor_type: match row.kind {
            CredentialKind::ApiKey => ActorType::ApiKey,
            CredentialKind::ProjectToken => ActorType::ProjectToken,
            CredentialKind::Session => ActorType::User,
        },
        credential_name: row.name.clone(),
        ..user.caller(row.id)
    }
}
