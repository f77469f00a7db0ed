//! Consoles: a machine's screen (RFB, shown by noVNC) and its serial line, through WebSockets of onetd.
//!
//! A session is a row ([`rows`]) that begins with a token and lives for a short while. The token opens one WebSocket
//! ([`socket`]), which from then on copies bytes ([`proxy`]) and asks again and again whether it still may: the session,
//! the instance and the rights of whoever opened it are looked up every two seconds, and at once when this node changes
//! one of them ([`open`]). The page ([`page`]) is a client like any other.

mod api;
mod close;
mod create;
mod ending;
mod get;
mod open;
mod page;
mod proxy;
mod rows;
mod socket;

use axum::{Router, routing::get};
use utoipa_axum::{router::OpenApiRouter, routes};

pub use self::open::Consoles;
use crate::Compute;

pub(crate) fn routes() -> OpenApiRouter<Compute> {
    OpenApiRouter::new()
        .routes(routes!(create::create_instance_console_session))
        .routes(routes!(
            get::get_instance_console_session,
            close::close_instance_console_session
        ))
}

/// What browsers open: no operations of the API, and no credential but the token.
pub(crate) fn pages() -> Router<Compute> {
    Router::new()
        .route("/console/{session_id}", get(page::page))
        .route("/console/{session_id}/ws", get(socket::connect))
        .route("/console/assets/{file}", get(page::asset))
}
