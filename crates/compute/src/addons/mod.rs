//! Add-ons of instances: ordered with an instance or later, each a service of its own in billing.

mod activate;
mod api;
mod deactivate;
mod list;
mod product;
pub mod rows;

use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::product::begin;
pub use self::product::{Addons, KIND};
use crate::Compute;

pub(crate) fn routes() -> OpenApiRouter<Compute> {
    OpenApiRouter::new()
        .routes(routes!(list::list_instance_addons))
        .routes(routes!(activate::activate_instance_addon))
        .routes(routes!(deactivate::deactivate_instance_addon))
}
