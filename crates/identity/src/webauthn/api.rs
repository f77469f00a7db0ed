//! The shapes of passkeys in requests and answers.

use kernel::{
    http::Body,
    id::AnyId,
    openapi::{Patched, Whole},
    time::Time,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::rows::{PasskeyId, PasskeyRow};
use crate::auth::{challenges::ChallengeId, free_object};

/// What to hand to the browser.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WebAuthnOptions {
    #[schema(value_type = AnyId)]
    pub(super) challenge_id: ChallengeId,
    /// Options for the browser credential API, binary members base64url-encoded.
    #[schema(schema_with = free_object)]
    pub(super) public_key: Value,
    /// Seconds.
    #[schema(value_type = Whole)]
    pub(super) expires_in: u64,
}

/// What the browser made.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct WebAuthnAttestation {
    #[schema(value_type = AnyId)]
    pub(super) challenge_id: ChallengeId,
    /// Label of the key.
    #[serde(default)]
    #[schema(value_type = String, required = false, max_length = 100)]
    pub(super) name: Option<String>,
    /// Credential returned by the browser, base64url-encoded.
    #[schema(schema_with = free_object)]
    pub(super) credential: Map<String, Value>,
}

impl Body for WebAuthnAttestation {
    type Wire = Self;
}

/// A passkey or security key.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WebAuthnCredential {
    #[schema(read_only, value_type = AnyId)]
    id: PasskeyId,
    #[schema(max_length = 100)]
    name: String,
    /// Kind of the authenticator; null where it does not tell.
    #[schema(required, read_only)]
    aaguid: Option<AnyId>,
    #[schema(read_only)]
    transports: Vec<String>,
    /// Discoverable credential, usable without a password.
    #[schema(read_only)]
    is_passkey: bool,
    #[schema(read_only)]
    is_backed_up: bool,
    #[schema(required, read_only)]
    last_used_at: Option<Time>,
    #[schema(read_only)]
    created: Time,
    #[schema(read_only)]
    modified: Time,
}

impl From<PasskeyRow> for WebAuthnCredential {
    fn from(row: PasskeyRow) -> Self {
        let PasskeyRow {
            id,
            user_id: _,
            name,
            credential_id: _,
            credential: _,
            aaguid,
            transports,
            is_passkey,
            is_backed_up,
            last_used_at,
            created,
            modified,
        } = row;
        Self {
            id,
            name,
            aaguid,
            transports: transports.read().unwrap_or_default(),
            is_passkey,
            is_backed_up,
            last_used_at,
            created,
            modified,
        }
    }
}

/// A passkey in which nothing is required.
pub(super) type PatchedWebAuthnCredential = Patched<WebAuthnCredential>;

/// The body of `update_webauthn_credential`.
#[derive(Debug, Deserialize)]
pub(super) struct PasskeyUpdate {
    #[serde(default)]
    pub(super) name: Option<String>,
}

impl Body for PasskeyUpdate {
    type Wire = PatchedWebAuthnCredential;
    const PARTIAL: bool = true;
}

/// Without an address a discoverable credential is used.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct PasskeyLoginBegin {
    #[serde(default)]
    #[schema(value_type = String, required = false, format = "email", max_length = 254)]
    pub(super) email: Option<String>,
}

impl Body for PasskeyLoginBegin {
    type Wire = Self;
}

/// The body of `complete_passkey_login`.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct PasskeyLogin {
    #[schema(value_type = AnyId)]
    pub(super) challenge_id: ChallengeId,
    #[schema(schema_with = free_object)]
    pub(super) credential: Map<String, Value>,
    #[serde(default)]
    #[schema(default = false)]
    pub(super) remember_me: bool,
}

impl Body for PasskeyLogin {
    type Wire = Self;
}
