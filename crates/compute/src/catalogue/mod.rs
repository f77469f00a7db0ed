//! What can be bought: sizes with their volumes, prices and add-ons; locations; images.
//!
//! It changes rarely and is read by every request: one copy is kept in memory ([`Catalogues`]) and looked at again
//! when its version, a counter in the database, has grown.

pub mod api;
pub mod file;
mod list;
pub(crate) mod prices;
pub mod rows;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use kernel::{App, access::Organization, http::ApiResult, id::Id, permissions};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::api::{
    Addon, DatacenterLocation, Image, InstanceImage, InstanceSize, Location, Shown, Size, Visibility,
};
use crate::Compute;

permissions! {
    /// Reads sizes, locations, images and add-ons.
    CatalogueRead = "compute.catalogue.read", Viewer, "compute:read";
}

pub(crate) fn routes() -> OpenApiRouter<Compute> {
    OpenApiRouter::new()
        .routes(routes!(list::list_instance_sizes))
        .routes(routes!(list::get_instance_size))
        .routes(routes!(list::list_datacenter_locations))
        .routes(routes!(list::get_datacenter_location))
        .routes(routes!(list::list_instance_images))
        .routes(routes!(list::get_instance_image))
        .routes(routes!(list::list_compute_addons))
}

/// The whole catalogue at one version.
#[derive(Debug, Default)]
pub struct Catalogue {
    version: i64,
    sizes: Vec<Shown<InstanceSize>>,
    locations: Vec<Shown<DatacenterLocation>>,
    images: Vec<Shown<InstanceImage>>,
    addons: Vec<Arc<Addon>>,
    size_by_id: HashMap<Id<Size>, usize>,
    location_by_id: HashMap<Id<Location>, usize>,
    image_by_id: HashMap<Id<Image>, usize>,
    /// Images that only instances made from them show.
    deleted: HashSet<Id<Image>>,
}

impl Catalogue {
    fn index(&mut self) {
        self.size_by_id = self
            .sizes
            .iter()
            .enumerate()
            .map(|(at, size)| (size.id, at))
            .collect();
        self.location_by_id = self
            .locations
            .iter()
            .enumerate()
            .map(|(at, location)| (location.id, at))
            .collect();
        self.image_by_id = self
            .images
            .iter()
            .enumerate()
            .map(|(at, image)| (image.id, at))
            .collect();
    }

    /// All locations, in use or not.
    pub(crate) fn locations(&self) -> impl Iterator<Item = &DatacenterLocation> {
        self.locations.iter().map(|location| &**location)
    }

    /// A size, on offer or not.
    pub fn size(&self, id: Id<Size>) -> Option<&Shown<InstanceSize>> {
        self.size_by_id.get(&id).and_then(|at| self.sizes.get(*at))
    }

    /// Whether any size offers the add-on of this slug.
    pub fn sells_addon(&self, slug: &str) -> bool {
        let mut offers = self.sizes.iter().flat_map(|size| &size.available_addons);
        offers.any(|offer| offer.addon.slug == slug && offer.is_active && offer.addon.is_active)
    }

    /// All sizes, on offer or not.
    pub fn sizes(&self) -> &[Shown<InstanceSize>] {
        &self.sizes
    }

    /// A location, in use or not.
    pub fn location(&self, id: Id<Location>) -> Option<&Shown<DatacenterLocation>> {
        self.location_by_id
            .get(&id)
            .and_then(|at| self.locations.get(*at))
    }

    /// An image of any organization: for the answers about an instance that was made from it.
    pub fn image(&self, id: Id<Image>) -> Option<&Shown<InstanceImage>> {
        self.image_by_id.get(&id).and_then(|at| self.images.get(*at))
    }

    /// The public image of this slug, if it is on offer.
    pub fn public_image(&self, slug: &str) -> Option<&Shown<InstanceImage>> {
        let is_it = |image: &&Shown<InstanceImage>| {
            image.slug == slug && image.is_active && image.visibility == Visibility::Public
        };
        self.images.iter().find(is_it)
    }

    /// An image that `organization` may know of: a public one, or its own.
    pub fn image_for(&self, organization: Id<Organization>, id: Id<Image>) -> Option<&Shown<InstanceImage>> {
        self.image(id).filter(|image| self.may_know(organization, image))
    }

    fn may_know(&self, organization: Id<Organization>, image: &InstanceImage) -> bool {
        let is_theirs = image.visibility == Visibility::Public || image.organization_id == Some(organization);
        is_theirs && !self.deleted.contains(&image.id)
    }
}

/// How long the copy in memory is trusted without asking for the version.
const TRUSTED: Duration = Duration::from_secs(1);

/// The copy in memory. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Catalogues(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    copy: RwLock<Option<Checked>>,
    /// Grows with every change that this node makes itself.
    changes: AtomicU64,
}

/// A copy, when the version was last asked for, and which of this node's changes it has surely seen.
#[derive(Clone, Debug)]
struct Checked {
    at: Instant,
    changes: u64,
    catalogue: Arc<Catalogue>,
}

impl Catalogues {
    /// The present catalogue, at most a second behind another node's change.
    pub(crate) async fn current(&self, app: &App) -> ApiResult<Arc<Catalogue>> {
        let changes = self.0.changes.load(Ordering::SeqCst);
        let known = self.0.copy.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = &known
            && known.at.elapsed() < TRUSTED
            && known.changes == changes
        {
            return Ok(Arc::clone(&known.catalogue));
        }
        let loaded = app
            .store()
            .read("load_catalogue", move |conn| match known {
                Some(Checked { catalogue, .. }) if catalogue.version == rows::version(conn)? => Ok(catalogue),
                _ => rows::load(conn).map(Arc::new),
            })
            .await
            .map_err(kernel::http::ApiError::from)?;
        let checked = Checked {
            at: Instant::now(),
            changes,
            catalogue: Arc::clone(&loaded),
        };
        *self.0.copy.write().unwrap_or_else(PoisonError::into_inner) = Some(checked);
        Ok(loaded)
    }

    /// After a change of this node's own: who reads from now on sees it.
    pub(crate) fn look_again(&self) {
        self.0.changes.fetch_add(1, Ordering::SeqCst);
    }
}
