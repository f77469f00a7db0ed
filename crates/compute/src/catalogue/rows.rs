//! The catalogue's tables, read as a whole.

use std::{collections::HashMap, sync::Arc};

use diesel::{Insertable, OptionalExtension, QueryDsl, Queryable, RunQueryDsl};
use identity::schema::counters;
use kernel::{
    access::Organization,
    id::Id,
    money::Amount,
    store::{Conn, StoreError, Tx},
    time::Time,
};

use super::{
    Catalogue,
    api::{
        Addon, AddonKind, BillingType, CpuModel, DatacenterLocation, Image, InstanceImage, InstanceSize,
        InstanceSizeAddon, InstanceSizeAddonPricing, InstanceSizePricing, InstanceSizeVolume, Location,
        PriceCycle, Shown, Size, SizePart, Visibility, VolumeType,
    },
};
use crate::schema::{
    addons, images, locations, size_addon_prices, size_addons, size_prices, size_volumes, sizes,
};

/// The counter that grows with every change of the catalogue.
const VERSION: &str = "catalogue";

/// A row of `locations`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = locations)]
#[expect(missing_docs, reason = "the migrations document columns")]
pub struct LocationRow {
    pub id: Id<Location>,
    pub name: String,
    pub slug: String,
    pub country_code: String,
    pub is_active: bool,
    pub created: Time,
    pub modified: Time,
}

/// A row of `sizes`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = sizes)]
#[expect(missing_docs, reason = "the migrations document columns")]
pub struct SizeRow {
    pub id: Id<Size>,
    pub name: String,
    pub slug: String,
    pub cpu_model: CpuModel,
    pub vcpu: i64,
    pub ram_mb: i64,
    pub bandwidth_mbps: i64,
    pub is_active: bool,
    pub description: String,
    pub created: Time,
    pub modified: Time,
}

/// A row of `size_volumes`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = size_volumes)]
#[expect(missing_docs, reason = "the migrations document columns")]
pub struct SizeVolumeRow {
    pub id: Id<SizePart>,
    pub size_id: Id<Size>,
    pub volume_type: VolumeType,
    pub disk_gb: i64,
    pub is_default: bool,
    pub is_active: bool,
}

/// A row of `size_prices`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = size_prices)]
#[expect(missing_docs, reason = "the migrations document columns")]
pub struct SizePriceRow {
    pub id: Id<SizePart>,
    pub size_id: Id<Size>,
    pub billing_cycle: PriceCycle,
    pub price: Amount,
    pub discount_percent: Amount,
    pub is_default: bool,
    pub is_active: bool,
}

/// A row of `addons`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = addons)]
#[expect(missing_docs, reason = "the migrations document columns")]
pub struct AddonRow {
    pub id: Id<AddonKind>,
    pub slug: String,
    pub name: String,
    pub name_fr: String,
    pub description: String,
    pub description_fr: String,
    pub billing_type: BillingType,
    pub is_active: bool,
}

/// A row of `size_addons`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = size_addons)]
#[expect(missing_docs, reason = "the migrations document columns")]
pub struct SizeAddonRow {
    pub id: Id<SizePart>,
    pub size_id: Id<Size>,
    pub addon_id: Id<AddonKind>,
    pub is_included: bool,
    pub is_default: bool,
    pub is_active: bool,
}

/// A row of `size_addon_prices`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = size_addon_prices)]
#[expect(missing_docs, reason = "the migrations document columns")]
pub struct SizeAddonPriceRow {
    pub id: Id<SizePart>,
    pub size_addon_id: Id<SizePart>,
    pub billing_cycle: PriceCycle,
    pub price: Amount,
    pub is_active: bool,
}

/// A row of `images`.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = images)]
#[expect(missing_docs, reason = "the migrations document columns")]
pub struct ImageRow {
    pub id: Id<Image>,
    pub organization_id: Option<Id<Organization>>,
    pub name: String,
    pub slug: String,
    pub description: String,
    pub visibility: Visibility,
    pub os_name: String,
    pub os_version: String,
    pub os_architecture: String,
    pub language: String,
    pub is_active: bool,
    pub is_featured: bool,
    pub is_windows: bool,
    pub requires_license_addon: bool,
    pub min_disk_gb: i64,
    pub min_ram_mb: i64,
    pub created: Time,
    pub modified: Time,
}

/// The catalogue's version; 0 before anything was put in.
pub(super) fn version(conn: &mut Conn) -> Result<i64, StoreError> {
    let version = counters::table
        .find(VERSION)
        .select(counters::value)
        .first(conn)
        .optional()?;
    Ok(version.unwrap_or(0))
}

/// Tells every node that the catalogue has changed: call it in the transaction of the change.
///
/// # Errors
/// The database refused.
pub fn bump_version(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    identity::counters::next(tx, VERSION).map(drop)
}

/// Everything, in ten queries whatever its size.
pub(super) fn load(conn: &mut Conn) -> Result<Catalogue, StoreError> {
    let version = version(conn)?;
    let addons: Vec<Arc<Addon>> = addons::table
        .order(addons::slug)
        .load::<AddonRow>(conn)?
        .into_iter()
        .map(|row| Arc::new(addon(row)))
        .collect();
    let addon_by_id: HashMap<_, _> = addons.iter().map(|addon| (addon.id, addon)).collect();

    let mut addon_prices: HashMap<Id<SizePart>, Vec<InstanceSizeAddonPricing>> = HashMap::new();
    for row in size_addon_prices::table
        .order(size_addon_prices::id)
        .load::<SizeAddonPriceRow>(conn)?
    {
        let SizeAddonPriceRow {
            id,
            size_addon_id,
            billing_cycle,
            price,
            is_active,
        } = row;
        let price = InstanceSizeAddonPricing {
            id,
            billing_cycle,
            price: price.fixed(),
            is_active,
        };
        addon_prices.entry(size_addon_id).or_default().push(price);
    }
    let mut size_addons_of: HashMap<Id<Size>, Vec<InstanceSizeAddon>> = HashMap::new();
    for row in size_addons::table
        .order(size_addons::id)
        .load::<SizeAddonRow>(conn)?
    {
        let SizeAddonRow {
            id,
            size_id,
            addon_id,
            is_included,
            is_default,
            is_active,
        } = row;
        if let Some(addon) = addon_by_id.get(&addon_id) {
            let pricing_options = addon_prices.remove(&id).unwrap_or_default();
            let addon = Arc::clone(addon);
            let part = InstanceSizeAddon {
                id,
                addon,
                pricing_options,
                is_included,
                is_default,
                is_active,
            };
            size_addons_of.entry(size_id).or_default().push(part);
        }
    }
    let mut volumes_of: HashMap<Id<Size>, Vec<InstanceSizeVolume>> = HashMap::new();
    for row in size_volumes::table
        .order((size_volumes::disk_gb, size_volumes::id))
        .load::<SizeVolumeRow>(conn)?
    {
        let SizeVolumeRow {
            id,
            size_id,
            volume_type,
            disk_gb,
            is_default,
            is_active,
        } = row;
        let volume = InstanceSizeVolume {
            id,
            volume_type,
            disk_gb,
            is_default,
            is_active,
        };
        volumes_of.entry(size_id).or_default().push(volume);
    }
    let mut prices_of: HashMap<Id<Size>, Vec<InstanceSizePricing>> = HashMap::new();
    for row in size_prices::table
        .order(size_prices::id)
        .load::<SizePriceRow>(conn)?
    {
        let SizePriceRow {
            id,
            size_id,
            billing_cycle,
            price,
            discount_percent,
            is_default,
            is_active,
        } = row;
        let discount_percent = discount_percent.fixed();
        let price = InstanceSizePricing {
            id,
            billing_cycle,
            price: price.fixed(),
            discount_percent,
            is_default,
            is_active,
        };
        prices_of.entry(size_id).or_default().push(price);
    }

    let mut catalogue = Catalogue {
        version,
        addons,
        ..Catalogue::default()
    };
    for row in sizes::table
        .order((sizes::vcpu, sizes::ram_mb, sizes::id))
        .load::<SizeRow>(conn)?
    {
        let id = row.id;
        let size = size(
            row,
            volumes_of.remove(&id),
            prices_of.remove(&id),
            size_addons_of.remove(&id),
        );
        catalogue.sizes.push(shown(size)?);
    }
    for row in locations::table
        .order((locations::name, locations::id))
        .load::<LocationRow>(conn)?
    {
        let LocationRow {
            id,
            name,
            slug,
            country_code,
            is_active,
            created,
            modified,
        } = row;
        let location = DatacenterLocation {
            id,
            name,
            slug,
            country_code,
            is_active,
            created,
            modified,
        };
        catalogue.locations.push(shown(location)?);
    }
    for row in images::table
        .order((images::name, images::id))
        .load::<ImageRow>(conn)?
    {
        catalogue.images.push(shown(InstanceImage::from(row))?);
    }
    catalogue.deleted = crate::images::rows::deleted(conn)?;
    catalogue.index();
    Ok(catalogue)
}

fn shown<T: serde::Serialize>(value: T) -> Result<Shown<T>, StoreError> {
    Shown::new(value)
        .map_err(|error| StoreError::Statement(diesel::result::Error::SerializationError(error.into())))
}

fn addon(row: AddonRow) -> Addon {
    let AddonRow {
        id,
        slug,
        name,
        name_fr,
        description,
        description_fr,
        billing_type,
        is_active,
    } = row;
    Addon {
        id,
        slug,
        name,
        name_fr,
        description,
        description_fr,
        billing_type,
        is_active,
    }
}

fn size(
    row: SizeRow,
    volumes: Option<Vec<InstanceSizeVolume>>,
    prices: Option<Vec<InstanceSizePricing>>,
    addons: Option<Vec<InstanceSizeAddon>>,
) -> InstanceSize {
    let SizeRow {
        id,
        name,
        slug,
        cpu_model,
        vcpu,
        ram_mb,
        bandwidth_mbps,
        is_active,
        description,
        created,
        modified,
    } = row;
    InstanceSize {
        id,
        name,
        slug,
        cpu_model,
        vcpu,
        ram_mb,
        bandwidth_mbps,
        is_active,
        description,
        available_volumes: volumes.unwrap_or_default(),
        pricing_options: prices.unwrap_or_default(),
        available_addons: addons.unwrap_or_default(),
        created,
        modified,
    }
}

impl From<ImageRow> for InstanceImage {
    fn from(row: ImageRow) -> Self {
        let ImageRow {
            id,
            organization_id,
            name,
            slug,
            description,
            visibility,
            os_name,
            os_version,
            os_architecture,
            language,
            is_active,
            is_featured,
            is_windows,
            requires_license_addon,
            min_disk_gb,
            min_ram_mb,
            created,
            modified,
        } = row;
        Self {
            id,
            organization_id,
            name,
            slug,
            description,
            visibility,
            os_name,
            os_version,
            os_architecture,
            language,
            is_active,
            is_featured,
            is_windows,
            requires_license_addon,
            min_disk_gb,
            min_ram_mb,
            created,
            modified,
        }
    }
}
