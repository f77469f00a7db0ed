//! Logging in and out, and who one is.
//!
//! Whatever proves who somebody is (a password, a mailed code, an identity provider, a passkey), what follows is the
//! same: [`completion`] asks for a second factor where one is set, and opens a session. A session is a row in
//! `credentials` that every access token names. Access tokens are short and not stored; a refresh token is used once,
//! and its coming back ends the session, since then two parties have it (RFC 9700, section 4.14.2).

mod api;
pub(crate) mod challenges;
pub(crate) mod completion;
mod login;
mod logout;
mod me;
mod methods;
mod refresh;
mod sessions;
mod throttle;
pub(crate) mod view;

use utoipa::openapi::{RefOr, Required};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::{
    api::{AuthError, DetailMessage, LoginResponse, User, ValidationError},
    completion::Desk,
    methods::{AuthMethod, MfaMethod, MfaStep},
    throttle::Throttle,
};
use crate::state::Area;

pub(crate) fn routes() -> OpenApiRouter<Area> {
    let mut routes = OpenApiRouter::new()
        .routes(routes!(login::login))
        .routes(routes!(logout::logout))
        .routes(routes!(refresh::refresh_token))
        .routes(routes!(me::get_current_user));
    optional_body(&mut routes, "/v1/auth/logout");
    routes
}

/// Documents the body of a POST as one that may be left out.
///
/// The macro's only optional bodies are ones that may be `null`, which ours may not.
pub(crate) fn optional_body(routes: &mut OpenApiRouter<Area>, path: &str) {
    let item = routes.get_openapi_mut().paths.paths.get_mut(path);
    let body = item.and_then(|item| item.post.as_mut()?.request_body.as_mut());
    if let Some(RefOr::T(body)) = body {
        body.required = Some(Required::False);
    }
}
