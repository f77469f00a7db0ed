//! A user's sessions: where they are logged in, and the means to end that.
//!
//! What a session is stands in [`crate::auth`]; a session that has ended is shown to nobody.

mod api;
mod get;
mod list;
mod revoke;
mod rows;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::Area;

pub(crate) fn routes() -> OpenApiRouter<Area> {
    OpenApiRouter::new()
        .routes(routes!(list::list_sessions))
        .routes(routes!(revoke::revoke_other_sessions))
        .routes(routes!(get::get_session, revoke::revoke_session))
}
