//! Instances and what belongs to them.
//!
//! A folder a noun: [`catalogue`] (what can be bought: sizes, locations, images, add-ons), [`vpcs`], [`instances`],
//! [`tasks`] (the work on them), and the drivers of the outside world: [`network`].

pub mod catalogue;
mod counter;
mod events;
pub mod instances;
pub mod network;
mod resources;
pub mod schema;
pub mod tasks;
pub mod vpcs;

use std::sync::Arc;

use axum::extract::FromRef;
use kernel::{App, access::Declared};
use utoipa_axum::router::OpenApiRouter;

pub use self::{counter::Counter, events::EVENTS, resources::Resources};
use crate::{catalogue::Catalogues, network::NetworkDriver};

/// What the area's handlers share.
#[derive(Clone, Debug)]
pub struct Compute {
    app: App,
    catalogues: Catalogues,
}

impl FromRef<Compute> for App {
    fn from_ref(compute: &Compute) -> Self {
        compute.app.clone()
    }
}

impl Compute {
    /// The area on these shared parts.
    pub fn new(app: App) -> Self {
        Self {
            app,
            catalogues: Catalogues::default(),
        }
    }

    /// All operations of the area.
    pub fn routes(&self) -> OpenApiRouter {
        OpenApiRouter::new()
            .merge(catalogue::routes())
            .merge(vpcs::routes())
            .merge(instances::routes())
            .merge(tasks::routes())
            .with_state(self.clone())
    }

    /// The permissions that the area declares.
    pub fn permissions() -> Vec<Declared> {
        [catalogue::PERMISSIONS, vpcs::PERMISSIONS, instances::PERMISSIONS].concat()
    }

    /// The kinds of tasks that the area's operations enqueue, on these drivers.
    pub fn kinds(&self, network: &Arc<dyn NetworkDriver>) -> Vec<Arc<dyn kernel::tasks::Kind>> {
        vec![Arc::new(instances::steps::AttachVpc::new(network))]
    }
}
