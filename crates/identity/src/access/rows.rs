//! Finding who calls and what they reach, in one query.

use diesel::{
    BoolExpressionMethods, ExpressionMethods, JoinOnDsl, NullableExpressionMethods, OptionalExtension,
    QueryDsl, Queryable, RunQueryDsl, Selectable, SelectableHelper,
};
use kernel::{
    access::{Bearer, Credential, Organization, Project, Role, User},
    id::Id,
    json::JsonText,
    store::{Conn, StoreError},
    time::Time,
};

use crate::{
    credentials::CredentialKind,
    schema::{credentials, memberships, organizations, project_members, projects, users},
};

/// The credential, as far as each request needs it.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = credentials)]
pub(super) struct CredentialFacts {
    pub(super) id: Id<Credential>,
    pub(super) kind: CredentialKind,
    pub(super) name: String,
    pub(super) scopes: JsonText,
    pub(super) organization_id: Option<Id<Organization>>,
    pub(super) project_id: Option<Id<Project>>,
    pub(super) expires_at: Option<Time>,
    pub(super) revoked_at: Option<Time>,
    pub(super) last_used_at: Option<Time>,
    pub(super) authenticated_at: Option<Time>,
    pub(super) allowed_ips: JsonText,
    pub(super) created: Time,
}

/// Its user, likewise.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = users)]
pub(super) struct UserFacts {
    pub(super) id: Id<User>,
    pub(super) email: String,
    pub(super) first_name: String,
    pub(super) last_name: String,
    pub(super) is_active: bool,
    pub(super) is_staff: bool,
}

/// How the user stands to the organization and project that were asked for; `None` where there is none.
#[derive(Debug, Clone, Queryable)]
pub(super) struct Standing {
    pub(super) is_active: Option<bool>,
    /// Names of the modules that are switched on.
    pub(super) modules: Option<JsonText>,
    pub(super) role: Option<Role>,
    pub(super) project: Option<Id<Project>>,
    pub(super) project_role: Option<Role>,
}

/// A credential with its user and where that one stands.
pub(super) type Found = (CredentialFacts, UserFacts, Standing);

/// Credentials with their users, and how these stand to an organization and a project of it.
macro_rules! standings {
    ($organization:expr, $project:expr) => {
        // Comparing with NULL finds nothing: no organization asked for, none found.
        credentials::table
            .inner_join(users::table.on(users::id.eq(credentials::user_id)))
            .left_join(organizations::table.on(organizations::id.nullable().eq($organization)))
            .left_join(
                memberships::table.on(memberships::organization_id
                    .nullable()
                    .eq($organization)
                    .and(memberships::user_id.eq(credentials::user_id))),
            )
            .left_join(
                projects::table.on(projects::id
                    .nullable()
                    .eq($project)
                    .and(projects::organization_id.nullable().eq($organization))
                    .and(projects::deleted_at.is_null())),
            )
            .left_join(
                project_members::table.on(project_members::project_id
                    .nullable()
                    .eq($project)
                    .and(project_members::user_id.eq(credentials::user_id))),
            )
            .select((
                CredentialFacts::as_select(),
                UserFacts::as_select(),
                (
                    organizations::is_active.nullable(),
                    organizations::modules.nullable(),
                    memberships::role.nullable(),
                    projects::id.nullable(),
                    project_members::role.nullable(),
                ),
            ))
    };
}

/// Finds the credential that `bearer` names at `now`, and how its user stands to an organization and a project of it.
pub(super) fn find(
    conn: &mut Conn,
    bearer: &Bearer,
    organization: Option<Id<Organization>>,
    project: Option<Id<Project>>,
    now: Time,
) -> Result<Option<Found>, StoreError> {
    let query = standings!(organization, project);
    let hash = match bearer {
        Bearer::Session { id, .. } => {
            let session = query
                .filter(credentials::id.eq(*id))
                .filter(credentials::kind.eq(CredentialKind::Session));
            return Ok(session.first(conn).optional()?);
        }
        Bearer::Secret { hash } => hash,
    };
    let present = query.filter(credentials::secret_hash.eq(hash));
    let found: Option<Found> = present.first(conn).optional()?;
    if found.is_some() {
        return Ok(found);
    }
    // Only what would be refused otherwise costs a second query: a secret that was replaced, in its grace period.
    let former = query
        .filter(credentials::previous_hash.eq(hash))
        .filter(credentials::previous_until.gt(now));
    Ok(former.first(conn).optional()?)
}

/// Finds a credential of any kind by its id, and how its user stands to an organization and a project of it.
pub(super) fn find_by_id(
    conn: &mut Conn,
    id: Id<Credential>,
    organization: Id<Organization>,
    project: Id<Project>,
) -> Result<Option<Found>, StoreError> {
    let query = standings!(Some(organization), Some(project)).filter(credentials::id.eq(id));
    Ok(query.first(conn).optional()?)
}

/// The organization that older clients know by this number.
pub(super) fn organization_of(
    conn: &mut Conn,
    legacy_id: i64,
) -> Result<Option<Id<Organization>>, StoreError> {
    let row = organizations::table.filter(organizations::legacy_id.eq(legacy_id));
    Ok(row.select(organizations::id).first(conn).optional()?)
}

/// The project that older clients know by this number.
pub(super) fn project_of(conn: &mut Conn, legacy_id: i64) -> Result<Option<Id<Project>>, StoreError> {
    let row = projects::table.filter(projects::legacy_id.eq(legacy_id));
    Ok(row.select(projects::id).first(conn).optional()?)
}
