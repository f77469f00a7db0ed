//! `get_auth_configuration`: what a login page needs to know.

use axum::{Json, extract::State};
use kernel::{
    config::{Passwordless, Registration},
    openapi::Whole,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{methods::MfaMethod, password_rules};
use crate::{oauth::OAuthProvider, state::Area};

kernel::words! {
    /// How one logs in without a password
    pub enum PasswordlessMethod {
        /// One-time code
        Code = "code",
        /// Magic link
        MagicLink = "magic_link",
    }
}

impl PasswordlessMethod {
    /// The setting that allows it.
    pub(super) const fn setting(self) -> Passwordless {
        match self {
            Self::Code => Passwordless::Code,
            Self::MagicLink => Passwordless::MagicLink,
        }
    }
}

/// What this installation offers for logging in and registering.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuthConfiguration {
    /// Whether anyone may create an account.
    #[schema(read_only)]
    registration_enabled: bool,
    /// Whether an unverified address blocks login.
    #[schema(read_only)]
    email_verification_required: bool,
    #[schema(read_only)]
    password_login_enabled: bool,
    #[schema(read_only)]
    passwordless_methods: Vec<PasswordlessMethod>,
    #[schema(read_only)]
    passkey_login_enabled: bool,
    /// Second factors that users can enrol.
    #[schema(read_only)]
    mfa_methods: Vec<MfaMethod>,
    #[schema(read_only)]
    oauth_providers: Vec<OAuthProvider>,
    #[schema(read_only)]
    password_policy: PasswordPolicy,
    /// Seconds.
    #[schema(read_only, value_type = Whole)]
    access_token_lifetime: u64,
    /// Seconds.
    #[schema(read_only, value_type = Whole)]
    refresh_token_lifetime: u64,
    #[schema(required, read_only, format = "uri")]
    terms_url: Option<String>,
    #[schema(required, read_only, format = "uri")]
    privacy_url: Option<String>,
}

/// What a new password must have.
#[derive(Debug, Serialize, ToSchema)]
struct PasswordPolicy {
    /// Minimum number of characters.
    #[schema(read_only, value_type = Whole)]
    min_length: usize,
    #[schema(read_only)]
    require_uppercase: bool,
    #[schema(read_only)]
    require_lowercase: bool,
    #[schema(read_only)]
    require_number: bool,
    #[schema(read_only)]
    require_symbol: bool,
}

/// [Authentication] Get login options
///
/// Tells a login page which login methods, providers and password rules this installation offers.
#[utoipa::path(
    get,
    path = "/v1/auth/config",
    operation_id = "get_auth_configuration",
    tag = "Authentication",
    security(()),
    responses(
        (status = 200, body = AuthConfiguration, description = "Login options"),
        (status = 429, description = "Too many requests"),
        (status = 503, description = "Temporarily unavailable"),
    )
)]
pub(super) async fn get_auth_configuration(
    State(Area { identity, oauth, .. }): State<Area>,
) -> Json<AuthConfiguration> {
    let settings = identity.settings();
    let url = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let offered = PasswordlessMethod::ALL
        .iter()
        .filter(|method| settings.passwordless.contains(&method.setting()));
    Json(AuthConfiguration {
        registration_enabled: settings.registration == Registration::Open,
        email_verification_required: settings.email_verification,
        password_login_enabled: settings.password_login,
        passwordless_methods: offered.copied().collect(),
        passkey_login_enabled: true,
        mfa_methods: MfaMethod::ALL.to_vec(),
        oauth_providers: oauth.iter().map(OAuthProvider::from).collect(),
        password_policy: PasswordPolicy {
            min_length: password_rules::LEAST,
            require_uppercase: true,
            require_lowercase: true,
            require_number: true,
            require_symbol: false,
        },
        access_token_lifetime: settings.access_minutes.saturating_mul(60),
        refresh_token_lifetime: settings.refresh_hours.saturating_mul(60 * 60),
        terms_url: url(&settings.terms_url),
        privacy_url: url(&settings.privacy_url),
    })
}
