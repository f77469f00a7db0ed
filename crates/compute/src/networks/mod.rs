//! Networks: the pools that the addresses of a project come from, as the API shows them.

pub mod api;
mod get;
mod list;

use kernel::permissions;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::Compute;

permissions! {
    /// Reads the networks that addresses come from.
    NetworksRead = "compute.networks.read", Viewer, "compute:read";
}

pub(crate) fn routes() -> OpenApiRouter<Compute> {
    OpenApiRouter::new()
        .routes(routes!(list::list_networks))
        .routes(routes!(get::get_network))
}
