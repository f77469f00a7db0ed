//! `list_audit_logs`.

use axum::{Json, extract::State};
use kernel::{
    access::{OrganizationScope, Permission},
    http::{ApiResult, Page, PageOf, Query},
};

use super::{
    AuditLogsRead,
    api::AuditLog,
    filters::{self, Filters},
    rows,
};
use crate::state::Area;

/// Named, as the macro of operations wants it.
type AuditLogPage = PageOf<AuditLog>;

/// [Audit Logs] List audit logs
///
/// Who did what in the organization, newest first. Records cannot be changed or removed through the API. With
/// filters, the list ends after the first 10 000 records that match; the export has them all.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}/audit-logs",
    operation_id = "list_audit_logs",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(
        ("organization_id" = String, Path),
        Filters,
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
    let wanted = filters::read(scope.organization, &mut query);
    query.check()?;
    identity
        .store()
        .read_at_one_moment("list_audit_logs", move |conn| {
            let count = wanted.count(conn)?;
            let (skip, take) = page.window(count)?;
            let records = wanted.page(conn, count, skip, take)?;
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
