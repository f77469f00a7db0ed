//! Keys.
pub mod rows;

use kernel::{access::Project, http::Faults, id::{AnyId, Id}, store::{Conn, StoreError}};

/// Notes a fault for every key that the project has not.
pub(crate) fn check(_conn: &mut Conn, _project: Id<Project>, ids: &[AnyId], faults: &mut Faults) -> Result<(), StoreError> {
    for id in ids {
        faults.add("ssh_key_ids", format!("Invalid pk \"{id}\" - object does not exist."));
    }
    Ok(())
}
