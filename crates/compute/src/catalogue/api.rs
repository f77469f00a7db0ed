//! What can be bought, as the API shows it.
#![allow(
    missing_docs,
    reason = "the fields are the published API's; comments repeat its words where it has some"
)]

use std::sync::Arc;

use kernel::{access::OrganizationId, id::Id, money::Fixed, time::Time, words};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// Names the ids of sizes.
#[derive(Debug)]
pub enum Size {}
/// Names the ids of locations.
#[derive(Debug)]
pub enum Location {}
/// Names the ids of images.
#[derive(Debug)]
pub enum Image {}
/// Names the ids of add-ons.
#[derive(Debug)]
pub enum AddonKind {}
/// Names the ids of a size's volumes, prices and add-ons.
#[derive(Debug)]
pub enum SizePart {}

/// The id of a size.
pub type SizeId = Id<Size>;
/// The id of a location.
pub type LocationId = Id<Location>;
/// The id of an image.
pub type ImageId = Id<Image>;
/// The id of an add-on.
pub type AddonId = Id<AddonKind>;
/// The id of a part of a size.
pub type SizePartId = Id<SizePart>;

words! {
    /// CPU model
    pub enum CpuModel {
        /// E5-2680 v4
        E52680V4 = "e5-2680-v4",
        /// AMD EPYC 7443
        Epyc7443 = "epyc-7443",
        /// AMD EPYC 9554
        Epyc9554 = "epyc-9554",
    }
}

words! {
    /// Kind of disk
    pub enum VolumeType {
        /// SSD
        Ssd = "ssd",
        /// NVMe
        Nvme = "nvme",
    }
}

words! {
    /// How often a price is due
    pub enum PriceCycle {
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
    /// How an add-on is billed
    pub enum BillingType {
        /// Recurring
        Recurring = "recurring",
        /// One Time
        OneTime = "one_time",
    }
}

words! {
    /// Public images are available to all, private to organization only
    pub enum Visibility {
        /// Public
        Public = "public",
        /// Private
        Private = "private",
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct DatacenterLocation {
    #[schema(read_only)]
    pub id: LocationId,
    /// Ex: Paris DC1, Frankfurt DC2
    #[schema(max_length = 100)]
    pub name: String,
    #[schema(max_length = 50, pattern = "^[-a-zA-Z0-9_]+$")]
    pub slug: String,
    /// Ex: FR, DE
    #[schema(max_length = 2)]
    pub country_code: String,
    #[schema(required = false)]
    pub is_active: bool,
    #[schema(read_only)]
    pub created: Time,
    #[schema(read_only)]
    pub modified: Time,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct InstanceSize {
    #[schema(read_only)]
    pub id: SizeId,
    /// Ex: VPS-S, VPS-M, VPS-L
    #[schema(max_length = 100)]
    pub name: String,
    /// Ex: vps-s, vps-m
    #[schema(max_length = 50, pattern = "^[-a-zA-Z0-9_]+$")]
    pub slug: String,
    #[schema(required = false)]
    pub cpu_model: CpuModel,
    /// Number of vCPUs
    #[schema(minimum = 0, maximum = 4_294_967_295_i64)]
    pub vcpu: i64,
    /// RAM in MB
    #[schema(minimum = 0, maximum = 4_294_967_295_i64)]
    pub ram_mb: i64,
    /// Bandwidth in Mb/s
    #[schema(minimum = 0, maximum = 4_294_967_295_i64)]
    pub bandwidth_mbps: i64,
    #[schema(required = false)]
    pub is_active: bool,
    #[schema(required = false)]
    pub description: String,
    #[schema(read_only)]
    pub available_volumes: Vec<InstanceSizeVolume>,
    #[schema(read_only)]
    pub pricing_options: Vec<InstanceSizePricing>,
    #[schema(read_only)]
    pub available_addons: Vec<InstanceSizeAddon>,
    #[schema(read_only)]
    pub created: Time,
    #[schema(read_only)]
    pub modified: Time,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct InstanceSizeVolume {
    #[schema(read_only)]
    pub id: SizePartId,
    pub volume_type: VolumeType,
    /// Disk size in GB
    #[schema(minimum = 0, maximum = 4_294_967_295_i64)]
    pub disk_gb: i64,
    /// Default volume option for this size
    #[schema(required = false)]
    pub is_default: bool,
    #[schema(required = false)]
    pub is_active: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct InstanceSizePricing {
    #[schema(read_only)]
    pub id: SizePartId,
    pub billing_cycle: PriceCycle,
    #[schema(value_type = String, pattern = r"^-?\d{0,6}(?:\.\d{0,4})?$")]
    pub price: Fixed<4>,
    /// Discount percentage compared to monthly
    #[schema(required = false, value_type = String, pattern = r"^-?\d{0,3}(?:\.\d{0,2})?$")]
    pub discount_percent: Fixed<2>,
    #[schema(required = false)]
    pub is_default: bool,
    #[schema(required = false)]
    pub is_active: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct InstanceSizeAddon {
    #[schema(read_only)]
    pub id: SizePartId,
    #[schema(read_only)]
    pub addon: Arc<Addon>,
    #[schema(read_only)]
    pub pricing_options: Vec<InstanceSizeAddonPricing>,
    /// If true, addon is included in the base price
    #[schema(required = false)]
    pub is_included: bool,
    /// Pre-selected by default in cart
    #[schema(required = false)]
    pub is_default: bool,
    #[schema(required = false)]
    pub is_active: bool,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct InstanceSizeAddonPricing {
    #[schema(read_only)]
    pub id: SizePartId,
    pub billing_cycle: PriceCycle,
    #[schema(value_type = String, pattern = r"^-?\d{0,6}(?:\.\d{0,4})?$")]
    pub price: Fixed<4>,
    #[schema(required = false)]
    pub is_active: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Addon {
    #[schema(read_only)]
    pub id: AddonId,
    #[schema(max_length = 50, pattern = "^[-a-zA-Z0-9_]+$")]
    pub slug: String,
    /// Name in English (default)
    #[schema(max_length = 100)]
    pub name: String,
    /// Name in French
    #[schema(required = false, max_length = 100)]
    pub name_fr: String,
    /// Description in English (default)
    #[schema(required = false)]
    pub description: String,
    /// Description in French
    #[schema(required = false)]
    pub description_fr: String,
    #[schema(required = false)]
    pub billing_type: BillingType,
    #[schema(required = false)]
    pub is_active: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct InstanceImage {
    #[schema(read_only)]
    pub id: ImageId,
    #[schema(read_only, required)]
    pub organization_id: Option<OrganizationId>,
    /// Ex: Ubuntu 22.04 LTS, Debian 12
    #[schema(max_length = 255)]
    pub name: String,
    /// Ex: ubuntu-22-04, debian-12
    #[schema(max_length = 50, pattern = "^[-a-zA-Z0-9_]+$")]
    pub slug: String,
    #[schema(required = false)]
    pub description: String,
    #[schema(required = false)]
    pub visibility: Visibility,
    /// Ex: Ubuntu, Debian, CentOS
    #[schema(max_length = 100)]
    pub os_name: String,
    /// Ex: 22.04, 12, 8
    #[schema(max_length = 50)]
    pub os_version: String,
    /// Ex: x86_64, aarch64
    #[schema(required = false, max_length = 20)]
    pub os_architecture: String,
    /// Language code (fr, en, cn, etc.)
    #[schema(read_only)]
    pub language: String,
    #[schema(required = false)]
    pub is_active: bool,
    /// Featured public images
    #[schema(required = false)]
    pub is_featured: bool,
    #[schema(read_only)]
    pub is_windows: bool,
    #[schema(read_only)]
    pub requires_license_addon: bool,
    /// Minimum disk size required (GB)
    #[schema(required = false, minimum = 0, maximum = 4_294_967_295_i64)]
    pub min_disk_gb: i64,
    /// Minimum RAM required (MB)
    #[schema(required = false, minimum = 0, maximum = 4_294_967_295_i64)]
    pub min_ram_mb: i64,
    #[schema(read_only)]
    pub created: Time,
    #[schema(read_only)]
    pub modified: Time,
}

/// Something of the catalogue with its JSON beside it, written once: a hundred instances of a size copy its text
/// instead of writing its eighty fields a hundred times.
#[derive(Debug)]
pub struct Shown<T>(Arc<(T, Box<RawValue>)>);

impl<T: Serialize> Shown<T> {
    /// Writes `value`'s JSON.
    ///
    /// # Errors
    /// Never, for types with string keys.
    pub fn new(value: T) -> serde_json::Result<Self> {
        let json = serde_json::value::to_raw_value(&value)?;
        Ok(Self(Arc::new((value, json))))
    }
}

impl<T> Clone for Shown<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> std::ops::Deref for Shown<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.0
    }
}

impl<T> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.1.serialize(serializer)
    }
}
