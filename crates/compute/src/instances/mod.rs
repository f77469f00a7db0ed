//! Compute instances: machines that a project owns.
//!
//! An instance has two lives. Its *billing* life is `status` (pending → provisioning → active ⇄ suspended →
//! terminated | cancelled); its *machine* life is `state_sync.vm_status`, which only the reconciler writes.
//! Operations here never call a driver: they record what is wanted and enqueue a task (see [`steps`]).

pub(crate) mod actions;
pub mod api;
mod delete;
mod get;
mod list;
mod order;
mod power;
mod replace;
pub mod rows;
mod rules;
pub mod steps;
mod tags;
mod update;
pub(crate) mod views;

use kernel::permissions;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::Compute;

permissions! {
    /// Reads instances and their tasks.
    InstancesRead = "compute.instances.read", Viewer, "compute:read";
    /// Changes what instances are called and where they are attached.
    InstancesUpdate = "compute.instances.update", Editor, "compute:write";
    /// Orders instances.
    InstancesCreate = "compute.instances.create", Editor, "compute:write";
    /// Switches machines on and off, installs them anew, opens their consoles.
    InstancesOperate = "compute.instances.operate", Editor, "compute:write";
    /// Deletes and cancels instances.
    InstancesDelete = "compute.instances.delete", Editor, "compute:write";
}

/// The disk that a machine boots from, as hypervisors call it.
pub(crate) const ROOT_DISK: &str = "scsi0";

pub(crate) fn routes() -> OpenApiRouter<Compute> {
    OpenApiRouter::new()
        .routes(routes!(list::list_instances, order::create_instance))
        .routes(routes!(order::estimate_instance))
        .routes(routes!(
            get::get_instance,
            replace::replace_instance,
            update::update_instance,
            delete::delete_instance
        ))
        .routes(routes!(power::start_instance))
        .routes(routes!(power::stop_instance))
        .routes(routes!(power::shutdown_instance))
        .routes(routes!(power::reboot_instance))
        .routes(routes!(power::reset_instance))
}
