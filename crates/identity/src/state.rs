//! What the area's handlers share, and what they need of the areas that own the resources.

use std::{collections::HashMap, sync::Arc};

use axum::extract::FromRef;
use kernel::{
    App,
    access::{Declared, Organization, Project},
    id::Id,
    store::{Conn, StoreError},
    time::Time,
};

use crate::{
    Identity, oauth::Providers, projects::ResourceCounts, resources::ProjectResources, roles::Permissions,
};

/// Where resources are counted.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// In all projects of an organization.
    Organization(Id<Organization>),
    /// In one project.
    Project(Id<Project>),
}

/// Counts what lies in projects: implemented by the areas that own the resources, handed over where all are
/// known.
pub trait ResourceCounter: Send + Sync {
    /// The counts of each project, in a fixed number of queries. A project left out has nothing.
    ///
    /// # Errors
    /// The database refused.
    fn count(
        &self,
        conn: &mut Conn,
        projects: &[Id<Project>],
    ) -> Result<HashMap<Id<Project>, ResourceCounts>, StoreError>;

    /// What lives in a place: it is held against quotas, and keeps projects and organizations from being deleted and
    /// modules from being switched off. What came by itself, such as a project's default network, does not count.
    ///
    /// # Errors
    /// The database refused.
    fn live(&self, conn: &mut Conn, place: Place) -> Result<ResourceCounts, StoreError>;
}

/// Counts nothing: for an installation without resources, and for tests.
impl ResourceCounter for () {
    fn count(
        &self,
        _conn: &mut Conn,
        _projects: &[Id<Project>],
    ) -> Result<HashMap<Id<Project>, ResourceCounts>, StoreError> {
        Ok(HashMap::new())
    }

    fn live(&self, _conn: &mut Conn, _place: Place) -> Result<ResourceCounts, StoreError> {
        Ok(ResourceCounts::default())
    }
}

/// What other areas hand over to this one, where all are known.
#[derive(Clone)]
pub struct Parts {
    /// Counts what lies in projects.
    pub counter: Arc<dyn ResourceCounter>,
    /// Lists and moves what lies in projects, area by area.
    pub resources: Vec<Arc<dyn ProjectResources>>,
    /// The permissions that other areas declare.
    pub permissions: Vec<Declared>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts")
            .field("permissions", &self.permissions.len())
            .finish_non_exhaustive()
    }
}

/// The state of the area's routes.
#[derive(Clone)]
pub(crate) struct Area {
    pub(crate) app: App,
    pub(crate) identity: Identity,
    pub(crate) counter: Arc<dyn ResourceCounter>,
    pub(crate) oauth: Providers,
    pub(crate) resources: Arc<[Arc<dyn ProjectResources>]>,
    pub(crate) permissions: Arc<Permissions>,
}

impl FromRef<Area> for App {
    fn from_ref(area: &Area) -> Self {
        area.app.clone()
    }
}

/// When a row is changed that was last changed at `before`: never at the same time or earlier, even if the machine's
/// clock was set back, because the time is the row's version.
pub(crate) fn after(before: Time, now: Time) -> Time {
    now.max(before + std::time::Duration::from_micros(1))
}
