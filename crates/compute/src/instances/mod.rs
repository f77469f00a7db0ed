//! Compute instances: machines that a project owns.
//!
//! An instance has two lives. Its *billing* life is `status` (pending → provisioning → active ⇄ suspended →
//! terminated | cancelled); its *machine* life is `state_sync.vm_status`, which only the reconciler writes.
//! Operations here never call a driver: they record what is wanted and enqueue a task (see [`steps`]).

pub(crate) mod actions;
pub mod api;
mod billing_cycle;
mod cancellation;
mod delete;
mod get;
mod hostname;
mod list;
pub(crate) mod order;
mod password;
mod power;
mod protection;
mod rebuild_network;
mod reinstall;
mod renew;
mod replace;
mod requests;
mod rescue;
pub(crate) mod resize;
pub mod rows;
pub(crate) mod rules;
mod secrets;
pub mod steps;
mod tags;
mod unsuspend;
mod update;
pub(crate) mod views;
mod volumes;
pub(crate) mod vpc;

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
    /// Buys what instances become: other sizes, add-ons, further periods, other billing cycles.
    InstancesOrder = "compute.instances.order", Editor, "compute:write";
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
        .routes(routes!(
            resize::list_instance_resize_options,
            resize::resize_instance
        ))
        .routes(routes!(hostname::change_instance_hostname))
        .routes(routes!(password::reset_instance_password))
        .routes(routes!(reinstall::reinstall_instance))
        .routes(routes!(
            rescue::enable_instance_rescue,
            rescue::disable_instance_rescue
        ))
        .routes(routes!(rebuild_network::rebuild_instance_network))
        .routes(routes!(
            cancellation::get_instance_cancellation,
            cancellation::request_instance_cancellation,
            cancellation::withdraw_instance_cancellation
        ))
        .routes(routes!(billing_cycle::change_instance_billing_cycle))
        .routes(routes!(renew::renew_instance))
        .routes(routes!(unsuspend::unsuspend_instance))
        .routes(routes!(volumes::list_instance_volumes))
        .routes(routes!(
            protection::get_instance_protection,
            protection::change_instance_protection
        ))
        .routes(routes!(vpc::attach_instance_vpc))
        .routes(routes!(vpc::detach_instance_vpc))
}
