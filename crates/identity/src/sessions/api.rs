//! What goes over the wire.

use kernel::{access::CredentialId, openapi::Whole, time::Time};
use serde::Serialize;
use utoipa::ToSchema;

use super::rows::SessionRow;
use crate::{
    auth::{AuthMethod, MfaStep},
    device::{Device, DeviceType},
};

/// A session of the caller's.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Session {
    #[schema(read_only)]
    id: CredentialId,
    #[schema(read_only)]
    device_type: DeviceType,
    #[schema(read_only, max_length = 100)]
    browser: String,
    #[schema(read_only, max_length = 100)]
    operating_system: String,
    #[schema(read_only, max_length = 512)]
    user_agent: String,
    /// IPv4 or IPv6 address
    #[schema(read_only)]
    ip_address: String,
    /// Approximate place derived from the address; null, since onet has no such data.
    #[schema(required, read_only, max_length = 255)]
    location: Option<String>,
    #[schema(required, read_only, max_length = 2)]
    country_code: Option<String>,
    #[schema(read_only)]
    auth_method: AuthMethod,
    #[schema(required, read_only)]
    mfa_method: Option<MfaStep>,
    /// The session that asks.
    #[schema(read_only)]
    is_current: bool,
    #[schema(read_only)]
    is_trusted_device: bool,
    #[schema(read_only)]
    last_activity_at: Time,
    #[schema(read_only)]
    expires_at: Time,
    #[schema(read_only)]
    created: Time,
}

impl Session {
    pub(super) fn new(row: SessionRow, current: CredentialId) -> Self {
        let SessionRow {
            id,
            user_agent,
            last_used_ip,
            auth_method,
            mfa_method,
            trusted_device_id,
            last_used_at,
            expires_at,
            created,
        } = row;
        let Device {
            device_type,
            browser,
            operating_system,
        } = Device::of(&user_agent);
        Self {
            id,
            device_type,
            browser,
            operating_system,
            user_agent,
            ip_address: last_used_ip.unwrap_or_default(),
            location: None,
            country_code: None,
            // Sessions of before there was more than one way to log in.
            auth_method: auth_method.unwrap_or(AuthMethod::Password),
            mfa_method,
            is_current: id == current,
            is_trusted_device: trusted_device_id.is_some(),
            last_activity_at: last_used_at.unwrap_or(created),
            expires_at: expires_at.unwrap_or(created),
            created,
        }
    }
}

/// How many sessions were ended.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SessionsRevoked {
    /// Number of sessions ended.
    #[schema(value_type = Whole)]
    pub(super) revoked: usize,
}
