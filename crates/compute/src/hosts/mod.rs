//! Hosts: who runs machines, what is free on them, and which of them a new machine goes to.

mod availability;
mod driver;
mod local;
mod placement;
pub mod rows;

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use hypervisor::Hypervisor;
use kernel::{id::Id, tasks::StepError};
use tokio::sync::watch;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::placement::take;
pub use self::{
    driver::open,
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

/// How long a step waits for a host that is being opened: a start of onetd must not cost tasks a try.
const OPENING_LIMIT: Duration = Duration::from_secs(15);

/// The drivers of the hosts that this node runs machines on. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Hosts(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    drivers: RwLock<BTreeMap<HostId, Arc<dyn Hypervisor>>>,
    /// Whether one is being opened.
    opening: watch::Sender<bool>,
}

impl Hosts {
    /// Makes a host's driver known; an earlier one of the same host is replaced.
    pub fn add(&self, id: HostId, driver: Arc<dyn Hypervisor>) {
        let mut drivers = self.0.drivers.write().unwrap_or_else(PoisonError::into_inner);
        drivers.insert(id, driver);
    }

    /// Says whether this node's host is being opened: steps wait for it.
    pub fn set_opening(&self, is_opening: bool) {
        self.0.opening.send_replace(is_opening);
    }

    /// A host's driver, if this node has it.
    pub fn get(&self, id: HostId) -> Option<Arc<dyn Hypervisor>> {
        let drivers = self.0.drivers.read().unwrap_or_else(PoisonError::into_inner);
        drivers.get(&id).cloned()
    }

    /// All hosts of this node.
    pub fn all(&self) -> Vec<(HostId, Arc<dyn Hypervisor>)> {
        let drivers = self.0.drivers.read().unwrap_or_else(PoisonError::into_inner);
        drivers
            .iter()
            .map(|(id, driver)| (*id, Arc::clone(driver)))
            .collect()
    }

    /// The driver for a step.
    ///
    /// # Errors
    /// Passing, when the host is another node's, or this node's can't be opened.
    pub(crate) async fn driver(&self, id: HostId) -> Result<Arc<dyn Hypervisor>, StepError> {
        if let Some(driver) = self.get(id) {
            return Ok(driver);
        }
        let mut opening = self.0.opening.subscribe();
        let _ = tokio::time::timeout(OPENING_LIMIT, opening.wait_for(|is_opening| !is_opening)).await;
        self.get(id).ok_or_else(|| {
            StepError::passing(
                "The instance's host can't be reached.",
                format!("host {id} is not one of this node's"),
            )
        })
    }
}
