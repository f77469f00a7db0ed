//! From what a host says to what is written of its machines. No I/O.

use std::collections::HashMap;

use hypervisor::{Observed, PowerState, VmId};
use kernel::{id::Id, money::Amount, time::Time};
use serde_json::{Value, json};

use super::{
    decide::Seen,
    rows::{self, Watched},
};
use crate::{
    instances::{
        api::{InstanceKind, InstanceStatus},
        rows::StateRow,
    },
    machines::{plan::vm_of, state::disk_gb},
    metrics::{
        counters::{Counters, memory_mb, whole},
        series::{self, MINUTES},
    },
};

/// How old the state of a machine may grow that does not change.
const STALE_MICROS: i64 = 30_000_000;

/// What one transaction writes: rows of batches.
#[derive(Clone, Debug, Default)]
pub(super) struct Writes {
    pub(super) states: Vec<Value>,
    pub(super) samples: Vec<Value>,
    pub(super) counters: Vec<Value>,
    pub(super) rolls: Vec<Value>,
}

/// A moment of looking, and who looked.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    pub(super) at: Time,
    /// The month in which it lies, seconds since 1970.
    pub(super) month: i64,
    pub(super) source: String,
}

/// What the host says of a machine.
pub(super) fn seen(observed: Option<&Observed>) -> Seen {
    match observed.map(|observed| (observed.state, observed.ended)) {
        Some((PowerState::Running, _)) => Seen::Running,
        Some((PowerState::Paused, _)) => Seen::Paused,
        // What it can't be started from is not there: a process was found without a record.
        Some((PowerState::Stopped, ended)) if observed.is_some_and(|observed| observed.defined) => {
            Seen::Off(ended)
        }
        Some(_) | None => Seen::Nothing,
    }
}

/// The API's word for it.
pub(super) fn word(observed: Option<&Observed>) -> &'static str {
    observed.map_or("absent", |observed| observed.state.as_str())
}

/// Notes what was seen of some machines.
pub(super) fn measure(machines: &[Watched], found: &HashMap<VmId, &Observed>, moment: &Moment) -> Writes {
    let mut writes = Writes::default();
    for machine in machines {
        one(
            &mut writes,
            machine,
            found.get(&vm_of(machine.owner.id)).copied(),
            moment,
        );
    }
    writes
}

fn one(writes: &mut Writes, machine: &Watched, observed: Option<&Observed>, moment: &Moment) {
    let id = machine.owner.id;
    let minute = MINUTES.slot(moment.at.seconds());
    let statistics = observed.and_then(|observed| observed.statistics.as_ref());
    let is_off = observed.is_none_or(|observed| observed.state == PowerState::Stopped);
    let mut used = None;
    match statistics {
        Some(statistics) => {
            let (counters, between) = machine.counters.next(statistics, machine.wish.cpus);
            used = between;
            if used.is_some() {
                writes.counters.push(rows::counters(id, &counters, Some(minute)));
            }
        }
        None if is_off && (machine.counters != Counters::default() || !machine.is_watched) => {
            writes
                .counters
                .push(rows::counters(id, &Counters::default(), None));
        }
        None => {}
    }
    if let Some(used) = &used {
        writes.samples.push(series::sample(id, minute, used));
    }
    if machine.watch.unrolled_from.is_some_and(|from| from < minute) {
        writes
            .rolls
            .push(json!([simple(id), used.is_some().then_some(minute)]));
    }
    let known = machine.state.as_ref();
    let cpu = match used {
        // Hundredths of a percent are cents of one.
        Some(used) => Amount::from_cents(used.cpu),
        None if is_off => Amount::ZERO,
        None => known.map_or(Amount::ZERO, |known| known.cpu_usage),
    };
    let row = StateRow {
        id: known.map_or_else(Id::new, |known| known.id),
        instance_id: id,
        vm_status: word(observed).to_owned(),
        uptime: statistics.map_or(0, |statistics| {
            whole(statistics.uptime.as_secs()).min(i64::from(u32::MAX))
        }),
        cpu_usage: cpu,
        memory_usage_mb: statistics.map_or(0, memory_mb),
        disk_usage_gb: disk_gb(observed.and_then(|observed| observed.disk_bytes)),
        network_in_bytes: statistics
            .and_then(|statistics| statistics.network_received_bytes)
            .map_or(0, whole),
        network_out_bytes: statistics
            .and_then(|statistics| statistics.network_sent_bytes)
            .map_or(0, whole),
        last_synced_at: moment.at,
        sync_source: moment.source.clone(),
    };
    if is_news(machine, observed, &row) {
        writes.states.push(rows::state(&row));
    }
}

/// Whether a state is worth writing: it says something else than the one before, or that one has grown old. A machine
/// that was never made has none.
fn is_news(machine: &Watched, observed: Option<&Observed>, row: &StateRow) -> bool {
    let Some(known) = &machine.state else {
        let is_expected = matches!(
            machine.owner.status,
            InstanceStatus::Active | InstanceStatus::Suspended
        );
        return observed.is_some() || is_expected;
    };
    let figures = |row: &StateRow| {
        (
            row.vm_status.clone(),
            row.uptime,
            row.cpu_usage,
            row.memory_usage_mb,
            row.disk_usage_gb,
            row.network_in_bytes,
            row.network_out_bytes,
        )
    };
    figures(known) != figures(row)
        || row.last_synced_at.micros() - known.last_synced_at.micros() >= STALE_MICROS
}

/// An id as batches carry it.
pub(super) fn simple(id: Id<InstanceKind>) -> String {
    id.uuid().simple().to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hypervisor::{BootDisk, Statistics};

    use super::{
        super::rows::{Owner, Watch, Wish},
        *,
    };
    use crate::machines::Power;

    fn moment(seconds: i64) -> Moment {
        Moment {
            at: Time::from_micros(seconds * 1_000_000),
            month: 0,
            source: "a".to_owned(),
        }
    }

    fn machine() -> Watched {
        Watched {
            owner: Owner {
                id: Id::new(),
                organization_id: Id::new(),
                project_id: Id::new(),
                status: InstanceStatus::Active,
                bandwidth_used_gb: Amount::ZERO,
            },
            wish: Wish {
                cpus: 1,
                power: Power::On,
            },
            state: None,
            counters: Counters::default(),
            watch: Watch::default(),
            is_watched: true,
        }
    }

    fn observed(machine: &Watched, statistics: Option<Statistics>) -> Observed {
        Observed {
            id: vm_of(machine.owner.id),
            state: if statistics.is_some() {
                PowerState::Running
            } else {
                PowerState::Stopped
            },
            ended: None,
            boot: BootDisk::Root,
            defined: true,
            interfaces: Vec::new(),
            forwards: Vec::new(),
            disk_bytes: Some(3 << 29),
            statistics,
        }
    }

    #[test]
    fn what_runs_is_counted_and_what_is_off_begins_anew() {
        let mut machine = machine();
        let used = Statistics {
            uptime: Duration::from_secs(10),
            cpu_time: Duration::from_secs(1),
            ..Statistics::default()
        };
        let runs = observed(&machine, Some(used));
        let writes = measure(
            &[machine.clone()],
            &HashMap::from([(runs.id, &runs)]),
            &moment(125),
        );
        assert_eq!(
            (writes.states.len(), writes.samples.len(), writes.counters.len()),
            (1, 1, 1)
        );
        assert_eq!(writes.samples[0][1], 120);
        assert_eq!(writes.samples[0][2], 1000);
        assert_eq!(writes.states[0][4], 100_000);
        assert_eq!(writes.states[0][6], 15_000);
        machine.counters.uptime_ms = 10_000;
        let off = observed(&machine, None);
        let writes = measure(&[machine.clone()], &HashMap::from([(off.id, &off)]), &moment(130));
        assert_eq!((writes.samples.len(), writes.counters.len()), (0, 1));
        assert_eq!(writes.counters[0][1], 0);
    }

    #[test]
    fn a_machine_that_does_not_change_is_written_now_and_then() {
        let mut machine = machine();
        let off = observed(&machine, None);
        let found = HashMap::from([(off.id, &off)]);
        machine.state = Some(StateRow {
            id: Id::new(),
            instance_id: machine.owner.id,
            vm_status: "stopped".to_owned(),
            uptime: 0,
            cpu_usage: Amount::ZERO,
            memory_usage_mb: 0,
            disk_usage_gb: Amount::parse("1.5").unwrap(),
            network_in_bytes: 0,
            network_out_bytes: 0,
            last_synced_at: moment(100).at,
            sync_source: "a".to_owned(),
        });
        assert!(
            measure(&[machine.clone()], &found, &moment(129))
                .states
                .is_empty()
        );
        assert_eq!(measure(&[machine], &found, &moment(130)).states.len(), 1);
    }

    #[test]
    fn what_was_never_made_has_no_state() {
        let mut machine = machine();
        machine.owner.status = InstanceStatus::Provisioning;
        assert!(measure(&[machine], &HashMap::new(), &moment(1)).states.is_empty());
    }
}
