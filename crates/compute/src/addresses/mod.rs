//! Addresses.
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use kernel::{access::{Organization, Project}, id::Id, store::{StoreError, Tx}};

use crate::{catalogue::api::Location, instances::{api::{InstanceKind, IpType}, rows::AddressRow}, schema::ip_addresses};

/// Takes an address.
///
/// # Errors
/// The database refused.
#[expect(clippy::too_many_arguments, reason = "stub")]
pub fn allocate(
    _tx: &mut Tx<'_>,
    _location: Id<Location>,
    _organization: Id<Organization>,
    _project: Id<Project>,
    _instance: Id<InstanceKind>,
    _family: IpType,
    _primary: bool,
) -> Result<Option<AddressRow>, StoreError> {
    Ok(None)
}

/// Releases all of an instance.
///
/// # Errors
/// The database refused.
pub fn release_all(tx: &mut Tx<'_>, instance: Id<InstanceKind>) -> Result<(), StoreError> {
    diesel::delete(ip_addresses::table.filter(ip_addresses::instance_id.eq(Some(instance)))).execute(tx.conn())?;
    Ok(())
}
