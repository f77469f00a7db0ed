//! Instances and what belongs to them.
//!
//! A folder a noun: [`catalogue`] (what can be bought: sizes, locations, images, add-ons), [`vpcs`], [`instances`],
//! [`addresses`], [`ssh_keys`], [`tasks`] (the work on them), and the drivers of the outside world: [`network`] and
//! [`ssh_keys::GuestAccess`].

pub mod addresses;
pub mod catalogue;
mod counter;
pub mod instances;
pub mod network;
mod resources;
pub mod schema;
pub mod ssh_keys;
pub mod tasks;
pub mod vpcs;

use std::sync::Arc;

use axum::extract::FromRef;
use kernel::{App, access::Declared, reverse_dns::ReverseDns};
use utoipa_axum::router::OpenApiRouter;

pub use self::{counter::Counter, resources::Resources};
use crate::{catalogue::Catalogues, network::NetworkDriver, ssh_keys::GuestAccess};

/// How the area's tasks reach the outside world.
#[derive(Clone)]
pub struct Drivers {
    /// Networks of instances.
    pub network: Arc<dyn NetworkDriver>,
    /// What is inside of guests.
    pub guests: Arc<dyn GuestAccess>,
    /// Names of addresses.
    pub reverse_dns: Arc<dyn ReverseDns>,
}

impl std::fmt::Debug for Drivers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Drivers")
    }
}

impl Drivers {
    /// Drivers that only write down what they are told.
    pub fn recording() -> Self {
        Self {
            network: Arc::new(network::RecordingNetwork),
            guests: Arc::new(ssh_keys::RecordingGuests),
            reverse_dns: Arc::new(kernel::reverse_dns::RecordingReverseDns),
        }
    }
}

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
            .merge(addresses::routes())
            .merge(ssh_keys::routes())
            .merge(tasks::routes())
            .with_state(self.clone())
    }

    /// The permissions that the area declares.
    pub fn permissions() -> Vec<Declared> {
        [
            catalogue::PERMISSIONS,
            vpcs::PERMISSIONS,
            instances::PERMISSIONS,
            addresses::PERMISSIONS,
            ssh_keys::PERMISSIONS,
        ]
        .concat()
    }

    /// The kinds of tasks that the area's operations enqueue, on these drivers.
    pub fn kinds(&self, drivers: &Drivers) -> Vec<Arc<dyn kernel::tasks::Kind>> {
        let Drivers {
            network,
            guests,
            reverse_dns,
        } = drivers;
        vec![
            Arc::new(instances::steps::AttachVpc::new(network)),
            Arc::new(addresses::steps::AddIp::new(network)),
            Arc::new(addresses::steps::ReleaseIp::new(network)),
            Arc::new(addresses::steps::SetReverseDns::new(reverse_dns)),
            Arc::new(ssh_keys::steps::AddSshKeys::new(guests)),
            Arc::new(ssh_keys::steps::RemoveSshKey::new(guests)),
        ]
    }
}
