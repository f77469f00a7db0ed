//! From rows to answers.

use std::collections::HashMap;

use kernel::{
    access::Project,
    http::{ApiError, ApiResult, Versioned},
    id::Id,
    openapi::WriteOnly,
    store::Conn,
    time::Time,
};

use super::{
    api::{IPAddress, Instance, InstanceKind, InstanceStateSync, VolumeSummary},
    rows::{
        AddressRow, Found, InstanceRow, StateRow, VolumeRow, addresses_of, find, find_many, parts_of,
        volumes_of,
    },
};
use crate::{catalogue::Catalogue, vpcs::api::Vpc};

/// What the answer about an id has while this node has not heard of its size, location or image: one added a moment
/// ago. The next second knows.
fn refreshing() -> ApiError {
    ApiError::unavailable("The catalogue is being refreshed.")
}

/// One instance: three queries.
pub(crate) fn one(
    conn: &mut Conn,
    catalogue: &Catalogue,
    project: Id<Project>,
    id: Id<InstanceKind>,
) -> ApiResult<Versioned<Instance>> {
    let found = find(conn, project, id)?.ok_or_else(ApiError::not_found)?;
    complete(conn, catalogue, found)
}

/// An instance that was found already, with its lists: two queries.
pub(super) fn complete(
    conn: &mut Conn,
    catalogue: &Catalogue,
    found: Found,
) -> ApiResult<Versioned<Instance>> {
    let (addresses, volumes) = parts_of(conn, found.0.id)?;
    let version = found.0.version;
    Ok(Versioned {
        version,
        body: instance(found, addresses, volumes, catalogue)?,
    })
}

/// Instances in the order of their ids: three queries, however many there are.
pub(super) fn many(
    conn: &mut Conn,
    catalogue: &Catalogue,
    project: Id<Project>,
    ids: &[Id<InstanceKind>],
) -> ApiResult<Vec<Instance>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut found: HashMap<_, Found> = find_many(conn, project, ids)?;
    let mut addresses = addresses_of(conn, ids)?;
    let mut volumes = volumes_of(conn, ids)?;
    ids.iter()
        // One that was deleted between the queries is left out.
        .filter_map(|id| {
            let found = found.remove(id)?;
            let addresses = addresses.remove(id).unwrap_or_default();
            Some(instance(
                found,
                addresses,
                volumes.remove(id).unwrap_or_default(),
                catalogue,
            ))
        })
        .collect()
}

fn instance(
    (row, vpc, state): Found,
    addresses: Vec<AddressRow>,
    volumes: Vec<VolumeRow>,
    catalogue: &Catalogue,
) -> ApiResult<Instance> {
    let InstanceRow {
        id,
        legacy_id,
        organization_id,
        project_id,
        name,
        hostname,
        description,
        search: _,
        status,
        size_id,
        location_id,
        vpc_id: _,
        image_id,
        os_name,
        primary_ipv4,
        primary_ipv6,
        billing_cycle,
        billing_start_date,
        billing_end_date,
        next_billing_date,
        cancellation_requested_at,
        cancellation_reason,
        bandwidth_used_gb,
        tags,
        is_active,
        is_installed,
        version: _,
        created,
        modified,
    } = row;
    let volumes: ApiResult<Vec<VolumeSummary>> =
        volumes.into_iter().map(|row| volume(row, catalogue)).collect();
    Ok(Instance {
        id,
        legacy_id,
        organization_id,
        project_id,
        name,
        hostname,
        description,
        status,
        size: catalogue.size(size_id).cloned().ok_or_else(refreshing)?,
        size_id: WriteOnly::new(),
        location: catalogue.location(location_id).cloned().ok_or_else(refreshing)?,
        location_id: WriteOnly::new(),
        vpc: Vpc::of(vpc, catalogue)?,
        vpc_id: WriteOnly::new(),
        image: catalogue.image(image_id).cloned().ok_or_else(refreshing)?,
        image_id: WriteOnly::new(),
        os_name,
        primary_ipv4,
        primary_ipv6,
        ip_addresses: addresses.into_iter().map(IPAddress::from).collect(),
        volumes: volumes?,
        billing_cycle,
        billing_start_date,
        billing_end_date,
        next_billing_date,
        cancellation_requested_at,
        cancellation_reason,
        bandwidth_used_gb: bandwidth_used_gb.fixed(),
        tags,
        is_active,
        is_installed,
        state_sync: state_of(state, id, created),
        created,
        modified,
    })
}

pub(crate) fn volume(row: VolumeRow, catalogue: &Catalogue) -> ApiResult<VolumeSummary> {
    let VolumeRow {
        id,
        organization_id: _,
        project_id: _,
        instance_id: _,
        location_id,
        name,
        size_gb,
        status,
        disk_name,
        price_monthly,
        is_active,
        created,
        modified: _,
    } = row;
    let location = catalogue.location(location_id).cloned().ok_or_else(refreshing)?;
    let price_monthly = price_monthly.fixed();
    Ok(VolumeSummary {
        id,
        name,
        size_gb,
        status,
        disk_name,
        location,
        price_monthly,
        is_active,
        created,
    })
}

/// What was last seen of an instance's machine.
pub(crate) fn state_of(state: Option<StateRow>, id: Id<InstanceKind>, created: Time) -> InstanceStateSync {
    state.map_or_else(|| unknown_state(id, created), state_sync)
}

fn state_sync(row: StateRow) -> InstanceStateSync {
    let StateRow {
        id,
        instance_id: _,
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
    InstanceStateSync {
        id,
        vm_status,
        uptime,
        cpu_usage: cpu_usage.fixed(),
        memory_usage_mb,
        disk_usage_gb: disk_usage_gb.fixed(),
        network_in_bytes,
        network_out_bytes,
        last_synced_at,
        sync_source,
    }
}

/// Before the first synchronisation: the schema demands a state, so it is said to be unknown since the creation.
fn unknown_state(id: Id<InstanceKind>, created: Time) -> InstanceStateSync {
    let nothing = kernel::money::Amount::default();
    InstanceStateSync {
        id: id.cast(),
        vm_status: "unknown".to_owned(),
        uptime: 0,
        cpu_usage: nothing.fixed(),
        memory_usage_mb: 0,
        disk_usage_gb: nothing.fixed(),
        network_in_bytes: 0,
        network_out_bytes: 0,
        last_synced_at: created,
        sync_source: String::new(),
    }
}
