//! `replace_project`, `update_project`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Organization, Permission, ProjectScope},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Change},
    id::Id,
    store::Tx,
};

use super::{
    ProjectsUpdate,
    api::{PatchedProject, Project, ProjectReplace, ProjectUpdate, Wanted},
    create::{name_taken, taken},
    rows::{self, ProjectRow},
    rules, view,
};
use crate::{
    organizations, people,
    refusals::WriteRefusals,
    state::{Area, ResourceCounter, after},
};

/// [Projects] Replace project details
///
/// Write the modifiable fields. Making a project the default one takes that from the one that was.
#[utoipa::path(
    put,
    path = "/v1/organizations/{organization_id}/projects/{project_id}",
    operation_id = "replace_project",
    tag = "Projects",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path), ("project_id" = String, Path)),
    request_body = Project,
    responses((status = 200, body = Project, description = "Project updated"), WriteRefusals),
    extensions(
        ("x-permission" = json!(ProjectsUpdate::NAME)),
        ("x-minimum-role" = json!(ProjectsUpdate::ROLE.as_str())),
        ("x-scope" = json!(ProjectsUpdate::SCOPE)),
    )
)]
pub(super) async fn replace_project(
    scope: ProjectScope<ProjectsUpdate>,
    State(Area { app, counter, .. }): State<Area>,
    change: Change<ProjectReplace>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &Change<ProjectReplace>| {
        write(tx, counter.as_ref(), &scope, change, |body| &body.0)
    };
    change.run(&app, &caller, "replace_project", work).await
}

/// [Projects] Update project details
///
/// Write the fields sent.
#[utoipa::path(
    patch,
    path = "/v1/organizations/{organization_id}/projects/{project_id}",
    operation_id = "update_project",
    tag = "Projects",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path), ("project_id" = String, Path)),
    request_body = PatchedProject,
    responses((status = 200, body = Project, description = "Project updated"), WriteRefusals),
    extensions(
        ("x-permission" = json!(ProjectsUpdate::NAME)),
        ("x-minimum-role" = json!(ProjectsUpdate::ROLE.as_str())),
        ("x-scope" = json!(ProjectsUpdate::SCOPE)),
    )
)]
pub(super) async fn update_project(
    scope: ProjectScope<ProjectsUpdate>,
    State(Area { app, counter, .. }): State<Area>,
    change: Change<ProjectUpdate>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &Change<ProjectUpdate>| {
        write(tx, counter.as_ref(), &scope, change, |body| &body.0)
    };
    change.run(&app, &caller, "update_project", work).await
}

fn write<T>(
    tx: &mut Tx<'_>,
    counter: &dyn ResourceCounter,
    scope: &ProjectScope<ProjectsUpdate>,
    change: &Change<T>,
    wanted: impl Fn(&T) -> &Wanted,
) -> ApiResult<Answer<Project>> {
    let organization = organizations::lock(tx, scope.organization)?.id;
    let row = rows::lock_one(tx, organization, scope.project)?.ok_or_else(ApiError::not_found)?;
    change.check_version(row.modified.micros())?;
    let (mut new, changes) = rules::replace(&row, wanted(change.body()?))?;
    if !changes.is_empty() {
        if new.name != row.name && rows::is_named(tx, organization, &new.name, row.id)? {
            return Err(name_taken());
        }
        new.modified = after(row.modified, tx.now());
        let origin = Origin::caller(&scope.caller, &scope.request);
        if new.is_default && !row.is_default {
            take_default(tx, organization, &origin)?;
        }
        rows::update(tx, &new).map_err(taken)?;
        tx.audit(&origin, Some(organization), Some(row.id), &event(&new, changes))?;
    }
    let version = new.modified.micros();
    let maker = match new.created_by {
        Some(id) => Some(people::find(tx.conn(), id)?),
        None => None,
    };
    let views = view::projects(tx.conn(), counter, vec![(new, maker, scope.role)])?;
    let body = views.into_iter().next().ok_or_else(ApiError::not_found)?;
    Ok(Answer::ok(body, version))
}

/// Takes being the default from the project that is, for another one of the organization.
pub(super) fn take_default(
    tx: &mut Tx<'_>,
    organization: Id<Organization>,
    origin: &Origin,
) -> ApiResult<()> {
    let Some(mut row) = rows::default_of(tx, organization)? else {
        return Ok(());
    };
    let mut changes = Changes::default();
    changes.note("is_default", &true, &false);
    row.is_default = false;
    row.modified = after(row.modified, tx.now());
    rows::update(tx, &row)?;
    Ok(tx.audit(origin, Some(organization), Some(row.id), &event(&row, changes))?)
}

fn event(row: &ProjectRow, changes: Changes) -> Event {
    let fields: Vec<&str> = changes.fields().collect();
    Event {
        action: "project.updated",
        resource_type: "project",
        resource_id: row.id.cast(),
        resource_name: row.name.clone(),
        description: format!("Changed {} of project {}", fields.join(", "), row.name),
        changes,
        status: AuditStatus::Success,
    }
}
