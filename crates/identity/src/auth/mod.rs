//! Logging in and out, and who one is.
//!
//! Whatever proves who somebody is (a password, a mailed code, an identity provider, a passkey), what follows is the
//! same: [`completion`] asks for a second factor where one is set, and opens a session. A session is a row in
//! `credentials` that every access token names. Access tokens are short and not stored; a refresh token is used once,
//! and its coming back ends the session, since then two parties have it (RFC 9700, section 4.14.2).

mod api;
pub(crate) mod challenges;
mod change_email;
mod change_password;
pub(crate) mod completion;
mod confirm;
pub(crate) mod guard;
mod login;
mod logout;
mod me;
mod methods;
mod options;
mod password_rules;
mod passwordless;
mod proof_mail;
mod reauthenticate;
mod refresh;
pub(crate) mod refusals;
pub(crate) mod register;
mod reset_password;
pub(crate) mod sessions;
mod throttle;
mod verify_email;
pub(crate) mod view;
mod ways;

use utoipa::openapi::{RefOr, Required};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::{
    api::{AuthError, LoginResponse, User, ValidationError, free_object},
    completion::Desk,
    methods::{AuthMethod, MfaMethod, MfaStep},
    proof_mail::MailProof,
    sessions::{KNOWN_FOR, end as end_session, end_others as end_other_sessions, was_used_from},
    throttle::{Throttle, network},
    ways::Ways,
};
use crate::state::Area;

pub(crate) fn routes() -> OpenApiRouter<Area> {
    let mut routes = OpenApiRouter::new()
        .routes(routes!(login::login))
        .routes(routes!(logout::logout))
        .routes(routes!(reauthenticate::reauthenticate))
        .routes(routes!(refresh::refresh_token))
        .routes(routes!(me::get_current_user))
        .routes(routes!(options::get_auth_configuration))
        .routes(routes!(register::register))
        .routes(routes!(verify_email::verify_email))
        .routes(routes!(verify_email::resend_verification_email))
        .routes(routes!(
            change_email::request_email_change,
            change_email::cancel_email_change
        ))
        .routes(routes!(change_email::confirm_email_change))
        .routes(routes!(passwordless::request_passwordless_login))
        .routes(routes!(passwordless::verify_passwordless_login))
        .routes(routes!(change_password::change_password))
        .routes(routes!(reset_password::request_password_reset))
        .routes(routes!(reset_password::validate_password_reset_token))
        .routes(routes!(reset_password::confirm_password_reset));
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
