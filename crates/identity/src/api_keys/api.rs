//! What goes over the wire.

use kernel::{
    access::{CredentialId, OrganizationId},
    http::Body,
    openapi::Patched,
    time::Time,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    credentials::Scope,
    keys::{
        KeyRow,
        api::{Created, Edits, Shown},
    },
};

/// An API key, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = APIKey)]
pub(super) struct ApiKey {
    #[schema(read_only)]
    pub(super) id: CredentialId,
    /// Label that tells what the key is for.
    #[schema(max_length = 255)]
    pub(super) name: String,
    /// First characters of the key, for recognition.
    #[schema(read_only)]
    pub(super) prefix: String,
    /// Permissions of the key.
    #[schema(min_items = 1)]
    pub(super) scopes: Vec<Scope>,
    /// Limits the key to one organization; null reaches every organization of the user.
    pub(super) organization_id: Option<OrganizationId>,
    /// Addresses and networks (CIDR) that may use the key; empty means any.
    #[schema(required = false, max_items = 50)]
    pub(super) allowed_ips: Vec<String>,
    /// Key stops working at this time; null never expires.
    pub(super) expires_at: Option<Time>,
    #[schema(required, read_only)]
    pub(super) last_used_at: Option<Time>,
    /// IPv4 or IPv6 address
    #[schema(required, read_only)]
    pub(super) last_used_ip: Option<String>,
    /// False once revoked or expired.
    #[schema(read_only)]
    pub(super) is_active: bool,
    #[schema(required, read_only)]
    pub(super) revoked_at: Option<Time>,
    #[schema(read_only)]
    pub(super) created: Time,
    #[schema(read_only)]
    pub(super) modified: Time,
}

impl ApiKey {
    /// The key as it stands at `now`.
    pub(super) fn at(now: Time, row: KeyRow) -> Self {
        let is_active = row.is_active(now);
        let KeyRow {
            id,
            kind: _,
            user_id: _,
            name,
            prefix,
            scopes,
            allowed_ips,
            organization_id,
            project_id: _,
            expires_at,
            revoked_at,
            last_used_at,
            last_used_ip,
            created,
            modified,
        } = row;
        Self {
            id,
            name,
            prefix,
            scopes: scopes.read().unwrap_or_default(),
            organization_id,
            allowed_ips: allowed_ips.read().unwrap_or_default(),
            expires_at,
            last_used_at,
            last_used_ip,
            is_active,
            revoked_at,
            created,
            modified,
        }
    }
}

impl Shown for ApiKey {
    const SECRET: &'static str = "key";
    const CREATED: &'static str = "APIKeyCreated";
    const MEANING: &'static str = "Full secret, `sk-onetsolutions-...`; returned only by this response.";
}

/// A key with its secret.
pub(super) type ApiKeyCreated = Created<ApiKey>;

/// A key in which nothing is required, and whose organization stays as it is.
pub(super) type PatchedApiKey = Patched<ApiKey>;

/// The body of `create_api_key`.
#[derive(Debug, Deserialize)]
pub(super) struct NewKey {
    #[serde(flatten)]
    pub(super) settings: Edits,
    #[serde(default)]
    pub(super) organization_id: Option<OrganizationId>,
}

impl Body for NewKey {
    type Wire = ApiKey;
}

/// The body of `update_api_key`.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct KeyUpdate(Edits);

impl AsRef<Edits> for KeyUpdate {
    fn as_ref(&self) -> &Edits {
        &self.0
    }
}

impl Body for KeyUpdate {
    type Wire = PatchedApiKey;
    const PARTIAL: bool = true;
}
