//! Addresses: pools of a location ([`pools`]), who has which ([`allocate`], [`release_all`]), and their names in
//! reverse DNS.
//!
//! An address is a row of `ip_addresses` while it is somebody's, and no row afterwards. One that has a price ([`priced`])
//! is kept for its instance from the order on and given to it once it is paid. The hardware address is its interface's:
//! [`mac_for`].

mod add;
mod allocation;
pub mod api;
mod list;
mod mac;
pub mod pools;
mod price;
mod priced;
mod product;
mod range;
mod release;
mod rows;
mod rules;
pub mod steps;
mod update;

use kernel::permissions;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::{
    allocation::PUBLIC_INTERFACE,
    priced::of_instance as priced_of_instance,
    product::{Addresses, KIND},
    range::Range,
};
pub use self::{
    allocation::{Allocation, Claim, allocate, claim, release_all},
    mac::mac_for,
};
use crate::Compute;

permissions! {
    /// Reads the addresses of instances.
    AddressesRead = "compute.addresses.read", Viewer, "compute:read";
    /// Adds addresses to instances, names them and gives them back.
    AddressesManage = "compute.addresses.manage", Editor, "compute:write";
}

pub(crate) fn routes() -> OpenApiRouter<Compute> {
    OpenApiRouter::new()
        .routes(routes!(list::list_ip_addresses))
        .routes(routes!(list::get_ip_address, update::update_ip_address))
        .routes(routes!(
            list::list_instance_ip_addresses,
            add::add_instance_ip_address
        ))
        .routes(routes!(
            list::get_instance_ip_address,
            update::update_instance_ip_address,
            release::release_instance_ip_address
        ))
}
