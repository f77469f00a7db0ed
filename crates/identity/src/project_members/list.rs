//! `list_project_members`, `get_project_member`, `list_project_roles`.

use axum::{Json, extract::State};
use kernel::{
    access::{Organization, Permission, Project, ProjectScope, Role},
    http::{ApiError, ApiResult, PathId, Versioned},
    id::Id,
    store::{Conn, StoreError},
};

use super::{
    ProjectMembersRead, ProjectRolesRead,
    api::{ProjectMember, ProjectMembershipId},
    rows::{self, Found},
};
use crate::{
    members::MembershipKind,
    people,
    roles::{RoleScope, RoleView, assignable_in_project},
    state::Area,
};

/// [Project Members] List project members
///
/// Members of the project, inherited ones included, ordered by e-mail.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/members",
    operation_id = "list_project_members",
    tag = "Projects",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path), ("project_id" = String, Path)),
    responses(
        (status = 200, body = Vec<ProjectMember>, description = "List of project members"),
        kernel::http::Refusals,
    ),
    extensions(
        ("x-permission" = json!(ProjectMembersRead::NAME)),
        ("x-minimum-role" = json!(ProjectMembersRead::ROLE.as_str())),
        ("x-scope" = json!(ProjectMembersRead::SCOPE)),
    )
)]
pub(super) async fn list_project_members(
    scope: ProjectScope<ProjectMembersRead>,
    State(Area { app, .. }): State<Area>,
) -> ApiResult<Json<Vec<ProjectMember>>> {
    let listed = app
        .store()
        .read("list_project_members", move |conn| {
            let found = rows::all(conn, scope.organization, scope.project)?;
            let inviters = people::of_ids(conn, found.iter().filter_map(Found::invited_by))?;
            let members = found
                .into_iter()
                .filter_map(|found| ProjectMember::of(scope.project, found, &inviters));
            Ok::<_, StoreError>(members.collect())
        })
        .await?;
    Ok(Json(listed))
}

/// [Project Members] Get a project member
///
/// One project member.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/members/{id}",
    operation_id = "get_project_member",
    tag = "Projects",
    security(("BearerAuth" = [])),
    params(
        ("organization_id" = String, Path),
        ("project_id" = String, Path),
        ("id" = inline(ProjectMembershipId), Path),
    ),
    responses(
        (status = 200, body = ProjectMember, description = "Project member"),
        kernel::http::Refusals,
    ),
    extensions(
        ("x-permission" = json!(ProjectMembersRead::NAME)),
        ("x-minimum-role" = json!(ProjectMembersRead::ROLE.as_str())),
        ("x-scope" = json!(ProjectMembersRead::SCOPE)),
    )
)]
pub(super) async fn get_project_member(
    scope: ProjectScope<ProjectMembersRead>,
    PathId(id): PathId<MembershipKind>,
    State(Area { app, .. }): State<Area>,
) -> ApiResult<Versioned<ProjectMember>> {
    app.store()
        .read("get_project_member", move |conn| {
            let found = find(conn, scope.organization, scope.project, id)?;
            let version = found.modified().micros();
            let body = view(conn, scope.project, found)?;
            Ok(Versioned { body, version })
        })
        .await
}

/// [Project Members] List project roles
///
/// Roles that can be given in a project, with their permissions.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/roles",
    operation_id = "list_project_roles",
    tag = "Projects",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path), ("project_id" = String, Path)),
    responses(
        (status = 200, body = Vec<RoleView>, description = "List of roles"),
        kernel::http::Refusals,
    ),
    extensions(
        ("x-permission" = json!(ProjectRolesRead::NAME)),
        ("x-minimum-role" = json!(ProjectRolesRead::ROLE.as_str())),
        ("x-scope" = json!(ProjectRolesRead::SCOPE)),
    )
)]
pub(super) async fn list_project_roles(
    scope: ProjectScope<ProjectRolesRead>,
    State(Area { permissions, .. }): State<Area>,
) -> Json<Vec<RoleView>> {
    let gives = assignable_in_project(scope.role);
    let roles = [Role::Owner, Role::Editor, Role::Viewer]
        .map(|role| RoleView::of(role, RoleScope::Project, &permissions, gives));
    Json(roles.into())
}

/// One member of a project.
pub(super) fn find(
    conn: &mut Conn,
    organization: Id<Organization>,
    project: Id<Project>,
    id: Id<MembershipKind>,
) -> ApiResult<Found> {
    let all = rows::all(conn, organization, project)?;
    let is_member = |found: &Found| found.member.role != Role::Guest || found.given.is_some();
    let found = all.into_iter().find(|found| is_member(found) && found.id() == id);
    found.ok_or_else(ApiError::not_found)
}

/// A member as the API shows them.
pub(super) fn view(conn: &mut Conn, project: Id<Project>, found: Found) -> ApiResult<ProjectMember> {
    let inviters = people::of_ids(conn, found.invited_by())?;
    ProjectMember::of(project, found, &inviters).ok_or_else(ApiError::not_found)
}
