//! What goes over the wire.

use kernel::{
    access::{CredentialId, OrganizationId, ProjectId, UserId},
    http::Body,
    time::Time,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The body of `verify_token`.
#[derive(Deserialize, ToSchema)]
pub(super) struct TokenVerify {
    /// Access token, refresh token, API key or project token.
    #[schema(write_only)]
    pub(super) token: String,
}

impl Body for TokenVerify {
    type Wire = Self;
}

/// The body of `revoke_token`.
#[derive(Deserialize, ToSchema)]
pub(super) struct TokenRevoke {
    /// Refresh token, access token, API key or project token to end.
    #[schema(write_only)]
    pub(super) token: String,
}

impl Body for TokenRevoke {
    type Wire = Self;
}

kernel::words! {
    /// What a token is
    pub(super) enum TokenType {
        /// Access JWT
        Access = "access",
        /// Refresh token
        Refresh = "refresh",
        /// API key
        ApiKey = "api_key",
        /// Project token
        ProjectToken = "project_token",
    }
}

/// What a token that holds may do, and until when.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TokenIntrospection {
    /// Always true: a token that does not hold is answered with 401.
    pub(super) active: bool,
    pub(super) token_type: TokenType,
    pub(super) user_id: Option<UserId>,
    /// The one organization that a key reaches.
    pub(super) organization_id: Option<OrganizationId>,
    /// The one project that a project token reaches.
    pub(super) project_id: Option<ProjectId>,
    /// The session of an access or refresh token.
    pub(super) session_id: Option<CredentialId>,
    /// The scopes of a key; a login has them all.
    pub(super) scopes: Vec<String>,
    pub(super) issued_at: Option<Time>,
    pub(super) expires_at: Option<Time>,
}
