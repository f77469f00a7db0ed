//! The demo's catalogue: the example that operators begin with.

use compute::{
    catalogue::{
        api::{ImageId, LocationId, SizeId},
        file::{self, CatalogueFile},
    },
    schema::{images, locations, sizes},
};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
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
