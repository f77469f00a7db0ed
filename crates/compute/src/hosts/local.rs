//! The host that this node runs on: what it has, written down at each start.

use std::sync::Arc;

use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, RunQueryDsl};
use hypervisor::Hypervisor;
use kernel::{
    App,
    id::Id,
    store::{StoreError, Tx},
};

use super::{HostId, HostRow, Hosts, rows};
use crate::{
    catalogue::api::Location,
    schema::{hosts, locations},
};

/// What a host has.
#[derive(Clone, Copy, Debug)]
struct Capacity {
    cpus: i64,
    memory_mb: i64,
    disk_gb: i64,
}

/// Makes this node's host known: its driver to [`Hosts`], its row to the database, with what it can promise. `None`
/// while there is no location that it could be in.
///
/// # Errors
/// What is missing on the host, or wrong with the settings, for the log.
pub async fn enlist(app: &App, hosts: &Hosts, driver: Arc<dyn Hypervisor>) -> Result<Option<HostId>, String> {
    let report = driver.check().await.map_err(|error| error.to_string())?;
    let settings = app.config().compute.clone();
    let capacity = capacity(&settings, report.free_disk_bytes);
    let (name, slug) = (settings.host_name.clone(), settings.location.clone());
    let row = app
        .store()
        .write("enlist_host", move |tx| keep(tx, &name, &slug, capacity))
        .await
        .map_err(|error: StoreError| error.to_string())?;
    let Some(row) = row else {
        tracing::warn!("no location is known that this host could be in: no machine will be placed on it");
        return Ok(None);
    };
    tracing::info!(
        host = row.name,
        hypervisor = report.version,
        accelerated = report.hardware_acceleration,
        note = report.acceleration_note,
        cpus = row.cpus,
        memory_mb = row.memory_mb,
        disk_gb = row.disk_gb,
        "this host runs machines"
    );
    hosts.add(row.id, driver);
    Ok(Some(row.id))
}

fn keep(tx: &mut Tx<'_>, name: &str, slug: &str, capacity: Capacity) -> Result<Option<HostRow>, StoreError> {
    let now = tx.now();
    let known = rows::find_named(tx.conn(), name)?;
    let location = match &known {
        Some(row) if slug.is_empty() => Some(row.location_id),
        _ => location(tx, slug)?,
    };
    let Some(location_id) = location else {
        return Ok(None);
    };
    let Capacity {
        cpus,
        memory_mb,
        disk_gb,
    } = capacity;
    if let Some(row) = known {
        // Disk that machines hold already is not free, and yet the host's to promise.
        let disk_gb = disk_gb + row.disk_gb_taken;
        diesel::update(hosts::table.find(row.id))
            .set((
                hosts::location_id.eq(location_id),
                hosts::cpus.eq(cpus),
                hosts::memory_mb.eq(memory_mb),
                hosts::disk_gb.eq(disk_gb),
                hosts::last_seen_at.eq(Some(now)),
            ))
            .execute(tx.conn())?;
        return Ok(Some(HostRow {
            location_id,
            cpus,
            memory_mb,
            disk_gb,
            ..row
        }));
    }
    let row = HostRow {
        id: Id::new(),
        name: name.to_owned(),
        location_id,
        cpus,
        memory_mb,
        disk_gb,
        cpus_taken: 0,
        memory_mb_taken: 0,
        disk_gb_taken: 0,
        is_in_maintenance: false,
        last_seen_at: Some(now),
        created: now,
        modified: now,
    };
    diesel::insert_into(hosts::table)
        .values(&row)
        .execute(tx.conn())?;
    Ok(Some(row))
}

/// The location of this slug, or the first one if none is configured.
fn location(tx: &mut Tx<'_>, slug: &str) -> Result<Option<Id<Location>>, StoreError> {
    let mut query = locations::table
        .filter(locations::is_active.eq(true))
        .order((locations::created, locations::id))
        .select(locations::id)
        .into_boxed();
    if !slug.is_empty() {
        query = query.filter(locations::slug.eq(slug.to_owned()));
    }
    Ok(query.first(tx.conn()).optional()?)
}

/// What can be promised: what an operator says, or what the machine has.
fn capacity(settings: &kernel::config::Compute, free_disk_bytes: u64) -> Capacity {
    let own_cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let own_memory = own_memory_mb()
        .unwrap_or(1024)
        .saturating_sub(settings.host_reserved_memory_mb);
    let or = |told: u64, own: u64| if told == 0 { own } else { told };
    let percent =
        |value: u64, percent: u64| i64::try_from(value.saturating_mul(percent) / 100).unwrap_or(i64::MAX);
    Capacity {
        cpus: percent(or(settings.host_cpus, own_cpus), settings.cpu_overcommit_percent),
        memory_mb: percent(
            or(settings.host_memory_mb, own_memory),
            settings.memory_overcommit_percent,
        ),
        disk_gb: percent(
            or(settings.host_disk_gb, free_disk_bytes >> 30),
            settings.disk_overcommit_percent,
        ),
    }
}

/// The machine's memory by `/proc/meminfo`.
fn own_memory_mb() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib / 1024)
}
