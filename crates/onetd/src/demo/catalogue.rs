//! The demo's catalogue: the example that operators begin with.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use compute::{
    addresses::pools::{self, NewPool, Purpose},
    catalogue::{
        api::{ImageId, LocationId, SizeId},
        file::{self, CatalogueFile},
    },
    schema::{images, locations, sizes},
};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use kernel::{
    http::{ApiError, ApiResult},
    store::Tx,
};

const FILE: &str = include_str!("../../../../deploy/catalogue.example.toml");

/// What instances are made of.
#[derive(Clone, Debug)]
pub(super) struct Catalogue {
    pub(super) locations: Vec<LocationId>,
    pub(super) sizes: Vec<SizeId>,
    pub(super) images: Vec<(ImageId, &'static str)>,
}

const LOCATIONS: [&str; 3] = ["par1", "fra2", "zrh1"];
const SIZES: [&str; 5] = ["vps-s", "vps-m", "vps-l", "vps-xl", "vps-xxl"];
/// Slug and operating system.
const IMAGES: [(&str, &str); 4] = [
    ("debian-12", "Debian"),
    ("debian-13", "Debian"),
    ("ubuntu-24-04", "Ubuntu"),
    ("almalinux-9", "AlmaLinux"),
];

/// Makes the example true, and finds what the demo's instances are made of.
pub(super) fn load(tx: &mut Tx<'_>) -> ApiResult<Catalogue> {
    let file = CatalogueFile::parse(FILE).map_err(|faults| {
        let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
        ApiError::internal(told.join("; "))
    })?;
    file::load(tx, &file)?;
    let mut catalogue = Catalogue {
        locations: Vec::new(),
        sizes: Vec::new(),
        images: Vec::new(),
    };
    for slug in LOCATIONS {
        let query = locations::table.filter(locations::slug.eq(slug));
        catalogue
            .locations
            .push(query.select(locations::id).first(tx.conn())?);
    }
    for slug in SIZES {
        let query = sizes::table.filter(sizes::slug.eq(slug));
        catalogue.sizes.push(query.select(sizes::id).first(tx.conn())?);
    }
    for (slug, os_name) in IMAGES {
        let query = images::table.filter(images::slug.eq(slug));
        let id = query.select(images::id).first(tx.conn())?;
        catalogue.images.push((id, os_name));
    }
    Ok(catalogue)
}

/// A pool of each family a location, of prefixes that are nobody's (RFC 6598, RFC 3849).
pub(super) fn load_pools(tx: &mut Tx<'_>, quarantine_hours: u32) -> ApiResult<()> {
    const HOUR: Duration = Duration::from_secs(3600);
    for (number, slug) in (1_u8..).zip(LOCATIONS) {
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
