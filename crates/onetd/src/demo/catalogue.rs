//! The demo's catalogue.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use compute::{
    addresses::pools::{self, NewPool, Purpose},
    catalogue::{
        api::{
            AddonKind, BillingType, CpuModel, ImageId, LocationId, PriceCycle, Size, SizeId, SizePart,
            Visibility, VolumeType,
        },
        rows::{
            AddonRow, ImageRow, LocationRow, SizeAddonPriceRow, SizeAddonRow, SizePriceRow, SizeRow,
            SizeVolumeRow, bump_version,
        },
    },
    schema::{addons, images, locations, size_addon_prices, size_addons, size_prices, size_volumes, sizes},
};
use diesel::RunQueryDsl;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use kernel::{
    audit::Origin,
    http::{ApiError, ApiResult},
    id::Id,
    money::Amount,
    store::{StoreError, Tx},
};

/// What instances are made of.
#[derive(Clone, Debug)]
pub(super) struct Catalogue {
    pub(super) locations: Vec<LocationId>,
    pub(super) sizes: Vec<SizeId>,
    pub(super) images: Vec<(ImageId, &'static str)>,
}

/// Name, slug, country.
const LOCATIONS: [(&str, &str, &str); 3] = [
    ("Paris DC1", "par1", "FR"),
    ("Frankfurt DC2", "fra2", "DE"),
    ("Zurich DC1", "zrh1", "CH"),
];

/// Name, slug, CPU, vCPUs, MB of memory, Mb/s, GB of disk, cents a month.
type SizeFacts = (&'static str, &'static str, CpuModel, i64, i64, i64, i64, i64);
const SIZES: [SizeFacts; 5] = [
    ("VPS-S", "vps-s", CpuModel::E52680V4, 1, 2048, 200, 20, 399),
    ("VPS-M", "vps-m", CpuModel::E52680V4, 2, 4096, 400, 40, 749),
    ("VPS-L", "vps-l", CpuModel::Epyc7443, 4, 8192, 800, 80, 1_399),
    (
        "VPS-XL",
        "vps-xl",
        CpuModel::Epyc7443,
        8,
        16_384,
        1_000,
        160,
        2_690,
    ),
    (
        "VPS-XXL",
        "vps-xxl",
        CpuModel::Epyc9554,
        16,
        32_768,
        2_000,
        320,
        5_190,
    ),
];

/// Name, slug, operating system, version.
const IMAGES: [(&str, &str, &str, &str); 5] = [
    ("Debian 12", "debian-12", "Debian", "12"),
    ("Debian 13", "debian-13", "Debian", "13"),
    ("Ubuntu 24.04 LTS", "ubuntu-24-04", "Ubuntu", "24.04"),
    ("AlmaLinux 9", "almalinux-9", "AlmaLinux", "9"),
    ("Windows Server 2022", "windows-2022", "Windows", "2022"),
];

/// Cycle, months, discount in percent.
const CYCLES: [(PriceCycle, i64, i64); 6] = [
    (PriceCycle::Monthly, 1, 0),
    (PriceCycle::Quarterly, 3, 3),
    (PriceCycle::SemiAnnually, 6, 5),
    (PriceCycle::Annually, 12, 10),
    (PriceCycle::Biennially, 24, 15),
    (PriceCycle::Triennially, 36, 20),
];

/// Slug, names, descriptions, cents a month.
type AddonFacts = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    i64,
);
const ADDONS: [AddonFacts; 3] = [
    (
        "backup",
        "Daily backups",
        "Sauvegardes quotidiennes",
        "Kept for seven days.",
        "Conservées sept jours.",
        150,
    ),
    (
        "snapshot",
        "Snapshots",
        "Instantanés",
        "Up to three at a time.",
        "Jusqu'à trois à la fois.",
        100,
    ),
    (
        "windows",
        "Windows licence",
        "Licence Windows",
        "For Windows images.",
        "Pour les images Windows.",
        1_200,
    ),
];

pub(super) fn load(tx: &mut Tx<'_>) -> Result<Catalogue, StoreError> {
    let catalogue = Catalogue {
        locations: load_locations(tx)?,
        sizes: load_sizes(tx)?,
        images: load_images(tx)?,
    };
    bump_version(tx)?;
    Ok(catalogue)
}

fn load_locations(tx: &mut Tx<'_>) -> Result<Vec<LocationId>, StoreError> {
    let mut ids = Vec::new();
    for (name, slug, country) in LOCATIONS {
        let row = LocationRow {
            id: Id::new(),
            name: name.to_owned(),
            slug: slug.to_owned(),
            country_code: country.to_owned(),
            is_active: true,
            created: tx.now(),
            modified: tx.now(),
        };
        diesel::insert_into(locations::table)
            .values(&row)
            .execute(tx.conn())?;
        ids.push(row.id);
    }
    Ok(ids)
}

/// A pool of each family a location, of prefixes that are nobody's (RFC 6598, RFC 3849).
pub(super) fn load_pools(tx: &mut Tx<'_>, quarantine_hours: u32) -> ApiResult<()> {
    const HOUR: Duration = Duration::from_secs(3600);
    for (number, (_, slug, _)) in (1_u8..).zip(LOCATIONS) {
        let (v4, v6) = (
            Ipv4Addr::new(100, 127, number, 0),
            Ipv6Addr::new(0x2001, 0xdb8, number.into(), 0, 0, 0, 0, 0),
        );
        let networks = [
            (
                Ipv4Net::new(v4, 24).map(IpNet::V4),
                IpAddr::from([100, 127, number, 1]),
            ),
            (
                Ipv6Net::new(v6, 64).map(IpNet::V6),
                IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, 1]),
            ),
        ];
        for (network, gateway) in networks {
            let wanted = NewPool {
                location: slug.to_owned(),
                network: network.map_err(ApiError::internal)?,
                gateway,
                vlan: None,
                first: None,
                last: None,
                purpose: Purpose::Any,
                quarantine: HOUR * quarantine_hours,
            };
            pools::add(tx, &Origin::system("onetd demo"), &wanted)?;
        }
    }
    Ok(())
}

fn load_images(tx: &mut Tx<'_>) -> Result<Vec<(ImageId, &'static str)>, StoreError> {
    let mut ids = Vec::new();
    for (name, slug, os_name, os_version) in IMAGES {
        let windows = os_name == "Windows";
        let row = ImageRow {
            id: Id::new(),
            organization_id: None,
            name: name.to_owned(),
            slug: slug.to_owned(),
            description: String::new(),
            visibility: Visibility::Public,
            os_name: os_name.to_owned(),
            os_version: os_version.to_owned(),
            os_architecture: "x86_64".to_owned(),
            language: "en".to_owned(),
            is_active: true,
            is_featured: !windows,
            is_windows: windows,
            requires_license_addon: windows,
            min_disk_gb: if windows { 40 } else { 10 },
            min_ram_mb: if windows { 4096 } else { 512 },
            created: tx.now(),
            modified: tx.now(),
        };
        diesel::insert_into(images::table)
            .values(&row)
            .execute(tx.conn())?;
        ids.push((row.id, os_name));
    }
    Ok(ids)
}

fn load_sizes(tx: &mut Tx<'_>) -> Result<Vec<SizeId>, StoreError> {
    let addons = load_addons(tx)?;
    let mut ids = Vec::new();
    for (name, slug, cpu_model, vcpu, ram_mb, bandwidth_mbps, disk_gb, cents) in SIZES {
        let row = SizeRow {
            id: Id::new(),
            name: name.to_owned(),
            slug: slug.to_owned(),
            cpu_model,
            vcpu,
            ram_mb,
            bandwidth_mbps,
            is_active: true,
            description: format!("{vcpu} vCPU, {} GB of memory", ram_mb / 1024),
            created: tx.now(),
            modified: tx.now(),
        };
        diesel::insert_into(sizes::table)
            .values(&row)
            .execute(tx.conn())?;
        load_volumes(tx, row.id, disk_gb)?;
        load_prices(tx, row.id, cents)?;
        for (addon, cents) in &addons {
            load_size_addon(tx, row.id, *addon, *cents)?;
        }
        ids.push(row.id);
    }
    Ok(ids)
}

fn load_volumes(tx: &mut Tx<'_>, size_id: Id<Size>, disk_gb: i64) -> Result<(), StoreError> {
    let choices = [
        (VolumeType::Ssd, disk_gb, true),
        (VolumeType::Nvme, disk_gb, false),
        (VolumeType::Nvme, disk_gb * 2, false),
    ];
    for (volume_type, disk_gb, is_default) in choices {
        let row = SizeVolumeRow {
            id: Id::new(),
            size_id,
            volume_type,
            disk_gb,
            is_default,
            is_active: true,
        };
        diesel::insert_into(size_volumes::table)
            .values(&row)
            .execute(tx.conn())?;
    }
    Ok(())
}

fn load_prices(tx: &mut Tx<'_>, size_id: Id<Size>, cents: i64) -> Result<(), StoreError> {
    let mut row = SizePriceRow {
        id: Id::new(),
        size_id,
        billing_cycle: PriceCycle::Hourly,
        // A month has 730 hours; an hour costs a little more than its share.
        price: Amount::from_ten_thousandths(cents * 100 / 650),
        discount_percent: Amount::default(),
        is_default: false,
        is_active: true,
    };
    diesel::insert_into(size_prices::table)
        .values(&row)
        .execute(tx.conn())?;
    for (billing_cycle, months, discount) in CYCLES {
        row.id = Id::new();
        row.billing_cycle = billing_cycle;
        row.price = Amount::from_cents(cents * months * (100 - discount) / 100);
        row.discount_percent = Amount::from_cents(discount * 100);
        row.is_default = months == 1;
        // Not every cycle is on offer, so that refusing one can be seen.
        row.is_active = months != 36;
        diesel::insert_into(size_prices::table)
            .values(&row)
            .execute(tx.conn())?;
    }
    Ok(())
}

fn load_addons(tx: &mut Tx<'_>) -> Result<Vec<(Id<AddonKind>, i64)>, StoreError> {
    let mut ids = Vec::new();
    for (slug, name, name_fr, description, description_fr, cents) in ADDONS {
        let row = AddonRow {
            id: Id::new(),
            slug: slug.to_owned(),
            name: name.to_owned(),
            name_fr: name_fr.to_owned(),
            description: description.to_owned(),
            description_fr: description_fr.to_owned(),
            billing_type: BillingType::Recurring,
            is_active: true,
        };
        diesel::insert_into(addons::table)
            .values(&row)
            .execute(tx.conn())?;
        ids.push((row.id, cents));
    }
    Ok(ids)
}

fn load_size_addon(
    tx: &mut Tx<'_>,
    size_id: Id<Size>,
    addon_id: Id<AddonKind>,
    cents: i64,
) -> Result<(), StoreError> {
    let row: SizeAddonRow = SizeAddonRow {
        id: Id::new(),
        size_id,
        addon_id,
        is_included: false,
        is_default: false,
        is_active: true,
    };
    diesel::insert_into(size_addons::table)
        .values(&row)
        .execute(tx.conn())?;
    for (billing_cycle, months) in [(PriceCycle::Monthly, 1), (PriceCycle::Annually, 12)] {
        let price = SizeAddonPriceRow {
            id: Id::<SizePart>::new(),
            size_addon_id: row.id,
            billing_cycle,
            price: Amount::from_cents(cents * months),
            is_active: true,
        };
        diesel::insert_into(size_addon_prices::table)
            .values(&price)
            .execute(tx.conn())?;
    }
    Ok(())
}
