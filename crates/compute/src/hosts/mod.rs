//! Hosts: who runs machines, what is free on them, and which of them a new machine goes to.

mod availability;
mod local;
mod placement;
pub mod rows;

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use hypervisor::Hypervisor;
use kernel::{id::Id, tasks::StepError};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::placement::take;
pub use self::{
    local::enlist,
    placement::{Share, places_left, release, reserve},
    rows::{Host, HostRow, Listed, listed},
};
use crate::Compute;

pub(crate) fn routes() -> OpenApiRouter<Compute> {
    OpenApiRouter::new().routes(routes!(availability::list_compute_availability))
}

/// The id of a host.
pub type HostId = Id<Host>;

/// The drivers of the hosts that this node runs machines on. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Hosts(Arc<RwLock<BTreeMap<HostId, Arc<dyn Hypervisor>>>>);

impl Hosts {
    /// Makes a host's driver known; an earlier one of the same host is replaced.
    pub fn add(&self, id: HostId, driver: Arc<dyn Hypervisor>) {
        let mut drivers = self.0.write().unwrap_or_else(PoisonError::into_inner);
        drivers.insert(id, driver);
    }

    /// A host's driver, if this node has it.
    pub fn get(&self, id: HostId) -> Option<Arc<dyn Hypervisor>> {
        let drivers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        drivers.get(&id).cloned()
    }

    /// All hosts of this node.
    pub fn all(&self) -> Vec<(HostId, Arc<dyn Hypervisor>)> {
        let drivers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        drivers
            .iter()
            .map(|(id, driver)| (*id, Arc::clone(driver)))
            .collect()
    }

    /// The driver for a step.
    ///
    /// # Errors
    /// Passing, when the host is another node's, or not there yet after a start.
    pub(crate) fn driver(&self, id: HostId) -> Result<Arc<dyn Hypervisor>, StepError> {
        self.get(id).ok_or_else(|| {
            StepError::passing(
                "The instance's host can't be reached.",
                format!("host {id} is not one of this node's"),
            )
        })
    }
}
