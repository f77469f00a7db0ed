//! What a running machine has used: its process's account in `/proc`, QEMU's counters of disks, the guest's own word
//! about its memory, and the taps' counters.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    folder::{Folder, OBSERVE, Record},
    network::{Link, tap_name},
    qmp::{Qmp, QmpError},
};
use crate::model::{Connection, PowerState, Statistics};

const BALLOON: &str = "/machine/peripheral/balloon";
/// How often the guest is asked about its memory, seconds.
const POLL_SECONDS: u32 = 5;

/// Asks a machine for its state and statistics.
pub(super) async fn observe(
    folder: &Folder,
    pid: u32,
    record: &Record,
    links: &[Link],
) -> Result<(PowerState, Statistics), QmpError> {
    let mut qmp = Qmp::connect(folder, OBSERVE).await?;
    let status = qmp.execute("query-status", json!({})).await?;
    let state = match status["status"].as_str() {
        Some("running") => PowerState::Running,
        _ => PowerState::Paused,
    };
    let mut statistics = process(pid).unwrap_or_default();
    let memory = record
        .spec
        .as_ref()
        .map_or(0, |spec| u64::from(spec.memory_mib) << 20);
    statistics.memory_total_bytes = memory;
    disks(
        &qmp.execute("query-blockstats", json!({})).await?,
        &mut statistics,
    );
    let asked = json!({"path": BALLOON, "property": "guest-stats"});
    // An older guest, or one without the driver, has none.
    if let Ok(stats) = qmp.execute("qom-get", asked).await {
        statistics.memory_used_bytes = used(&stats["stats"], memory);
    }
    network(record, links, &mut statistics);
    Ok((state, statistics))
}

/// Makes QEMU ask the guest about its memory from now on.
pub(super) async fn ask_for_memory(qmp: &mut Qmp) -> Result<(), QmpError> {
    let set = json!({"path": BALLOON, "property": "guest-stats-polling-interval", "value": POLL_SECONDS});
    qmp.execute("qom-set", set).await.map(drop)
}

fn disks(answer: &Value, statistics: &mut Statistics) {
    for disk in answer.as_array().into_iter().flatten() {
        let count = |name: &str| disk["stats"][name].as_u64().unwrap_or(0);
        statistics.disk_read_bytes += count("rd_bytes");
        statistics.disk_written_bytes += count("wr_bytes");
        statistics.disk_reads += count("rd_operations");
        statistics.disk_writes += count("wr_operations");
    }
}

/// What the guest has in use; unknown values are all ones.
fn used(stats: &Value, memory: u64) -> Option<u64> {
    let known = |name: &str| stats[name].as_u64().filter(|value| *value <= memory);
    let total = known("stat-total-memory")?;
    let available = known("stat-available-memory").or_else(|| known("stat-free-memory"))?;
    total.checked_sub(available)
}

fn network(record: &Record, links: &[Link], statistics: &mut Statistics) {
    let interfaces = record.spec.as_ref().map_or(&[][..], |spec| &spec.interfaces);
    let counted = |bridge: &Connection| matches!(bridge, Connection::Bridge { .. });
    if interfaces.is_empty() || !interfaces.iter().all(|interface| counted(&interface.connection)) {
        return;
    }
    let (mut received, mut sent) = (0, 0);
    for interface in interfaces {
        let tap = tap_name(interface.id);
        let Some(bytes) = links
            .iter()
            .find(|link| link.name() == tap)
            .and_then(Link::guest_bytes)
        else {
            // A sum without one of them would look as if the machine had used less than before.
            return;
        };
        received += bytes.0;
        sent += bytes.1;
    }
    statistics.network_received_bytes = Some(received);
    statistics.network_sent_bytes = Some(sent);
}

/// Processor time, age and memory of a process (proc(5)).
fn process(pid: u32) -> Option<Statistics> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let now = std::fs::read_to_string("/proc/uptime").ok()?;
    parse(&stat, &now)
}

fn parse(stat: &str, now: &str) -> Option<Statistics> {
    // The name, the second field, is in parentheses and may contain anything.
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    let span = |count: u64| Duration::from_millis(count.saturating_mul(1000) / ticks);
    let now: f64 = now.split_whitespace().next()?.parse().ok()?;
    let up = Duration::try_from_secs_f64(now).ok()?;
    let page = u64::try_from(rustix::param::page_size()).ok()?;
    Some(Statistics {
        uptime: up.saturating_sub(span(field(22)?)),
        cpu_time: span(field(14)? + field(15)?),
        memory_host_bytes: field(24)? * page,
        ..Statistics::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_s_account_is_read_whatever_its_name() {
        let mut fields = vec!["1 (a) b) S".to_owned()];
        fields.extend((4..30).map(|number: u64| number.to_string()));
        let statistics = parse(&fields.join(" "), "100.00 50.0").unwrap();
        let ticks = rustix::param::clock_ticks_per_second();
        assert_eq!(statistics.cpu_time, Duration::from_millis(29 * 1000 / ticks));
        assert_eq!(
            statistics.uptime,
            Duration::from_secs(100) - Duration::from_millis(22 * 1000 / ticks)
        );
        assert_eq!(
            statistics.memory_host_bytes,
            24 * rustix::param::page_size() as u64
        );
        assert!(parse("garbage", "1 1").is_none());
    }

    #[test]
    fn memory_that_the_guest_does_not_tell_is_unknown() {
        let stats = json!({"stat-total-memory": 1000, "stat-available-memory": 400});
        assert_eq!(used(&stats, 2000), Some(600));
        assert_eq!(used(&json!({"stat-total-memory": u64::MAX}), 2000), None);
        assert_eq!(used(&Value::Null, 2000), None);
    }
}
