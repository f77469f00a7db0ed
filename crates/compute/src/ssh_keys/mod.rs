//! SSH keys: public keys of a project, and the copies that its instances carry.
//!
//! Only public keys are taken, one line each, by a real parser ([`rules`]). What an instance carries is
//! `instance_ssh_keys`: a key that its project forgets stays there until it is removed from the instance.

pub mod api;
mod create;
mod delete;
mod guests;
mod list;
mod placed;
pub mod rows;
mod rules;
pub mod steps;
mod update;

use kernel::{
    access::Project,
    http::Faults,
    id::Id,
    permissions,
    store::{Conn, StoreError},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::api::SshKeyKind;
pub use self::guests::{GuestAccess, GuestError, RecordingGuests, Set};
use crate::Compute;

permissions! {
    /// Reads SSH keys of projects and of instances.
    SshKeysRead = "compute.ssh_keys.read", Viewer, "compute:read";
    /// Stores SSH keys, and places them on instances.
    SshKeysManage = "compute.ssh_keys.manage", Editor, "compute:write";
}

/// Notes a fault for every key that the project has not.
pub(crate) fn check(
    conn: &mut Conn,
    project: Id<Project>,
    ids: &[Id<SshKeyKind>],
    faults: &mut Faults,
) -> Result<(), StoreError> {
    let known = rows::keys_for(conn, project, ids)?;
    for id in ids.iter().filter(|id| !known.iter().any(|key| key.id == **id)) {
        faults.add(
            "ssh_key_ids",
            format!("Invalid pk \"{id}\" - object does not exist."),
        );
    }
    Ok(())
}

pub(crate) fn routes() -> OpenApiRouter<Compute> {
    OpenApiRouter::new()
        .routes(routes!(list::list_ssh_keys, create::create_ssh_key))
        .routes(routes!(
            list::get_ssh_key,
            update::replace_ssh_key,
            update::update_ssh_key,
            delete::delete_ssh_key
        ))
        .routes(routes!(
            placed::list_instance_ssh_keys,
            placed::add_instance_ssh_keys
        ))
        .routes(routes!(placed::remove_instance_ssh_key))
}
