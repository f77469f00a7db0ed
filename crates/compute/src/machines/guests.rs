//! What is inside of guests: their administrators' keys, told to cloud-init.

use kernel::{App, id::Id, store::Conn};

use super::{facts, steps::renew_seed};
use crate::{
    hosts::Hosts,
    instances::api::InstanceKind,
    ssh_keys::{GuestAccess, GuestError, RecordingGuests, Set},
};

/// Writes keys into machines' seeds; for an instance without a machine there is nothing but the record.
#[derive(Clone, Debug)]
pub struct MachineGuests {
    hosts: Hosts,
    records: RecordingGuests,
}

impl MachineGuests {
    /// On these hosts.
    pub fn new(hosts: &Hosts) -> Self {
        Self {
            hosts: hosts.clone(),
            records: RecordingGuests,
        }
    }
}

impl GuestAccess for MachineGuests {
    /// cloud-init places keys at the guest's first boot only: from then on they are what a reinstallation begins with.
    fn set_authorized_keys<'a>(
        &'a self,
        app: &'a App,
        instance: Id<InstanceKind>,
        keys: Vec<String>,
    ) -> Set<'a> {
        Box::pin(async move {
            let found = app
                .store()
                .read("machine_facts", move |conn: &mut Conn| {
                    facts::find(conn, instance)
                })
                .await?;
            if let Some(mut facts) = found {
                facts.keys.clone_from(&keys);
                renew_seed(app, &self.hosts, &facts)
                    .await
                    .map_err(|error| GuestError(error.detail))?;
            }
            self.records.set_authorized_keys(app, instance, keys).await
        })
    }
}
