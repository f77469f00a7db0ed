//! All that a step needs to know of a machine, read at one moment.

use diesel::{OptionalExtension, QueryDsl, RunQueryDsl, SelectableHelper};
use kernel::{
    id::Id,
    store::{Conn, StoreError},
    tasks::TaskId,
};

use super::{MachineRow, rows, wishes};
use crate::{
    catalogue::api::Image,
    images,
    instances::{
        api::InstanceKind,
        rows::{AddressRow, InstanceRow, addresses_of},
    },
    schema::{instances, network_attachments},
    ssh_keys,
    vpcs::{
        api::VpcKind,
        private::{self, PrivateRow},
        subnets::rows::SubnetRow,
    },
};

/// What is written of a machine.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Its instance.
    pub instance: InstanceRow,
    /// Itself.
    pub machine: MachineRow,
    /// Its addresses.
    pub addresses: Vec<AddressRow>,
    /// The administrator's keys, a line of `authorized_keys` each.
    pub keys: Vec<String>,
    /// The file of its image, if that is in store.
    pub image: Option<String>,
    /// The file of its rescue system, if it boots from one.
    pub rescue_image: Option<String>,
    /// The VPC that its private interface is really in.
    pub attached_to: Option<Id<VpcKind>>,
    /// Its private addresses: one, or two while it moves.
    pub private: Vec<(PrivateRow, SubnetRow)>,
}

/// Reads them; `None` when nothing runs for the instance, or nothing any more.
///
/// # Errors
/// The database refused.
pub fn find(conn: &mut Conn, id: Id<InstanceKind>) -> Result<Option<Facts>, StoreError> {
    let Some((instance, machine)) = rows_of(conn, id)? else {
        return Ok(None);
    };
    complete(conn, instance, machine).map(Some)
}

/// Reads them as they were before a task, for its undoing; `None` also when the task has changed nothing of them.
///
/// # Errors
/// The database refused.
pub(crate) fn find_before(
    conn: &mut Conn,
    id: Id<InstanceKind>,
    task: TaskId,
) -> Result<Option<Facts>, StoreError> {
    let Some((mut instance, mut machine)) = rows_of(conn, id)? else {
        return Ok(None);
    };
    if !wishes::rewind(conn, task, &mut instance, &mut machine)? {
        return Ok(None);
    }
    complete(conn, instance, machine).map(Some)
}

fn rows_of(conn: &mut Conn, id: Id<InstanceKind>) -> Result<Option<(InstanceRow, MachineRow)>, StoreError> {
    let Some(machine) = rows::find(conn, id)? else {
        return Ok(None);
    };
    let instance = instances::table
        .find(id)
        .select(InstanceRow::as_select())
        .first(conn)?;
    Ok(Some((instance, machine)))
}

fn complete(conn: &mut Conn, instance: InstanceRow, machine: MachineRow) -> Result<Facts, StoreError> {
    let id = instance.id;
    let addresses = addresses_of(conn, &[id])?.remove(&id).unwrap_or_default();
    let attached_to = network_attachments::table
        .find(id)
        .select(network_attachments::vpc_id)
        .first(conn)
        .optional()?;
    let digest = |conn: &mut Conn, image: Id<Image>| images::rows::digest_of(conn, image);
    let image = digest(conn, instance.image_id)?;
    let rescue_image = match machine.rescue_image_id {
        Some(image) => digest(conn, image)?,
        None => None,
    };
    let keys = ssh_keys::rows::lines_of_instance(conn, id)?;
    Ok(Facts {
        instance,
        machine,
        addresses,
        keys,
        image,
        rescue_image,
        attached_to,
        private: private::of_instance(conn, id)?,
    })
}
