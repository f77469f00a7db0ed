//! Subnets: ranges of a VPC that its members get their addresses from.

pub mod api;
mod change;
mod create;
mod delete;
mod list;
pub(crate) mod rows;
pub(in crate::vpcs) mod rules;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::Compute;

pub(super) fn routes() -> OpenApiRouter<Compute> {
    OpenApiRouter::new()
        .routes(routes!(list::list_vpc_subnets, create::create_vpc_subnet))
        .routes(routes!(
            list::get_vpc_subnet,
            change::replace_vpc_subnet,
            change::update_vpc_subnet,
            delete::delete_vpc_subnet
        ))
}
