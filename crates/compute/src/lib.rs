//! Instances and what belongs to them.
//!
//! A folder a noun: [`catalogue`] (what can be bought: sizes, locations, images, add-ons), [`vpcs`], [`instances`],
//! [`tasks`] (the work on them), and the drivers of the outside world: [`network`].

pub mod addons;
pub mod addresses;
pub mod catalogue;
pub mod console;
mod counter;
pub mod hosts;
pub mod images;
pub mod instances;
pub mod machines;
pub mod network;
mod orders;
mod product;
mod resources;
pub mod schema;
pub mod ssh_keys;
pub mod tasks;
pub mod vpcs;

use std::sync::Arc;

use axum::{Router, extract::FromRef};
use billing::Billing;
use kernel::{App, access::Declared};
use utoipa_axum::router::OpenApiRouter;

pub use self::{counter::Counter, resources::Resources};
use crate::{
    catalogue::Catalogues,
    console::Consoles,
    hosts::Hosts,
    network::{MachineInterfaces, NetworkDriver},
};

/// What the area's handlers share.
#[derive(Clone, Debug)]
pub struct Compute {
    app: App,
    catalogues: Catalogues,
    billing: Billing,
    hosts: Hosts,
    consoles: Consoles,
}

impl FromRef<Compute> for App {
    fn from_ref(compute: &Compute) -> Self {
        compute.app.clone()
    }
}

impl Compute {
    /// The area on these shared parts.
    pub fn new(app: App, billing: Billing) -> Self {
        billing.register(Arc::new(product::Instances));
        billing.register(Arc::new(addons::Addons::new(&billing)));
        let consoles = Consoles::new(app.config().compute.consoles);
        Self {
            app,
            catalogues: Catalogues::default(),
            billing,
            hosts: Hosts::default(),
            consoles,
        }
    }

    /// The hosts that this node runs machines on.
    pub fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// The consoles that this node serves.
    pub fn consoles(&self) -> &Consoles {
        &self.consoles
    }

    /// Pages for people: consoles.
    pub fn pages(&self) -> Router {
        console::pages().with_state(self.clone())
    }

    /// All operations of the area.
    pub fn routes(&self) -> OpenApiRouter {
        OpenApiRouter::new()
            .merge(catalogue::routes())
            .merge(vpcs::routes())
            .merge(instances::routes())
            .merge(console::routes())
            .merge(tasks::routes())
            .with_state(self.clone())
    }

    /// The permissions that the area declares.
    pub fn permissions() -> Vec<Declared> {
        [catalogue::PERMISSIONS, vpcs::PERMISSIONS, instances::PERMISSIONS].concat()
    }

    /// The kinds of tasks that the area's operations enqueue, on these drivers.
    pub fn kinds(&self) -> Vec<Arc<dyn kernel::tasks::Kind>> {
        let network: Arc<dyn NetworkDriver> = Arc::new(MachineInterfaces::new(&self.hosts));
        let mut kinds = machines::kinds::all(&self.hosts, &self.billing);
        kinds.push(Arc::new(instances::steps::AttachVpc::new(&network)));
        kinds
    }
}
