//! Second factors: authenticator app, codes by mail, passkeys, recovery codes; and the devices that are spared them.
//!
//! ```text
//! login ──► mfa_token ──► request_mfa_challenge (mails a code, where one is needed) ──► verify_mfa ──► session
//! ```
//!
//! A method is one arm in [`challenge`] and one in [`verify`]; what is the same for all of them lies around these:
//! the token of the first step, which five failures void, and the failures of an account in all its logins
//! ([`guesses`]). Switching a method on or off goes through [`changes`], the proof that it takes through [`proofs`].

mod api;
mod challenge;
pub(crate) mod changes;
mod email;
mod guesses;
mod policy;
pub(crate) mod proofs;
mod recovery;
mod rows;
mod status;
mod totp;
mod trusted_devices;
mod verify;

use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::{
    api::{MfaChallenge, WebAuthnAssertion},
    email::mail_confirmation,
    rows::Factors,
    trusted_devices::{TrustedDevice, forget_trusted_devices, is_trusted, use_trusted_device},
};
use crate::state::Area;

pub(crate) fn routes() -> OpenApiRouter<Area> {
    OpenApiRouter::new()
        .routes(routes!(status::get_mfa_status, status::update_mfa_default))
        .routes(routes!(totp::setup::setup_totp))
        .routes(routes!(totp::confirm::confirm_totp))
        .routes(routes!(totp::disable::disable_totp))
        .routes(routes!(email::enable::enable_email_mfa))
        .routes(routes!(email::disable::disable_email_mfa))
        .routes(routes!(challenge::request_mfa_challenge))
        .routes(routes!(verify::verify_mfa))
        .routes(routes!(
            recovery::status::get_recovery_codes_status,
            recovery::regenerate::regenerate_recovery_codes
        ))
        .routes(routes!(
            trusted_devices::list::list_trusted_devices,
            trusted_devices::delete::delete_all_trusted_devices
        ))
        .routes(routes!(trusted_devices::delete::delete_trusted_device))
}
