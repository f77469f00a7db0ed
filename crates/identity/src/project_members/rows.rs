//! How memberships of projects are stored. Every finder takes the project or its organization.

use diesel::{
    BoolExpressionMethods, ExpressionMethods, Insertable, JoinOnDsl, QueryDsl, Queryable, RunQueryDsl,
    Selectable, SelectableHelper,
};
use kernel::{
    access::{Organization, Project, Role, User},
    id::Id,
    store::{Conn, StoreError, Tx},
    time::Time,
};

use crate::{
    members::{MemberRow, MembershipKind},
    people::PersonRow,
    schema::{memberships, project_members, projects, users},
};

/// A row of `project_members`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = project_members)]
pub(crate) struct GivenRow {
    project_id: Id<Project>,
    user_id: Id<User>,
    pub(super) role: Role,
    created: Time,
    id: Option<Id<MembershipKind>>,
    invited_by: Option<Id<User>>,
    modified: Option<Time>,
}

/// A member of the organization, and the role that they were given in a project.
#[derive(Clone, Debug, Queryable)]
pub(super) struct Found {
    pub(super) member: MemberRow,
    pub(super) person: PersonRow,
    pub(super) given: Option<GivenRow>,
}

impl Found {
    /// Whether the role comes from the organization: no role was given here, or it says nothing to an owner.
    pub(super) fn is_inherited(&self) -> bool {
        self.given.is_none() || self.member.role == Role::Owner
    }

    /// The id under which the member is known in the project. Of rows from before there was one, the user's.
    pub(super) fn id(&self) -> Id<MembershipKind> {
        match &self.given {
            Some(given) => given.id.unwrap_or_else(|| given.user_id.cast()),
            None => self.member.id(),
        }
    }

    pub(super) fn invited_by(&self) -> Option<Id<User>> {
        match &self.given {
            Some(given) => given.invited_by,
            None => self.member.invited_by,
        }
    }

    pub(super) fn created(&self) -> Time {
        self.given
            .as_ref()
            .map_or(self.member.created, |given| given.created)
    }

    pub(super) fn modified(&self) -> Time {
        match &self.given {
            Some(given) => given.modified.unwrap_or(given.created),
            None => self.member.modified(),
        }
    }
}

/// Everybody in the organization with their role in the project, members of it or not: as many as the quota of users
/// allows.
pub(super) fn all(
    conn: &mut Conn,
    organization: Id<Organization>,
    project: Id<Project>,
) -> Result<Vec<Found>, StoreError> {
    let query = memberships::table
        .inner_join(users::table.on(users::id.eq(memberships::user_id)))
        .left_join(
            project_members::table.on(project_members::user_id
                .eq(memberships::user_id)
                .and(project_members::project_id.eq(project))),
        )
        .filter(memberships::organization_id.eq(organization))
        .order(users::email_key)
        .select((
            MemberRow::as_select(),
            PersonRow::as_select(),
            Option::<GivenRow>::as_select(),
        ));
    Ok(query.load(conn)?)
}

/// Writes a role in a project.
pub(crate) fn insert(
    tx: &mut Tx<'_>,
    project: Id<Project>,
    user: Id<User>,
    role: Role,
    invited_by: Option<Id<User>>,
) -> Result<GivenRow, StoreError> {
    let now = tx.now();
    let row = GivenRow {
        project_id: project,
        user_id: user,
        role,
        created: now,
        id: Some(Id::new()),
        invited_by,
        modified: Some(now),
    };
    diesel::insert_into(project_members::table)
        .values(&row)
        .execute(tx.conn())?;
    Ok(row)
}

/// Writes another role, and gives the row as it now is.
pub(super) fn set_role(
    tx: &mut Tx<'_>,
    row: &GivenRow,
    role: Role,
    modified: Time,
) -> Result<GivenRow, StoreError> {
    let target = project_members::table
        .filter(project_members::project_id.eq(row.project_id))
        .filter(project_members::user_id.eq(row.user_id));
    diesel::update(target)
        .set((
            project_members::role.eq(role),
            project_members::modified.eq(modified),
        ))
        .execute(tx.conn())?;
    Ok(GivenRow {
        role,
        modified: Some(modified),
        ..row.clone()
    })
}

/// Takes a role in a project away.
pub(super) fn delete(tx: &mut Tx<'_>, project: Id<Project>, user: Id<User>) -> Result<(), StoreError> {
    let target = project_members::table
        .filter(project_members::project_id.eq(project))
        .filter(project_members::user_id.eq(user));
    diesel::delete(target).execute(tx.conn())?;
    Ok(())
}

/// The users who were given a role in a project.
pub(crate) fn users_of(tx: &mut Tx<'_>, project: Id<Project>) -> Result<Vec<Id<User>>, StoreError> {
    let query = project_members::table
        .filter(project_members::project_id.eq(project))
        .select(project_members::user_id);
    Ok(query.load(tx.conn())?)
}

/// In how many projects of the organization a user was given a role.
pub(super) fn count_of_user(
    tx: &mut Tx<'_>,
    organization: Id<Organization>,
    user: Id<User>,
) -> Result<i64, StoreError> {
    let query = project_members::table
        .inner_join(projects::table.on(projects::id.eq(project_members::project_id)))
        .filter(projects::organization_id.eq(organization))
        .filter(projects::deleted_at.is_null())
        .filter(project_members::user_id.eq(user))
        .count();
    Ok(query.get_result(tx.conn())?)
}
