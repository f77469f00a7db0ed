//! What goes over the wire.

use std::borrow::Cow;

use kernel::{
    access::{CredentialId, OrganizationId},
    http::Body,
    time::Time,
};
use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

use super::rows::KeyRow;
use crate::credentials::Scope;

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
    /// Sources that may use the key; empty means any. Not enforced yet: only an empty list is accepted.
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
        let KeyRow {
            id,
            name,
            prefix,
            scopes,
            organization_id,
            expires_at,
            revoked_at,
            last_used_at,
            last_used_ip,
            created,
            modified,
        } = row;
        let has_ended = expires_at.is_some_and(|end| end <= now);
        Self {
            id,
            name,
            prefix,
            scopes: scopes.read().unwrap_or_default(),
            organization_id,
            allowed_ips: Vec::new(),
            expires_at,
            last_used_at,
            last_used_ip,
            is_active: revoked_at.is_none() && !has_ended,
            revoked_at,
            created,
            modified,
        }
    }
}

/// A new API key: the only answer that holds its secret.
#[derive(Debug, Serialize)]
pub(super) struct ApiKeyCreated {
    #[serde(flatten)]
    pub(super) about: ApiKey,
    pub(super) key: String,
}

/// The fields of an API key and one more, in one object.
impl PartialSchema for ApiKeyCreated {
    fn schema() -> RefOr<Schema> {
        let mut schema = ApiKey::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            let key = ObjectBuilder::new()
                .schema_type(Type::String)
                .read_only(true)
                .description(Some(
                    "Full secret, `sk-onetsolutions-...`; returned only by this response.",
                ));
            object.description = Some("A new API key: the only answer that holds its secret.".to_owned());
            object.properties.insert("key".to_owned(), key.into());
            object.required.push("key".to_owned());
        }
        schema
    }
}

impl ToSchema for ApiKeyCreated {
    fn name() -> Cow<'static, str> {
        "APIKeyCreated".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        ApiKey::schemas(schemas);
    }
}

/// The body of `create_api_key`.
#[derive(Debug, Deserialize)]
pub(super) struct NewKey {
    pub(super) name: String,
    pub(super) scopes: Vec<Scope>,
    #[serde(default)]
    pub(super) organization_id: Option<OrganizationId>,
    #[serde(default)]
    pub(super) allowed_ips: Vec<String>,
    #[serde(default)]
    pub(super) expires_at: Option<Time>,
}

impl Body for NewKey {
    type Wire = ApiKey;
}
