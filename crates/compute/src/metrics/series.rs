//! The series: which there are, how long they are kept, and how what is seen goes into them.
//!
//! Samples go into the finest series, a row a minute. Once a minute the rows that have changed are summed up into the
//! coarser ones, from the beginning of each slot: doing it again gives the same. All of that is in the transaction that
//! writes what was seen, so that what was counted is in the series, and once.

use kernel::{
    id::Id,
    store::{StoreError, Tx},
};
use serde_json::{Value, json};

use super::{
    batch::{self, Words},
    counters::Used,
};
use crate::instances::api::InstanceKind;

/// A series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Series {
    /// The length of a slot, seconds.
    pub(crate) step: i64,
    /// How long slots are kept, seconds.
    pub(crate) kept: i64,
}

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// What happened in the last hour, by the minute.
pub(crate) const MINUTES: Series = Series {
    step: MINUTE,
    kept: 2 * HOUR,
};
/// In the last day.
pub(crate) const FIVE_MINUTES: Series = Series {
    step: 5 * MINUTE,
    kept: 26 * HOUR,
};
/// In the last month.
pub(crate) const HOURS: Series = Series {
    step: HOUR,
    kept: 32 * DAY,
};
/// In the last year, and what traffic is billed by.
pub(crate) const DAYS: Series = Series {
    step: DAY,
    kept: 400 * DAY,
};

/// All of them, each the source of the next.
pub(crate) const ALL: [Series; 4] = [MINUTES, FIVE_MINUTES, HOURS, DAYS];

impl Series {
    /// The beginning of the slot in which a moment lies, both in seconds since 1970.
    pub(crate) const fn slot(self, seconds: i64) -> i64 {
        seconds - seconds.rem_euclid(self.step)
    }
}

/// A sample as a row of a batch.
pub(crate) fn sample(instance: Id<InstanceKind>, minute: i64, used: &Used) -> Value {
    let Used {
        cpu,
        memory_mb,
        disk_read_bytes,
        disk_write_bytes,
        network_in_bytes,
        network_out_bytes,
    } = used;
    json!([
        instance.uuid().simple().to_string(),
        minute,
        cpu,
        memory_mb,
        disk_read_bytes,
        disk_write_bytes,
        network_in_bytes,
        network_out_bytes
    ])
}

const COLUMNS: &str = "instance_id, step, slot, samples, cpu_sum, cpu_max, memory_sum, memory_max, disk_read_bytes, \
     disk_write_bytes, network_in_bytes, network_out_bytes";

/// Adds samples to their minutes.
pub(crate) fn add(tx: &mut Tx<'_>, samples: &[Value]) -> Result<(), StoreError> {
    let words = Words::of(tx.conn());
    let (rows, id, step) = (words.rows(), words.id(0), MINUTES.step);
    let [slot, cpu, memory, read, written, received, sent] =
        [1, 2, 3, 4, 5, 6, 7].map(|column| words.int(column));
    let sql = format!(
        "insert into metric_points as p ({COLUMNS}) \
         select {id}, {step}, {slot}, 1, {cpu}, {cpu}, {memory}, {memory}, {read}, {written}, {received}, {sent} \
         from {rows} where true \
         on conflict (instance_id, step, slot) do update set \
         samples = p.samples + 1, cpu_sum = p.cpu_sum + excluded.cpu_sum, \
         cpu_max = case when excluded.cpu_max > p.cpu_max then excluded.cpu_max else p.cpu_max end, \
         memory_sum = p.memory_sum + excluded.memory_sum, \
         memory_max = case when excluded.memory_max > p.memory_max then excluded.memory_max else p.memory_max end, \
         disk_read_bytes = p.disk_read_bytes + excluded.disk_read_bytes, \
         disk_write_bytes = p.disk_write_bytes + excluded.disk_write_bytes, \
         network_in_bytes = coalesce(p.network_in_bytes + excluded.network_in_bytes, p.network_in_bytes, excluded.network_in_bytes), \
         network_out_bytes = coalesce(p.network_out_bytes + excluded.network_out_bytes, p.network_out_bytes, excluded.network_out_bytes)"
    );
    batch::run(tx, &sql, samples).map(drop)
}

/// Sums up what has changed since `machine_watches.unrolled_from`. Rows: the instance, and from when on it will have to be
/// done again (null: nothing is left to do).
pub(crate) fn roll_up(tx: &mut Tx<'_>, instances: &[Value]) -> Result<(), StoreError> {
    let words = Words::of(tx.conn());
    let (rows, id, from) = (words.rows(), words.id(0), words.int(1));
    for (source, Series { step, .. }) in ALL.iter().zip(&ALL[1..]) {
        let sum = |column: &str| format!("cast(sum(m.{column}) as bigint)");
        let [samples, cpu, memory, read, written, received, sent] = [
            "samples",
            "cpu_sum",
            "memory_sum",
            "disk_read_bytes",
            "disk_write_bytes",
            "network_in_bytes",
            "network_out_bytes",
        ]
        .map(sum);
        let source = source.step;
        let sql = format!(
            "insert into metric_points ({COLUMNS}) \
             select m.instance_id, {step}, m.slot - m.slot % {step}, {samples}, {cpu}, max(m.cpu_max), {memory}, \
             max(m.memory_max), {read}, {written}, {received}, {sent} \
             from {rows} join machine_watches w on w.instance_id = {id} \
             join metric_points m on m.instance_id = w.instance_id and m.step = {source} \
             and m.slot >= w.unrolled_from - w.unrolled_from % {step} \
             where true group by m.instance_id, m.slot - m.slot % {step} \
             on conflict (instance_id, step, slot) do update set samples = excluded.samples, \
             cpu_sum = excluded.cpu_sum, cpu_max = excluded.cpu_max, memory_sum = excluded.memory_sum, \
             memory_max = excluded.memory_max, disk_read_bytes = excluded.disk_read_bytes, \
             disk_write_bytes = excluded.disk_write_bytes, network_in_bytes = excluded.network_in_bytes, \
             network_out_bytes = excluded.network_out_bytes"
        );
        batch::run(tx, &sql, instances)?;
    }
    let sql = format!(
        "update machine_watches set unrolled_from = {from} from {rows} where machine_watches.instance_id = {id}"
    );
    batch::run(tx, &sql, instances).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_series_is_made_of_whole_slots_of_the_one_before_which_are_kept_long_enough() {
        for (finer, coarser) in ALL.iter().zip(&ALL[1..]) {
            assert_eq!(coarser.step % finer.step, 0);
            assert!(finer.kept > coarser.step);
        }
        let rows: i64 = ALL.iter().map(|series| series.kept / series.step).sum();
        assert!(rows < 1700, "{rows} rows an instance");
    }

    #[test]
    fn slots_begin_at_multiples_of_their_length() {
        assert_eq!(FIVE_MINUTES.slot(601), 600);
        assert_eq!(FIVE_MINUTES.slot(600), 600);
        assert_eq!(DAYS.slot(-1), -86_400);
    }
}
