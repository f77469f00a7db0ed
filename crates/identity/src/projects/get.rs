//! `get_project`.

use axum::extract::State;
use kernel::{
    access::{Permission, ProjectScope},
    http::{ApiError, ApiResult, Versioned},
};

use super::{ProjectsRead, api::Project, rows, view};
use crate::state::Area;

/// [Projects] Get a project
///
/// Details of one project.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}/projects/{project_id}",
    operation_id = "get_project",
    tag = "Projects",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path), ("project_id" = String, Path)),
    responses(
        (status = 200, body = Project, description = "Project details"),
        (status = 401, description = "Authentication credentials missing or invalid"),
        (status = 403, description = "Insufficient permissions"),
        (status = 404, description = "Project not found"),
        (status = 429, description = "Too many requests"),
        (status = 503, description = "Temporarily unavailable"),
    ),
    extensions(
        ("x-permission" = json!(ProjectsRead::NAME)),
        ("x-minimum-role" = json!(ProjectsRead::ROLE.as_str())),
        ("x-scope" = json!(ProjectsRead::SCOPE)),
    )
)]
pub(super) async fn get_project(
    scope: ProjectScope<ProjectsRead>,
    State(Area {
        identity, counter, ..
    }): State<Area>,
) -> ApiResult<Versioned<Project>> {
    identity
        .store()
        .read("get_project", move |conn| {
            let (row, creator) =
                rows::find(conn, scope.organization, scope.project)?.ok_or_else(ApiError::not_found)?;
            let version = row.modified.micros();
            let visible = vec![(row, creator, scope.role)];
            let views = view::projects(conn, counter.as_ref(), visible)?;
            let body = views.into_iter().next().ok_or_else(ApiError::not_found)?;
            Ok(Versioned { body, version })
        })
        .await
}
