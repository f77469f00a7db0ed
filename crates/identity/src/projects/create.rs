//! `create_project`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{OrganizationScope, Permission, Role},
    audit::{AuditStatus, Event, Origin},
    http::{Answer, ApiError, ApiResult, Change, Faults},
    store::{StoreError, Tx},
};

use super::{
    ProjectsCreate,
    api::{Project, ProjectReplace},
    replace::take_default,
    rows::{self, ProjectRow},
    rules, view,
};
use crate::{organizations, people, project_members, refusals::WriteRefusals, state::Area};

/// [Projects] Create a project
///
/// Create a project in the organization. An owner of the organization owns it; an editor is an editor of it, since a
/// role in a project never exceeds that in the organization.
#[utoipa::path(
    post,
    path = "/v1/organizations/{organization_id}/projects",
    operation_id = "create_project",
    tag = "Projects",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path)),
    request_body = Project,
    responses((status = 201, body = Project, description = "Project created"), WriteRefusals),
    extensions(
        ("x-permission" = json!(ProjectsCreate::NAME)),
        ("x-minimum-role" = json!(ProjectsCreate::ROLE.as_str())),
        ("x-scope" = json!(ProjectsCreate::SCOPE)),
    )
)]
pub(super) async fn create_project(
    scope: OrganizationScope<ProjectsCreate>,
    State(Area { app, counter, .. }): State<Area>,
    change: Change<ProjectReplace>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &Change<ProjectReplace>| {
        let organization = organizations::lock(tx, scope.organization)?;
        let wanted = &change.body()?.0;
        let blank = ProjectRow {
            created_by: Some(scope.caller.user),
            ..ProjectRow::new(tx, organization.id, "")?
        };
        let (row, changes) = rules::replace(&blank, wanted)?;
        if rows::is_named(tx, organization.id, &row.name, row.id)? {
            return Err(name_taken());
        }
        let most = organization.project_quota;
        if rows::count(tx, organization.id)? >= most {
            return Err(ApiError::refused(format!(
                "The organization's quota of {most} projects is reached."
            )));
        }
        let origin = Origin::caller(&scope.caller, &scope.request);
        if row.is_default {
            take_default(tx, organization.id, &origin)?;
        }
        rows::insert(tx, &row).map_err(taken)?;
        if scope.role < Role::Owner {
            project_members::insert(tx, row.id, scope.caller.user, scope.role, None)?;
        }
        let event = Event {
            action: "project.created",
            resource_type: "project",
            resource_id: row.id.cast(),
            resource_name: row.name.clone(),
            description: format!("Project {} created", row.name),
            changes,
            status: AuditStatus::Success,
        };
        tx.audit(&origin, Some(organization.id), Some(row.id), &event)?;
        let maker = people::find(tx.conn(), scope.caller.user)?;
        let (version, path) = (
            row.modified.micros(),
            format!("/v1/organizations/{}/projects/{}", organization.id, row.id),
        );
        let views = view::projects(tx.conn(), counter.as_ref(), vec![(row, Some(maker), scope.role)])?;
        let body = views.into_iter().next().ok_or_else(ApiError::not_found)?;
        Ok(Answer::created(body, Some(version), path))
    };
    change.run(&app, &caller, "create_project", work).await
}

pub(super) fn name_taken() -> ApiError {
    Faults::one(
        "name",
        "A project with this name already exists in this organization.",
    )
    .into()
}

/// The database's own word on the name, should anything have slipped past the lock.
pub(super) fn taken(error: StoreError) -> ApiError {
    match error {
        StoreError::Duplicate(_) => name_taken(),
        other => other.into(),
    }
}
