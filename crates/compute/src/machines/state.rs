//! What a task has seen of its machine, written down, so that the answer to "does it run" does not wait for the
//! reconciler's next round.

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use hypervisor::Observed;
use kernel::{
    id::Id,
    money::Amount,
    store::{StoreError, Tx},
};

use crate::{
    instances::{api::InstanceKind, rows::StateRow},
    schema::instance_states,
};

/// What disks take of their host, in GB as sizes count them (2³⁰ bytes), to a ten-thousandth.
pub(crate) fn disk_gb(bytes: Option<u64>) -> Amount {
    let parts = u128::from(bytes.unwrap_or(0)) * 10_000;
    Amount::from_ten_thousandths(i64::try_from(parts >> 30).unwrap_or(i64::MAX))
}

/// Writes down what the host has said of a machine, or that it knows none.
///
/// # Errors
/// The database refused.
pub fn record(
    tx: &mut Tx<'_>,
    instance: Id<InstanceKind>,
    seen: Option<&Observed>,
    source: &str,
) -> Result<(), StoreError> {
    let now = tx.now();
    let statistics = seen.and_then(|seen| seen.statistics).unwrap_or_default();
    let whole = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let memory = statistics
        .memory_used_bytes
        .unwrap_or(statistics.memory_host_bytes);
    let row = StateRow {
        id: Id::new(),
        instance_id: instance,
        vm_status: seen.map_or("absent", |seen| seen.state.as_str()).to_owned(),
        uptime: whole(statistics.uptime.as_secs()),
        cpu_usage: Amount::default(),
        memory_usage_mb: whole(memory >> 20),
        disk_usage_gb: disk_gb(seen.and_then(|seen| seen.disk_bytes)),
        network_in_bytes: whole(statistics.network_received_bytes.unwrap_or(0)),
        network_out_bytes: whole(statistics.network_sent_bytes.unwrap_or(0)),
        last_synced_at: now,
        sync_source: source.to_owned(),
    };
    let known = instance_states::table.filter(instance_states::instance_id.eq(instance));
    let updated = diesel::update(known)
        .set((
            instance_states::vm_status.eq(&row.vm_status),
            instance_states::uptime.eq(row.uptime),
            // While it runs, only two looks tell how much: the reconciler's.
            seen.is_none_or(|seen| seen.statistics.is_none())
                .then(|| instance_states::cpu_usage.eq(row.cpu_usage)),
            instance_states::disk_usage_gb.eq(row.disk_usage_gb),
            instance_states::memory_usage_mb.eq(row.memory_usage_mb),
            instance_states::network_in_bytes.eq(row.network_in_bytes),
            instance_states::network_out_bytes.eq(row.network_out_bytes),
            instance_states::last_synced_at.eq(row.last_synced_at),
            instance_states::sync_source.eq(&row.sync_source),
        ))
        .execute(tx.conn())?;
    if updated == 0 {
        diesel::insert_into(instance_states::table)
            .values(&row)
            .execute(tx.conn())?;
    }
    Ok(())
}
