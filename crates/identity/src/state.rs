//! What the area's handlers share.

use std::{collections::HashMap, sync::Arc};

use axum::extract::FromRef;
use kernel::{
    App,
    access::Project,
    id::Id,
    store::{Conn, StoreError},
};

use crate::{Identity, oauth::Providers, projects::ResourceCounts};

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
}

/// The state of the area's routes.
#[derive(Clone)]
pub(crate) struct Area {
    pub(crate) app: App,
    pub(crate) identity: Identity,
    pub(crate) counter: Arc<dyn ResourceCounter>,
    pub(crate) oauth: Providers,
}

impl FromRef<Area> for App {
    fn from_ref(area: &Area) -> Self {
        area.app.clone()
    }
}
