//! The table of hosts.

use diesel::{
    ExpressionMethods, Insertable, JoinOnDsl, OptionalExtension, QueryDsl, Queryable, RunQueryDsl,
    Selectable, SelectableHelper,
};
use kernel::{
    id::Id,
    store::{Conn, StoreError, Tx},
    time::Time,
};

use crate::{
    catalogue::api::Location,
    schema::{hosts, locations, machines},
};

/// Names the ids of hosts.
#[derive(Debug)]
pub enum Host {}

/// A row of `hosts`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = hosts)]
#[expect(missing_docs, reason = "the migrations document columns")]
pub struct HostRow {
    pub id: Id<Host>,
    pub name: String,
    pub location_id: Id<Location>,
    pub cpus: i64,
    pub memory_mb: i64,
    pub disk_gb: i64,
    pub cpus_taken: i64,
    pub memory_mb_taken: i64,
    pub disk_gb_taken: i64,
    pub is_in_maintenance: bool,
    pub last_seen_at: Option<Time>,
    pub created: Time,
    pub modified: Time,
}

/// All hosts, by name. There are as many as operators have set up.
///
/// # Errors
/// The database refused.
pub fn list(conn: &mut Conn) -> Result<Vec<HostRow>, StoreError> {
    Ok(hosts::table
        .order(hosts::name)
        .select(HostRow::as_select())
        .load(conn)?)
}

/// A host as operators see it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The host.
    pub host: HostRow,
    /// The slug of its location.
    pub location: String,
    /// How many machines are on it, by what is written.
    pub machines: i64,
}

/// All hosts with their locations and how many machines they have, by name.
///
/// # Errors
/// The database refused.
pub fn listed(conn: &mut Conn) -> Result<Vec<Listed>, StoreError> {
    let found: Vec<(HostRow, String)> = hosts::table
        .inner_join(locations::table.on(locations::id.eq(hosts::location_id)))
        .order(hosts::name)
        .select((HostRow::as_select(), locations::slug))
        .load(conn)?;
    let counts: Vec<(Id<Host>, i64)> = machines::table
        .group_by(machines::host_id)
        .select((machines::host_id, diesel::dsl::count_star()))
        .load(conn)?;
    let listed = found.into_iter().map(|(host, location)| {
        let count = counts.iter().find(|(id, _)| *id == host.id);
        let machines = count.map_or(0, |(_, count)| *count);
        Listed {
            host,
            location,
            machines,
        }
    });
    Ok(listed.collect())
}

/// A machine's host.
///
/// # Errors
/// The database refused.
pub(crate) fn find(conn: &mut Conn, id: Id<Host>) -> Result<Option<HostRow>, StoreError> {
    Ok(hosts::table
        .find(id)
        .select(HostRow::as_select())
        .first(conn)
        .optional()?)
}

/// The host of this name.
///
/// # Errors
/// The database refused.
pub fn find_named(conn: &mut Conn, name: &str) -> Result<Option<HostRow>, StoreError> {
    Ok(hosts::table
        .filter(hosts::name.eq(name))
        .select(HostRow::as_select())
        .first(conn)
        .optional()?)
}

/// Says whether a host takes new machines. `false`: there is no such host.
///
/// # Errors
/// The database refused.
pub fn set_maintenance(tx: &mut Tx<'_>, id: Id<Host>, is_in_maintenance: bool) -> Result<bool, StoreError> {
    let changed = diesel::update(hosts::table.find(id))
        .set((
            hosts::is_in_maintenance.eq(is_in_maintenance),
            hosts::modified.eq(tx.now()),
        ))
        .execute(tx.conn())?;
    Ok(changed == 1)
}
