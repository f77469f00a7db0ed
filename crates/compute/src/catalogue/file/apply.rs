//! Makes a file true: one transaction, one audit record, one new version of the catalogue.

use std::time::Duration;

use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, RunQueryDsl};
use kernel::{
    audit::{AuditStatus, Changes, Event, Origin},
    id::{AnyId, Id},
    store::{Failure, StoreError, Tx},
    time::Time,
};

use super::{
    model::{Addon, CatalogueFile, Image, Location, Price, Size, SizeAddon, Volume},
    plan::{Noun, Plan, plan},
};
use crate::{
    catalogue::{
        api::{Size as SizeKind, SizePart},
        rows::{
            AddonRow, ImageRow, LocationRow, SizeAddonPriceRow, SizeAddonRow, SizePriceRow, SizeRow,
            SizeVolumeRow, bump_version,
        },
    },
    schema::{addons, images, locations, size_addon_prices, size_addons, size_prices, size_volumes, sizes},
};

/// Why a file was not applied. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Somebody else changed the catalogue after the plan was shown.
    #[error("the catalogue has changed meanwhile: look at the changes again")]
    Moved,
    /// The database refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failure for ApplyError {
    fn is_contended(&self) -> bool {
        matches!(self, Self::Store(StoreError::Contended(_)))
    }

    fn is_unavailable(&self) -> bool {
        matches!(self, Self::Store(StoreError::Unavailable(_)))
    }
}

impl From<diesel::result::Error> for ApplyError {
    fn from(error: diesel::result::Error) -> Self {
        StoreError::from(error).into()
    }
}

/// Makes `file` true, if that is what `agreed` says. Nodes that run see it within a second.
///
/// # Errors
/// The catalogue is not what it was when the plan was made, or the database refused.
pub fn apply(
    tx: &mut Tx<'_>,
    file: &CatalogueFile,
    agreed: &Plan,
    origin: &Origin,
) -> Result<(), ApplyError> {
    // The counter is the catalogue's lock: of two who apply, the second sees what the first has done.
    bump_version(tx)?;
    let plan = plan(tx.conn(), file)?;
    if plan != *agreed {
        return Err(ApplyError::Moved);
    }
    write_all(tx, &plan)?;
    tx.audit(origin, None, None, &event(&plan))?;
    Ok(())
}

/// Makes `file` true in a database that nobody uses yet, such as a demo's: nobody agrees to it, and nothing is recorded.
///
/// # Errors
/// The database refused.
pub fn load(tx: &mut Tx<'_>, file: &CatalogueFile) -> Result<(), StoreError> {
    bump_version(tx)?;
    let plan = plan(tx.conn(), file)?;
    write_all(tx, &plan)
}

fn write_all(tx: &mut Tx<'_>, plan: &Plan) -> Result<(), StoreError> {
    for change in &plan.changes {
        write(tx, &plan.target, change.noun, &change.slug)?;
    }
    Ok(())
}

fn write(tx: &mut Tx<'_>, target: &CatalogueFile, noun: Noun, slug: &str) -> Result<(), StoreError> {
    match noun {
        Noun::Location => target.locations.get(slug).map(|item| location(tx, slug, item)),
        Noun::Addon => target.addons.get(slug).map(|item| addon(tx, slug, item)),
        Noun::Image => target.images.get(slug).map(|item| image(tx, slug, item)),
        Noun::Size => target.sizes.get(slug).map(|item| size(tx, slug, item)),
    }
    .unwrap_or(Ok(()))
}

/// Never before the last change, even if the machine's clock was set back.
fn after(last: Time, now: Time) -> Time {
    now.max(last + Duration::from_micros(1))
}

fn location(tx: &mut Tx<'_>, slug: &str, item: &Location) -> Result<(), StoreError> {
    let Location {
        name,
        country_code,
        active,
    } = item;
    let now = tx.now();
    let query = locations::table.filter(locations::slug.eq(slug));
    let known: Option<LocationRow> = query.first(tx.conn()).optional()?;
    let Some(known) = known else {
        let row = LocationRow {
            id: Id::new(),
            name: name.clone(),
            slug: slug.to_owned(),
            country_code: country_code.clone(),
            is_active: *active,
            created: now,
            modified: now,
        };
        diesel::insert_into(locations::table)
            .values(&row)
            .execute(tx.conn())?;
        return Ok(());
    };
    diesel::update(locations::table.find(known.id))
        .set((
            locations::name.eq(name),
            locations::country_code.eq(country_code),
            locations::is_active.eq(active),
            locations::modified.eq(after(known.modified, now)),
        ))
        .execute(tx.conn())?;
    Ok(())
}

fn addon(tx: &mut Tx<'_>, slug: &str, item: &Addon) -> Result<(), StoreError> {
    let query = addons::table.filter(addons::slug.eq(slug));
    let known: Option<AddonRow> = query.first(tx.conn()).optional()?;
    let Addon {
        name,
        name_fr,
        description,
        description_fr,
        billing_type,
        active,
    } = item;
    let Some(known) = known else {
        let row = AddonRow {
            id: Id::new(),
            slug: slug.to_owned(),
            name: name.clone(),
            name_fr: name_fr.clone(),
            description: description.clone(),
            description_fr: description_fr.clone(),
            billing_type: *billing_type,
            is_active: *active,
        };
        diesel::insert_into(addons::table)
            .values(&row)
            .execute(tx.conn())?;
        return Ok(());
    };
    diesel::update(addons::table.find(known.id))
        .set((
            addons::name.eq(name),
            addons::name_fr.eq(name_fr),
            addons::description.eq(description),
            addons::description_fr.eq(description_fr),
            addons::billing_type.eq(billing_type),
            addons::is_active.eq(active),
        ))
        .execute(tx.conn())?;
    Ok(())
}

fn image(tx: &mut Tx<'_>, slug: &str, item: &Image) -> Result<(), StoreError> {
    let query = images::table
        .filter(images::organization_id.is_null())
        .filter(images::slug.eq(slug))
        .order((images::created.desc(), images::id.desc()));
    let known: Option<ImageRow> = query.first(tx.conn()).optional()?;
    let Image {
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
    } = item;
    let now = tx.now();
    let Some(known) = known else {
        let row = ImageRow {
            id: Id::new(),
            organization_id: None,
            name: name.clone(),
            slug: slug.to_owned(),
            description: description.clone(),
            visibility: *visibility,
            os_name: os_name.clone(),
            os_version: os_version.clone(),
            os_architecture: os_architecture.clone(),
            language: language.clone(),
            is_active: *active,
            is_featured: *featured,
            is_windows: *windows,
            requires_license_addon: *requires_license_addon,
            min_disk_gb: *min_disk_gb,
            min_ram_mb: *min_ram_mb,
            created: now,
            modified: now,
        };
        diesel::insert_into(images::table)
            .values(&row)
            .execute(tx.conn())?;
        return Ok(());
    };
    diesel::update(images::table.find(known.id))
        .set((
            images::name.eq(name),
            images::description.eq(description),
            images::visibility.eq(visibility),
            images::os_name.eq(os_name),
            images::os_version.eq(os_version),
            images::os_architecture.eq(os_architecture),
            images::language.eq(language),
            images::is_featured.eq(featured),
            images::is_windows.eq(windows),
            images::requires_license_addon.eq(requires_license_addon),
            images::min_disk_gb.eq(min_disk_gb),
            images::min_ram_mb.eq(min_ram_mb),
            images::is_active.eq(active),
            images::modified.eq(after(known.modified, now)),
        ))
        .execute(tx.conn())?;
    Ok(())
}

fn size(tx: &mut Tx<'_>, slug: &str, item: &Size) -> Result<(), StoreError> {
    let Size {
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
    } = item;
    let now = tx.now();
    let query = sizes::table.filter(sizes::slug.eq(slug));
    let known: Option<SizeRow> = query.first(tx.conn()).optional()?;
    let id = if let Some(known) = known {
        // A part that changes counts as a change of the size: its answer is another one.
        diesel::update(sizes::table.find(known.id))
            .set((
                sizes::name.eq(name),
                sizes::description.eq(description),
                sizes::cpu_model.eq(cpu_model),
                sizes::vcpu.eq(vcpu),
                sizes::ram_mb.eq(ram_mb),
                sizes::bandwidth_mbps.eq(bandwidth_mbps),
                sizes::is_active.eq(active),
                sizes::modified.eq(after(known.modified, now)),
            ))
            .execute(tx.conn())?;
        known.id
    } else {
        let row = SizeRow {
            id: Id::new(),
            name: name.clone(),
            slug: slug.to_owned(),
            cpu_model: *cpu_model,
            vcpu: *vcpu,
            ram_mb: *ram_mb,
            bandwidth_mbps: *bandwidth_mbps,
            is_active: *active,
            description: description.clone(),
            created: now,
            modified: now,
        };
        diesel::insert_into(sizes::table)
            .values(&row)
            .execute(tx.conn())?;
        row.id
    };
    size_volumes_of(tx, id, volumes)?;
    size_prices_of(tx, id, prices)?;
    for (slug, addon) in addons {
        size_addon(tx, id, slug, addon)?;
    }
    Ok(())
}

fn size_volumes_of(tx: &mut Tx<'_>, size: Id<SizeKind>, wanted: &[Volume]) -> Result<(), StoreError> {
    for volume in wanted {
        let Volume {
            kind,
            disk_gb,
            default,
            active,
        } = *volume;
        let known: Option<Id<SizePart>> = size_volumes::table
            .filter(size_volumes::size_id.eq(size))
            .filter(size_volumes::volume_type.eq(kind))
            .filter(size_volumes::disk_gb.eq(disk_gb))
            .order(size_volumes::id)
            .select(size_volumes::id)
            .first(tx.conn())
            .optional()?;
        if let Some(id) = known {
            diesel::update(size_volumes::table.find(id))
                .set((
                    size_volumes::is_default.eq(default),
                    size_volumes::is_active.eq(active),
                ))
                .execute(tx.conn())?;
            continue;
        }
        let row = SizeVolumeRow {
            id: Id::new(),
            size_id: size,
            volume_type: kind,
            disk_gb,
            is_default: default,
            is_active: active,
        };
        diesel::insert_into(size_volumes::table)
            .values(&row)
            .execute(tx.conn())?;
    }
    Ok(())
}

fn size_prices_of(tx: &mut Tx<'_>, size: Id<SizeKind>, wanted: &[Price]) -> Result<(), StoreError> {
    for price in wanted {
        let Price {
            cycle,
            price,
            discount_percent,
            default,
            active,
        } = *price;
        let known = size_prices::table
            .filter(size_prices::size_id.eq(size))
            .filter(size_prices::billing_cycle.eq(cycle));
        let updated = diesel::update(known)
            .set((
                size_prices::price.eq(price),
                size_prices::discount_percent.eq(discount_percent),
                size_prices::is_default.eq(default),
                size_prices::is_active.eq(active),
            ))
            .execute(tx.conn())?;
        if updated == 0 {
            let row = SizePriceRow {
                id: Id::new(),
                size_id: size,
                billing_cycle: cycle,
                price,
                discount_percent,
                is_default: default,
                is_active: active,
            };
            diesel::insert_into(size_prices::table)
                .values(&row)
                .execute(tx.conn())?;
        }
    }
    Ok(())
}

fn size_addon(tx: &mut Tx<'_>, size: Id<SizeKind>, slug: &str, wanted: &SizeAddon) -> Result<(), StoreError> {
    let SizeAddon {
        included,
        default,
        active,
        prices,
    } = wanted;
    let addon = addons::table.filter(addons::slug.eq(slug)).select(addons::id);
    let addon = addon.first(tx.conn())?;
    let known: Option<Id<SizePart>> = size_addons::table
        .filter(size_addons::size_id.eq(size))
        .filter(size_addons::addon_id.eq(addon))
        .select(size_addons::id)
        .first(tx.conn())
        .optional()?;
    let id = known.unwrap_or_default();
    let row = SizeAddonRow {
        id,
        size_id: size,
        addon_id: addon,
        is_included: *included,
        is_default: *default,
        is_active: *active,
    };
    if known.is_none() {
        diesel::insert_into(size_addons::table)
            .values(&row)
            .execute(tx.conn())?;
    } else {
        diesel::update(size_addons::table.find(id))
            .set((
                size_addons::is_included.eq(included),
                size_addons::is_default.eq(default),
                size_addons::is_active.eq(active),
            ))
            .execute(tx.conn())?;
    }
    for price in prices {
        let known = size_addon_prices::table
            .filter(size_addon_prices::size_addon_id.eq(id))
            .filter(size_addon_prices::billing_cycle.eq(price.cycle));
        let updated = diesel::update(known)
            .set((
                size_addon_prices::price.eq(price.price),
                size_addon_prices::is_active.eq(price.active),
            ))
            .execute(tx.conn())?;
        if updated == 0 {
            let row = SizeAddonPriceRow {
                id: Id::new(),
                size_addon_id: id,
                billing_cycle: price.cycle,
                price: price.price,
                is_active: price.active,
            };
            diesel::insert_into(size_addon_prices::table)
                .values(&row)
                .execute(tx.conn())?;
        }
    }
    Ok(())
}

/// New items are named; what changes of others is told field by field.
fn event(plan: &Plan) -> Event {
    let mut changes = Changes::default();
    for change in &plan.changes {
        let item = format!("{} {}", change.noun, change.slug);
        if change.is_new {
            changes.note(&item, &None, &Some("new"));
            continue;
        }
        for difference in &change.differences {
            let field = format!("{item}: {}", difference.field);
            changes.note(&field, &difference.old, &Some(difference.new.clone()));
        }
    }
    Event {
        action: "catalogue.applied",
        resource_type: "catalogue",
        resource_id: AnyId::nil(),
        resource_name: "catalogue".to_owned(),
        description: format!("Catalogue changed: {}", plan.summary()),
        changes,
        status: AuditStatus::Success,
    }
}
