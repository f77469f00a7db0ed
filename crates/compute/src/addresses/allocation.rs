//! Who gets which address, and what becomes of it afterwards.
//!
//! A pool knows how many of its addresses have been taken at least once, from the first on; what was released since is
//! in `released_addresses` with the time from which it may be taken again. Taking an address is one look-up by index,
//! whatever the size of the network: the one that has rested longest, else the next that was never anybody's. The
//! pool's row is locked meanwhile, and `ip_addresses.address` is unique.

use std::{collections::HashMap, net::IpAddr};

use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, RunQueryDsl, SelectableHelper};
use kernel::{
    access::{Organization, Project},
    id::{Any, Id},
    store::{StoreError, Tx, lock},
};

use super::{
    mac::mac_for,
    pools::{self, Pool, PoolRow, Purpose},
    priced,
    range::{Range, netmask},
    steps::SetReverseDns,
};
use crate::{
    catalogue::api::Location,
    instances::{
        api::{InstanceKind, IpType},
        rows::AddressRow,
    },
    schema::{address_pools, instance_interfaces, instances, ip_addresses, released_addresses},
};

/// The interface that public addresses are on.
pub(crate) const PUBLIC_INTERFACE: i64 = 0;

/// Whom an address is for.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// Where it is to be routed to.
    pub location: Id<Location>,
    /// Whose it will be.
    pub organization: Id<Organization>,
    /// Whose it will be.
    pub project: Id<Project>,
    /// Its instance, whose row must be there already.
    pub instance: Id<InstanceKind>,
    /// IPv4 or IPv6.
    pub family: IpType,
    /// Whether it is the instance's first one of the family, which it keeps as long as it is there.
    pub primary: bool,
}

/// What came of a claim.
#[derive(Clone, Debug)]
pub enum Allocation {
    /// The address, as it stands in the database now.
    Given(Box<AddressRow>),
    /// The location has no pool of the family.
    NoPool,
    /// All addresses are in use, or rest.
    Exhausted,
}

/// Gives an instance an address of its location. None: the location has no pool of the family, or all addresses are in
/// use or rest ([`claim`] says which).
///
/// The instance's row must be in the database already. If `primary`, `primary_ipv4` or `primary_ipv6` of that row is
/// set; a copy of the row in memory is not.
///
/// # Errors
/// The database refused; contended if another transaction was faster, after which the store tries again.
pub fn allocate(
    tx: &mut Tx<'_>,
    location: Id<Location>,
    organization: Id<Organization>,
    project: Id<Project>,
    instance: Id<InstanceKind>,
    family: IpType,
    primary: bool,
) -> Result<Option<AddressRow>, StoreError> {
    let wanted = Claim {
        location,
        organization,
        project,
        instance,
        family,
        primary,
    };
    Ok(match claim(tx, &wanted)? {
        Allocation::Given(row) => Some(*row),
        Allocation::NoPool | Allocation::Exhausted => None,
    })
}

/// As [`allocate`], and says why there is no address.
///
/// # Errors
/// As those of [`allocate`].
pub fn claim(tx: &mut Tx<'_>, wanted: &Claim) -> Result<Allocation, StoreError> {
    let purpose = if wanted.primary {
        Purpose::Primary
    } else {
        Purpose::Additional
    };
    let (location, family, now) = (wanted.location, wanted.family, tx.now());
    for id in pools::with_room(tx.conn(), location, family, purpose, now)? {
        let Some(pool) = pools::lock_active(tx, id)? else {
            continue;
        };
        if let Some(address) = take(tx, &pool)? {
            return Ok(Allocation::Given(Box::new(insert(tx, wanted, &pool, address)?)));
        }
    }
    if pools::any(tx.conn(), location, family, purpose)? {
        Ok(Allocation::Exhausted)
    } else {
        Ok(Allocation::NoPool)
    }
}

/// Takes an address of a pool that this transaction has locked.
fn take(tx: &mut Tx<'_>, pool: &PoolRow) -> Result<Option<IpAddr>, StoreError> {
    let (_, range) = pool.range()?;
    match take_rested(tx, pool, &range)? {
        Some(address) => Ok(Some(address)),
        None => take_unused(tx, pool, &range),
    }
}

/// The released address that has rested longest.
fn take_rested(tx: &mut Tx<'_>, pool: &PoolRow, range: &Range) -> Result<Option<IpAddr>, StoreError> {
    loop {
        let now = tx.now();
        let rested: Option<i64> = released_addresses::table
            .filter(released_addresses::pool_id.eq(pool.id))
            .filter(released_addresses::free_at.le(now))
            .order((released_addresses::free_at, released_addresses::position))
            .select(released_addresses::position)
            .first(tx.conn())
            .optional()?;
        let Some(position) = rested else { return Ok(None) };
        diesel::delete(released_addresses::table.find((pool.id, position))).execute(tx.conn())?;
        if let Some(address) = range.at(position)
            && !is_in_use(tx, address)?
        {
            return Ok(Some(address));
        }
    }
}

/// The next address that was never anybody's. Those that the gateway has, or that were written by other means, are
/// passed over once and for all.
fn take_unused(tx: &mut Tx<'_>, pool: &PoolRow, range: &Range) -> Result<Option<IpAddr>, StoreError> {
    let mut found = None;
    let mut position = pool.handed_out;
    while position < pool.capacity && found.is_none() {
        if let Some(address) = range.at(position)
            && address.to_string() != pool.gateway
            && !is_in_use(tx, address)?
        {
            found = Some(address);
        }
        position += 1;
    }
    diesel::update(address_pools::table.find(pool.id))
        .set(address_pools::handed_out.eq(position))
        .execute(tx.conn())?;
    Ok(found)
}

fn is_in_use(tx: &mut Tx<'_>, address: IpAddr) -> Result<bool, StoreError> {
    let found: i64 = ip_addresses::table
        .filter(ip_addresses::address.eq(address.to_string()))
        .count()
        .get_result(tx.conn())?;
    Ok(found > 0)
}

fn insert(
    tx: &mut Tx<'_>,
    wanted: &Claim,
    pool: &PoolRow,
    address: IpAddr,
) -> Result<AddressRow, StoreError> {
    let (network, _) = pool.range()?;
    let mac_address = mac_for(tx, wanted.instance, PUBLIC_INTERFACE)?;
    let now = tx.now();
    let row = AddressRow {
        id: Id::new(),
        organization_id: wanted.organization,
        project_id: wanted.project,
        instance_id: Some(wanted.instance),
        address: address.to_string(),
        ip_type: wanted.family,
        interface: PUBLIC_INTERFACE,
        netmask: Some(netmask(network)),
        gateway: pool.gateway.clone(),
        network_id: Some(pool.id.cast()),
        vlan: pool.vlan,
        mac_address,
        is_primary: wanted.primary,
        reverse_dns: String::new(),
        created: now,
        modified: now,
    };
    let inserted = diesel::insert_into(ip_addresses::table)
        .values(&row)
        .execute(tx.conn());
    match inserted.map_err(StoreError::from) {
        Ok(_) => {}
        // Written by other means since it was looked for.
        Err(StoreError::Duplicate(text)) => return Err(StoreError::Contended(text)),
        Err(error) => return Err(error),
    }
    if wanted.primary {
        let instance = instances::table
            .filter(instances::id.eq(wanted.instance))
            .filter(instances::project_id.eq(wanted.project));
        match wanted.family {
            IpType::Ipv4 => diesel::update(instance)
                .set(instances::primary_ipv4.eq(Some(row.id)))
                .execute(tx.conn())?,
            IpType::Ipv6 => diesel::update(instance)
                .set(instances::primary_ipv6.eq(Some(row.id)))
                .execute(tx.conn())?,
        };
    }
    Ok(row)
}

/// Takes all addresses and hardware addresses of an instance that is no more. The addresses rest in their pools; their
/// names are taken out of DNS by tasks.
///
/// # Errors
/// The database refused.
pub fn release_all(tx: &mut Tx<'_>, instance: Id<InstanceKind>) -> Result<(), StoreError> {
    // In this order, as instances get them: two transactions that touch the same pools do not wait for each other.
    let query = ip_addresses::table
        .filter(ip_addresses::instance_id.eq(instance))
        .order((ip_addresses::ip_type, ip_addresses::id))
        .select(AddressRow::as_select());
    let rows: Vec<AddressRow> = lock("ip_addresses", query).load(tx.conn())?;
    release(tx, &rows)?;
    diesel::delete(instance_interfaces::table.filter(instance_interfaces::instance_id.eq(instance)))
        .execute(tx.conn())?;
    diesel::update(instances::table.filter(instances::id.eq(instance)))
        .set((
            instances::primary_ipv4.eq(None::<Id<crate::instances::api::Address>>),
            instances::primary_ipv6.eq(None::<Id<crate::instances::api::Address>>),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Takes these addresses, which this transaction has locked, from their instances.
pub(super) fn release(tx: &mut Tx<'_>, rows: &[AddressRow]) -> Result<(), StoreError> {
    let ids: Vec<Id<Pool>> = rows
        .iter()
        .filter_map(|row| row.network_id)
        .map(Id::cast)
        .collect();
    let pools: HashMap<Id<Any>, PoolRow> = pools::by_ids(tx.conn(), ids)?
        .into_iter()
        .map(|pool| (pool.id.cast(), pool))
        .collect();
    for row in rows {
        priced::forget(tx, row.id)?;
        diesel::delete(ip_addresses::table.find(row.id)).execute(tx.conn())?;
        if let Some(pool) = row.network_id.and_then(|id| pools.get(&id)) {
            rest(tx, pool, &row.address)?;
        }
        if !row.reverse_dns.is_empty() {
            tx.enqueue(&SetReverseDns::task(row))?;
        }
    }
    Ok(())
}

fn rest(tx: &mut Tx<'_>, pool: &PoolRow, address: &str) -> Result<(), StoreError> {
    let (_, range) = pool.range()?;
    let Some(position) = address.parse().ok().and_then(|address| range.position(address)) else {
        return Ok(());
    };
    let row = (
        released_addresses::pool_id.eq(pool.id),
        released_addresses::position.eq(position),
        released_addresses::free_at.eq(tx.now() + pool.quarantine()),
    );
    diesel::insert_into(released_addresses::table)
        .values(row)
        .execute(tx.conn())?;
    Ok(())
}
