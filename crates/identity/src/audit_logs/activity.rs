//! `list_project_activity`.

use axum::{Json, extract::State};
use kernel::{
    access::{Permission, ProjectScope, Role},
    audit::AuditStatus,
    http::{ApiResult, Page, PageOf, Query},
    id::AnyId,
    time::Time,
};

use super::{
    ActivityRead,
    api::AuditLog,
    rows::{self, Wanted},
};
use crate::state::Area;

/// Named, as the macro of operations wants it.
type AuditLogPage = PageOf<AuditLog>;

/// [Project Activity] List project activity
///
/// Audit records of the project, newest first. Only its owners get them with IP address and user agent.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/activity",
    operation_id = "list_project_activity",
    tag = "Projects",
    security(("BearerAuth" = [])),
    params(
        ("organization_id" = String, Path),
        ("project_id" = String, Path),
        ("actor_id" = inline(Option<AnyId>), Query, nullable = false,
            description = "By this user, key or token"),
        ("action" = inline(Option<String>), Query, nullable = false,
            description = "Of this name. Ex: instance.created"),
        ("resource_type" = inline(Option<String>), Query, nullable = false, description = "Ex: instance"),
        ("resource_id" = inline(Option<String>), Query, nullable = false, description = "Of this resource"),
        ("status" = inline(Option<AuditStatus>), Query, nullable = false, description = "Done, or refused"),
        ("created_after" = inline(Option<Time>), Query, nullable = false,
            description = "At this time or later"),
        ("created_before" = inline(Option<Time>), Query, nullable = false,
            description = "At this time or earlier"),
        ("search" = inline(Option<String>), Query, nullable = false,
            description = "Part of a resource's or actor's name, or of the description"),
        ("ordering" = inline(Option<String>), Query, nullable = false,
            description = "`created` or `-created` (the default)"),
        ("page" = inline(Option<isize>), Query, nullable = false, minimum = 1,
            description = "Page, from 1; `last` for the last"),
        ("page_size" = inline(Option<isize>), Query, nullable = false, minimum = 1, maximum = 100,
            description = "Records a page, 20 by default"),
    ),
    responses(
        (status = 200, body = AuditLogPage, description = "Page of audit records"),
        (status = 400, description = "Invalid request parameters"),
        kernel::http::Refusals,
    ),
    extensions(
        ("x-permission" = json!(ActivityRead::NAME)),
        ("x-minimum-role" = json!(ActivityRead::ROLE.as_str())),
        ("x-scope" = json!(ActivityRead::SCOPE)),
    )
)]
pub(super) async fn list_project_activity(
    scope: ProjectScope<ActivityRead>,
    page: Page,
    State(Area { identity, .. }): State<Area>,
    mut query: Query,
) -> ApiResult<Json<AuditLogPage>> {
    let wanted = Wanted {
        organization: scope.organization,
        project: Some(scope.project),
        actor: query.id("actor_id"),
        action: query.text("action"),
        resource_type: query.text("resource_type"),
        resource: query.id("resource_id"),
        status: query.choice("status", AuditStatus::from_word),
        after: query.time("created_after"),
        before: query.time("created_before"),
        address: None,
        search: query.text("search"),
        oldest_first: query
            .ordering(&[("created", ())])
            .is_some_and(|((), descending)| !descending),
    };
    query.check()?;
    let hides_places = scope.role < Role::Owner;
    identity
        .store()
        .read("list_project_activity", move |conn| {
            let count = wanted.count(conn)?;
            let (skip, take) = page.window(count)?;
            let records = wanted.page(conn, count, skip, take)?;
            let names = rows::project_names(conn, &records)?;
            let views = records.into_iter().map(|mut row| {
                if hides_places {
                    row.ip_address = None;
                    row.user_agent = String::new();
                }
                let name = row.project_id.and_then(|id| names.get(&id).cloned());
                AuditLog::new(wanted.organization, row, name)
            });
            page.of(count, views.collect())
        })
        .await
        .map(Json)
}
