//! Logging in and out, and who one is.
//!
//! A login opens a session: a row in `credentials` that every access token names. Access tokens are short and
//! not stored; a refresh token is used once, and its coming back ends the session, since then two parties
//! have it (RFC 9700, section 4.14.2).

mod api;
mod login;
mod logout;
mod me;
mod refresh;
mod sessions;
mod throttle;

use utoipa::openapi::{RefOr, Required};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::{
    api::{AuthError, ValidationError},
    throttle::Throttle,
};
use crate::state::Area;

pub(crate) fn routes() -> OpenApiRouter<Area> {
    let mut routes = OpenApiRouter::new()
        .routes(routes!(login::login))
        .routes(routes!(logout::logout))
        .routes(routes!(refresh::refresh_token))
        .routes(routes!(me::get_current_user));
    // The macro's only optional bodies are ones that may be `null`, which this may not.
    let logout = routes.get_openapi_mut().paths.paths.get_mut("/v1/auth/logout");
    let body = logout.and_then(|path| path.post.as_mut()?.request_body.as_mut());
    if let Some(RefOr::T(body)) = body {
        body.required = Some(Required::False);
    }
    routes
}
