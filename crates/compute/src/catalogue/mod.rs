//! What can be bought: sizes with their volumes, prices and add-ons; locations; images.
//!
//! It changes rarely and is read by every request: one copy is kept in memory ([`Catalogues`]) and looked at again
//! when its version, a counter in the database, has grown.

pub mod api;
mod list;
pub mod rows;

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
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

    /// A size, on offer or not.
    pub fn size(&self, id: Id<Size>) -> Option<&Shown<InstanceSize>> {
        self.size_by_id.get(&id).and_then(|at| self.sizes.get(*at))
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
        self.image(id).filter(|image| may_know(organization, image))
    }
}

fn may_know(organization: Id<Organization>, image: &InstanceImage) -> bool {
    image.visibility == Visibility::Public || image.organization_id == Some(organization)
}

/// How long the copy in memory is trusted without asking for the version.
const TRUSTED: Duration = Duration::from_secs(1);

/// The copy in memory. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Catalogues(Arc<RwLock<Option<Checked>>>);

/// When the version was last asked for, and what was current then.
type Checked = (Instant, Arc<Catalogue>);

impl Catalogues {
    /// The present catalogue, at most a second behind another node's change.
    pub(crate) async fn current(&self, app: &App) -> ApiResult<Arc<Catalogue>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((checked, catalogue)) = &known
            && checked.elapsed() < TRUSTED
        {
            return Ok(Arc::clone(catalogue));
        }
        let loaded = app
            .store()
            .read("load_catalogue", move |conn| match known {
                Some((_, catalogue)) if catalogue.version == rows::version(conn)? => Ok(catalogue),
                _ => rows::load(conn).map(Arc::new),
            })
            .await
            .map_err(kernel::http::ApiError::from)?;
        let entry = (Instant::now(), Arc::clone(&loaded));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(entry);
        Ok(loaded)
    }
}
