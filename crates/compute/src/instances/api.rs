//! Instances as the API shows them and takes them.
#![allow(
    missing_docs,
    reason = "the fields are the published API's; comments repeat its words where it has some"
)]

use kernel::{
    access::{OrganizationId, ProjectId},
    http::{Body, PageOf},
    id::{AnyId, Id},
    json::{JsonText, present},
    money::Fixed,
    openapi::{Patched, Whole, WriteOnly},
    time::Time,
    words,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    catalogue::api::{DatacenterLocation, ImageId, InstanceImage, InstanceSize, LocationId, Shown, SizeId},
    vpcs::api::{Vpc, VpcId},
};

/// Names the ids of instances.
#[derive(Debug)]
pub enum InstanceKind {}
/// Names the ids of addresses.
#[derive(Debug)]
pub enum Address {}
/// Names the ids of volumes.
#[derive(Debug)]
pub enum VolumeKind {}
/// Names the ids of synchronised states.
#[derive(Debug)]
pub enum StateKind {}

/// The id of an instance.
pub type InstanceId = Id<InstanceKind>;
/// The id of an address.
pub type AddressId = Id<Address>;
/// The id of a volume.
pub type VolumeId = Id<VolumeKind>;
/// The id of a synchronised state.
pub type StateId = Id<StateKind>;
/// One page of instances.
pub type InstancePage = PageOf<Instance>;
/// The body of a PATCH.
pub type PatchedInstance = Patched<Instance>;

words! {
    /// Billing status
    pub enum InstanceStatus {
        /// Pending
        Pending = "pending",
        /// Provisioning
        Provisioning = "provisioning",
        /// Active
        Active = "active",
        /// Suspended
        Suspended = "suspended",
        /// Terminated
        Terminated = "terminated",
        /// Cancelled
        Cancelled = "cancelled",
    }
}

impl InstanceStatus {
    /// Where nothing will ever happen to an instance again.
    pub const OVER: [Self; 2] = [Self::Terminated, Self::Cancelled];

    /// Whether nothing will ever happen to the instance again.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Terminated | Self::Cancelled)
    }
}

words! {
    /// How often the instance is billed
    pub enum BillingCycle {
        /// Free
        Free = "free",
        /// One Time
        OneTime = "one_time",
        /// Hourly
        Hourly = "hourly",
        /// Monthly
        Monthly = "monthly",
        /// Quarterly
        Quarterly = "quarterly",
        /// Semi-Annually
        SemiAnnually = "semi_annually",
        /// Annually
        Annually = "annually",
        /// Biennially
        Biennially = "biennially",
        /// Triennially
        Triennially = "triennially",
    }
}

words! {
    /// Family of an address
    pub enum IpType {
        /// IPv4
        Ipv4 = "ipv4",
        /// IPv6
        Ipv6 = "ipv6",
    }
}

words! {
    /// Where a volume stands
    pub enum VolumeStatus {
        /// Pending
        Pending = "pending",
        /// Creating
        Creating = "creating",
        /// Available
        Available = "available",
        /// Attached
        Attached = "attached",
        /// Detached
        Detached = "detached",
        /// Deleting
        Deleting = "deleting",
        /// Deleted
        Deleted = "deleted",
        /// Error
        Error = "error",
    }
}

/// Short form of an instance.
#[derive(Debug, Serialize, ToSchema)]
pub struct InstanceReference {
    #[schema(read_only)]
    pub id: InstanceId,
    #[schema(read_only)]
    pub name: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Instance {
    #[schema(read_only)]
    pub id: InstanceId,
    #[schema(read_only, value_type = Whole)]
    pub legacy_id: i64,
    #[schema(read_only)]
    pub organization_id: OrganizationId,
    #[schema(read_only)]
    pub project_id: ProjectId,
    /// Instance name
    #[schema(max_length = 255)]
    pub name: String,
    /// Instance hostname
    #[schema(required = false, max_length = 255)]
    pub hostname: String,
    /// What the instance is for. An addition to the published API, whose text promises it and whose schema lacks it.
    #[schema(required = false, max_length = 1000, extensions(("x-allow-blank" = json!(true))))]
    pub description: String,
    #[schema(read_only)]
    pub status: InstanceStatus,
    #[schema(read_only, value_type = InstanceSize)]
    pub size: Shown<InstanceSize>,
    #[serde(skip_serializing_if = "WriteOnly::hidden")]
    #[schema(write_only, required, value_type = SizeId)]
    pub size_id: WriteOnly<SizeId>,
    #[schema(read_only, value_type = DatacenterLocation)]
    pub location: Shown<DatacenterLocation>,
    #[serde(skip_serializing_if = "WriteOnly::hidden")]
    #[schema(write_only, required, value_type = LocationId)]
    pub location_id: WriteOnly<LocationId>,
    #[schema(read_only)]
    pub vpc: Vpc,
    #[serde(skip_serializing_if = "WriteOnly::hidden")]
    #[schema(write_only, required = false, nullable, value_type = Option<VpcId>)]
    pub vpc_id: WriteOnly<VpcId>,
    #[schema(read_only, value_type = InstanceImage)]
    pub image: Shown<InstanceImage>,
    #[serde(skip_serializing_if = "WriteOnly::hidden")]
    #[schema(write_only, required, value_type = ImageId)]
    pub image_id: WriteOnly<ImageId>,
    /// Operating system name
    #[schema(max_length = 100)]
    pub os_name: String,
    /// Primary IPv4 address
    #[schema(read_only, required)]
    pub primary_ipv4: Option<AddressId>,
    /// Primary IPv6 address
    #[schema(read_only, required)]
    pub primary_ipv6: Option<AddressId>,
    #[schema(read_only)]
    pub ip_addresses: Vec<IPAddress>,
    #[schema(read_only)]
    pub volumes: Vec<VolumeSummary>,
    #[schema(required = false)]
    pub billing_cycle: BillingCycle,
    #[schema(read_only)]
    pub billing_start_date: Time,
    /// For prepaid only
    #[schema(read_only, required)]
    pub billing_end_date: Option<Time>,
    #[schema(read_only, required)]
    pub next_billing_date: Option<Time>,
    /// When cancellation was requested, effective at billing_end_date
    #[schema(read_only, required)]
    pub cancellation_requested_at: Option<Time>,
    /// Reason provided for cancellation request
    #[schema(read_only)]
    pub cancellation_reason: String,
    #[schema(read_only, value_type = String, pattern = r"^-?\d{0,13}(?:\.\d{0,2})?$")]
    pub bandwidth_used_gb: Fixed<2>,
    /// Custom tags
    #[schema(required = false, value_type = Value)]
    pub tags: JsonText,
    #[schema(read_only)]
    pub is_active: bool,
    /// Whether the instance OS/service has been installed
    #[schema(read_only)]
    pub is_installed: bool,
    #[schema(read_only)]
    pub state_sync: InstanceStateSync,
    #[schema(read_only)]
    pub created: Time,
    #[schema(read_only)]
    pub modified: Time,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct IPAddress {
    #[schema(read_only)]
    pub id: AddressId,
    pub address: String,
    pub ip_type: IpType,
    /// Network interface index (0=net0, 1=net1, etc.)
    #[schema(read_only, value_type = Whole)]
    pub interface: i64,
    #[schema(read_only, required)]
    pub netmask: Option<String>,
    #[schema(read_only)]
    pub gateway: String,
    #[schema(read_only, required)]
    pub network_id: Option<AnyId>,
    #[schema(read_only, required, nullable, value_type = Option<Whole>)]
    pub vlan: Option<i64>,
    #[schema(read_only)]
    pub mac_address: String,
    #[schema(read_only)]
    pub is_primary: bool,
    #[schema(required = false, max_length = 255, extensions(("x-allow-blank" = json!(true))))]
    pub reverse_dns: String,
    #[schema(read_only)]
    pub created: Time,
    #[schema(read_only)]
    pub modified: Time,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct VolumeSummary {
    #[schema(read_only)]
    pub id: VolumeId,
    /// Volume name
    #[schema(read_only)]
    pub name: String,
    /// Volume size in GB
    #[schema(read_only, value_type = Whole)]
    pub size_gb: i64,
    #[schema(read_only)]
    pub status: VolumeStatus,
    /// Disk name in hypervisor (ex: scsi0)
    #[schema(read_only)]
    pub disk_name: String,
    #[schema(read_only, value_type = DatacenterLocation)]
    pub location: Shown<DatacenterLocation>,
    /// Monthly price
    #[schema(read_only, value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    pub price_monthly: Fixed<2>,
    #[schema(read_only)]
    pub is_active: bool,
    #[schema(read_only)]
    pub created: Time,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct InstanceStateSync {
    #[schema(read_only)]
    pub id: StateId,
    /// State in the hypervisor (running, stopped, etc.)
    #[schema(max_length = 20)]
    pub vm_status: String,
    /// Uptime in seconds
    #[schema(required = false, minimum = 0, maximum = 4_294_967_295_i64)]
    pub uptime: i64,
    /// CPU use in percent
    #[schema(required = false, value_type = String, pattern = r"^-?\d{0,3}(?:\.\d{0,2})?$")]
    pub cpu_usage: Fixed<2>,
    /// Memory used in MB
    #[schema(required = false, minimum = 0, maximum = 4_294_967_295_i64)]
    pub memory_usage_mb: i64,
    /// Disk used in GB
    #[schema(required = false, value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    pub disk_usage_gb: Fixed<2>,
    /// Bytes received
    #[schema(required = false, minimum = -9_223_372_036_854_776_000.0, maximum = 9_223_372_036_854_776_000.0)]
    pub network_in_bytes: i64,
    /// Bytes sent
    #[schema(required = false, minimum = -9_223_372_036_854_776_000.0, maximum = 9_223_372_036_854_776_000.0)]
    pub network_out_bytes: i64,
    /// Last synchronisation with the hypervisor
    #[schema(read_only)]
    pub last_synced_at: Time,
    /// Worker that made the synchronisation
    #[schema(required = false, max_length = 100)]
    pub sync_source: String,
}

/// What a client wants of an instance's metadata: the fields that it sent, of those that can be written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wanted {
    pub(crate) name: Option<String>,
    pub(crate) hostname: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) size_id: Option<SizeId>,
    pub(crate) location_id: Option<LocationId>,
    pub(crate) image_id: Option<ImageId>,
    pub(crate) os_name: Option<String>,
    /// Absent; null (the project's default VPC); a VPC.
    #[serde(deserialize_with = "present")]
    pub(crate) vpc_id: Option<Option<VpcId>>,
    pub(crate) billing_cycle: Option<BillingCycle>,
    pub(crate) tags: Option<JsonText>,
}

/// The body of `replace_instance`: an [`Instance`], of which the writable fields count.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct InstanceReplace(pub(crate) Wanted);

impl Body for InstanceReplace {
    type Wire = Instance;
}

/// The body of `update_instance`: any of the writable fields.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct InstanceUpdate(pub(crate) Wanted);

impl Body for InstanceUpdate {
    type Wire = PatchedInstance;
    const PARTIAL: bool = true;
}
