//! API keys: secrets for programs, with no more rights than their owner has and fewer if wished.
//!
//! A key is shown once, when it is made. What is stored is its keyed hash and its first characters. Revoking
//! is immediate and final; the row stays, for the audit log's sake.

mod api;
mod create;
mod get;
mod list;
mod revoke;
mod rows;

use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::rows::{NewCredential, insert};
use crate::state::Area;

pub(crate) fn routes() -> OpenApiRouter<Area> {
    OpenApiRouter::new()
        .routes(routes!(list::list_api_keys, create::create_api_key))
        .routes(routes!(get::get_api_key, revoke::revoke_api_key))
}
