//! `list_projects`.

use axum::{Json, extract::State};
use kernel::{
    access::{Caller, Organization, OrganizationScope, Permission, Project as ProjectId},
    http::{ApiResult, Query},
    id::Id,
    store::{Conn, StoreError},
};

use super::{
    ProjectsRead,
    api::Project,
    rows::{self, Found},
    view::{self, Visible},
};
use crate::{access::in_project, state::Area};

/// [Projects] List projects
///
/// Projects of the organization the caller can see, ordered by name. Guests see only projects they were added
/// to.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}/projects",
    operation_id = "list_projects",
    tag = "Projects",
    security(("BearerAuth" = [])),
    params(
        ("organization_id" = String, Path),
        ("search" = inline(Option<String>), Query, nullable = false,
            description = "Part of the name or description"),
        ("is_active" = inline(Option<bool>), Query, nullable = false,
            description = "Active projects, or the others"),
    ),
    responses(
        (status = 200, body = Vec<Project>, description = "List of projects"),
        (status = 400, description = "Invalid request parameters"),
        (status = 401, description = "Authentication credentials missing or invalid"),
        (status = 403, description = "Insufficient permissions"),
        (status = 404, description = "Not found"),
        (status = 429, description = "Too many requests"),
        (status = 503, description = "Temporarily unavailable"),
    ),
    extensions(
        ("x-permission" = json!(ProjectsRead::NAME)),
        ("x-minimum-role" = json!(ProjectsRead::ROLE.as_str())),
        ("x-scope" = json!(ProjectsRead::SCOPE)),
    )
)]
pub(super) async fn list_projects(
    scope: OrganizationScope<ProjectsRead>,
    State(Area {
        identity, counter, ..
    }): State<Area>,
    mut query: Query,
) -> ApiResult<Json<Vec<Project>>> {
    let search = query.text("search").map(|text| text.to_lowercase());
    let is_active = query.flag("is_active");
    query.check()?;
    let listed = identity
        .store()
        .read("list_projects", move |conn| {
            // An organization's projects are few, and none is shown without the caller's role in it: they are
            // sifted here, not in SQL.
            let found = visible(conn, scope.organization, &scope.caller)?;
            let mut visible: Vec<Visible> = found
                .into_iter()
                .filter(|(row, _, _)| is_active.is_none_or(|wanted| row.is_active == wanted))
                .filter(|(row, _, _)| {
                    search.as_ref().is_none_or(|wanted| {
                        [&row.name, &row.description]
                            .iter()
                            .any(|text| text.to_lowercase().contains(wanted))
                    })
                })
                .collect();
            visible.sort_by_cached_key(|(row, _, _)| (row.name.to_lowercase(), row.id));
            view::projects(conn, counter.as_ref(), visible)
        })
        .await?;
    Ok(Json(listed))
}

/// The projects of an organization that the caller may see, with their role in each.
pub(crate) fn visible(
    conn: &mut Conn,
    organization: Id<Organization>,
    caller: &Caller,
) -> Result<Vec<Visible>, StoreError> {
    let found = rows::all(conn, organization, caller.user)?;
    Ok(found
        .into_iter()
        .filter_map(|found| see(caller.project, found))
        .collect())
}

/// The project with the caller's role in it, if they may see it.
fn see(only: Option<Id<ProjectId>>, found: Found) -> Option<Visible> {
    let Found {
        project,
        creator,
        role,
        project_role,
    } = found;
    let is_hidden = only.is_some_and(|only| only != project.id);
    let role = in_project(role?, project_role).filter(|_| !is_hidden)?;
    Some((project, creator, role))
}
