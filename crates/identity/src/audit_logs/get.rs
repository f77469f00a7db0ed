//! `get_audit_log`.

use axum::extract::State;
use kernel::{
    access::{OrganizationScope, Permission},
    audit::AuditRecord,
    http::{ApiError, ApiResult, PathId, Versioned},
};

use super::{
    AuditLogsRead,
    api::{AuditLog, AuditRecordId},
    rows,
};
use crate::state::Area;

/// [Audit Logs] Get an audit log
///
/// One audit record with its changes.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}/audit-logs/{id}",
    operation_id = "get_audit_log",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path), ("id" = inline(AuditRecordId), Path)),
    responses(
        (status = 200, body = AuditLog, description = "Audit record"),
        (status = 401, description = "Authentication credentials missing or invalid"),
        (status = 403, description = "Insufficient permissions"),
        (status = 404, description = "Audit log not found"),
        (status = 429, description = "Too many requests"),
        (status = 503, description = "Temporarily unavailable"),
    ),
    extensions(
        ("x-permission" = json!(AuditLogsRead::NAME)),
        ("x-minimum-role" = json!(AuditLogsRead::ROLE.as_str())),
        ("x-scope" = json!(AuditLogsRead::SCOPE)),
    )
)]
pub(super) async fn get_audit_log(
    scope: OrganizationScope<AuditLogsRead>,
    PathId(id): PathId<AuditRecord>,
    State(Area { identity, .. }): State<Area>,
) -> ApiResult<Versioned<AuditLog>> {
    let organization = scope.organization;
    identity
        .store()
        .read("get_audit_log", move |conn| {
            let row = rows::find(conn, organization, id)?.ok_or_else(ApiError::not_found)?;
            let names = rows::project_names(conn, std::slice::from_ref(&row))?;
            let name = row.project_id.and_then(|id| names.get(&id).cloned());
            Ok(Versioned {
                // Records never change.
                version: 1,
                body: AuditLog::new(organization, row, name),
            })
        })
        .await
}
