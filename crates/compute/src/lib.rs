//! Instances and what belongs to them.
//!
//! A folder a noun: [`catalogue`] (what can be bought: sizes, locations, images, add-ons), [`images`] (the files behind
//! them), [`vpcs`], [`instances`], [`addresses`], [`networks`], [`ssh_keys`],
//! [`snapshots`], [`backups`], [`tasks`] (the work on them); [`hosts`] and [`machines`]
//! (what instances are in the outside world).

pub mod addons;
pub mod addresses;
pub mod backups;
pub mod catalogue;
pub mod console;
mod copies;
mod counter;
mod events;
pub mod hosts;
pub mod images;
pub mod instances;
pub mod machines;
pub mod metrics;
pub mod network;
pub mod networks;
mod orders;
mod product;
pub mod reconciler;
mod resources;
pub mod schema;
pub mod snapshots;
pub mod ssh_keys;
pub mod tasks;
pub mod vpcs;

use std::sync::Arc;

use axum::{Router, extract::FromRef};
use billing::Billing;
use kernel::{App, access::Declared, reverse_dns::ReverseDns};
use utoipa_axum::router::OpenApiRouter;

pub use self::{counter::Counter, events::EVENTS, resources::Resources};
use crate::{
    catalogue::Catalogues,
    console::Consoles,
    hosts::Hosts,
    images::{ImageStore, Turns},
    machines::MachineGuests,
    network::{MachineInterfaces, NetworkDriver},
    reconciler::Reconciler,
    ssh_keys::GuestAccess,
};

/// What the area's handlers share.
#[derive(Clone, Debug)]
pub struct Compute {
    app: App,
    catalogues: Catalogues,
    billing: Billing,
    hosts: Hosts,
    reconciler: Reconciler,
    consoles: Consoles,
    turns: Arc<Turns>,
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
        billing.register(Arc::new(addons::Addons));
        billing.register(Arc::new(instances::resize::Resizes));
        billing.register(Arc::new(addresses::Addresses));
        let consoles = Consoles::new(app.config().compute.consoles);
        Self {
            app,
            catalogues: Catalogues::default(),
            billing,
            hosts: Hosts::default(),
            reconciler: Reconciler::default(),
            consoles,
            turns: Arc::default(),
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
            .merge(images::routes())
            .merge(vpcs::routes())
            .merge(instances::routes())
            .merge(addons::routes())
            .merge(addresses::routes())
            .merge(networks::routes())
            .merge(ssh_keys::routes())
            .merge(hosts::routes())
            .merge(reconciler::routes())
            .merge(metrics::routes())
            .merge(console::routes())
            .merge(snapshots::routes())
            .merge(backups::routes())
            .merge(tasks::routes())
            .with_state(self.clone())
    }

    /// The permissions that the area declares.
    pub fn permissions() -> Vec<Declared> {
        [
            catalogue::PERMISSIONS,
            images::PERMISSIONS,
            vpcs::PERMISSIONS,
            instances::PERMISSIONS,
            addresses::PERMISSIONS,
            networks::PERMISSIONS,
            ssh_keys::PERMISSIONS,
            snapshots::PERMISSIONS,
            backups::PERMISSIONS,
        ]
        .concat()
    }

    /// The kind of a task of an instance, if this program knows it.
    pub(crate) fn kind_of(&self, task: &kernel::tasks::TaskRow) -> Option<Arc<dyn kernel::tasks::Kind>> {
        self.kinds_of_instances()
            .into_iter()
            .find(|kind| kind.name() == task.kind)
    }

    /// The kinds of tasks that the area's operations enqueue, on these drivers.
    pub fn kinds(
        &self,
        images: &Arc<dyn ImageStore>,
        reverse_dns: &Arc<dyn ReverseDns>,
    ) -> Vec<Arc<dyn kernel::tasks::Kind>> {
        let mut kinds = self.kinds_of_instances();
        kinds.extend(images::kinds(images, &self.turns));
        kinds.push(Arc::new(addresses::steps::SetReverseDns::new(reverse_dns)));
        kinds
    }

    /// Those of the tasks that clients see.
    fn kinds_of_instances(&self) -> Vec<Arc<dyn kernel::tasks::Kind>> {
        let network: Arc<dyn NetworkDriver> = Arc::new(MachineInterfaces::new(&self.hosts));
        let guests: Arc<dyn GuestAccess> = Arc::new(MachineGuests::new(&self.hosts));
        let mut kinds = machines::kinds::all(&self.hosts, &self.billing);
        let others: [Arc<dyn kernel::tasks::Kind>; 6] = [
            Arc::new(instances::steps::AttachVpc::new(&network)),
            Arc::new(instances::steps::AttachVpc::detaching(&network)),
            Arc::new(addresses::steps::AddIp::new(&network, &self.billing)),
            Arc::new(addresses::steps::ReleaseIp::new(&network)),
            Arc::new(ssh_keys::steps::AddSshKeys::new(&guests)),
            Arc::new(ssh_keys::steps::RemoveSshKey::new(&guests)),
        ];
        kinds.extend(others);
        kinds.extend(copies::tasks::kinds::<snapshots::rows::SnapshotRow>(
            &self.hosts,
            &self.turns,
        ));
        kinds.extend(copies::tasks::kinds::<backups::rows::BackupRow>(
            &self.hosts,
            &self.turns,
        ));
        kinds
    }
}
