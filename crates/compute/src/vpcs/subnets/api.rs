//! Subnets as the API shows and takes them.
#![allow(
    missing_docs,
    reason = "the fields are the published API's; comments repeat its words where it has some"
)]

use kernel::{
    http::{Body, PageOf},
    id::Id,
    json::present,
    openapi::Whole,
    time::Time,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{rows::SubnetRow, rules};
use crate::vpcs::api::VpcId;

/// Names the ids of subnets.
#[derive(Debug)]
pub enum SubnetKind {}
/// The id of a subnet.
pub type SubnetId = Id<SubnetKind>;

/// One page of subnets.
pub(crate) type VPCSubnetPage = PageOf<VPCSubnet>;

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VPCSubnet {
    #[schema(read_only)]
    id: SubnetId,
    #[schema(read_only)]
    vpc_id: VpcId,
    #[schema(max_length = 255)]
    name: String,
    /// Ex: 10.0.1.0/24; inside the block of the VPC, no overlap with its siblings
    #[schema(max_length = 50)]
    cidr_block: String,
    /// First usable address when absent
    #[schema(required = false, max_length = 45)]
    gateway: Option<String>,
    /// Whether members are told their addresses by their seed
    #[schema(required = false, default = true)]
    dhcp_enabled: bool,
    #[schema(required = false)]
    dns_servers: Vec<String>,
    #[schema(read_only, required, value_type = Option<Whole>)]
    vlan: Option<i64>,
    #[schema(read_only, value_type = Whole)]
    total_ips: i64,
    #[schema(read_only, value_type = Whole)]
    available_ips: i64,
    #[schema(required = false)]
    is_active: bool,
    #[schema(read_only)]
    created: Time,
    #[schema(read_only)]
    modified: Time,
}

impl VPCSubnet {
    /// A subnet of which so many addresses are taken.
    pub(super) fn of(row: SubnetRow, taken: i64) -> Self {
        let (gateway, total_ips) = (rules::gateway(&row), rules::capacity(&row));
        let SubnetRow {
            id,
            organization_id: _,
            vpc_id,
            name,
            cidr_block,
            gateway: _,
            dhcp_enabled,
            dns_servers,
            is_active,
            created,
            modified,
        } = row;
        Self {
            id,
            vpc_id,
            name,
            cidr_block,
            gateway: gateway.map(|address| address.to_string()),
            dhcp_enabled,
            dns_servers: dns_servers.read().unwrap_or_default(),
            vlan: None,
            total_ips,
            available_ips: (total_ips - taken).max(0),
            is_active,
            created,
            modified,
        }
    }
}

/// The body of `create_vpc_subnet` and `replace_vpc_subnet`.
#[derive(Debug, Deserialize)]
pub(super) struct NewSubnet {
    pub(super) name: String,
    pub(super) cidr_block: String,
    #[serde(default)]
    pub(super) gateway: Option<String>,
    #[serde(default = "yes")]
    pub(super) dhcp_enabled: bool,
    #[serde(default)]
    pub(super) dns_servers: Vec<String>,
    #[serde(default = "yes")]
    pub(super) is_active: bool,
}

const fn yes() -> bool {
    true
}

impl Body for NewSubnet {
    type Wire = VPCSubnet;
}

/// The range stays as created.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct PatchedVPCSubnet {
    #[schema(value_type = String, required = false, max_length = 255)]
    pub(super) name: Option<String>,
    /// First usable address when null
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, required = false, max_length = 45)]
    pub(super) gateway: Option<Option<String>>,
    #[schema(value_type = bool, required = false, default = true)]
    pub(super) dhcp_enabled: Option<bool>,
    #[schema(value_type = Vec<String>, required = false)]
    pub(super) dns_servers: Option<Vec<String>>,
    #[schema(value_type = bool, required = false)]
    pub(super) is_active: Option<bool>,
}

impl Body for PatchedVPCSubnet {
    type Wire = Self;
    const PARTIAL: bool = true;
}
