//! How connections are stored. Every finder takes the user, or the issuer and subject that name exactly one.

use diesel::{
    ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, RunQueryDsl, Selectable,
    SelectableHelper,
};
use kernel::{
    access::User,
    id::Id,
    store::{Conn, StoreError, Tx, lock},
    time::Time,
};

use super::{api::Connection, providers::Person};
use crate::{
    schema::{oauth_connections, users},
    users::UserRow,
};

/// A row of `oauth_connections`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = oauth_connections)]
pub(super) struct ConnectionRow {
    pub(super) id: Id<Connection>,
    pub(super) user_id: Id<User>,
    pub(super) provider: String,
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) email: Option<String>,
    pub(super) display_name: Option<String>,
    pub(super) last_used_at: Option<Time>,
    pub(super) created: Time,
}

/// All connections of a user, the oldest first.
pub(super) fn all(conn: &mut Conn, user: Id<User>) -> Result<Vec<ConnectionRow>, StoreError> {
    let query = oauth_connections::table
        .filter(oauth_connections::user_id.eq(user))
        .order((oauth_connections::created, oauth_connections::id))
        .select(ConnectionRow::as_select());
    Ok(query.load(conn)?)
}

/// One connection of a user.
pub(super) fn find(
    conn: &mut Conn,
    user: Id<User>,
    id: Id<Connection>,
) -> Result<Option<ConnectionRow>, StoreError> {
    let query = oauth_connections::table
        .filter(oauth_connections::id.eq(id))
        .filter(oauth_connections::user_id.eq(user))
        .select(ConnectionRow::as_select());
    Ok(query.first(conn).optional()?)
}

/// The connection of a provider's account, whosever it is.
pub(super) fn find_person(
    conn: &mut Conn,
    issuer: &str,
    subject: &str,
) -> Result<Option<ConnectionRow>, StoreError> {
    let query = oauth_connections::table
        .filter(oauth_connections::issuer.eq(issuer))
        .filter(oauth_connections::subject.eq(subject))
        .select(ConnectionRow::as_select());
    Ok(query.first(conn).optional()?)
}

/// The user, locked: one change of their ways to log in at a time.
pub(super) fn lock_user(tx: &mut Tx<'_>, user: Id<User>) -> Result<UserRow, StoreError> {
    let query = users::table.filter(users::id.eq(user));
    Ok(lock("users", query).get_result(tx.conn())?)
}

pub(super) fn insert(tx: &mut Tx<'_>, row: &ConnectionRow) -> Result<(), StoreError> {
    diesel::insert_into(oauth_connections::table)
        .values(row)
        .execute(tx.conn())?;
    Ok(())
}

/// Notes a login, and what the provider calls the account now. `false` if the connection is gone.
pub(super) fn note_use(tx: &mut Tx<'_>, row: &ConnectionRow, person: &Person) -> Result<bool, StoreError> {
    let target = oauth_connections::table
        .filter(oauth_connections::id.eq(row.id))
        .filter(oauth_connections::user_id.eq(row.user_id));
    let noted = diesel::update(target)
        .set((
            oauth_connections::last_used_at.eq(tx.now()),
            oauth_connections::email.eq(&person.email),
            oauth_connections::display_name.eq(person.display_name()),
        ))
        .execute(tx.conn())?;
    Ok(noted == 1)
}

pub(super) fn delete(tx: &mut Tx<'_>, row: &ConnectionRow) -> Result<(), StoreError> {
    let target = oauth_connections::table
        .filter(oauth_connections::id.eq(row.id))
        .filter(oauth_connections::user_id.eq(row.user_id));
    diesel::delete(target).execute(tx.conn())?;
    Ok(())
}
