//! How projects are stored. Every finder takes the organization.

use std::collections::HashMap;

use diesel::{
    BoolExpressionMethods, ExpressionMethods, Insertable, JoinOnDsl, NullableExpressionMethods,
    OptionalExtension, QueryDsl, Queryable, RunQueryDsl, Selectable, SelectableHelper, dsl::count_star,
};
use kernel::{
    access::{Organization, Project, Role, User},
    id::Id,
    json::JsonText,
    store::{Conn, StoreError, Tx, lock},
    time::Time,
};

use super::api::Environment;
use crate::{
    counters,
    people::PersonRow,
    schema::{credentials, memberships, project_members, projects, users},
};

/// A row of `projects`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = projects)]
pub(crate) struct ProjectRow {
    pub(crate) id: Id<Project>,
    pub(crate) legacy_id: i64,
    pub(crate) organization_id: Id<Organization>,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) environment: Environment,
    pub(crate) color: String,
    pub(crate) tags: JsonText,
    pub(crate) is_default: bool,
    pub(crate) is_active: bool,
    pub(crate) created_by: Option<Id<User>>,
    pub(crate) created: Time,
    pub(crate) modified: Time,
}

/// The console's colour for projects that have none of their own.
const COLOR: &str = "#2563eb";

impl ProjectRow {
    /// How a project begins; not in the database yet.
    pub(crate) fn new(
        tx: &mut Tx<'_>,
        organization: Id<Organization>,
        name: &str,
    ) -> Result<Self, StoreError> {
        let now = tx.now();
        Ok(Self {
            id: Id::new(),
            legacy_id: counters::next(tx, "projects")?,
            organization_id: organization,
            name: name.to_owned(),
            description: String::new(),
            environment: Environment::Other,
            color: COLOR.to_owned(),
            tags: JsonText::of(&serde_json::Map::new()),
            is_default: false,
            is_active: true,
            created_by: None,
            created: now,
            modified: now,
        })
    }
}

/// A project, its maker, and what a user is in its organization and in itself.
#[derive(Queryable)]
pub(super) struct Found {
    pub(super) project: ProjectRow,
    pub(super) creator: Option<PersonRow>,
    pub(super) role: Option<Role>,
    pub(super) project_role: Option<Role>,
}

/// All projects of an organization, with the memberships of `user`.
pub(super) fn all(
    conn: &mut Conn,
    organization: Id<Organization>,
    user: Id<User>,
) -> Result<Vec<Found>, StoreError> {
    let query = projects::table
        .left_join(users::table.on(users::id.nullable().eq(projects::created_by)))
        .left_join(
            memberships::table.on(memberships::organization_id
                .eq(projects::organization_id)
                .and(memberships::user_id.eq(user))),
        )
        .left_join(
            project_members::table.on(project_members::project_id
                .eq(projects::id)
                .and(project_members::user_id.eq(user))),
        )
        .filter(projects::organization_id.eq(organization))
        .filter(projects::deleted_at.is_null())
        .select((
            ProjectRow::as_select(),
            Option::<PersonRow>::as_select(),
            memberships::role.nullable(),
            project_members::role.nullable(),
        ));
    Ok(query.load(conn)?)
}

/// One project of an organization, with its maker.
pub(super) fn find(
    conn: &mut Conn,
    organization: Id<Organization>,
    id: Id<Project>,
) -> Result<Option<(ProjectRow, Option<PersonRow>)>, StoreError> {
    let query = projects::table
        .left_join(users::table.on(users::id.nullable().eq(projects::created_by)))
        .filter(projects::organization_id.eq(organization))
        .filter(projects::id.eq(id))
        .filter(projects::deleted_at.is_null())
        .select((ProjectRow::as_select(), Option::<PersonRow>::as_select()));
    Ok(query.first(conn).optional()?)
}

/// How many members each of these projects of an organization has: everybody who is no guest, and the guests that
/// were given a role in it.
pub(super) fn member_counts(
    conn: &mut Conn,
    organization: Id<Organization>,
    of: &[Id<Project>],
) -> Result<HashMap<Id<Project>, i64>, StoreError> {
    let inherited: i64 = memberships::table
        .filter(memberships::organization_id.eq(organization))
        .filter(memberships::role.ne(Role::Guest))
        .count()
        .get_result(conn)?;
    let guests = project_members::table
        .inner_join(
            memberships::table.on(memberships::user_id
                .eq(project_members::user_id)
                .and(memberships::organization_id.eq(organization))),
        )
        .filter(project_members::project_id.eq_any(of))
        .filter(memberships::role.eq(Role::Guest))
        .group_by(project_members::project_id)
        .select((project_members::project_id, count_star()));
    let guests: HashMap<Id<Project>, i64> = guests.load(conn)?.into_iter().collect();
    let counts = of
        .iter()
        .map(|id| (*id, inherited + guests.get(id).copied().unwrap_or(0)));
    Ok(counts.collect())
}

/// One project, kept from changing until this transaction ends. Lock the organization first.
pub(super) fn lock_one(
    tx: &mut Tx<'_>,
    organization: Id<Organization>,
    id: Id<Project>,
) -> Result<Option<ProjectRow>, StoreError> {
    let query = projects::table
        .filter(projects::organization_id.eq(organization))
        .filter(projects::id.eq(id))
        .filter(projects::deleted_at.is_null())
        .select(ProjectRow::as_select());
    Ok(lock("projects", query).get_result(tx.conn()).optional()?)
}

/// How many projects an organization has.
pub(super) fn count(tx: &mut Tx<'_>, organization: Id<Organization>) -> Result<i64, StoreError> {
    let query = projects::table
        .filter(projects::organization_id.eq(organization))
        .filter(projects::deleted_at.is_null())
        .count();
    Ok(query.get_result(tx.conn())?)
}

/// Whether another project of the organization has this name.
pub(super) fn is_named(
    tx: &mut Tx<'_>,
    organization: Id<Organization>,
    name: &str,
    other_than: Id<Project>,
) -> Result<bool, StoreError> {
    let query = projects::table
        .filter(projects::organization_id.eq(organization))
        .filter(projects::name.eq(name))
        .filter(projects::id.ne(other_than))
        .count();
    Ok(query.get_result::<i64>(tx.conn())? > 0)
}

/// Of these ids, the projects of the organization, with their names.
pub(crate) fn existing(
    conn: &mut Conn,
    organization: Id<Organization>,
    ids: &[Id<Project>],
) -> Result<HashMap<Id<Project>, String>, StoreError> {
    let query = projects::table
        .filter(projects::organization_id.eq(organization))
        .filter(projects::id.eq_any(ids))
        .filter(projects::deleted_at.is_null())
        .select((projects::id, projects::name));
    Ok(query.load(conn)?.into_iter().collect())
}

/// Writes a new project.
pub(super) fn insert(tx: &mut Tx<'_>, row: &ProjectRow) -> Result<(), StoreError> {
    diesel::insert_into(projects::table)
        .values(row)
        .execute(tx.conn())?;
    Ok(())
}

/// The organization's default project.
pub(super) fn default_of(
    tx: &mut Tx<'_>,
    organization: Id<Organization>,
) -> Result<Option<ProjectRow>, StoreError> {
    let query = projects::table
        .filter(projects::organization_id.eq(organization))
        .filter(projects::is_default.eq(true))
        .filter(projects::deleted_at.is_null())
        .select(ProjectRow::as_select());
    Ok(lock("projects", query).get_result(tx.conn()).optional()?)
}

/// Writes what can be changed.
pub(super) fn update(tx: &mut Tx<'_>, row: &ProjectRow) -> Result<(), StoreError> {
    diesel::update(projects::table.find(row.id))
        .set((
            projects::name.eq(&row.name),
            projects::description.eq(&row.description),
            projects::environment.eq(row.environment),
            projects::color.eq(&row.color),
            projects::tags.eq(&row.tags),
            projects::is_default.eq(row.is_default),
            projects::is_active.eq(row.is_active),
            projects::modified.eq(row.modified),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Takes a project out of everybody's reach: its row stays under its id as a name, which is free for another then.
/// Its tokens are revoked.
pub(super) fn delete(tx: &mut Tx<'_>, row: &ProjectRow) -> Result<(), StoreError> {
    let now = tx.now();
    diesel::update(projects::table.find(row.id))
        .set((
            projects::name.eq(row.id.to_string()),
            projects::is_active.eq(false),
            projects::deleted_at.eq(now),
            projects::modified.eq(now),
        ))
        .execute(tx.conn())?;
    diesel::delete(project_members::table.filter(project_members::project_id.eq(row.id)))
        .execute(tx.conn())?;
    let tokens = credentials::table
        .filter(credentials::project_id.eq(row.id))
        .filter(credentials::revoked_at.is_null());
    diesel::update(tokens)
        .set((credentials::revoked_at.eq(now), credentials::modified.eq(now)))
        .execute(tx.conn())?;
    Ok(())
}
