//! `list_audit_logs`.

use axum::{Json, extract::State};
use kernel::{
    access::{OrganizationScope, Permission},
    audit::AuditStatus,
    http::{ApiResult, Page, PageOf, Query},
    id::AnyId,
    time::Time,
};

use super::{
    AuditLogsRead,
    api::AuditLog,
    rows::{self, Wanted},
};
use crate::state::Area;

/// Named, as the macro of operations wants it.
type AuditLogPage = PageOf<AuditLog>;

/// [Audit Logs] List audit logs
///
/// Who did what in the organization, newest first. Records cannot be changed or removed through the API.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}/audit-logs",
    operation_id = "list_audit_logs",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(
        ("organization_id" = String, Path),
        ("project_id" = inline(Option<AnyId>), Query, nullable = false, description = "Of this project"),
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
        (status = 401, description = "Authentication credentials missing or invalid"),
        (status = 403, description = "Insufficient permissions"),
        (status = 404, description = "Not found"),
        (status = 429, description = "Too many requests"),
        (status = 503, description = "Temporarily unavailable"),
    ),
    extensions(
        ("x-permission" = json!(AuditLogsRead::NAME)),
        ("x-minimum-role" = json!(AuditLogsRead::ROLE.as_str())),
        ("x-scope" = json!(AuditLogsRead::SCOPE)),
    )
)]
pub(super) async fn list_audit_logs(
    scope: OrganizationScope<AuditLogsRead>,
    page: Page,
    State(Area { identity, .. }): State<Area>,
    mut query: Query,
) -> ApiResult<Json<AuditLogPage>> {
    let wanted = Wanted {
        organization: scope.organization,
        project: query.id("project_id"),
        actor: query.id("actor_id"),
        action: query.text("action"),
        resource_type: query.text("resource_type"),
        resource: query.id("resource_id"),
        status: query.choice("status", AuditStatus::from_word),
        after: query.time("created_after"),
        before: query.time("created_before"),
        search: query.text("search"),
        oldest_first: query
            .ordering(&[("created", ())])
            .is_some_and(|((), descending)| !descending),
    };
    query.check()?;
    identity
        .store()
        .read("list_audit_logs", move |conn| {
            let count = wanted.count(conn)?;
            let (skip, take) = page.window(count)?;
            let records = wanted.load(conn, skip, take)?;
            let names = rows::project_names(conn, &records)?;
            let views = records.into_iter().map(|row| {
                let name = row.project_id.and_then(|id| names.get(&id).cloned());
                AuditLog::new(wanted.organization, row, name)
            });
            page.of(count, views.collect())
        })
        .await
        .map(Json)
}
