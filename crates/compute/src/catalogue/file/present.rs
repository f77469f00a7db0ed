//! What the tables have, as a file would say it: seven queries.

use std::collections::{BTreeMap, HashMap};

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use kernel::{
    id::Id,
    store::{Conn, StoreError},
};

use super::model::{Addon, CatalogueFile, Image, Location, Price, Size, SizeAddon, Volume};
use crate::{
    catalogue::{
        api::{AddonKind, Size as SizeKind, SizePart},
        rows::{
            AddonRow, ImageRow, LocationRow, SizeAddonPriceRow, SizeAddonRow, SizePriceRow, SizeRow,
            SizeVolumeRow,
        },
    },
    schema::{addons, images, locations, size_addon_prices, size_addons, size_prices, size_volumes, sizes},
};

/// Reads the whole offer, inactive items included.
///
/// # Errors
/// The database refused.
pub fn present(conn: &mut Conn) -> Result<CatalogueFile, StoreError> {
    let addon_rows: Vec<AddonRow> = addons::table.load(conn)?;
    let slug_of: HashMap<Id<AddonKind>, String> =
        addon_rows.iter().map(|row| (row.id, row.slug.clone())).collect();
    let mut parts = parts(conn, &slug_of)?;
    let size_rows: Vec<SizeRow> = sizes::table.load(conn)?;
    let location_rows: Vec<LocationRow> = locations::table.load(conn)?;
    // Of two with one slug the newer one counts; nothing makes a second one.
    let image_rows: Vec<ImageRow> = images::table
        .filter(images::organization_id.is_null())
        .order((images::created, images::id))
        .load(conn)?;
    Ok(CatalogueFile {
        locations: location_rows.into_iter().map(location).collect(),
        addons: addon_rows.into_iter().map(addon).collect(),
        images: image_rows.into_iter().map(image).collect(),
        sizes: size_rows
            .into_iter()
            .map(|row| {
                let parts = parts.remove(&row.id).unwrap_or_default();
                size(row, parts)
            })
            .collect(),
    })
}

#[derive(Default)]
struct Parts {
    volumes: Vec<Volume>,
    prices: Vec<Price>,
    addons: BTreeMap<String, SizeAddon>,
}

fn parts(
    conn: &mut Conn,
    slug_of: &HashMap<Id<AddonKind>, String>,
) -> Result<HashMap<Id<SizeKind>, Parts>, StoreError> {
    let mut parts: HashMap<Id<SizeKind>, Parts> = HashMap::new();
    for row in size_volumes::table
        .order(size_volumes::id)
        .load::<SizeVolumeRow>(conn)?
    {
        let volume = Volume {
            kind: row.volume_type,
            disk_gb: row.disk_gb,
            default: row.is_default,
            active: row.is_active,
        };
        parts.entry(row.size_id).or_default().volumes.push(volume);
    }
    for row in size_prices::table.load::<SizePriceRow>(conn)? {
        let price = Price {
            cycle: row.billing_cycle,
            price: row.price,
            discount_percent: row.discount_percent,
            default: row.is_default,
            active: row.is_active,
        };
        parts.entry(row.size_id).or_default().prices.push(price);
    }
    let mut prices_of: HashMap<Id<SizePart>, Vec<Price>> = HashMap::new();
    for row in size_addon_prices::table.load::<SizeAddonPriceRow>(conn)? {
        let price = Price::of_addon(row.billing_cycle, row.price, row.is_active);
        prices_of.entry(row.size_addon_id).or_default().push(price);
    }
    for row in size_addons::table.load::<SizeAddonRow>(conn)? {
        let Some(slug) = slug_of.get(&row.addon_id) else {
            continue;
        };
        let addon = SizeAddon {
            included: row.is_included,
            default: row.is_default,
            active: row.is_active,
            prices: prices_of.remove(&row.id).unwrap_or_default(),
        };
        parts
            .entry(row.size_id)
            .or_default()
            .addons
            .insert(slug.clone(), addon);
    }
    Ok(parts)
}

fn location(row: LocationRow) -> (String, Location) {
    let LocationRow {
        id: _,
        name,
        slug,
        country_code,
        is_active: active,
        created: _,
        modified: _,
    } = row;
    let location = Location {
        name,
        country_code,
        active,
    };
    (slug, location)
}

fn addon(row: AddonRow) -> (String, Addon) {
    let AddonRow {
        id: _,
        slug,
        name,
        name_fr,
        description,
        description_fr,
        billing_type,
        is_active: active,
    } = row;
    let addon = Addon {
        name,
        name_fr,
        description,
        description_fr,
        billing_type,
        active,
    };
    (slug, addon)
}

fn image(row: ImageRow) -> (String, Image) {
    let ImageRow {
        id: _,
        organization_id: _,
        name,
        slug,
        description,
        visibility,
        os_name,
        os_version,
        os_architecture,
        language,
        is_active: active,
        is_featured: featured,
        is_windows: windows,
        requires_license_addon,
        min_disk_gb,
        min_ram_mb,
        created: _,
        modified: _,
    } = row;
    let image = Image {
        name,
        description,
        visibility,
        os_name,
        os_version,
        os_architecture,
        language,
        featured,
        windows,
        requires_license_addon,
        min_disk_gb,
        min_ram_mb,
        active,
    };
    (slug, image)
}

fn size(row: SizeRow, parts: Parts) -> (String, Size) {
    let SizeRow {
        id: _,
        name,
        slug,
        cpu_model,
        vcpu,
        ram_mb,
        bandwidth_mbps,
        is_active: active,
        description,
        created: _,
        modified: _,
    } = row;
    let Parts {
        volumes,
        prices,
        addons,
    } = parts;
    let mut size = Size {
        name,
        description,
        cpu_model,
        vcpu,
        ram_mb,
        bandwidth_mbps,
        active,
        volumes,
        prices,
        addons,
    };
    size.sort();
    // Of twins the older one counts; nothing makes a second one.
    size.volumes
        .dedup_by_key(|volume| (volume.kind as u8, volume.disk_gb));
    (slug, size)
}
