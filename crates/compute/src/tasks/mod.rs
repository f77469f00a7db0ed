//! The tasks of instances, for who waits for them.

pub mod api;
mod list;

use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::list::find;
use crate::Compute;

pub(crate) fn routes() -> OpenApiRouter<Compute> {
    OpenApiRouter::new()
        .routes(routes!(list::list_instance_tasks))
        .routes(routes!(list::get_instance_task))
}
