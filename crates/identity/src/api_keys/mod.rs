//! API keys: secrets for programs, with no more rights than their owner has at the time and fewer if wished.

mod api;
mod create;
mod get;
mod list;
mod revoke;
mod rotate;
mod scopes;
mod update;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::Area;

pub(crate) fn routes() -> OpenApiRouter<Area> {
    OpenApiRouter::new()
        .routes(routes!(list::list_api_keys, create::create_api_key))
        .routes(routes!(scopes::list_api_key_scopes))
        .routes(routes!(
            get::get_api_key,
            update::update_api_key,
            revoke::revoke_api_key
        ))
        .routes(routes!(rotate::rotate_api_key))
}
