//! What goes over the wire.

use kernel::{access::ProjectId, http::Body, id::AnyId, json::JsonText, money::Fixed, time::Time};
use serde::{Deserialize, Serialize};
use utoipa::{
    ToSchema,
    openapi::{ObjectBuilder, OneOfBuilder, Ref, RefOr, Schema, Type},
};

kernel::words! {
    /// Kind of resource
    pub enum ResourceType {
        /// Instance
        Instance = "instance",
        /// Volume
        Volume = "volume",
        /// Snapshot
        Snapshot = "snapshot",
        /// VPC
        Vpc = "vpc",
        /// Firewall
        Firewall = "firewall",
        /// Uptime monitor
        UptimeMonitor = "uptime_monitor",
        /// Domain
        Domain = "domain",
        /// DNS zone
        DnsZone = "dns_zone",
        /// Hosting account
        Hosting = "hosting",
    }
}

impl ResourceType {
    /// The scope that a key needs to change resources of the kind.
    pub(super) const fn write_scope(self) -> &'static str {
        match self {
            Self::Instance
            | Self::Volume
            | Self::Snapshot
            | Self::Vpc
            | Self::Firewall
            | Self::UptimeMonitor => "compute:write",
            Self::Domain => "domains:write",
            Self::DnsZone => "dns:write",
            Self::Hosting => "web_hosting:write",
        }
    }
}

/// A resource of any kind.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the fields are the API's")]
pub struct ProjectResource {
    #[schema(read_only)]
    pub id: AnyId,
    #[schema(read_only)]
    pub resource_type: ResourceType,
    #[schema(read_only)]
    pub name: String,
    /// Status word of that resource type
    #[schema(read_only)]
    pub status: String,
    /// The datacenter location as JSON: its schema belongs to another area.
    #[schema(required = false, schema_with = location)]
    pub location: Option<JsonText>,
    #[schema(
        required = false, read_only, value_type = Option<String>, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$"
    )]
    pub price_monthly: Option<Fixed<2>>,
    /// Custom tags
    #[schema(required = false, read_only, value_type = serde_json::Value)]
    pub tags: JsonText,
    #[schema(read_only)]
    pub is_active: bool,
    #[schema(read_only)]
    pub created: Time,
    #[schema(read_only)]
    pub modified: Time,
}

/// A location of the compute area, or null.
fn location() -> RefOr<Schema> {
    let null = ObjectBuilder::new().schema_type(Type::Null).build();
    let either = OneOfBuilder::new()
        .item(null)
        .item(Ref::from_schema_name("DatacenterLocation"));
    RefOr::T(Schema::OneOf(either.build()))
}

/// A resource, named.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct ResourceReference {
    pub(super) resource_type: MovableType,
    pub(super) id: AnyId,
}

kernel::words! {
    /// Kind of resource that can be moved by itself
    pub(super) enum MovableType {
        /// Instance
        Instance = "instance",
        /// Domain
        Domain = "domain",
        /// DNS zone
        DnsZone = "dns_zone",
        /// Hosting account
        Hosting = "hosting",
    }
}

impl From<MovableType> for ResourceType {
    fn from(movable: MovableType) -> Self {
        match movable {
            MovableType::Instance => Self::Instance,
            MovableType::Domain => Self::Domain,
            MovableType::DnsZone => Self::DnsZone,
            MovableType::Hosting => Self::Hosting,
        }
    }
}

/// What is moved where.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct ResourceTransferRequest {
    /// Project of the same organization
    pub(super) target_project_id: ProjectId,
    #[schema(max_items = 100)]
    pub(super) resources: Vec<ResourceReference>,
}

impl Body for ResourceTransferRequest {
    type Wire = Self;
}

/// What has moved.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ResourceTransferResult {
    /// Everything that moved, dependants such as attached volumes included
    #[schema(read_only)]
    pub(super) moved: Vec<ProjectResource>,
}
