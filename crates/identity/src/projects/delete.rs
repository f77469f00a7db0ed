//! `delete_project`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Change, NoBody},
    store::Tx,
};

use super::{ProjectsDelete, rows};
use crate::{
    organizations, project_members,
    refusals::WriteRefusals,
    state::{Area, Place},
};

/// [Projects] Delete a project
///
/// Delete an empty project with its memberships and tokens. The default project and projects with live resources are
/// refused. Guests who had no other project leave the organization.
#[utoipa::path(
    delete,
    path = "/v1/organizations/{organization_id}/projects/{project_id}",
    operation_id = "delete_project",
    tag = "Projects",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path), ("project_id" = String, Path)),
    responses((status = 204, description = "Project deleted"), WriteRefusals),
    extensions(
        ("x-permission" = json!(ProjectsDelete::NAME)),
        ("x-minimum-role" = json!(ProjectsDelete::ROLE.as_str())),
        ("x-scope" = json!(ProjectsDelete::SCOPE)),
    )
)]
pub(super) async fn delete_project(
    scope: ProjectScope<ProjectsDelete>,
    State(Area { app, counter, .. }): State<Area>,
    change: Change<NoBody>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &Change<NoBody>| {
        let organization = organizations::lock(tx, scope.organization)?.id;
        let row = rows::lock_one(tx, organization, scope.project)?.ok_or_else(ApiError::not_found)?;
        change.check_version(row.modified.micros())?;
        if row.is_default {
            return Err(ApiError::refused("The default project can't be deleted."));
        }
        let live = counter.live(tx.conn(), Place::Project(row.id))?.total();
        if live > 0 {
            return Err(ApiError::refused(format!(
                "The project still has {live} live resources: delete or move them first."
            )));
        }
        let members = project_members::users_of(tx, row.id)?;
        rows::delete(tx, &row)?;
        let origin = Origin::caller(&scope.caller, &scope.request);
        for user in members {
            project_members::end_empty_guest(tx, organization, user, &origin)?;
        }
        let mut changes = Changes::default();
        changes.note("name", &Some(&row.name), &None);
        let event = Event {
            action: "project.deleted",
            resource_type: "project",
            resource_id: row.id.cast(),
            resource_name: row.name.clone(),
            description: format!("Project {} deleted", row.name),
            changes,
            status: AuditStatus::Success,
        };
        tx.audit(&origin, Some(organization), Some(row.id), &event)?;
        Ok(Answer::empty())
    };
    change.run(&app, &caller, "delete_project", work).await
}
