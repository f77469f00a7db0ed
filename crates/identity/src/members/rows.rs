//! How memberships are stored. Every finder takes the organization.

use diesel::{
    BoolExpressionMethods, ExpressionMethods, Insertable, JoinOnDsl, NullableExpressionMethods,
    OptionalExtension, QueryDsl, Queryable, RunQueryDsl, Selectable, SelectableHelper,
};
use kernel::{
    access::{Organization, Project, Role, User},
    id::Id,
    store::{Conn, StoreError, Tx},
    time::Time,
};

use super::api::MembershipKind;
use crate::{
    credentials::CredentialKind,
    invitations,
    people::PersonRow,
    schema::{credentials, memberships, project_members, projects, users},
};

/// A row of `memberships`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = memberships)]
pub(crate) struct MemberRow {
    pub(crate) organization_id: Id<Organization>,
    pub(crate) user_id: Id<User>,
    pub(crate) role: Role,
    pub(crate) created: Time,
    id: Option<Id<MembershipKind>>,
    pub(crate) invited_by: Option<Id<User>>,
    modified: Option<Time>,
}

impl MemberRow {
    /// The membership's id: of rows from before there was one, the user's.
    pub(crate) fn id(&self) -> Id<MembershipKind> {
        self.id.unwrap_or_else(|| self.user_id.cast())
    }

    /// When the role last changed.
    pub(crate) fn modified(&self) -> Time {
        self.modified.unwrap_or(self.created)
    }
}

/// A member and their user.
pub(crate) type Found = (MemberRow, PersonRow);

/// Members with their users.
macro_rules! members {
    ($organization:expr) => {
        memberships::table
            .inner_join(users::table.on(users::id.eq(memberships::user_id)))
            .filter(memberships::organization_id.eq($organization))
            .select((MemberRow::as_select(), PersonRow::as_select()))
    };
}

/// All members of an organization: as many as its quota allows.
pub(crate) fn all(conn: &mut Conn, organization: Id<Organization>) -> Result<Vec<Found>, StoreError> {
    Ok(members!(organization).load(conn)?)
}

/// One member, by the membership's id.
pub(crate) fn find(
    conn: &mut Conn,
    organization: Id<Organization>,
    id: Id<MembershipKind>,
) -> Result<Option<Found>, StoreError> {
    let of_old = memberships::id
        .is_null()
        .and(memberships::user_id.eq(id.cast::<User>()).nullable());
    let query = members!(organization).filter(memberships::id.eq(id).or(of_old));
    Ok(query.first(conn).optional()?)
}

/// One member, by the user.
pub(crate) fn find_user(
    conn: &mut Conn,
    organization: Id<Organization>,
    user: Id<User>,
) -> Result<Option<Found>, StoreError> {
    let query = members!(organization).filter(memberships::user_id.eq(user));
    Ok(query.first(conn).optional()?)
}

/// How many members an organization has.
pub(crate) fn count(conn: &mut Conn, organization: Id<Organization>) -> Result<i64, StoreError> {
    let query = memberships::table
        .filter(memberships::organization_id.eq(organization))
        .count();
    Ok(query.get_result(conn)?)
}

/// How many members it has, and how many may yet accept an invitation: what counts against the quota of users.
pub(crate) fn count_with_pending(
    conn: &mut Conn,
    organization: Id<Organization>,
    now: Time,
) -> Result<i64, StoreError> {
    Ok(count(conn, organization)? + invitations::count_pending(conn, organization, now)?)
}

/// How many owners can still act, leaving out one user.
pub(super) fn count_other_owners(
    conn: &mut Conn,
    organization: Id<Organization>,
    without: Id<User>,
) -> Result<i64, StoreError> {
    let query = memberships::table
        .inner_join(users::table.on(users::id.eq(memberships::user_id)))
        .filter(memberships::organization_id.eq(organization))
        .filter(memberships::role.eq(Role::Owner))
        .filter(memberships::user_id.ne(without))
        .filter(users::is_active.eq(true))
        .count();
    Ok(query.get_result(conn)?)
}

/// A project role that a member was given.
#[derive(Clone, Debug, Queryable)]
pub(super) struct GivenRow {
    pub(super) user: Id<User>,
    pub(super) project: Id<Project>,
    pub(super) name: String,
    pub(super) role: Role,
}

/// The project roles that members of an organization were given, by name of the project; of one user, if named.
pub(super) fn given(
    conn: &mut Conn,
    organization: Id<Organization>,
    user: Option<Id<User>>,
) -> Result<Vec<GivenRow>, StoreError> {
    let mut query = project_members::table
        .inner_join(projects::table.on(projects::id.eq(project_members::project_id)))
        .filter(projects::organization_id.eq(organization))
        .filter(projects::deleted_at.is_null())
        .select((
            project_members::user_id,
            projects::id,
            projects::name,
            project_members::role,
        ))
        .order((projects::name, projects::id))
        .into_boxed();
    if let Some(user) = user {
        query = query.filter(project_members::user_id.eq(user));
    }
    Ok(query.load(conn)?)
}

/// Writes a new member.
pub(crate) fn insert(
    tx: &mut Tx<'_>,
    organization: Id<Organization>,
    user: Id<User>,
    role: Role,
    invited_by: Option<Id<User>>,
) -> Result<MemberRow, StoreError> {
    let now = tx.now();
    let row = MemberRow {
        organization_id: organization,
        user_id: user,
        role,
        created: now,
        id: Some(Id::new()),
        invited_by,
        modified: Some(now),
    };
    diesel::insert_into(memberships::table)
        .values(&row)
        .execute(tx.conn())?;
    Ok(row)
}

/// Writes a member's role, and gives the row as it now is.
pub(super) fn set_role(
    tx: &mut Tx<'_>,
    row: &MemberRow,
    role: Role,
    modified: Time,
) -> Result<MemberRow, StoreError> {
    let target = memberships::table
        .filter(memberships::organization_id.eq(row.organization_id))
        .filter(memberships::user_id.eq(row.user_id));
    diesel::update(target)
        .set((memberships::role.eq(role), memberships::modified.eq(modified)))
        .execute(tx.conn())?;
    Ok(MemberRow {
        role,
        modified: Some(modified),
        ..row.clone()
    })
}

/// Ends a membership, with the roles in projects, and the keys and tokens that reach this organization only.
pub(crate) fn delete_with_projects(
    tx: &mut Tx<'_>,
    organization: Id<Organization>,
    user: Id<User>,
) -> Result<(), StoreError> {
    let now = tx.now();
    let theirs = projects::table
        .filter(projects::organization_id.eq(organization))
        .select(projects::id);
    let roles = project_members::table
        .filter(project_members::user_id.eq(user))
        .filter(project_members::project_id.eq_any(theirs));
    diesel::delete(roles).execute(tx.conn())?;
    let membership = memberships::table
        .filter(memberships::organization_id.eq(organization))
        .filter(memberships::user_id.eq(user));
    diesel::delete(membership).execute(tx.conn())?;
    let keys = credentials::table
        .filter(credentials::user_id.eq(user))
        .filter(credentials::organization_id.eq(organization))
        .filter(credentials::kind.ne(CredentialKind::Session))
        .filter(credentials::revoked_at.is_null());
    diesel::update(keys)
        .set((credentials::revoked_at.eq(now), credentials::modified.eq(now)))
        .execute(tx.conn())?;
    Ok(())
}
