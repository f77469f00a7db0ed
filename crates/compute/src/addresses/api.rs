//! Addresses as the API takes them, and what ordering one answers. How it shows them is
//! [`crate::instances::api::IPAddress`].
#![allow(
    missing_docs,
    reason = "the fields are the published API's; comments repeat its words where it has some"
)]

use kernel::http::{Body, NamedInPaths};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::instances::{
    api::{Address, IPAddress, IpType},
    rows::AddressRow,
};

impl NamedInPaths for Address {
    const NAME: &'static str = "ip_id";
}

impl From<AddressRow> for IPAddress {
    fn from(row: AddressRow) -> Self {
        let AddressRow {
            id,
            organization_id: _,
            project_id: _,
            instance_id: _,
            address,
            ip_type,
            interface,
            netmask,
            gateway,
            network_id,
            vlan,
            mac_address,
            is_primary,
            reverse_dns,
            created,
            modified,
        } = row;
        Self {
            id,
            address,
            ip_type,
            interface,
            netmask,
            gateway,
            network_id,
            vlan,
            mac_address,
            is_primary,
            reverse_dns,
            created,
            modified,
        }
    }
}

/// The body of `add_instance_ip_address`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct InstanceIPAddressCreate {
    #[schema(required = false, default = "ipv4")]
    pub(crate) ip_type: IpType,
    #[schema(required = false, max_length = 255, extensions(("x-allow-blank" = json!(true))))]
    pub(crate) reverse_dns: String,
}

impl Default for InstanceIPAddressCreate {
    fn default() -> Self {
        Self {
            ip_type: IpType::Ipv4,
            reverse_dns: String::new(),
        }
    }
}

impl Body for InstanceIPAddressCreate {
    type Wire = Self;
}

/// The body of `update_instance_ip_address`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct PatchedIPAddressReverseDNS {
    #[schema(value_type = String, required = false, max_length = 255, extensions(("x-allow-blank" = json!(true))))]
    pub(crate) reverse_dns: Option<String>,
}

impl Body for PatchedIPAddressReverseDNS {
    type Wire = Self;
    const PARTIAL: bool = true;
}

/// The body of `update_ip_address`.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    reason = "documents the body; `PatchedIPAddressReverseDNS` reads it"
)]
pub(crate) struct PatchedIPAddress {
    /// PTR name; empty resets it to the default name
    #[schema(required = false, max_length = 255, extensions(("x-allow-blank" = json!(true))))]
    reverse_dns: String,
}
