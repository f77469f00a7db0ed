//! How invitations are stored. Every finder takes the organization, the invited address, or the hash of a secret.

use diesel::{
    ExpressionMethods, Insertable, JoinOnDsl, OptionalExtension, QueryDsl, Queryable, RunQueryDsl,
    Selectable, SelectableHelper,
};
use kernel::{
    access::{Organization, Project, Role, User},
    id::Id,
    json::JsonText,
    store::{Conn, StoreError, Tx},
    time::Time,
};
use serde::{Deserialize, Serialize};

use super::api::{InvitationKind, InvitationStatus};
use crate::{
    organizations::OrganizationRow,
    schema::{invitations, organizations, users},
};

/// A row of `invitations`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = invitations)]
pub(crate) struct InvitationRow {
    pub(super) id: Id<InvitationKind>,
    pub(super) organization_id: Id<Organization>,
    pub(super) email: String,
    pub(super) email_key: String,
    pub(super) role: Role,
    pub(super) project_roles: JsonText,
    pub(super) message: String,
    pub(super) status: InvitationStatus,
    pub(super) token_hash: String,
    pub(super) invited_by: Option<Id<User>>,
    pub(super) expires_at: Time,
    pub(super) accepted_at: Option<Time>,
    pub(super) last_sent_at: Time,
    pub(super) created: Time,
    pub(super) modified: Time,
}

impl InvitationRow {
    /// Where it stands: a pending one whose time is over has expired.
    pub(super) fn status_at(&self, now: Time) -> InvitationStatus {
        if self.status == InvitationStatus::Pending && self.expires_at <= now {
            InvitationStatus::Expired
        } else {
            self.status
        }
    }

    /// Whether it may be accepted.
    pub(super) fn is_open(&self, now: Time) -> bool {
        self.status_at(now) == InvitationStatus::Pending
    }
}

/// An item of `project_roles`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GivenRole {
    pub(super) project_id: Id<Project>,
    pub(super) role: Role,
}

/// All invitations of an organization, the newest first; at most `most`.
pub(super) fn all(
    conn: &mut Conn,
    organization: Id<Organization>,
    most: i64,
) -> Result<Vec<InvitationRow>, StoreError> {
    let query = invitations::table
        .filter(invitations::organization_id.eq(organization))
        .order((invitations::created.desc(), invitations::id.desc()))
        .limit(most)
        .select(InvitationRow::as_select());
    Ok(query.load(conn)?)
}

/// One invitation of an organization.
pub(super) fn find(
    conn: &mut Conn,
    organization: Id<Organization>,
    id: Id<InvitationKind>,
) -> Result<Option<InvitationRow>, StoreError> {
    let query = invitations::table
        .filter(invitations::id.eq(id))
        .filter(invitations::organization_id.eq(organization))
        .select(InvitationRow::as_select());
    Ok(query.first(conn).optional()?)
}

/// The invitation that the hash of a secret names, with its organization.
pub(super) fn find_by_secret(
    conn: &mut Conn,
    token_hash: &str,
) -> Result<Option<(InvitationRow, OrganizationRow)>, StoreError> {
    let query = invitations::table
        .inner_join(organizations::table.on(organizations::id.eq(invitations::organization_id)))
        .filter(invitations::token_hash.eq(token_hash))
        .filter(organizations::is_active.eq(true))
        .select((InvitationRow::as_select(), OrganizationRow::as_select()));
    Ok(query.first(conn).optional()?)
}

/// One invitation to an address.
pub(super) fn find_to(
    conn: &mut Conn,
    email_key: &str,
    id: Id<InvitationKind>,
) -> Result<Option<InvitationRow>, StoreError> {
    let query = invitations::table
        .filter(invitations::id.eq(id))
        .filter(invitations::email_key.eq(email_key))
        .select(InvitationRow::as_select());
    Ok(query.first(conn).optional()?)
}

/// The open invitations to an address, with their organizations, the newest first; at most `most`.
pub(super) fn open_to(
    conn: &mut Conn,
    email_key: &str,
    now: Time,
    most: i64,
) -> Result<Vec<(InvitationRow, String)>, StoreError> {
    let query = invitations::table
        .inner_join(organizations::table.on(organizations::id.eq(invitations::organization_id)))
        .filter(invitations::email_key.eq(email_key))
        .filter(invitations::status.eq(InvitationStatus::Pending))
        .filter(invitations::expires_at.gt(now))
        .filter(organizations::is_active.eq(true))
        .order((invitations::created.desc(), invitations::id.desc()))
        .limit(most)
        .select((InvitationRow::as_select(), organizations::name));
    Ok(query.load(conn)?)
}

/// How many invitations of an organization may yet be accepted.
pub(crate) fn count_pending(
    conn: &mut Conn,
    organization: Id<Organization>,
    now: Time,
) -> Result<i64, StoreError> {
    let query = invitations::table
        .filter(invitations::organization_id.eq(organization))
        .filter(invitations::status.eq(InvitationStatus::Pending))
        .filter(invitations::expires_at.gt(now))
        .count();
    Ok(query.get_result(conn)?)
}

/// The pending invitation of an organization to an address, expired or not.
pub(super) fn pending_to(
    tx: &mut Tx<'_>,
    organization: Id<Organization>,
    email_key: &str,
) -> Result<Option<InvitationRow>, StoreError> {
    let query = invitations::table
        .filter(invitations::organization_id.eq(organization))
        .filter(invitations::email_key.eq(email_key))
        .filter(invitations::status.eq(InvitationStatus::Pending))
        .select(InvitationRow::as_select());
    Ok(query.first(tx.conn()).optional()?)
}

/// When the organization last wrote to an address.
pub(super) fn last_sent(
    tx: &mut Tx<'_>,
    organization: Id<Organization>,
    email_key: &str,
) -> Result<Option<Time>, StoreError> {
    let query = invitations::table
        .filter(invitations::organization_id.eq(organization))
        .filter(invitations::email_key.eq(email_key))
        .order(invitations::last_sent_at.desc())
        .select(invitations::last_sent_at);
    Ok(query.first(tx.conn()).optional()?)
}

/// Whether an address has an account.
pub(super) fn has_account(conn: &mut Conn, email_key: &str) -> Result<bool, StoreError> {
    let query = users::table.filter(users::email_key.eq(email_key)).count();
    Ok(query.get_result::<i64>(conn)? > 0)
}

/// Writes a new invitation.
pub(super) fn insert(tx: &mut Tx<'_>, row: &InvitationRow) -> Result<(), StoreError> {
    diesel::insert_into(invitations::table)
        .values(row)
        .execute(tx.conn())?;
    Ok(())
}

/// Writes where an invitation stands, and its link.
pub(super) fn update(tx: &mut Tx<'_>, row: &InvitationRow) -> Result<(), StoreError> {
    diesel::update(invitations::table.filter(invitations::id.eq(row.id)))
        .set((
            invitations::status.eq(row.status),
            invitations::token_hash.eq(&row.token_hash),
            invitations::expires_at.eq(row.expires_at),
            invitations::accepted_at.eq(row.accepted_at),
            invitations::last_sent_at.eq(row.last_sent_at),
            invitations::modified.eq(row.modified),
        ))
        .execute(tx.conn())?;
    Ok(())
}
