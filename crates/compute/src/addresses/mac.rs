//! Hardware addresses: one an interface, never two alike.

use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, RunQueryDsl};
use kernel::{
    id::Id,
    store::{StoreError, Tx},
};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{
    instances::api::InstanceKind,
    schema::{instance_interfaces, ip_addresses},
};

/// The hardware address of an instance's interface (0 for net0), chosen when it is first asked for and kept until
/// [`super::release_all`]. The instance's row must be there already.
///
/// # Errors
/// The database refused; contended if two transactions have chosen the same.
pub fn mac_for(tx: &mut Tx<'_>, instance: Id<InstanceKind>, interface: i64) -> Result<String, StoreError> {
    let known = instance_interfaces::table
        .find((instance, interface))
        .select(instance_interfaces::mac_address)
        .first(tx.conn())
        .optional()?;
    if let Some(mac) = known {
        return Ok(mac);
    }
    let mac = choose(tx, instance, interface)?;
    let row = (
        instance_interfaces::instance_id.eq(instance),
        instance_interfaces::interface.eq(interface),
        instance_interfaces::mac_address.eq(&mac),
    );
    let inserted = diesel::insert_into(instance_interfaces::table)
        .values(row)
        .execute(tx.conn());
    match inserted.map_err(StoreError::from) {
        Ok(_) => Ok(mac),
        Err(StoreError::Duplicate(text)) => Err(StoreError::Contended(text)),
        Err(error) => Err(error),
    }
}

fn choose(tx: &mut Tx<'_>, instance: Id<InstanceKind>, interface: i64) -> Result<String, StoreError> {
    // An interface that has addresses from before this table knew it keeps what they say.
    let told: Option<String> = ip_addresses::table
        .filter(ip_addresses::instance_id.eq(instance))
        .filter(ip_addresses::interface.eq(interface))
        .order((ip_addresses::is_primary.desc(), ip_addresses::id))
        .select(ip_addresses::mac_address)
        .first(tx.conn())
        .optional()?;
    if let Some(mac) = told {
        return Ok(mac);
    }
    // With 2⁴⁰ to choose from, a second try is rare and a third one is a fault.
    for attempt in 0..16 {
        let mac = derived(instance, interface, attempt);
        let taken: i64 = instance_interfaces::table
            .filter(instance_interfaces::mac_address.eq(&mac))
            .count()
            .get_result(tx.conn())?;
        if taken == 0 {
            return Ok(mac);
        }
    }
    Err(StoreError::Contended("no hardware address is free".to_owned()))
}

/// Locally administered, unicast (IEEE 802, the second lowest bit of the first octet set and the lowest not), and the
/// same for the same interface.
fn derived(instance: Id<InstanceKind>, interface: i64, attempt: u64) -> String {
    let mut bytes = instance.uuid().as_bytes().to_vec();
    bytes.extend_from_slice(&interface.to_be_bytes());
    let [a, b, c, d, e, ..] = xxh3_64_with_seed(&bytes, attempt).to_be_bytes();
    format!("02:{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn interfaces_differ_and_keep_their_addresses() {
        let instance = Id::new();
        let all: HashSet<String> = (0..8).map(|interface| derived(instance, interface, 0)).collect();
        assert_eq!(all.len(), 8);
        assert!(all.contains(&derived(instance, 3, 0)));
        assert_ne!(derived(instance, 3, 0), derived(instance, 3, 1));
        let mac = derived(instance, 0, 0);
        assert!(mac.starts_with("02:") && mac.len() == 17, "{mac}");
    }
}
