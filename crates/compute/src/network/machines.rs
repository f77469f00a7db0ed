//! The interfaces of machines in VPCs: plugged in and out on the machine's host, and recorded as done.

use std::sync::Arc;

use hypervisor::{Connection, Hypervisor, InterfaceId};
use kernel::{App, id::Id, store::Conn, tasks::StepError};

use super::{Changed, NetworkDriver, RecordingNetwork};
use crate::{
    hosts::Hosts,
    instances::{api::InstanceKind, rows::AddressRow},
    machines::{
        facts::{self, Facts},
        plan,
        steps::{failed, renew_seed},
    },
    vpcs::api::VpcKind,
};

/// Plugs interfaces on hosts. For an instance without a machine there is nothing but the record.
#[derive(Clone, Debug)]
pub struct MachineInterfaces {
    hosts: Hosts,
    records: RecordingNetwork,
}

impl MachineInterfaces {
    /// On these hosts.
    pub fn new(hosts: &Hosts) -> Self {
        Self {
            hosts: hosts.clone(),
            records: RecordingNetwork,
        }
    }
}

/// What is written of an instance's machine, and its host's driver; nothing when there is no machine on the host, because
/// it could not be made, say: then there is nothing to be plugged, and a change must not wait for it.
async fn find(
    app: &App,
    hosts: &Hosts,
    instance: Id<InstanceKind>,
) -> Result<Option<(Facts, Arc<dyn Hypervisor>)>, StepError> {
    let found = app.store().read("machine_facts", move |conn: &mut Conn| {
        facts::find(conn, instance)
    });
    let Some(facts) = found.await? else {
        return Ok(None);
    };
    let driver = hosts.driver(facts.machine.host_id).await?;
    let seen = driver.find(plan::vm_of(instance)).await.map_err(failed)?;
    Ok(seen.filter(|seen| seen.defined).map(|_| (facts, driver)))
}

impl NetworkDriver for MachineInterfaces {
    fn attach<'a>(&'a self, app: &'a App, instance: Id<InstanceKind>, vpc: Id<VpcKind>) -> Changed<'a> {
        Box::pin(async move {
            if let Some((mut facts, driver)) = find(app, &self.hosts, instance).await? {
                let interface = plan::private_interface(&facts, vpc, &app.config().compute)?;
                if let Connection::Bridge { bridge } = &interface.connection {
                    driver.ensure_bridge(bridge).await.map_err(failed)?;
                }
                driver
                    .attach_interface(plan::vm_of(instance), &interface)
                    .await
                    .map_err(failed)?;
                if !interface.addresses.is_empty() {
                    // The guest learns its address there with its next boot.
                    facts.attached_to = Some(vpc);
                    renew_seed(app, &self.hosts, &facts).await?;
                }
            }
            self.records.attach(app, instance, vpc).await
        })
    }

    fn detach<'a>(&'a self, app: &'a App, instance: Id<InstanceKind>, vpc: Id<VpcKind>) -> Changed<'a> {
        Box::pin(async move {
            if let Some((facts, driver)) = find(app, &self.hosts, instance).await? {
                let interface = InterfaceId(facts.machine.private_interface_id.uuid());
                driver
                    .detach_interface(plan::vm_of(instance), interface)
                    .await
                    .map_err(failed)?;
            }
            self.records.detach(app, instance, vpc).await
        })
    }

    /// The rules on a bridge and the guest's own set-up are made at the machine's next start: what is asked for now is
    /// written into its seed.
    fn set_addresses<'a>(
        &'a self,
        app: &'a App,
        instance: Id<InstanceKind>,
        addresses: Vec<AddressRow>,
    ) -> Changed<'a> {
        Box::pin(async move {
            if let Some((mut facts, _)) = find(app, &self.hosts, instance).await? {
                facts.addresses.clone_from(&addresses);
                renew_seed(app, &self.hosts, &facts).await?;
            }
            self.records.set_addresses(app, instance, addresses).await
        })
    }
}
