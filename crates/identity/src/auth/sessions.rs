//! Sessions: opened by a login, kept by refreshing, ended once and for all.

use std::time::Duration;

use diesel::{
    ExpressionMethods, Insertable, JoinOnDsl, OptionalExtension, QueryDsl, Queryable, RunQueryDsl,
    Selectable, SelectableHelper,
};
use kernel::{
    access::{Credential, User},
    http::{ApiError, ApiResult},
    id::Id,
    json::JsonText,
    store::{StoreError, Tx, lock},
    time::Time,
};

use super::api::TokenPair;
use crate::{
    Identity,
    credentials::CredentialKind,
    schema::{credentials, refresh_tokens, users},
    users::UserRow,
};

/// A row of `refresh_tokens`.
#[derive(Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = refresh_tokens)]
pub(super) struct RefreshRow {
    pub(super) token_hash: String,
    pub(super) session_id: Id<Credential>,
    pub(super) expires_at: Time,
    pub(super) used_at: Option<Time>,
    pub(super) created: Time,
}

/// How a session's row begins.
#[derive(Insertable)]
#[diesel(table_name = credentials)]
struct NewSession<'a> {
    id: Id<Credential>,
    kind: CredentialKind,
    user_id: Id<User>,
    name: &'a str,
    prefix: &'a str,
    scopes: JsonText,
    expires_at: Time,
    last_used_at: Time,
    last_used_ip: &'a str,
    user_agent: &'a str,
    created: Time,
    modified: Time,
}

/// From where a session is opened or used.
pub(super) struct Place {
    pub(super) address: String,
    pub(super) user_agent: String,
}

/// Opens a session that lasts for `lifetime` after the last refresh.
pub(super) fn open(
    tx: &mut Tx<'_>,
    session: Id<Credential>,
    user: Id<User>,
    place: &Place,
    refresh_hash: &str,
    lifetime: Duration,
) -> Result<(), StoreError> {
    let now = tx.now();
    let row = NewSession {
        id: session,
        kind: CredentialKind::Session,
        user_id: user,
        name: "",
        prefix: "",
        scopes: JsonText::of::<[&str]>(&[]),
        expires_at: now + lifetime,
        last_used_at: now,
        last_used_ip: &place.address,
        user_agent: &place.user_agent,
        created: now,
        modified: now,
    };
    diesel::insert_into(credentials::table)
        .values(&row)
        .execute(tx.conn())?;
    add_refresh_token(tx, session, refresh_hash, lifetime)
}

pub(super) fn add_refresh_token(
    tx: &mut Tx<'_>,
    session: Id<Credential>,
    hash: &str,
    lifetime: Duration,
) -> Result<(), StoreError> {
    let now = tx.now();
    let row = RefreshRow {
        token_hash: hash.to_owned(),
        session_id: session,
        expires_at: now + lifetime,
        used_at: None,
        created: now,
    };
    diesel::insert_into(refresh_tokens::table)
        .values(&row)
        .execute(tx.conn())?;
    Ok(())
}

/// A session as a refresh token leads to it.
#[derive(Queryable, Selectable)]
#[diesel(table_name = credentials)]
pub(super) struct SessionFacts {
    pub(super) id: Id<Credential>,
    pub(super) expires_at: Option<Time>,
    pub(super) revoked_at: Option<Time>,
}

/// A refresh token with its session, which is locked, and its user.
pub(super) type Presented = (RefreshRow, SessionFacts, UserRow);

/// Finds what a refresh token belongs to.
///
/// The token's row is not locked: its `used_at` may be that of before a transaction that was waited for.
pub(super) fn lock_by_refresh_token(tx: &mut Tx<'_>, hash: &str) -> Result<Option<Presented>, StoreError> {
    let query = refresh_tokens::table
        .inner_join(credentials::table.on(credentials::id.eq(refresh_tokens::session_id)))
        .inner_join(users::table.on(users::id.eq(credentials::user_id)))
        .filter(refresh_tokens::token_hash.eq(hash))
        .select((
            RefreshRow::as_select(),
            SessionFacts::as_select(),
            UserRow::as_select(),
        ));
    Ok(lock("credentials", query).get_result(tx.conn()).optional()?)
}

/// Ends a session with all its tokens. Tells whether it was open.
pub(super) fn end(tx: &mut Tx<'_>, session: Id<Credential>) -> Result<bool, StoreError> {
    let now = tx.now();
    let open = credentials::table
        .filter(credentials::id.eq(session))
        .filter(credentials::revoked_at.is_null());
    let ended = diesel::update(open)
        .set((credentials::revoked_at.eq(now), credentials::modified.eq(now)))
        .execute(tx.conn())?;
    let tokens = refresh_tokens::table.filter(refresh_tokens::session_id.eq(session));
    diesel::delete(tokens).execute(tx.conn())?;
    Ok(ended > 0)
}

/// The tokens that a client gets: a fresh access token beside the refresh token that was stored at `now`.
pub(super) fn pair(
    identity: &Identity,
    user: Id<User>,
    session: Id<Credential>,
    now: Time,
    refresh: String,
    lifetime: Duration,
) -> ApiResult<TokenPair> {
    // An access token may not outlive its session.
    let access_lifetime =
        Duration::from_secs(identity.settings().access_minutes.saturating_mul(60)).min(lifetime);
    let access = identity
        .tokens()
        .issue(user, session, now, now + access_lifetime)
        .map_err(ApiError::internal)?;
    Ok(TokenPair {
        access,
        refresh,
        token_type: "Bearer",
        expires_in: access_lifetime.as_secs(),
        refresh_expires_in: lifetime.as_secs(),
    })
}
