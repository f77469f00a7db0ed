//! Backups: whole copies of an instance's disk, asked for or planned, which outlive the instance for a while.

pub mod api;
mod create;
mod delete;
mod list;
mod restore;
pub(crate) mod rows;
pub mod schedules;
pub(crate) mod tasks;
mod update;

use kernel::permissions;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::Compute;

permissions! {
    /// Reads backups and their schedules.
    BackupsRead = "compute.backups.read", Viewer, "compute:read";
    /// Makes, plans, changes and deletes backups, and takes instances back to them.
    BackupsManage = "compute.backups.manage", Editor, "compute:write";
}

pub(crate) fn routes() -> OpenApiRouter<Compute> {
    OpenApiRouter::new()
        .routes(routes!(list::list_project_backups))
        .routes(routes!(list::list_backups, create::create_backup))
        .routes(routes!(
            list::get_backup,
            update::update_backup,
            delete::delete_backup
        ))
        .routes(routes!(restore::restore_backup))
        .merge(schedules::routes())
}
