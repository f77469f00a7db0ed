//! The audit log, for reading: what the kernel's [`Tx::audit`](kernel::store::Tx::audit) has written.

mod activity;
mod api;
mod export;
mod filters;
mod format;
mod get;
mod list;
mod rows;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::Area;

kernel::permissions! {
    /// See who did what.
    AuditLogsRead = "audit_logs.read", Owner, "audit_logs:read";
    /// See what happened in a project.
    ActivityRead = "projects.activity.read", Viewer, "projects:read";
}

pub(crate) fn routes() -> OpenApiRouter<Area> {
    OpenApiRouter::new()
        .routes(routes!(list::list_audit_logs))
        .routes(routes!(export::export_audit_logs))
        .routes(routes!(get::get_audit_log))
        .routes(routes!(activity::list_project_activity))
}
