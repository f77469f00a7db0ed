//! Passkeys and security keys (Web Authentication, level 3): registered, used to log in, and as a second factor.
//!
//! ```text
//! begin_webauthn_registration ──► browser, authenticator ──► complete_webauthn_registration ──► credential
//! begin_passkey_login         ──► browser, authenticator ──► complete_passkey_login ──► session
//! ```
//!
//! Each way begins with a challenge that works once (`crate::auth::challenges`) and keeps, sealed, what was asked for.
//! What the browser answers is judged by `webauthn-rs-core` ([`relying_party`]); what that leaves to a relying party is
//! here: whose credential it is ([`assertion`]), that it is known once, and that its counter is kept.

mod api;
mod assertion;
mod begin_login;
mod begin_registration;
mod complete_login;
mod complete_registration;
mod delete;
mod list;
mod relying_party;
mod rows;
pub(crate) mod second_factor;
mod update;

use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::relying_party::{RelyingParty, RelyingPartyError};
use crate::state::Area;

pub(crate) fn routes() -> OpenApiRouter<Area> {
    OpenApiRouter::new()
        .routes(routes!(begin_registration::begin_webauthn_registration))
        .routes(routes!(complete_registration::complete_webauthn_registration))
        .routes(routes!(list::list_webauthn_credentials))
        .routes(routes!(
            update::update_webauthn_credential,
            delete::delete_webauthn_credential
        ))
        .routes(routes!(begin_login::begin_passkey_login))
        .routes(routes!(complete_login::complete_passkey_login))
}
