//! All that a round needs to know of a host's machines, read at once; and what it has seen, written at once.

use std::collections::HashSet;

use diesel::{
    ExpressionMethods, JoinOnDsl, NullableExpressionMethods, OptionalExtension, QueryDsl, Queryable,
    RunQueryDsl, Selectable, SelectableHelper,
};
use kernel::{
    access::{Organization, Project},
    id::{Any, Id},
    money::Amount,
    schema::tasks,
    store::{Conn, StoreError, Tx},
    tasks::TaskStatus,
    time::Time,
};
use serde_json::{Value, json};

use crate::{
    hosts::HostId,
    instances::{
        api::{InstanceKind, InstanceStatus},
        rows::StateRow,
    },
    machines::Power,
    metrics::{
        batch::{self, Words},
        counters::Counters,
    },
    schema::{hosts, instance_states, instances, machine_watches, machines},
};

/// An instance, as far as a round looks at it.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = instances)]
pub(super) struct Owner {
    pub(super) id: Id<InstanceKind>,
    pub(super) organization_id: Id<Organization>,
    pub(super) project_id: Id<Project>,
    pub(super) status: InstanceStatus,
    pub(super) bandwidth_used_gb: Amount,
}

/// A machine, as far as a round looks at it.
#[derive(Clone, Copy, Debug, Queryable, Selectable)]
#[diesel(table_name = machines)]
pub(super) struct Wish {
    pub(super) cpus: i64,
    pub(super) power: Power,
}

/// A row of `machine_watches`, its counters apart.
#[derive(Clone, Copy, Debug, Default, Queryable, Selectable)]
#[diesel(table_name = machine_watches)]
pub(super) struct Watch {
    pub(super) unrolled_from: Option<i64>,
    pub(super) bandwidth_month: i64,
    pub(super) quota_told_month: i64,
    pub(super) restarts: i64,
    pub(super) first_restart_at: Option<Time>,
    pub(super) last_restart_at: Option<Time>,
}

/// A machine with what was seen of it before.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub(super) owner: Owner,
    pub(super) wish: Wish,
    pub(super) state: Option<StateRow>,
    pub(super) counters: Counters,
    pub(super) watch: Watch,
    /// Whether it has a row in `machine_watches` yet.
    pub(super) is_watched: bool,
}

/// What is written of a host.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// When it was last looked at: who writes what a look has seen moves it, see [`claim`].
    pub(super) mark: Option<Time>,
    /// Its machines, by id.
    pub(super) machines: Vec<Watched>,
    /// Instances with a task that is not over, of whatever host.
    pub(super) busy: HashSet<Id<Any>>,
}

/// A joined row.
type Found = (Owner, Wish, Option<StateRow>, Option<Counters>, Option<Watch>);

/// Reads it; `None`: there is no such host any more.
pub(super) fn read(conn: &mut Conn, host: HostId) -> Result<Option<Known>, StoreError> {
    // First: whatever another process changes of the rest after this moves the mark.
    let mark: Option<Option<Time>> = hosts::table
        .find(host)
        .select(hosts::last_seen_at)
        .first(conn)
        .optional()?;
    let Some(mark) = mark else { return Ok(None) };
    // Before the machines: a task that ends between the two counts as one that is not over.
    let busy: Vec<Id<Any>> = tasks::table
        .filter(tasks::status.eq_any([TaskStatus::Pending, TaskStatus::Running]))
        .filter(tasks::resource_type.eq("instance"))
        .select(tasks::resource_id)
        .load(conn)?;
    let found: Vec<Found> = machines::table
        .inner_join(instances::table.on(instances::id.eq(machines::instance_id)))
        .left_join(instance_states::table.on(instance_states::instance_id.eq(machines::instance_id)))
        .left_join(machine_watches::table.on(machine_watches::instance_id.eq(machines::instance_id)))
        .filter(machines::host_id.eq(host))
        .order(machines::instance_id)
        .select((
            Owner::as_select(),
            Wish::as_select(),
            Option::<StateRow>::as_select(),
            Option::<Counters>::as_select(),
            Option::<Watch>::as_select(),
        ))
        .load(conn)?;
    let machines = found
        .into_iter()
        .map(|(owner, wish, state, counters, watch)| Watched {
            owner,
            wish,
            state,
            is_watched: watch.is_some(),
            counters: counters.unwrap_or_default(),
            watch: watch.unwrap_or_default(),
        })
        .collect();
    Ok(Some(Known {
        mark,
        machines,
        busy: busy.into_iter().collect(),
    }))
}

/// Takes the right to write what a look at a host has seen: of two processes that look at the same one, whoever comes
/// second has counted what the first one has counted already, and is told `None`. Else the new mark.
pub(super) fn claim(tx: &mut Tx<'_>, host: HostId, mark: Option<Time>) -> Result<Option<Time>, StoreError> {
    let now = mark.map_or(tx.now(), |mark| {
        tx.now().max(mark + std::time::Duration::from_micros(1))
    });
    let claimed = match mark {
        Some(mark) => diesel::update(
            hosts::table
                .find(host)
                .filter(hosts::last_seen_at.assume_not_null().eq(mark)),
        )
        .set(hosts::last_seen_at.eq(Some(now)))
        .execute(tx.conn())?,
        None => diesel::update(hosts::table.find(host).filter(hosts::last_seen_at.is_null()))
            .set(hosts::last_seen_at.eq(Some(now)))
            .execute(tx.conn())?,
    };
    Ok((claimed == 1).then_some(now))
}

/// A state as a row of a batch.
pub(super) fn state(row: &StateRow) -> Value {
    let StateRow {
        id,
        instance_id,
        vm_status,
        uptime,
        cpu_usage,
        memory_usage_mb,
        disk_usage_gb,
        network_in_bytes,
        network_out_bytes,
        last_synced_at,
        sync_source,
    } = row;
    json!([
        id.uuid().simple().to_string(),
        instance_id.uuid().simple().to_string(),
        vm_status,
        uptime,
        cpu_usage.ten_thousandths(),
        memory_usage_mb,
        disk_usage_gb.ten_thousandths(),
        network_in_bytes,
        network_out_bytes,
        last_synced_at.micros(),
        sync_source
    ])
}

/// Writes states, but for machines that are gone by now, and over what a task has seen since.
pub(super) fn write_states(tx: &mut Tx<'_>, states: &[Value]) -> Result<(), StoreError> {
    let words = Words::of(tx.conn());
    let (rows, id, instance) = (words.rows(), words.id(0), words.id(1));
    let (status, source, synced) = (words.text(2), words.text(10), words.time(9));
    let [uptime, cpu, memory, disk, received, sent] = [3, 4, 5, 6, 7, 8].map(|column| words.int(column));
    let sql = format!(
        "insert into instance_states (id, instance_id, vm_status, uptime, cpu_usage, memory_usage_mb, disk_usage_gb, \
         network_in_bytes, network_out_bytes, last_synced_at, sync_source) \
         select {id}, {instance}, {status}, {uptime}, {cpu}, {memory}, {disk}, {received}, {sent}, {synced}, {source} \
         from {rows} where exists (select 1 from machines m where m.instance_id = {instance}) \
         on conflict (instance_id) do update set vm_status = excluded.vm_status, uptime = excluded.uptime, \
         cpu_usage = excluded.cpu_usage, memory_usage_mb = excluded.memory_usage_mb, \
         disk_usage_gb = excluded.disk_usage_gb, network_in_bytes = excluded.network_in_bytes, \
         network_out_bytes = excluded.network_out_bytes, last_synced_at = excluded.last_synced_at, \
         sync_source = excluded.sync_source \
         where instance_states.last_synced_at <= excluded.last_synced_at"
    );
    batch::run(tx, &sql, states).map(drop)
}

/// Counters as a row of a batch, with the minute whose sample the coarser series lack.
pub(super) fn counters(instance: Id<InstanceKind>, counters: &Counters, unrolled_from: Option<i64>) -> Value {
    let Counters {
        uptime_ms,
        cpu_ms,
        disk_read_bytes,
        disk_write_bytes,
        network_in_bytes,
        network_out_bytes,
    } = counters;
    json!([
        instance.uuid().simple().to_string(),
        uptime_ms,
        cpu_ms,
        disk_read_bytes,
        disk_write_bytes,
        network_in_bytes,
        network_out_bytes,
        unrolled_from
    ])
}

/// Writes counters.
pub(super) fn write_counters(tx: &mut Tx<'_>, counters: &[Value]) -> Result<(), StoreError> {
    let words = Words::of(tx.conn());
    let (rows, id) = (words.rows(), words.id(0));
    let [uptime, cpu, read, written, received, sent, unrolled] =
        [1, 2, 3, 4, 5, 6, 7].map(|column| words.int(column));
    let sql = format!(
        "insert into machine_watches as w (instance_id, uptime_ms, cpu_ms, disk_read_bytes, disk_write_bytes, \
         network_in_bytes, network_out_bytes, unrolled_from, bandwidth_month, quota_told_month, restarts) \
         select {id}, {uptime}, {cpu}, {read}, {written}, {received}, {sent}, {unrolled}, 0, 0, 0 \
         from {rows} where exists (select 1 from machines m where m.instance_id = {id}) \
         on conflict (instance_id) do update set uptime_ms = excluded.uptime_ms, cpu_ms = excluded.cpu_ms, \
         disk_read_bytes = excluded.disk_read_bytes, disk_write_bytes = excluded.disk_write_bytes, \
         network_in_bytes = excluded.network_in_bytes, network_out_bytes = excluded.network_out_bytes, \
         unrolled_from = coalesce(w.unrolled_from, excluded.unrolled_from)"
    );
    batch::run(tx, &sql, counters).map(drop)
}

/// Whether nothing is going on with an instance, and nothing has ended since a moment: what was seen then still counts.
pub(super) fn is_quiet(conn: &mut Conn, instance: Id<Any>, since: Time) -> Result<bool, StoreError> {
    let found: Vec<(TaskStatus, Time)> = tasks::table
        .filter(tasks::resource_id.eq(instance))
        .order(tasks::created.desc())
        .limit(20)
        .select((tasks::status, tasks::modified))
        .load(conn)?;
    Ok(found.into_iter().all(|(status, modified)| {
        !matches!(status, TaskStatus::Pending | TaskStatus::Running) && modified < since
    }))
}

/// Those of these machines that no host has a row for.
pub(super) fn unknown(
    conn: &mut Conn,
    candidates: Vec<Id<InstanceKind>>,
) -> Result<Vec<Id<InstanceKind>>, StoreError> {
    let known: Vec<Id<InstanceKind>> = machines::table
        .filter(machines::instance_id.eq_any(candidates.clone()))
        .select(machines::instance_id)
        .load(conn)?;
    Ok(candidates.into_iter().filter(|id| !known.contains(id)).collect())
}
