//! How keys are stored. Every finder takes the user: there is no way to ask for a key without saying whose.

use diesel::{
    BoolExpressionMethods, ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable,
    RunQueryDsl, Selectable, SelectableHelper,
};
use kernel::{
    access::{Credential, Organization, Project, User},
    id::Id,
    json::JsonText,
    store::{Conn, StoreError, Tx, lock},
    time::Time,
};

use crate::{
    credentials::CredentialKind,
    schema::{credentials, memberships, users},
};

/// A key's row, without its hash.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = credentials)]
pub(super) struct KeyRow {
    pub(super) id: Id<Credential>,
    pub(super) name: String,
    pub(super) prefix: String,
    pub(super) scopes: JsonText,
    pub(super) organization_id: Option<Id<Organization>>,
    pub(super) expires_at: Option<Time>,
    pub(super) revoked_at: Option<Time>,
    pub(super) last_used_at: Option<Time>,
    pub(super) last_used_ip: Option<String>,
    pub(super) created: Time,
    pub(super) modified: Time,
}

/// How a key's or token's row begins.
#[derive(Clone, Insertable)]
#[diesel(table_name = credentials)]
pub(crate) struct NewCredential {
    pub(crate) id: Id<Credential>,
    pub(crate) kind: CredentialKind,
    pub(crate) user_id: Id<User>,
    pub(crate) name: String,
    pub(crate) prefix: String,
    pub(crate) secret_hash: String,
    pub(crate) scopes: JsonText,
    pub(crate) organization_id: Option<Id<Organization>>,
    pub(crate) project_id: Option<Id<Project>>,
    pub(crate) expires_at: Option<Time>,
    pub(crate) user_agent: String,
    pub(crate) created: Time,
    pub(crate) modified: Time,
}

pub(crate) fn insert(tx: &mut Tx<'_>, row: &NewCredential) -> Result<(), StoreError> {
    diesel::insert_into(credentials::table)
        .values(row)
        .execute(tx.conn())?;
    Ok(())
}

/// All keys of a user, the newest first.
pub(super) fn all(conn: &mut Conn, user: Id<User>) -> Result<Vec<KeyRow>, StoreError> {
    let query = credentials::table
        .filter(credentials::user_id.eq(user))
        .filter(credentials::kind.eq(CredentialKind::ApiKey))
        .order((credentials::created.desc(), credentials::id.desc()))
        .select(KeyRow::as_select());
    Ok(query.load(conn)?)
}

pub(super) fn find(
    conn: &mut Conn,
    user: Id<User>,
    id: Id<Credential>,
) -> Result<Option<KeyRow>, StoreError> {
    let query = credentials::table
        .filter(credentials::id.eq(id))
        .filter(credentials::user_id.eq(user))
        .filter(credentials::kind.eq(CredentialKind::ApiKey))
        .select(KeyRow::as_select());
    Ok(query.first(conn).optional()?)
}

pub(super) fn lock_one(
    tx: &mut Tx<'_>,
    user: Id<User>,
    id: Id<Credential>,
) -> Result<Option<KeyRow>, StoreError> {
    let query = credentials::table
        .filter(credentials::id.eq(id))
        .filter(credentials::user_id.eq(user))
        .filter(credentials::kind.eq(CredentialKind::ApiKey))
        .select(KeyRow::as_select());
    Ok(lock("credentials", query).get_result(tx.conn()).optional()?)
}

/// Lets one transaction at a time make keys for the user, so that the limit holds.
pub(super) fn lock_user(tx: &mut Tx<'_>, user: Id<User>) -> Result<(), StoreError> {
    let query = users::table.filter(users::id.eq(user)).select(users::id);
    let _: Id<User> = lock("users", query).get_result(tx.conn())?;
    Ok(())
}

/// How many keys of the user still work.
pub(super) fn count_active(tx: &mut Tx<'_>, user: Id<User>) -> Result<i64, StoreError> {
    let now = tx.now();
    let query = credentials::table
        .filter(credentials::user_id.eq(user))
        .filter(credentials::kind.eq(CredentialKind::ApiKey))
        .filter(credentials::revoked_at.is_null())
        .filter(
            credentials::expires_at
                .is_null()
                .or(credentials::expires_at.gt(now)),
        )
        .count();
    Ok(query.get_result(tx.conn())?)
}

/// The organizations that the user belongs to.
pub(super) fn organizations_of(tx: &mut Tx<'_>, user: Id<User>) -> Result<Vec<Id<Organization>>, StoreError> {
    let query = memberships::table
        .filter(memberships::user_id.eq(user))
        .select(memberships::organization_id);
    Ok(query.load(tx.conn())?)
}

pub(super) fn revoke(tx: &mut Tx<'_>, id: Id<Credential>) -> Result<(), StoreError> {
    let now = tx.now();
    diesel::update(credentials::table.filter(credentials::id.eq(id)))
        .set((credentials::revoked_at.eq(now), credentials::modified.eq(now)))
        .execute(tx.conn())?;
    Ok(())
}
