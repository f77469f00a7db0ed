//! Keys.
use kernel::{id::Id, store::{Conn, StoreError}};

use crate::instances::api::InstanceKind;

/// The keys of an instance, a line of `authorized_keys` each.
///
/// # Errors
/// The database refused.
pub fn lines_of_instance(_conn: &mut Conn, _instance: Id<InstanceKind>) -> Result<Vec<String>, StoreError> {
    Ok(Vec::new())
}

/// Links keys.
pub fn link(_tx: &mut kernel::store::Tx<'_>, _instance: Id<InstanceKind>, _ids: &[kernel::id::AnyId]) -> Result<(), StoreError> {
    Ok(())
}
