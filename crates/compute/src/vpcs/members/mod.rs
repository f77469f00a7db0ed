//! Members of a VPC: the instances in it, with their private addresses. An instance is in one VPC, so a member has its
//! instance's id.

mod add;
pub mod api;
mod list;
mod remove;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::Compute;

pub(super) fn routes() -> OpenApiRouter<Compute> {
    OpenApiRouter::new()
        .routes(routes!(list::list_vpc_members, add::add_vpc_member))
        .routes(routes!(list::get_vpc_member, remove::remove_vpc_member))
}
