//! `replace_profile` and `update_profile`.

use axum::{extract::State, response::Response};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, JoinOnDsl, NullableExpressionMethods, OptionalExtension,
    QueryDsl, RunQueryDsl,
};
use kernel::{
    access::{Authenticated, Caller, Organization, Project, Role, User as UserKind},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiResult, Body, Change},
    id::Id,
    store::{StoreError, Tx, lock},
};

use super::{
    api::{PatchedUser, ProfileReplace, ProfileUpdate, Wanted},
    rules::{self, Reached},
};
use crate::{
    Identity,
    access::in_project,
    auth::refusals::Writing,
    auth::{User, view},
    login_only,
    schema::{memberships, organizations, project_members, projects, users},
    state::Area,
    users::UserRow,
};

/// [Profile] Replace the profile
///
/// Sets the editable fields; those that are left out and not required keep their values.
#[utoipa::path(
    put,
    path = "/v1/auth/profile",
    operation_id = "replace_profile",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    request_body = User,
    responses((status = 200, body = User, description = "Profile updated"), Writing),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn replace_profile(
    Authenticated { caller, request }: Authenticated,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<ProfileReplace>,
) -> ApiResult<Response> {
    login_only(&caller)?;
    let origin = Origin::caller(&caller, &request);
    let owner = caller.clone();
    change
        .run(&app, &caller, "replace_profile", move |tx, change| {
            edit(tx, &identity, &owner, &origin, change, |body| &body.0)
        })
        .await
}

/// [Profile] Update the profile
///
/// Changes the given fields. A default project must lie in the default organization; another organization without a
/// project takes the default project away.
#[utoipa::path(
    patch,
    path = "/v1/auth/profile",
    operation_id = "update_profile",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    request_body = PatchedUser,
    responses((status = 200, body = User, description = "Profile updated"), Writing),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn update_profile(
    Authenticated { caller, request }: Authenticated,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<ProfileUpdate>,
) -> ApiResult<Response> {
    login_only(&caller)?;
    let origin = Origin::caller(&caller, &request);
    let owner = caller.clone();
    change
        .run(&app, &caller, "update_profile", move |tx, change| {
            edit(tx, &identity, &owner, &origin, change, |body| &body.0)
        })
        .await
}

fn edit<T: Body>(
    tx: &mut Tx<'_>,
    identity: &Identity,
    caller: &Caller,
    origin: &Origin,
    change: &Change<T>,
    wanted: impl Fn(&T) -> &Wanted,
) -> ApiResult<Answer<User>> {
    let row = lock_user(tx, caller.user)?;
    change.check_version(row.modified.micros())?;
    let wanted = wanted(change.body()?);
    let reached = look_up(tx, &row, wanted)?;
    let mut new = rules::edited(&row, wanted, reached)?;
    let changes = rules::changes(&row, &new);
    if !changes.is_empty() {
        new.modified = tx.now();
        save(tx, &new)?;
        tx.audit(origin, None, None, &event(&new, "Profile changed", changes))?;
    }
    let version = new.modified.micros();
    Ok(Answer::ok(view::user(tx.conn(), identity, new)?, version))
}

pub(super) fn lock_user(tx: &mut Tx<'_>, user: Id<UserKind>) -> Result<UserRow, StoreError> {
    Ok(lock("users", users::table.filter(users::id.eq(user))).get_result(tx.conn())?)
}

pub(super) fn event(row: &UserRow, description: &str, changes: Changes) -> Event {
    Event {
        action: "user.updated",
        resource_type: "user",
        resource_id: row.id.cast(),
        resource_name: row.email.clone(),
        description: description.to_owned(),
        changes,
        status: AuditStatus::Success,
    }
}

/// What the wanted defaults mean to the user: two queries at most.
fn look_up(tx: &mut Tx<'_>, row: &UserRow, wanted: &Wanted) -> Result<Reached, StoreError> {
    let organization = wanted
        .default_organization_id
        .unwrap_or(row.default_organization_id);
    let project = wanted.default_project_id.unwrap_or(row.default_project_id);
    let place = match project {
        Some(project) => project_of(tx, row.id, project)?,
        None => None,
    };
    Ok(Reached {
        organization: match wanted.default_organization_id.flatten() {
            Some(id) => is_member(tx, row.id, id)?,
            None => true,
        },
        project: place.is_some(),
        project_fits: project.is_none() || (place.is_some() && place == organization),
    })
}

fn is_member(
    tx: &mut Tx<'_>,
    user: Id<UserKind>,
    organization: Id<Organization>,
) -> Result<bool, StoreError> {
    let query = memberships::table
        .inner_join(organizations::table.on(organizations::id.eq(memberships::organization_id)))
        .filter(memberships::user_id.eq(user))
        .filter(memberships::organization_id.eq(organization))
        .filter(organizations::is_active.eq(true))
        .count();
    Ok(query.get_result::<i64>(tx.conn())? > 0)
}

/// The organization of a project that the user sees.
fn project_of(
    tx: &mut Tx<'_>,
    user: Id<UserKind>,
    project: Id<Project>,
) -> Result<Option<Id<Organization>>, StoreError> {
    let query = projects::table
        .inner_join(organizations::table.on(organizations::id.eq(projects::organization_id)))
        .inner_join(
            memberships::table.on(memberships::organization_id
                .eq(projects::organization_id)
                .and(memberships::user_id.eq(user))),
        )
        .left_join(
            project_members::table.on(project_members::project_id
                .eq(projects::id)
                .and(project_members::user_id.eq(user))),
        )
        .filter(projects::id.eq(project))
        .filter(organizations::is_active.eq(true))
        .select((
            projects::organization_id,
            memberships::role,
            project_members::role.nullable(),
        ));
    let found: Option<(Id<Organization>, Role, Option<Role>)> = query.first(tx.conn()).optional()?;
    Ok(found.and_then(|(organization, role, project)| in_project(role, project).map(|_| organization)))
}

fn save(tx: &mut Tx<'_>, row: &UserRow) -> Result<(), StoreError> {
    diesel::update(users::table.find(row.id))
        .set((
            users::first_name.eq(&row.first_name),
            users::last_name.eq(&row.last_name),
            users::phone.eq(&row.phone),
            users::company_name.eq(&row.company_name),
            users::language.eq(row.language),
            users::timezone.eq(&row.timezone),
            users::marketing_consent.eq(row.marketing_consent),
            users::default_organization_id.eq(row.default_organization_id),
            users::default_project_id.eq(row.default_project_id),
            users::modified.eq(row.modified),
        ))
        .execute(tx.conn())?;
    Ok(())
}
