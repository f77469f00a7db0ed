//! How sessions are found. Every finder takes the user and sees open sessions only.

use diesel::{
    BoolExpressionMethods, ExpressionMethods, OptionalExtension, QueryDsl, Queryable, RunQueryDsl,
    Selectable, SelectableHelper,
};
use kernel::{
    access::{Credential, User},
    id::Id,
    store::{Conn, StoreError, sql::MultiBackend},
    time::Time,
};

use crate::{
    auth::{AuthMethod, MfaStep},
    credentials::CredentialKind,
    mfa::TrustedDevice,
    schema::credentials,
};

/// The most recently used sessions that are listed.
const MOST: i64 = 200;

/// A session's row, as its user sees it.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = credentials)]
pub(super) struct SessionRow {
    pub(super) id: Id<Credential>,
    pub(super) user_agent: String,
    pub(super) last_used_ip: Option<String>,
    pub(super) auth_method: Option<AuthMethod>,
    pub(super) mfa_method: Option<MfaStep>,
    pub(super) trusted_device_id: Option<Id<TrustedDevice>>,
    pub(super) last_used_at: Option<Time>,
    pub(super) expires_at: Option<Time>,
    pub(super) created: Time,
}

fn open<'a>(user: Id<User>, now: Time) -> credentials::BoxedQuery<'a, MultiBackend> {
    credentials::table
        .filter(credentials::user_id.eq(user))
        .filter(credentials::kind.eq(CredentialKind::Session))
        .filter(credentials::revoked_at.is_null())
        .filter(
            credentials::expires_at
                .is_null()
                .or(credentials::expires_at.gt(now)),
        )
        .into_boxed()
}

/// The user's open sessions, the last used first.
pub(super) fn all(conn: &mut Conn, user: Id<User>, now: Time) -> Result<Vec<SessionRow>, StoreError> {
    let query = open(user, now)
        .order((credentials::last_used_at.desc(), credentials::id.desc()))
        .limit(MOST)
        .select(SessionRow::as_select());
    Ok(query.load(conn)?)
}

/// One open session of the user's.
pub(super) fn find(
    conn: &mut Conn,
    user: Id<User>,
    id: Id<Credential>,
    now: Time,
) -> Result<Option<SessionRow>, StoreError> {
    let query = open(user, now)
        .filter(credentials::id.eq(id))
        .select(SessionRow::as_select());
    Ok(query.first(conn).optional()?)
}
