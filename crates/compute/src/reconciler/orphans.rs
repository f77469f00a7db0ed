//! Machines on a host that belong to nobody: what a deletion, an order that failed or a restored database has left.

use std::{collections::HashMap, time::Duration};

use hypervisor::{Hypervisor, Observed, VmId};
use kernel::{
    App,
    audit::{AuditStatus, Changes, Event, Origin},
    id::Id,
    store::{Conn, StoreError, Tx},
    time::Time,
};

use super::rows::{self, Known};
use crate::instances::api::InstanceKind;

/// How long one must have been seen, in more than one look, before it is destroyed.
const PATIENCE: Duration = Duration::from_mins(1);
/// So many are destroyed in one round.
const AT_ONCE: usize = 10;
/// More than this, and more than a half of all machines on the host: then it is not they who are wrong, but what is
/// written of them. A database was restored that is older than they are, or it is another installation's.
const SUSPICIOUS: usize = 2;

/// The orphans of a host, and since when each has been seen.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    since: HashMap<VmId, Time>,
    told: bool,
}

fn instance(vm: VmId) -> Id<InstanceKind> {
    Id::from_uuid(vm.0)
}

/// Finds them, and destroys those that have been there long enough.
///
/// # Errors
/// The database refused.
pub(super) async fn tend(
    app: &App,
    driver: &dyn Hypervisor,
    (seen, known, looked): (&[Observed], &Known, Time),
    memory: &mut Orphans,
) -> Result<(), StoreError> {
    let ours: std::collections::HashSet<VmId> = known
        .machines
        .iter()
        .map(|machine| crate::machines::plan::vm_of(machine.owner.id))
        .collect();
    let strange: Vec<_> = seen
        .iter()
        .map(|observed| observed.id)
        .filter(|vm| !ours.contains(vm))
        .map(instance)
        .collect();
    if strange.is_empty() {
        *memory = Orphans::default();
        return Ok(());
    }
    // Those of another host's row are not here by accident: somebody moves them.
    let unknown = app
        .store()
        .read("orphans", move |conn: &mut Conn| rows::unknown(conn, strange))
        .await?;
    let mut since = HashMap::new();
    for id in unknown.into_iter().filter(|id| !known.busy.contains(&id.cast())) {
        let vm = VmId(id.uuid());
        since.insert(vm, memory.since.get(&vm).copied().unwrap_or(looked));
    }
    let (count, all) = (since.len(), seen.len());
    if count > SUSPICIOUS && count * 2 > all {
        if !memory.told {
            tracing::error!(
                count,
                all,
                "most machines on the host are in no row: none is destroyed"
            );
        }
        *memory = Orphans { since, told: true };
        return Ok(());
    }
    // Seen before, too: `looked` of this round is not long enough ago.
    let ripe: Vec<VmId> = since
        .iter()
        .filter(|(_, since)| looked.since(**since) >= PATIENCE)
        .map(|(vm, _)| *vm)
        .take(AT_ONCE)
        .collect();
    *memory = Orphans { since, told: false };
    for vm in ripe {
        if destroy(app, driver, vm, looked).await? {
            memory.since.remove(&vm);
        }
    }
    Ok(())
}

async fn destroy(app: &App, driver: &dyn Hypervisor, vm: VmId, looked: Time) -> Result<bool, StoreError> {
    let id = instance(vm);
    let is_orphan = move |conn: &mut Conn| {
        let is_unknown = !rows::unknown(conn, vec![id])?.is_empty();
        Ok::<_, StoreError>(is_unknown && rows::is_quiet(conn, id.cast(), looked)?)
    };
    if !app.store().read("orphan", is_orphan).await? {
        return Ok(false);
    }
    if let Err(error) = driver.destroy(vm).await {
        tracing::error!(%vm, %error, "a machine that belongs to nobody could not be destroyed");
        return Ok(false);
    }
    tracing::warn!(%vm, "destroyed a machine that belonged to nobody");
    let write = app.store().write("orphan_destroyed", move |tx: &mut Tx<'_>| {
        let event = Event {
            action: "machine.orphan_destroyed",
            resource_type: "machine",
            resource_id: id.cast(),
            resource_name: vm.to_string(),
            description: "Destroyed a machine on a host that belonged to no instance".to_owned(),
            changes: Changes::default(),
            status: AuditStatus::Success,
        };
        tx.audit(&Origin::system("reconciler"), None, None, &event)
    });
    write.await?;
    Ok(true)
}
