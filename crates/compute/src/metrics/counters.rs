//! From counters that grow to what was used between two looks. No I/O.

use diesel::{Queryable, Selectable};
use hypervisor::Statistics;

use crate::schema::machine_watches;

/// What a machine has used since its power came on, as it was seen at the last look. All zero: it was off, and its next
/// run begins there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = machine_watches)]
pub(crate) struct Counters {
    pub(crate) uptime_ms: i64,
    pub(crate) cpu_ms: i64,
    pub(crate) disk_read_bytes: i64,
    pub(crate) disk_write_bytes: i64,
    pub(crate) network_in_bytes: i64,
    pub(crate) network_out_bytes: i64,
}

/// What a machine used between two looks, and had in use at the second one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Used {
    /// Hundredths of a percent of all its processors.
    pub(crate) cpu: i64,
    pub(crate) memory_mb: i64,
    pub(crate) disk_read_bytes: i64,
    pub(crate) disk_write_bytes: i64,
    /// `None`: the connection does not count.
    pub(crate) network_in_bytes: Option<i64>,
    /// As above.
    pub(crate) network_out_bytes: Option<i64>,
}

impl Counters {
    /// What these have become, and what lies between; `None` where no time has passed.
    ///
    /// A new run shows by what only a new run makes smaller: age, processor time, disk operations. Its counters began at
    /// 0. Traffic that has become smaller without one belonged to an interface that was unplugged, and counts for
    /// nothing.
    pub(crate) fn next(self, seen: &Statistics, cpus: i64) -> (Self, Option<Used>) {
        let mut now = Self {
            uptime_ms: whole(seen.uptime.as_millis()),
            cpu_ms: whole(seen.cpu_time.as_millis()),
            disk_read_bytes: whole(seen.disk_read_bytes),
            disk_write_bytes: whole(seen.disk_written_bytes),
            network_in_bytes: 0,
            network_out_bytes: 0,
        };
        let is_new_run = now.uptime_ms < self.uptime_ms
            || now.cpu_ms < self.cpu_ms
            || now.disk_read_bytes < self.disk_read_bytes
            || now.disk_write_bytes < self.disk_write_bytes;
        let before = if is_new_run { Self::default() } else { self };
        // Not told this time: the next one goes on from the last figure that is known.
        now.network_in_bytes = seen.network_received_bytes.map_or(before.network_in_bytes, whole);
        now.network_out_bytes = seen.network_sent_bytes.map_or(before.network_out_bytes, whole);
        let passed = now.uptime_ms - before.uptime_ms;
        if passed <= 0 {
            return (before, None);
        }
        let traffic = |told: Option<u64>, now: i64, before: i64| told.map(|_| (now - before).max(0));
        let used = Used {
            cpu: share(now.cpu_ms - before.cpu_ms, passed.saturating_mul(cpus.max(1))),
            memory_mb: memory_mb(seen),
            disk_read_bytes: now.disk_read_bytes - before.disk_read_bytes,
            disk_write_bytes: now.disk_write_bytes - before.disk_write_bytes,
            network_in_bytes: traffic(
                seen.network_received_bytes,
                now.network_in_bytes,
                before.network_in_bytes,
            ),
            network_out_bytes: traffic(
                seen.network_sent_bytes,
                now.network_out_bytes,
                before.network_out_bytes,
            ),
        };
        (now, Some(used))
    }
}

/// Memory in use, MB: by the machine's own account, or what it takes of its host.
pub(crate) fn memory_mb(seen: &Statistics) -> i64 {
    whole(seen.memory_used_bytes.unwrap_or(seen.memory_host_bytes) >> 20)
}

/// Hundredths of a percent, rounded, 0 to 100.00.
fn share(part: i64, of: i64) -> i64 {
    let rounded = (i128::from(part) * 10_000 + i128::from(of) / 2) / i128::from(of.max(1));
    i64::try_from(rounded.clamp(0, 10_000)).unwrap_or(0)
}

/// A count as both databases keep it.
pub(crate) fn whole(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn seen(uptime: u64, cpu_ms: u64, network: Option<u64>) -> Statistics {
        Statistics {
            uptime: Duration::from_secs(uptime),
            cpu_time: Duration::from_millis(cpu_ms),
            disk_read_bytes: uptime * 10,
            network_received_bytes: network,
            network_sent_bytes: network.map(|bytes| bytes * 2),
            ..Statistics::default()
        }
    }

    #[test]
    fn what_lies_between_two_looks_is_used() {
        let (first, used) = Counters::default().next(&seen(100, 5_000, Some(1000)), 2);
        // 5 of 200 seconds of processor time.
        assert_eq!(used.unwrap().cpu, 250);
        let (_, used) = first.next(&seen(110, 20_000, Some(1500)), 2);
        let used = used.unwrap();
        assert_eq!((used.cpu, used.disk_read_bytes), (7500, 100));
        assert_eq!(
            (used.network_in_bytes, used.network_out_bytes),
            (Some(500), Some(1000))
        );
    }

    #[test]
    fn a_new_run_begins_at_nothing() {
        let (first, _) = Counters::default().next(&seen(100, 5_000, Some(1000)), 1);
        let (second, used) = first.next(&seen(4, 1_000, Some(300)), 1);
        assert_eq!(used.unwrap().network_in_bytes, Some(300));
        assert_eq!(used.unwrap().cpu, 2500);
        assert_eq!(second.uptime_ms, 4000);
        // Older than the first run was, and yet a new one: it has had less of the processor.
        let (_, used) = first.next(&seen(200, 3_000, Some(2000)), 1);
        assert_eq!(used.unwrap().network_in_bytes, Some(2000));
    }

    #[test]
    fn an_interface_that_was_unplugged_counts_for_nothing() {
        let (first, _) = Counters::default().next(&seen(100, 5_000, Some(1000)), 1);
        let (second, used) = first.next(&seen(105, 5_000, Some(400)), 1);
        assert_eq!(used.unwrap().network_in_bytes, Some(0));
        let (_, used) = second.next(&seen(110, 5_000, Some(450)), 1);
        assert_eq!(used.unwrap().network_in_bytes, Some(50));
    }

    #[test]
    fn what_is_not_told_is_unknown_and_not_lost() {
        let (first, _) = Counters::default().next(&seen(100, 0, Some(1000)), 1);
        let (second, used) = first.next(&seen(105, 0, None), 1);
        assert_eq!(used.unwrap().network_in_bytes, None);
        let (_, used) = second.next(&seen(110, 0, Some(1200)), 1);
        assert_eq!(used.unwrap().network_in_bytes, Some(200));
    }

    #[test]
    fn two_looks_at_the_same_moment_tell_nothing() {
        let (first, _) = Counters::default().next(&seen(100, 5_000, Some(1000)), 1);
        assert_eq!(first.next(&seen(100, 5_000, Some(1000)), 1), (first, None));
    }

    #[test]
    fn processors_are_busy_between_nothing_and_everything() {
        assert_eq!(share(0, 100), 0);
        assert_eq!(share(1, 3), 3333);
        assert_eq!(share(200, 100), 10_000);
        assert_eq!(share(-5, 100), 0);
    }
}
