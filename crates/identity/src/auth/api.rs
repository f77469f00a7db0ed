//! What goes over the wire.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use kernel::{
    access::{CredentialId, OrganizationId, ProjectId, Role, UserId},
    http::Body,
    language::Language,
    openapi::Whole,
    time::Time,
};
use serde::{Deserialize, Serialize};
use utoipa::{
    ToSchema,
    openapi::{
        ObjectBuilder, RefOr, Schema, Type,
        schema::{AdditionalProperties, SchemaType},
    },
};

use super::methods::{MfaMethod, MfaStep};

/// Error body of the authentication endpoints.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuthError {
    /// Human-readable explanation.
    pub(crate) detail: String,
    /// Stable machine-readable reason, e.g. `invalid_credentials`, `token_not_valid`, `permission_denied`,
    /// `not_found`, `throttled`.
    pub(crate) code: String,
}

/// Maps each rejected field to the list of its messages; errors about the request as a whole are under
/// `non_field_errors`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ValidationError {
    /// Errors of no field in particular.
    #[schema(required = false)]
    pub(crate) non_field_errors: Vec<String>,
    /// Why the body could not be read at all.
    #[schema(required = false)]
    pub(crate) detail: String,
    /// The reason's code, beside `detail`; or the faults of a field of this name.
    #[schema(required = false, schema_with = anything)]
    pub(crate) code: String,
    /// Errors by field: messages, or where a field holds a list of objects, their errors by place.
    #[serde(flatten)]
    pub(crate) fields: HashMap<String, serde_json::Value>,
}

/// The body of `login`.
#[derive(Deserialize, ToSchema)]
pub(super) struct Login {
    #[schema(format = "email", max_length = 254)]
    pub(super) email: String,
    /// Current password of the account.
    #[schema(
        format = "password",
        max_length = 128,
        write_only,
        extensions(("x-verbatim" = json!(true)))
    )]
    pub(super) password: String,
    /// Keeps the session for the long refresh lifetime.
    #[serde(default)]
    #[schema(default = false)]
    pub(super) remember_me: bool,
    /// Token handed out when a device was remembered; skips the second factor on it.
    #[serde(default)]
    #[schema(value_type = String, required = false, max_length = 255, write_only)]
    pub(super) trusted_device_token: Option<String>,
}

impl Body for Login {
    type Wire = Self;
}

/// Outcome of any login step (password, passwordless, OAuth, passkey, MFA).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LoginResponse {
    /// When true only the `mfa_*` fields are filled; finish with the MFA verify endpoint.
    pub(crate) mfa_required: bool,
    /// Access JWT.
    #[schema(required)]
    pub(crate) access: Option<String>,
    /// Refresh token.
    #[schema(required)]
    pub(crate) refresh: Option<String>,
    /// Always `Bearer`.
    #[schema(required)]
    pub(crate) token_type: Option<&'static str>,
    /// Lifetime of the access token in seconds.
    #[schema(required, value_type = Option<Whole>)]
    pub(crate) expires_in: Option<u64>,
    /// Lifetime of the refresh token in seconds.
    #[schema(required, value_type = Option<Whole>)]
    pub(crate) refresh_expires_in: Option<u64>,
    #[schema(required)]
    pub(crate) session_id: Option<CredentialId>,
    #[schema(required)]
    pub(crate) user: Option<User>,
    /// Short-lived token that stands for the passed first factor.
    #[schema(required)]
    pub(crate) mfa_token: Option<String>,
    pub(crate) mfa_methods: Vec<MfaStep>,
    #[schema(required)]
    pub(crate) mfa_default_method: Option<MfaMethod>,
    /// Lifetime of `mfa_token` in seconds.
    #[schema(required, value_type = Option<Whole>)]
    pub(crate) mfa_expires_in: Option<u64>,
    /// Returned once when the caller asked to remember the device.
    pub(crate) trusted_device_token: Option<String>,
}

impl LoginResponse {
    /// A login that is complete.
    pub(super) fn complete(tokens: TokenPair, session: CredentialId, user: User) -> Self {
        let TokenPair {
            access,
            refresh,
            token_type,
            expires_in,
            refresh_expires_in,
        } = tokens;
        Self {
            mfa_required: false,
            access: Some(access),
            refresh: Some(refresh),
            token_type: Some(token_type),
            expires_in: Some(expires_in),
            refresh_expires_in: Some(refresh_expires_in),
            session_id: Some(session),
            user: Some(user),
            mfa_token: None,
            mfa_methods: Vec::new(),
            mfa_default_method: None,
            mfa_expires_in: None,
            trusted_device_token: None,
        }
    }

    /// A login that lacks its second factor.
    pub(super) fn second_factor(
        token: String,
        methods: Vec<MfaStep>,
        default: Option<MfaMethod>,
        lifetime: Duration,
    ) -> Self {
        Self {
            mfa_required: true,
            access: None,
            refresh: None,
            token_type: None,
            expires_in: None,
            refresh_expires_in: None,
            session_id: None,
            user: None,
            mfa_token: Some(token),
            mfa_methods: methods,
            mfa_default_method: default,
            mfa_expires_in: Some(lifetime.as_secs()),
            trusted_device_token: None,
        }
    }
}

/// A user's own account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct User {
    #[schema(read_only)]
    pub(crate) id: UserId,
    #[schema(read_only, value_type = Whole)]
    pub(crate) legacy_id: i64,
    #[schema(read_only, format = "email", max_length = 254)]
    pub(crate) email: String,
    #[schema(read_only)]
    pub(crate) email_verified: bool,
    /// Address waiting for confirmation.
    #[schema(required, read_only, format = "email", max_length = 254)]
    pub(crate) pending_email: Option<String>,
    #[schema(max_length = 150, extensions(("x-allow-blank" = json!(true))))]
    pub(crate) first_name: String,
    #[schema(max_length = 150, extensions(("x-allow-blank" = json!(true))))]
    pub(crate) last_name: String,
    #[schema(required = false, max_length = 20, extensions(("x-allow-blank" = json!(true))))]
    pub(crate) phone: String,
    #[schema(required = false, max_length = 255, extensions(("x-allow-blank" = json!(true))))]
    pub(crate) company_name: String,
    #[schema(required = false)]
    pub(crate) language: Language,
    /// IANA time zone name.
    #[schema(required = false, max_length = 64)]
    pub(crate) timezone: String,
    /// First and last name joined.
    #[schema(required, read_only)]
    pub(crate) name: Option<String>,
    #[schema(required, read_only, format = "uri")]
    pub(crate) picture: Option<String>,
    pub(crate) default_organization_id: Option<OrganizationId>,
    pub(crate) default_project_id: Option<ProjectId>,
    /// False for accounts that only use OAuth, passkeys or passwordless login.
    #[schema(read_only)]
    pub(crate) has_password: bool,
    #[schema(read_only)]
    pub(crate) mfa_enabled: bool,
    #[schema(read_only)]
    pub(crate) mfa_methods: Vec<MfaMethod>,
    #[schema(required = false)]
    pub(crate) marketing_consent: bool,
    #[schema(read_only)]
    pub(crate) is_active: bool,
    /// Operator of this installation.
    #[schema(read_only)]
    pub(crate) is_staff: bool,
    #[schema(required, read_only)]
    pub(crate) last_login: Option<Time>,
    #[schema(read_only)]
    pub(crate) created: Time,
    #[schema(read_only)]
    pub(crate) modified: Time,
}

/// The body of `logout`.
#[derive(Deserialize, ToSchema)]
pub(super) struct Logout {
    /// Refresh token of the session; the session of the access token when absent.
    #[serde(default)]
    #[schema(value_type = String, required = false, write_only)]
    pub(super) refresh: Option<String>,
}

impl Body for Logout {
    type Wire = Self;
}

/// The body of `refresh_token`.
#[derive(Deserialize, ToSchema)]
pub(super) struct TokenRefresh {
    #[schema(write_only)]
    pub(super) refresh: String,
}

impl Body for TokenRefresh {
    type Wire = Self;
}

/// The tokens of a session.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenPair {
    pub(super) access: String,
    /// New refresh token; the old one stops working.
    pub(super) refresh: String,
    /// Always `Bearer`.
    pub(super) token_type: &'static str,
    /// Seconds.
    #[schema(value_type = Whole)]
    pub(super) expires_in: u64,
    /// Seconds.
    #[schema(value_type = Whole)]
    pub(super) refresh_expires_in: u64,
}

/// The caller, as their credential presents them.
#[derive(Serialize, ToSchema)]
pub(super) struct CurrentUser {
    #[schema(value_type = String)]
    pub(super) id: UserId,
    #[schema(required, format = "email")]
    pub(super) email: Option<String>,
    #[schema(required)]
    pub(super) name: Option<String>,
    pub(super) is_staff: bool,
    /// Role and scopes by the id of each organization that the credential reaches.
    #[schema(schema_with = free_object)]
    pub(super) permissions: BTreeMap<OrganizationId, Rights>,
    /// When the token or key ends; 9999-12-31T23:59:59.999999Z for a key that never does.
    pub(super) token_expires_at: Time,
    pub(super) picture: Option<String>,
}

/// What the caller may do in an organization.
#[derive(Serialize)]
pub(super) struct Rights {
    pub(super) role: Role,
    /// The scopes of the credential; a login has them all.
    pub(super) scopes: Vec<String>,
    /// The one project of a project token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) project_id: Option<ProjectId>,
}

fn anything() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(SchemaType::AnyValue).into()
}

/// An object whose members the contract leaves open.
pub(crate) fn free_object() -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::Object))
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
        .into()
}

/// A confirmation in words.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DetailMessage {
    /// Human-readable confirmation.
    pub(crate) detail: String,
}

/// The body of operations that mail something to an address.
#[derive(Clone, Deserialize, ToSchema)]
pub(crate) struct EmailOnly {
    #[schema(format = "email", max_length = 254)]
    pub(crate) email: String,
}

impl Body for EmailOnly {
    type Wire = Self;
}
