//! Sessions: opened by a login, kept by refreshing, ended once and for all.

use std::time::Duration;

use diesel::{
    ExpressionMethods, Insertable, JoinOnDsl, OptionalExtension, QueryDsl, Queryable, RunQueryDsl,
    Selectable, SelectableHelper,
    dsl::{exists, select},
};
use kernel::{
    access::{Credential, User},
    http::{ApiError, ApiResult, RequestFacts},
    id::Id,
    json::JsonText,
    store::{Conn, StoreError, Tx, lock},
    time::Time,
};

use super::{
    api::TokenPair,
    methods::{AuthMethod, MfaStep, references},
};
use crate::{
    Identity,
    credentials::CredentialKind,
    mfa::TrustedDevice,
    schema::{credentials, refresh_tokens, users},
    tokens::Issued,
    users::UserRow,
};

/// A row of `refresh_tokens`.
#[derive(Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = refresh_tokens)]
pub(crate) struct RefreshRow {
    pub(super) token_hash: String,
    pub(super) session_id: Id<Credential>,
    pub(super) expires_at: Time,
    pub(super) used_at: Option<Time>,
    pub(super) created: Time,
}

/// A session to be opened.
pub(super) struct NewSession<'a> {
    pub(super) id: Id<Credential>,
    pub(super) user: Id<User>,
    /// From where it is opened.
    pub(super) request: &'a RequestFacts,
    /// The first factor.
    pub(super) method: AuthMethod,
    /// The second factor, if one was given.
    pub(super) mfa: Option<MfaStep>,
    pub(super) trusted_device: Option<Id<TrustedDevice>>,
    /// How long it lives after the last refresh.
    pub(super) lifetime: Duration,
}

/// How a session's row begins.
#[derive(Insertable)]
#[diesel(table_name = credentials)]
struct SessionRow<'a> {
    id: Id<Credential>,
    kind: CredentialKind,
    user_id: Id<User>,
    name: &'a str,
    prefix: &'a str,
    scopes: JsonText,
    expires_at: Time,
    last_used_at: Time,
    last_used_ip: String,
    user_agent: &'a str,
    created: Time,
    modified: Time,
    auth_method: AuthMethod,
    mfa_method: Option<MfaStep>,
    authenticated_at: Time,
    trusted_device_id: Option<Id<TrustedDevice>>,
}

/// Opens a session. Its user has just proved who they are.
pub(super) fn open(tx: &mut Tx<'_>, new: &NewSession<'_>, refresh_hash: &str) -> Result<(), StoreError> {
    let now = tx.now();
    let row = SessionRow {
        id: new.id,
        kind: CredentialKind::Session,
        user_id: new.user,
        name: "",
        prefix: "",
        scopes: JsonText::of::<[&str]>(&[]),
        expires_at: now + new.lifetime,
        last_used_at: now,
        last_used_ip: new.request.address.to_string(),
        user_agent: &new.request.user_agent,
        created: now,
        modified: now,
        auth_method: new.method,
        mfa_method: new.mfa,
        authenticated_at: now,
        trusted_device_id: new.trusted_device,
    };
    diesel::insert_into(credentials::table)
        .values(&row)
        .execute(tx.conn())?;
    add_refresh_token(tx, new.id, refresh_hash, new.lifetime)
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
pub(crate) struct SessionFacts {
    pub(crate) id: Id<Credential>,
    pub(super) expires_at: Option<Time>,
    pub(super) revoked_at: Option<Time>,
    pub(super) auth_method: Option<AuthMethod>,
    pub(super) mfa_method: Option<MfaStep>,
}

/// A refresh token with its session, which is locked, and its user.
pub(crate) type Presented = (RefreshRow, SessionFacts, UserRow);

/// Finds what a refresh token belongs to.
///
/// The token's row is not locked: its `used_at` may be that of before a transaction that was waited for.
pub(crate) fn lock_by_refresh_token(tx: &mut Tx<'_>, hash: &str) -> Result<Option<Presented>, StoreError> {
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
pub(crate) fn end(tx: &mut Tx<'_>, session: Id<Credential>) -> Result<bool, StoreError> {
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

/// Ends all sessions of a user but one. Returns those that were open.
pub(crate) fn end_others(
    tx: &mut Tx<'_>,
    user: Id<User>,
    kept: Option<Id<Credential>>,
) -> Result<Vec<Id<Credential>>, StoreError> {
    let now = tx.now();
    let query = credentials::table
        .filter(credentials::user_id.eq(user))
        .filter(credentials::kind.eq(CredentialKind::Session))
        .filter(credentials::revoked_at.is_null())
        .select((credentials::id, credentials::expires_at));
    let all: Vec<(Id<Credential>, Option<Time>)> = query.load(tx.conn())?;
    let mut ended = Vec::new();
    for (id, expires_at) in all {
        if Some(id) == kept {
            continue;
        }
        if end(tx, id)? && expires_at.is_none_or(|end| end > now) {
            ended.push(id);
        }
    }
    Ok(ended)
}

/// How long a place is remembered where a user was logged in.
pub(crate) const KNOWN_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Whether a session of the user's was used from this address since then.
pub(crate) fn was_used_from(
    conn: &mut Conn,
    user: Id<User>,
    address: &str,
    since: Time,
) -> Result<bool, StoreError> {
    let used = credentials::table
        .filter(credentials::user_id.eq(user))
        .filter(credentials::kind.eq(CredentialKind::Session))
        .filter(credentials::last_used_ip.eq(address))
        .filter(credentials::last_used_at.ge(since));
    Ok(select(exists(used)).get_result(conn)?)
}

/// A session whose tokens are made.
pub(super) struct Bearing {
    pub(super) id: Id<Credential>,
    pub(super) user: Id<User>,
    pub(super) method: AuthMethod,
    pub(super) mfa: Option<MfaStep>,
    pub(super) lifetime: Duration,
}

impl From<&NewSession<'_>> for Bearing {
    fn from(new: &NewSession<'_>) -> Self {
        Self {
            id: new.id,
            user: new.user,
            method: new.method,
            mfa: new.mfa,
            lifetime: new.lifetime,
        }
    }
}

/// The tokens that a client gets: a fresh access token beside the refresh token that was stored at `now`.
pub(super) fn pair(
    identity: &Identity,
    session: &Bearing,
    now: Time,
    refresh: String,
) -> ApiResult<TokenPair> {
    // An access token may not outlive its session.
    let access_lifetime =
        Duration::from_secs(identity.settings().access_minutes.saturating_mul(60)).min(session.lifetime);
    let issued = Issued {
        user: session.user,
        session: session.id,
        methods: references(session.method, session.mfa),
    };
    let access = identity
        .tokens()
        .issue(&issued, now, now + access_lifetime)
        .map_err(ApiError::internal)?;
    Ok(TokenPair {
        access,
        refresh,
        token_type: "Bearer",
        expires_in: access_lifetime.as_secs(),
        refresh_expires_in: session.lifetime.as_secs(),
    })
}
