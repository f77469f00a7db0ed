//! What goes over the wire.

use kernel::{access::OrganizationId, http::Body, id::AnyId, openapi::Whole, time::Time};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{
    ToSchema,
    openapi::{
        ObjectBuilder, RefOr, Schema, Type,
        schema::{AdditionalProperties, SchemaType},
    },
};

use super::trusted_devices::TrustedDeviceId;
use crate::auth::{MfaMethod, MfaStep, free_object};

/// The second factors of an account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MFAStatus)]
pub(super) struct MfaStatus {
    /// True when at least one second factor is active.
    #[schema(read_only)]
    pub(super) enabled: bool,
    /// Every method, enabled or not.
    #[schema(read_only)]
    pub(super) methods: Vec<MethodStatus>,
    /// The method that a login offers first.
    pub(super) default_method: Option<MfaMethod>,
    #[schema(read_only, value_type = Whole)]
    pub(super) recovery_codes_remaining: i64,
    /// Organizations whose policy demands a second factor.
    #[schema(read_only)]
    pub(super) required_by_organizations: Vec<OrganizationId>,
}

/// A second factor of an account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MFAMethod)]
pub(super) struct MethodStatus {
    #[serde(rename = "type")]
    #[schema(read_only)]
    pub(super) method: MfaMethod,
    #[schema(read_only)]
    pub(super) is_enabled: bool,
    #[schema(read_only)]
    pub(super) is_default: bool,
    /// Masked address for `email`.
    #[schema(required, read_only)]
    pub(super) destination: Option<String>,
    /// Registered credentials for `webauthn`.
    #[schema(read_only, value_type = Whole)]
    pub(super) credential_count: usize,
    #[schema(required, read_only)]
    pub(super) enabled_at: Option<Time>,
    #[schema(required, read_only)]
    pub(super) last_used_at: Option<Time>,
}

/// The body of `update_mfa_default`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = MFADefault)]
pub(super) struct MfaDefault {
    pub(super) default_method: MfaMethod,
}

impl Body for MfaDefault {
    type Wire = Self;
}

/// An authenticator app to be set up.
#[derive(Serialize, ToSchema)]
#[schema(as = TOTPSetup)]
pub(super) struct TotpSetup {
    /// Base32 secret for manual entry.
    #[schema(read_only)]
    pub(super) secret: String,
    #[schema(read_only, format = "uri")]
    pub(super) otpauth_uri: String,
    /// QR code of the URI as a data URI.
    #[schema(read_only)]
    pub(super) qr_code: String,
    /// A code must confirm the secret until then.
    #[schema(read_only)]
    pub(super) expires_at: Time,
}

/// The body of `confirm_totp`.
#[derive(Deserialize, ToSchema)]
#[schema(as = TOTPConfirm)]
pub(super) struct TotpConfirm {
    /// 6-digit code.
    #[schema(pattern = r"^\d{6}$", write_only)]
    pub(super) code: String,
}

impl Body for TotpConfirm {
    type Wire = Self;
}

/// A method that was enabled.
#[derive(Serialize, ToSchema)]
#[schema(as = MFAEnableResponse)]
pub(super) struct MfaEnableResponse {
    pub(super) enabled: bool,
    pub(super) method: MfaMethod,
    /// Given once, when the first method is enabled; null afterwards.
    #[schema(required)]
    pub(super) recovery_codes: Option<Vec<String>>,
}

/// One of the two proofs; not needed inside a re-authentication window.
#[derive(Clone, Deserialize, ToSchema)]
#[schema(as = MFADisable)]
pub(super) struct MfaDisable {
    /// Current password of the account.
    #[serde(default)]
    #[schema(
        value_type = String,
        required = false,
        format = "password",
        max_length = 128,
        write_only,
        extensions(("x-verbatim" = json!(true)))
    )]
    pub(super) password: Option<String>,
    /// Code of an enabled second factor or a recovery code.
    #[serde(default)]
    #[schema(value_type = String, required = false, max_length = 32, write_only)]
    pub(super) code: Option<String>,
}

impl Body for MfaDisable {
    type Wire = Self;
}

/// The body of `request_mfa_challenge`.
#[derive(Deserialize, ToSchema)]
#[schema(as = MFAChallengeRequest)]
pub(super) struct MfaChallengeRequest {
    #[schema(write_only)]
    pub(super) mfa_token: String,
    pub(super) method: MfaMethod,
}

impl Body for MfaChallengeRequest {
    type Wire = Self;
}

/// What a second factor is asked for with.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MFAChallenge)]
pub(crate) struct MfaChallenge {
    pub(crate) method: MfaMethod,
    /// Masked address the code was mailed to.
    #[schema(required)]
    pub(crate) destination: Option<String>,
    /// WebAuthn request options for `webauthn`.
    #[schema(required, schema_with = free_object_or_null)]
    pub(crate) public_key: Option<Value>,
    /// Seconds.
    #[schema(value_type = Whole)]
    pub(crate) expires_in: u64,
    /// Seconds.
    #[schema(required, value_type = Option<Whole>)]
    pub(crate) resend_after: Option<u64>,
}

/// The body of `verify_mfa`.
#[derive(Deserialize, ToSchema)]
#[schema(as = MFAVerify)]
pub(super) struct MfaVerify {
    #[schema(write_only)]
    pub(super) mfa_token: String,
    pub(super) method: MfaStep,
    #[serde(default)]
    #[schema(value_type = String, required = false, max_length = 32, write_only)]
    pub(super) code: Option<String>,
    #[serde(default)]
    #[schema(value_type = WebAuthnAssertion, required = false, write_only)]
    pub(super) credential: Option<WebAuthnAssertion>,
    /// Skips the second factor on this device for a while.
    #[serde(default)]
    #[schema(default = false)]
    pub(super) remember_device: bool,
    #[serde(default)]
    #[schema(value_type = String, required = false, max_length = 100)]
    pub(super) device_name: Option<String>,
}

impl Body for MfaVerify {
    type Wire = Self;
}

/// What a browser answers to a challenge of WebAuthn.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub(crate) struct WebAuthnAssertion {
    #[serde(default)]
    #[schema(value_type = AnyId, required = false)]
    pub(crate) challenge_id: Option<AnyId>,
    /// Assertion returned by the browser, base64url-encoded.
    #[schema(schema_with = free_object)]
    pub(crate) credential: Map<String, Value>,
}

/// How many recovery codes there are.
#[derive(Serialize, ToSchema)]
pub(super) struct RecoveryCodesStatus {
    #[schema(read_only, value_type = Whole)]
    pub(super) total: usize,
    #[schema(read_only, value_type = Whole)]
    pub(super) remaining: usize,
    #[schema(required, read_only)]
    pub(super) generated_at: Option<Time>,
}

/// Fresh recovery codes.
#[derive(Serialize, ToSchema)]
pub(super) struct RecoveryCodes {
    pub(super) recovery_codes: Vec<String>,
    pub(super) generated_at: Time,
}

/// A device on which the second factor is skipped.
#[derive(Serialize, ToSchema)]
pub(super) struct TrustedDevice {
    #[schema(read_only)]
    pub(super) id: TrustedDeviceId,
    #[schema(required = false, max_length = 100)]
    pub(super) name: String,
    #[schema(read_only, max_length = 100)]
    pub(super) browser: String,
    #[schema(read_only, max_length = 100)]
    pub(super) operating_system: String,
    /// IPv4 or IPv6 address
    #[schema(read_only)]
    pub(super) ip_address: String,
    #[schema(required, read_only)]
    pub(super) last_used_at: Option<Time>,
    #[schema(read_only)]
    pub(super) expires_at: Time,
    #[schema(read_only)]
    pub(super) created: Time,
}

fn free_object_or_null() -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .description(Some("WebAuthn request options for `webauthn`."))
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
        .into()
}
