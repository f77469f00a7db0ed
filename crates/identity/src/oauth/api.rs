//! What goes over the wire.

use kernel::{http::Body, id::Id, openapi::Whole, time::Time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{providers::Provider, rows::ConnectionRow};

/// Names the ids of connections.
#[derive(Debug)]
pub(crate) enum Connection {}

/// The id of a connection.
pub(crate) type ConnectionId = Id<Connection>;

kernel::words! {
    /// What the way through the provider is for
    pub enum Intent {
        /// Login
        Login = "login",
        /// Link
        Link = "link",
    }
}

/// An identity provider of this installation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OAuthProvider {
    /// Used as `{provider}` in paths, e.g. google, github, microsoft.
    #[schema(read_only, max_length = 50, pattern = "^[-a-zA-Z0-9_]+$")]
    pub(super) slug: String,
    #[schema(read_only, max_length = 100)]
    pub(super) name: String,
    #[schema(required, read_only, format = "uri")]
    pub(super) icon_url: Option<String>,
    #[schema(read_only)]
    pub(super) login_enabled: bool,
    #[schema(read_only)]
    pub(super) link_enabled: bool,
}

impl From<&Provider> for OAuthProvider {
    fn from(provider: &Provider) -> Self {
        let settings = provider.settings();
        Self {
            slug: provider.slug().to_owned(),
            name: settings.name().to_owned(),
            icon_url: Some(settings.icon_url.clone()).filter(|url| !url.is_empty()),
            login_enabled: settings.login_enabled,
            link_enabled: settings.link_enabled,
        }
    }
}

/// The body of `authorize_oauth`.
#[derive(Deserialize, ToSchema)]
pub(super) struct OAuthAuthorize {
    /// Page the provider sends the user back to; must be on the allow-list.
    #[schema(format = "uri", max_length = 2048)]
    pub(super) redirect_uri: String,
    #[serde(default = "login")]
    #[schema(required = false)]
    pub(super) intent: Intent,
    /// Invitation to an organization, for a new account where registration needs one.
    #[serde(default)]
    #[schema(value_type = String, required = false, max_length = 255, write_only)]
    pub(super) invitation_token: Option<String>,
}

const fn login() -> Intent {
    Intent::Login
}

impl Body for OAuthAuthorize {
    type Wire = Self;
}

/// Where the browser goes now.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OAuthAuthorizeResponse {
    #[schema(format = "uri")]
    pub(super) authorization_url: String,
    /// Opaque value to hand back at the callback.
    pub(super) state: String,
    /// Seconds.
    #[schema(value_type = Whole)]
    pub(super) expires_in: u64,
}

/// The body of `complete_oauth_login`.
#[derive(Deserialize, ToSchema)]
pub(super) struct OAuthCallback {
    /// Authorization code of the provider.
    #[schema(max_length = 2048, write_only)]
    pub(super) code: String,
    #[schema(max_length = 512, write_only)]
    pub(super) state: String,
    /// If given, it must be the one that the login began with.
    #[serde(default)]
    #[schema(value_type = String, required = false, format = "uri", max_length = 2048)]
    pub(super) redirect_uri: Option<String>,
    /// The parameter of that name which the provider has sent along (RFC 9207).
    #[serde(default)]
    #[schema(value_type = String, required = false, max_length = 2048)]
    pub(super) iss: Option<String>,
    /// Keeps the session for the long refresh lifetime.
    #[serde(default)]
    #[schema(default = false)]
    pub(super) remember_me: bool,
    /// Token handed out when a device was remembered; skips the second factor on it.
    #[serde(default)]
    #[schema(value_type = String, required = false, max_length = 255, write_only)]
    pub(super) trusted_device_token: Option<String>,
}

impl Body for OAuthCallback {
    type Wire = Self;
}

/// The body of `link_oauth_provider`.
#[derive(Deserialize, ToSchema)]
pub(super) struct OAuthLink {
    /// Authorization code of the provider.
    #[schema(max_length = 2048, write_only)]
    pub(super) code: String,
    #[schema(max_length = 512, write_only)]
    pub(super) state: String,
    /// If given, it must be the one that the linking began with.
    #[serde(default)]
    #[schema(value_type = String, required = false, format = "uri", max_length = 2048)]
    pub(super) redirect_uri: Option<String>,
    /// The parameter of that name which the provider has sent along (RFC 9207).
    #[serde(default)]
    #[schema(value_type = String, required = false, max_length = 2048)]
    pub(super) iss: Option<String>,
}

impl Body for OAuthLink {
    type Wire = Self;
}

/// A provider's account that is attached to the user.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OAuthConnection {
    #[schema(read_only)]
    pub(super) id: ConnectionId,
    #[schema(read_only, max_length = 50)]
    pub(super) provider: String,
    #[schema(read_only, max_length = 100)]
    pub(super) provider_name: String,
    #[schema(read_only, max_length = 255)]
    pub(super) provider_user_id: String,
    #[schema(required, read_only, format = "email", max_length = 254)]
    pub(super) email: Option<String>,
    #[schema(required, read_only, max_length = 255)]
    pub(super) display_name: Option<String>,
    #[schema(required, read_only)]
    pub(super) last_used_at: Option<Time>,
    #[schema(read_only)]
    pub(super) created: Time,
}

impl OAuthConnection {
    /// The connection, with what its provider is called now; one that is not configured any more has only its slug.
    pub(super) fn new(row: ConnectionRow, provider: Option<&Provider>) -> Self {
        let ConnectionRow {
            id,
            user_id: _,
            provider: slug,
            issuer: _,
            subject,
            email,
            display_name,
            last_used_at,
            created,
        } = row;
        let name = provider.map(|provider| provider.settings().name().to_owned());
        Self {
            id,
            provider_name: name.unwrap_or_else(|| slug.clone()),
            provider: slug,
            provider_user_id: subject,
            email,
            display_name,
            last_used_at,
            created,
        }
    }
}
