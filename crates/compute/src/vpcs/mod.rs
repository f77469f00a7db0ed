//! VPCs: private networks of a project, or of its whole organization, in one location.
//!
//! An instance is always in one. A project gets a default VPC in a location when it first needs it.

pub mod api;
mod get;
mod list;
pub mod rows;

use kernel::permissions;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::Compute;

permissions! {
    /// Reads VPCs.
    VpcsRead = "compute.vpcs.read", Viewer, "compute:read";
}

pub(crate) fn routes() -> OpenApiRouter<Compute> {
    OpenApiRouter::new()
        .routes(routes!(list::list_vpcs))
        .routes(routes!(get::get_vpc))
}
