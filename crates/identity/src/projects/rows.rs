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
    store::{Conn, StoreError},
    time::Time,
};

use super::api::Environment;
use crate::schema::{memberships, project_members, projects, users};

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

/// Who made a project, as far as it is shown.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = users)]
pub(super) struct CreatorRow {
    pub(super) id: Id<User>,
    pub(super) email: String,
    pub(super) first_name: String,
    pub(super) last_name: String,
    pub(super) is_active: bool,
    pub(super) last_login: Option<Time>,
}

/// A project, its maker, and what a user is in its organization and in itself.
#[derive(Queryable)]
pub(super) struct Found {
    pub(super) project: ProjectRow,
    pub(super) creator: Option<CreatorRow>,
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
        .select((
            ProjectRow::as_select(),
            Option::<CreatorRow>::as_select(),
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
) -> Result<Option<(ProjectRow, Option<CreatorRow>)>, StoreError> {
    let query = projects::table
        .left_join(users::table.on(users::id.nullable().eq(projects::created_by)))
        .filter(projects::organization_id.eq(organization))
        .filter(projects::id.eq(id))
        .select((ProjectRow::as_select(), Option::<CreatorRow>::as_select()));
    Ok(query.first(conn).optional()?)
}

/// How many members each of these projects has of its own; one without any is left out.
pub(super) fn member_counts(
    conn: &mut Conn,
    of: &[Id<Project>],
) -> Result<HashMap<Id<Project>, i64>, StoreError> {
    let query = project_members::table
        .filter(project_members::project_id.eq_any(of))
        .group_by(project_members::project_id)
        .select((project_members::project_id, count_star()));
    Ok(query.load(conn)?.into_iter().collect())
}
