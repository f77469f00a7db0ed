//! Which host a machine goes to, and what it takes of it.
//!
//! A place is taken by one conditional update: of two requests for the last one, one changes a row and the other does
//! not, on both databases, without a lock on anything else.

use std::collections::HashMap;

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl, SelectableHelper};
use kernel::{
    id::Id,
    store::{Conn, StoreError, Tx},
};

use super::{HostId, HostRow};
use crate::{catalogue::api::Location, schema::hosts};

/// What a machine takes of its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Virtual processors.
    pub cpus: i64,
    /// Memory, MB.
    pub memory_mb: i64,
    /// Disk, GB.
    pub disk_gb: i64,
}

impl Share {
    /// What `self` takes more than `other`.
    #[must_use]
    pub fn beyond(self, other: Self) -> Self {
        Self {
            cpus: self.cpus - other.cpus,
            memory_mb: self.memory_mb - other.memory_mb,
            disk_gb: self.disk_gb - other.disk_gb,
        }
    }

    /// Whether it is free on a host, for a machine that is there already.
    pub(crate) fn is_free_on(self, host: &HostRow) -> bool {
        self.cpus <= host.cpus - host.cpus_taken
            && self.memory_mb <= host.memory_mb - host.memory_mb_taken
            && self.disk_gb <= host.disk_gb - host.disk_gb_taken
    }

    /// How many times it fits into what is free; a host in maintenance has no place.
    fn fits(self, host: &HostRow) -> i64 {
        if host.is_in_maintenance {
            return 0;
        }
        [
            (host.cpus - host.cpus_taken, self.cpus),
            (host.memory_mb - host.memory_mb_taken, self.memory_mb),
            (host.disk_gb - host.disk_gb_taken, self.disk_gb),
        ]
        .into_iter()
        .filter(|(_, each)| *each > 0)
        .map(|(free, each)| (free / each).max(0))
        .min()
        .unwrap_or(0)
    }
}

/// Takes a place in the location, on the host with the most memory free. `None`: there is none.
///
/// # Errors
/// The database refused.
pub fn reserve(tx: &mut Tx<'_>, location: Id<Location>, share: Share) -> Result<Option<HostId>, StoreError> {
    let mut candidates: Vec<HostRow> = hosts::table
        .filter(hosts::location_id.eq(location))
        .select(HostRow::as_select())
        .load(tx.conn())?;
    candidates.retain(|host| share.fits(host) > 0);
    candidates.sort_by_key(|host| std::cmp::Reverse(host.memory_mb - host.memory_mb_taken));
    for host in candidates {
        if take(tx, host.id, share)? {
            return Ok(Some(host.id));
        }
    }
    Ok(None)
}

/// Takes more of a host, if it is free there: a resize. `false`: it is not.
///
/// # Errors
/// The database refused.
pub(crate) fn take(tx: &mut Tx<'_>, host: HostId, share: Share) -> Result<bool, StoreError> {
    let free = hosts::table
        .find(host)
        .filter((hosts::cpus_taken + share.cpus).le(hosts::cpus))
        .filter((hosts::memory_mb_taken + share.memory_mb).le(hosts::memory_mb))
        .filter((hosts::disk_gb_taken + share.disk_gb).le(hosts::disk_gb));
    let taken = diesel::update(free)
        .set((
            hosts::cpus_taken.eq(hosts::cpus_taken + share.cpus),
            hosts::memory_mb_taken.eq(hosts::memory_mb_taken + share.memory_mb),
            hosts::disk_gb_taken.eq(hosts::disk_gb_taken + share.disk_gb),
        ))
        .execute(tx.conn())?;
    Ok(taken == 1)
}

/// Gives back what a machine held.
///
/// # Errors
/// The database refused.
pub fn release(tx: &mut Tx<'_>, host: HostId, share: Share) -> Result<(), StoreError> {
    diesel::update(hosts::table.find(host))
        .set((
            hosts::cpus_taken.eq(hosts::cpus_taken - share.cpus),
            hosts::memory_mb_taken.eq(hosts::memory_mb_taken - share.memory_mb),
            hosts::disk_gb_taken.eq(hosts::disk_gb_taken - share.disk_gb),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// How many machines of each of these shares would still find a place, by location.
///
/// # Errors
/// The database refused.
pub fn places_left(conn: &mut Conn, shares: &[Share]) -> Result<HashMap<Id<Location>, Vec<i64>>, StoreError> {
    let all: Vec<HostRow> = hosts::table.select(HostRow::as_select()).load(conn)?;
    let mut left: HashMap<Id<Location>, Vec<i64>> = HashMap::new();
    for host in &all {
        let places = left
            .entry(host.location_id)
            .or_insert_with(|| vec![0; shares.len()]);
        for (places, share) in places.iter_mut().zip(shares) {
            *places += share.fits(host);
        }
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use kernel::time::Clock;

    use super::*;

    fn host(cpus: i64, memory_mb: i64, disk_gb: i64) -> HostRow {
        let now = Clock::default().now();
        HostRow {
            id: Id::new(),
            name: "a".to_owned(),
            location_id: Id::new(),
            cpus,
            memory_mb,
            disk_gb,
            cpus_taken: 1,
            memory_mb_taken: 1024,
            disk_gb_taken: 10,
            is_in_maintenance: false,
            last_seen_at: None,
            created: now,
            modified: now,
        }
    }

    #[test]
    fn the_scarcest_thing_decides() {
        let share = Share {
            cpus: 2,
            memory_mb: 2048,
            disk_gb: 20,
        };
        assert_eq!(share.fits(&host(9, 9216, 90)), 4);
        assert_eq!(share.fits(&host(9, 5120, 90)), 2);
        assert_eq!(share.fits(&host(9, 9216, 29)), 0);
        assert_eq!(share.fits(&host(0, 0, 0)), 0);
        let mut tended = host(9, 9216, 90);
        tended.is_in_maintenance = true;
        assert_eq!(share.fits(&tended), 0);
    }
}
