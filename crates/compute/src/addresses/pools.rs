//! Pools of addresses: ranges that instances of a location get theirs from. Operators make them.

use std::{net::IpAddr, time::Duration};

use diesel::{
    BoolExpressionMethods, ExpressionMethods, Insertable, NullableExpressionMethods, OptionalExtension,
    QueryDsl, Queryable, RunQueryDsl, Selectable, SelectableHelper,
    dsl::{count_star, exists},
};
use ipnet::IpNet;
use kernel::{
    access::Project,
    audit::{AuditStatus, Changes, Event, Origin},
    http::{ApiError, ApiResult, Faults},
    id::{Any, Id},
    store::{Conn, StoreError, Tx, lock, sql::MultiBackend},
    time::Time,
    words,
};

use super::range::{Plan, Range, family_of};
use crate::{
    catalogue::api::Location,
    instances::api::IpType,
    schema::{address_pools, ip_addresses, locations, released_addresses},
};

/// Names the ids of pools.
#[derive(Debug)]
pub enum Pool {}

words! {
    /// Which addresses of instances a pool is for.
    pub enum Purpose {
        /// All.
        Any = "any",
        /// Those that an instance begins with.
        Primary = "primary",
        /// Those that are added later.
        Additional = "additional",
    }
}

/// A row of `address_pools`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = address_pools)]
#[expect(missing_docs, reason = "the migrations document columns")]
pub struct PoolRow {
    pub id: Id<Pool>,
    pub location_id: Id<Location>,
    pub family: IpType,
    pub purpose: Purpose,
    pub cidr: String,
    pub gateway: String,
    pub vlan: Option<i64>,
    pub first_usable: String,
    pub last_usable: String,
    pub capacity: i64,
    pub handed_out: i64,
    pub quarantine_seconds: i64,
    pub is_active: bool,
    pub created: Time,
    pub modified: Time,
}

impl PoolRow {
    /// The network and its usable addresses.
    ///
    /// # Errors
    /// The row was written by somebody else than [`add`].
    pub(super) fn range(&self) -> Result<(IpNet, Range), StoreError> {
        let network = self.cidr.parse().ok();
        let (first, last) = (self.first_usable.parse().ok(), self.last_usable.parse().ok());
        let range = first.zip(last).and_then(|(first, last)| Range::new(first, last));
        network.zip(range).ok_or_else(|| {
            let text = format!("the pool {} can't be read", self.id);
            StoreError::Statement(diesel::result::Error::DeserializationError(text.into()))
        })
    }

    /// How long released addresses rest.
    pub(super) fn quarantine(&self) -> Duration {
        Duration::from_secs(u64::try_from(self.quarantine_seconds).unwrap_or(0))
    }
}

/// What an operator wants.
#[derive(Clone, Debug)]
pub struct NewPool {
    /// The location, by its slug.
    pub location: String,
    /// The network.
    pub network: IpNet,
    /// Where its hosts send what is not for the network.
    pub gateway: IpAddr,
    /// The VLAN that it is in.
    pub vlan: Option<u16>,
    /// The first address that may be given out, if not the network's first one.
    pub first: Option<IpAddr>,
    /// The last address that may be given out, if not the network's last one.
    pub last: Option<IpAddr>,
    /// Which addresses it is for.
    pub purpose: Purpose,
    /// How long released addresses rest.
    pub quarantine: Duration,
}

/// Adds a pool.
///
/// # Errors
/// 400: everything that is wrong, or another pool has some of its addresses.
pub fn add(tx: &mut Tx<'_>, origin: &Origin, wanted: &NewPool) -> ApiResult<PoolRow> {
    let plan = Plan {
        network: wanted.network,
        gateway: wanted.gateway,
        vlan: wanted.vlan,
        first: wanted.first,
        last: wanted.last,
    };
    let mut faults = Faults::default();
    let location = location_of(tx.conn(), &wanted.location)?;
    faults.check("location", location.is_some(), "There is no such location.");
    let range = plan.check().map_err(|found| faults.merge(found)).ok();
    if let Some(other) = overlapping(tx.conn(), wanted.network)? {
        faults.add("cidr", format!("The pool {other} has some of these addresses."));
    }
    let (Some(location), Some(range), true) = (location, range, faults.is_empty()) else {
        return Err(faults.into());
    };
    let now = tx.now();
    let row = PoolRow {
        id: Id::new(),
        location_id: location,
        family: family_of(range.first()),
        purpose: wanted.purpose,
        cidr: wanted.network.to_string(),
        gateway: wanted.gateway.to_string(),
        vlan: wanted.vlan.map(i64::from),
        first_usable: range.first().to_string(),
        last_usable: range.last().to_string(),
        capacity: range.capacity(),
        handed_out: 0,
        quarantine_seconds: i64::try_from(wanted.quarantine.as_secs()).unwrap_or(i64::MAX),
        is_active: true,
        created: now,
        modified: now,
    };
    diesel::insert_into(address_pools::table)
        .values(&row)
        .execute(tx.conn())?;
    let mut changes = Changes::default();
    changes.note("cidr", &None, &Some(&row.cidr));
    changes.note("gateway", &None, &Some(&row.gateway));
    changes.note("vlan", &None, &row.vlan);
    changes.note("purpose", &None, &Some(row.purpose.as_str()));
    record(tx, origin, &row, "address_pool.added", "added", changes)?;
    Ok(row)
}

fn location_of(conn: &mut Conn, slug: &str) -> Result<Option<Id<Location>>, StoreError> {
    let query = locations::table
        .filter(locations::slug.eq(slug))
        .select(locations::id);
    Ok(query.first(conn).optional()?)
}

/// The network of a pool that shares addresses with `network`. There are few pools: all are looked at.
fn overlapping(conn: &mut Conn, network: IpNet) -> Result<Option<String>, StoreError> {
    let known: Vec<String> = address_pools::table
        .filter(address_pools::family.eq(family_of(network.addr())))
        .select(address_pools::cidr)
        .load(conn)?;
    Ok(known.into_iter().find(|cidr| {
        let other = cidr.parse::<IpNet>();
        other.is_ok_and(|other| other.contains(&network.network()) || network.contains(&other.network()))
    }))
}

/// Gives out addresses of a pool, or stops giving them out; who has one keeps it. Pools are named by their network.
/// Tells whether that is a change.
///
/// # Errors
/// 404: there is no such pool.
pub fn set_active(tx: &mut Tx<'_>, origin: &Origin, network: IpNet, is_active: bool) -> ApiResult<bool> {
    let query = address_pools::table
        .filter(address_pools::cidr.eq(network.to_string()))
        .select(PoolRow::as_select());
    let row: Option<PoolRow> = lock("address_pools", query).get_result(tx.conn()).optional()?;
    let row = row.ok_or_else(ApiError::not_found)?;
    if row.is_active == is_active {
        return Ok(false);
    }
    let now = tx.now();
    diesel::update(address_pools::table.find(row.id))
        .set((
            address_pools::is_active.eq(is_active),
            address_pools::modified.eq(now),
        ))
        .execute(tx.conn())?;
    let mut changes = Changes::default();
    changes.note("is_active", &row.is_active, &is_active);
    let (action, done) = if is_active {
        ("address_pool.enabled", "enabled")
    } else {
        ("address_pool.disabled", "disabled")
    };
    record(tx, origin, &row, action, done, changes)?;
    Ok(true)
}

/// Pools belong to the operator: their records to no organization.
fn record(
    tx: &mut Tx<'_>,
    origin: &Origin,
    row: &PoolRow,
    action: &'static str,
    done: &str,
    changes: Changes,
) -> Result<(), StoreError> {
    let event = Event {
        action,
        resource_type: "address_pool",
        resource_id: row.id.cast(),
        resource_name: row.cidr.clone(),
        description: format!("Address pool {} {done}", row.cidr),
        changes,
        status: AuditStatus::Success,
    };
    tx.audit(origin, None, None, &event)
}

/// A pool and how full it is.
#[derive(Clone, Debug)]
pub struct Fill {
    /// The pool.
    pub pool: PoolRow,
    /// The slug of its location.
    pub location: String,
    /// Addresses that are somebody's.
    pub in_use: i64,
    /// Addresses that rest since they were released.
    pub resting: i64,
    /// Addresses that can be had now.
    pub free: i64,
}

/// All pools, by location and age.
///
/// # Errors
/// The database refused.
pub fn list(conn: &mut Conn, now: Time) -> Result<Vec<Fill>, StoreError> {
    let pools: Vec<PoolRow> = address_pools::table
        .order((address_pools::created, address_pools::id))
        .select(PoolRow::as_select())
        .load(conn)?;
    let mut fills = fills(conn, pools, now)?;
    fills.sort_by(|one, other| one.location.cmp(&other.location));
    Ok(fills)
}

/// The pools that addresses of a project's instances come from.
pub(crate) fn of_project(project: Id<Project>) -> address_pools::BoxedQuery<'static, MultiBackend> {
    let used = ip_addresses::table
        .filter(ip_addresses::project_id.eq(project))
        .filter(ip_addresses::instance_id.is_not_null())
        .filter(ip_addresses::network_id.eq(address_pools::id.nullable()));
    address_pools::table.filter(exists(used)).into_boxed()
}

/// How full pools are, in the same order: three queries, however many there are.
///
/// # Errors
/// The database refused.
pub(crate) fn fills(conn: &mut Conn, pools: Vec<PoolRow>, now: Time) -> Result<Vec<Fill>, StoreError> {
    let ids: Vec<Id<Pool>> = pools.iter().map(|pool| pool.id).collect();
    let places: Vec<(Id<Location>, String)> = locations::table
        .filter(locations::id.eq_any(pools.iter().map(|pool| pool.location_id).collect::<Vec<_>>()))
        .select((locations::id, locations::slug))
        .load(conn)?;
    let in_use: Vec<(Option<Id<Any>>, i64)> = ip_addresses::table
        .filter(ip_addresses::network_id.eq_any(ids.iter().map(|id| id.cast::<Any>()).collect::<Vec<_>>()))
        .group_by(ip_addresses::network_id)
        .select((ip_addresses::network_id, count_star()))
        .load(conn)?;
    let resting: Vec<(Id<Pool>, i64)> = released_addresses::table
        .filter(released_addresses::pool_id.eq_any(ids))
        .filter(released_addresses::free_at.gt(now))
        .group_by(released_addresses::pool_id)
        .select((released_addresses::pool_id, count_star()))
        .load(conn)?;
    let fills = pools.into_iter().map(|pool| {
        let place = places.iter().find(|(id, _)| *id == pool.location_id);
        let used = in_use.iter().find(|(id, _)| *id == Some(pool.id.cast()));
        let rest = resting.iter().find(|(id, _)| *id == pool.id);
        let (in_use, resting) = (
            used.map_or(0, |(_, count)| *count),
            rest.map_or(0, |(_, count)| *count),
        );
        let (_, range) = pool.range()?;
        let gateway = pool.gateway.parse().is_ok_and(|gateway| range.contains(gateway));
        let taken = in_use + resting + i64::from(gateway);
        Ok(Fill {
            location: place.map(|(_, slug)| slug.clone()).unwrap_or_default(),
            in_use,
            resting,
            free: pool.capacity.saturating_sub(taken).max(0),
            pool,
        })
    });
    fills.collect()
}

/// The location's pools that have an address to give, the oldest first. Looked at without a lock: a full pool keeps
/// nobody waiting.
pub(super) fn with_room(
    conn: &mut Conn,
    location: Id<Location>,
    family: IpType,
    purpose: Purpose,
    now: Time,
) -> Result<Vec<Id<Pool>>, StoreError> {
    let rested = released_addresses::table
        .filter(released_addresses::pool_id.eq(address_pools::id))
        .filter(released_addresses::free_at.le(now));
    let query = address_pools::table
        .filter(address_pools::location_id.eq(location))
        .filter(address_pools::family.eq(family))
        .filter(address_pools::is_active.eq(true))
        .filter(address_pools::purpose.eq_any([Purpose::Any, purpose]))
        .filter(
            address_pools::handed_out
                .lt(address_pools::capacity)
                .or(exists(rested)),
        )
        .order((address_pools::created, address_pools::id))
        .select(address_pools::id);
    Ok(query.load(conn)?)
}

/// Whether the location has a pool at all.
pub(super) fn any(
    conn: &mut Conn,
    location: Id<Location>,
    family: IpType,
    purpose: Purpose,
) -> Result<bool, StoreError> {
    let query = address_pools::table
        .filter(address_pools::location_id.eq(location))
        .filter(address_pools::family.eq(family))
        .filter(address_pools::is_active.eq(true))
        .filter(address_pools::purpose.eq_any([Purpose::Any, purpose]));
    let found: i64 = query.count().get_result(conn)?;
    Ok(found > 0)
}

/// A pool for this transaction alone; none if it has been disabled meanwhile.
pub(super) fn lock_active(tx: &mut Tx<'_>, id: Id<Pool>) -> Result<Option<PoolRow>, StoreError> {
    let query = address_pools::table
        .filter(address_pools::id.eq(id))
        .filter(address_pools::is_active.eq(true))
        .select(PoolRow::as_select());
    Ok(lock("address_pools", query).get_result(tx.conn()).optional()?)
}

/// The pools with these ids; an address that came from no pool has the id of none.
pub(super) fn by_ids(conn: &mut Conn, ids: Vec<Id<Pool>>) -> Result<Vec<PoolRow>, StoreError> {
    let query = address_pools::table
        .filter(address_pools::id.eq_any(ids))
        .select(PoolRow::as_select());
    Ok(query.load(conn)?)
}
