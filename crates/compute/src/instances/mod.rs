//! Compute instances: machines that a project owns.
//!
//! An instance has two lives. Its *billing* life is `status` (pending → provisioning → active ⇄ suspended →
//! terminated | cancelled); its *machine* life is `state_sync.vm_status`, which only the reconciler writes.
//! Operations here never call a driver: they record what is wanted and enqueue a task (see [`steps`]).

pub mod api;
mod get;
mod list;
mod replace;
pub mod rows;
pub(crate) mod rules;
pub mod steps;
mod tags;
mod update;
mod views;

use kernel::permissions;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::Compute;

permissions! {
    /// Reads instances and their tasks.
    InstancesRead = "compute.instances.read", Viewer, "compute:read";
    /// Changes what instances are called and where they are attached.
    InstancesUpdate = "compute.instances.update", Editor, "compute:write";
}

pub(crate) fn routes() -> OpenApiRouter<Compute> {
    OpenApiRouter::new()
        .routes(routes!(list::list_instances))
        .routes(routes!(
            get::get_instance,
            replace::replace_instance,
            update::update_instance
        ))
}
