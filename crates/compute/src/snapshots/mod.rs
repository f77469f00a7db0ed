//! Snapshots: an instance's disk as it was at one moment, to go back to.
//!
//! A snapshot holds what was written since the disk was made of its image, so that it is small and made soon, whether
//! the instance runs or not. It survives reinstallations and changes of size, and ends with its instance; what must
//! outlive that is a backup.

pub mod api;
mod create;
mod delete;
mod list;
mod restore;
pub(crate) mod rows;
pub(crate) mod tasks;
mod update;

use kernel::permissions;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::Compute;

permissions! {
    /// Reads snapshots.
    SnapshotsRead = "compute.snapshots.read", Viewer, "compute:read";
    /// Takes, renames and deletes snapshots, and takes instances back to them.
    SnapshotsManage = "compute.snapshots.manage", Editor, "compute:write";
}

pub(crate) fn routes() -> OpenApiRouter<Compute> {
    OpenApiRouter::new()
        .routes(routes!(list::list_project_snapshots))
        .routes(routes!(list::list_snapshots, create::create_snapshot))
        .routes(routes!(
            list::get_snapshot,
            update::update_snapshot,
            delete::delete_snapshot
        ))
        .routes(routes!(restore::restore_snapshot))
}
