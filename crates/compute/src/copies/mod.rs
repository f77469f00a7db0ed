//! Copies of instances' disks: what snapshots and backups share.
//!
//! A copy is a file on the host, by the id of the snapshot or backup. It is written by a task of the instance, so that
//! nothing else is done to the disk meanwhile, and read back by one.

pub(crate) mod steps;
pub(crate) mod tasks;

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use http::StatusCode;
use hypervisor::CopyForm;
use kernel::{
    access::Permission,
    http::{ApiError, ApiResult},
    id::{Any, Id},
    money::Amount,
    schema::tasks as task_rows,
    store::{Conn, StoreError, Tx},
    tasks::{Outcome, TaskRow, TaskStatus},
    time::Time,
};

use crate::{
    addons::rows::{self as addons, AddonState},
    catalogue::{
        Catalogue,
        api::{Image, Size},
    },
    hosts::HostId,
    instances::{actions::Action, api::InstanceKind, rows::InstanceRow},
    machines::{MachineRow, Power, kinds},
};

/// Where a copy stands while no other task is at it, whichever words its API has for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Asked for.
    Pending,
    /// The disk is being copied.
    Making,
    /// It can be restored.
    Available,
    /// It could not be made.
    Error,
}

/// A snapshot or a backup: what their tasks and steps ask of its row.
pub(crate) trait CopyRow: Send + Sized + 'static {
    /// What is in the copy.
    const FORM: CopyForm;
    /// The task that makes it.
    const CREATE: &'static str;
    /// The task that makes an instance's disk what it holds.
    const RESTORE: &'static str;
    /// The task that deletes it.
    const DELETE: &'static str;

    /// The row, kept from changing until this transaction ends.
    fn lock(tx: &mut Tx<'_>, copy: Id<Any>) -> Result<Option<Self>, StoreError>;

    /// The host that has the copy.
    fn host_of(conn: &mut Conn, copy: Id<Any>) -> Result<Option<HostId>, StoreError>;

    /// Writes the row back.
    fn save(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError>;

    /// Forgets the row: the copy is gone.
    fn delete(self, tx: &mut Tx<'_>) -> Result<(), StoreError>;

    /// Where it stands; nothing while it is restored or deleted.
    fn standing(&self) -> Option<Standing>;

    /// It stands there from now on; with the reason, if something has failed.
    fn stand(&mut self, standing: Standing, reason: String, now: Time);

    /// What it takes of the host, bytes.
    fn set_size(&mut self, bytes: Option<i64>);

    /// An instance has been taken back to it.
    fn note_restored(&mut self, _now: Time) {}

    /// The image and the system on the disk that was copied.
    fn system(&self) -> (Id<Image>, &str);

    /// What it is called in audit records.
    fn called(&self) -> String;

    /// It was made, or could not be; its row is written.
    fn created(&self, tx: &mut Tx<'_>, task: &TaskRow, outcome: Outcome) -> Result<(), StoreError> {
        match outcome {
            Outcome::Completed => Ok(()),
            Outcome::Failed => kinds::tell_failure(tx, task),
        }
    }

    /// An instance was taken back to a copy.
    fn after_restoration(_tx: &mut Tx<'_>, _task: &TaskRow, _on: &InstanceRow) -> Result<(), StoreError> {
        Ok(())
    }
}

/// The add-on that snapshots need, by its slug in the catalogue.
pub(crate) const SNAPSHOT_ADDON: &str = "snapshot";
/// The add-on that backups need, by its slug in the catalogue.
pub(crate) const BACKUP_ADDON: &str = "backup";

/// Tasks that change a disk, or must not see it changed.
const OF_DISKS: [&str; 9] = [
    "create_vps",
    "resize_vps",
    "reinstall_vps",
    "create_image",
    "create_snapshot",
    "restore_snapshot",
    "create_backup",
    "restore_backup",
    "delete_vps",
];

/// Bytes in gigabytes, as the API shows what copies take: rounded up to hundredths, so that nothing looks like nothing.
pub(crate) fn gigabytes(bytes: i64) -> Amount {
    const GIGABYTE: i64 = 1 << 30;
    let rest = (bytes % GIGABYTE * 100 + GIGABYTE - 1) / GIGABYTE;
    let hundredths = bytes / GIGABYTE * 100 + rest;
    Amount::parse(&format!("{}.{:02}", hundredths / 100, hundredths % 100)).unwrap_or(Amount::ZERO)
}

/// Refuses what needs an add-on that is sold, and not in force for the instance.
///
/// # Errors
/// 402.
pub(crate) fn must_be_bought(
    conn: &mut Conn,
    catalogue: &Catalogue,
    (instance, size): (Id<InstanceKind>, Id<Size>),
    slug: &str,
) -> ApiResult<()> {
    let size = catalogue
        .size(size)
        .ok_or_else(|| ApiError::unavailable("The catalogue is being refreshed."))?;
    let needs_payment = |detail: String| {
        Err(ApiError::new(
            StatusCode::PAYMENT_REQUIRED,
            "payment_required",
            detail,
        ))
    };
    let offer = size
        .available_addons
        .iter()
        .find(|offer| offer.addon.slug == slug);
    let offered = offer.filter(|offer| offer.is_active && offer.addon.is_active);
    if offered.is_some_and(|offer| offer.is_included) {
        return Ok(());
    }
    // What is not sold any more is still there for who has it.
    let live = addons::live(conn, instance)?;
    let is_in_force = live.iter().any(|row| {
        offer.is_some_and(|offer| offer.addon.id == row.addon_id)
            && matches!(row.status, AddonState::Active | AddonState::Cancelling)
    });
    match offered {
        _ if is_in_force => Ok(()),
        Some(offer) => needs_payment(format!(
            "The add-on \"{}\" ({}) is needed for this: activate it first.",
            offer.addon.name, offer.addon.id
        )),
        None if catalogue.sells_addon(slug) => needs_payment(format!(
            "The add-on \"{slug}\" is needed for this, and the instance's size does not offer it."
        )),
        // Where nobody sells it, everybody has it.
        None => Ok(()),
    }
}

/// Refuses a second task at the disk of an instance that this transaction has locked.
///
/// # Errors
/// 409.
pub(crate) fn must_be_free(tx: &mut Tx<'_>, instance: Id<InstanceKind>) -> ApiResult<()> {
    let busy: i64 = task_rows::table
        .filter(task_rows::resource_id.eq(instance.cast::<Any>()))
        .filter(task_rows::status.eq_any([TaskStatus::Pending, TaskStatus::Running]))
        .filter(task_rows::kind.eq_any(OF_DISKS))
        .count()
        .get_result(tx.conn())?;
    if busy > 0 {
        return Err(ApiError::conflict(
            "A task is at work on the instance's disk: wait for its end.",
        ));
    }
    Ok(())
}

/// Refuses to overwrite the disk of an instance that runs, or that is in rescue. Gives its machine.
///
/// # Errors
/// 409.
pub(crate) fn must_be_off<P: Permission>(action: &Action<'_, P>) -> ApiResult<MachineRow> {
    let machine = action.machine_to_change()?;
    let seen = action
        .state
        .as_ref()
        .map_or("unknown", |state| state.vm_status.as_str());
    if machine.power == Power::On || seen == "running" {
        return Err(ApiError::conflict(format!(
            "The instance is {seen}; it must be stopped for this: use shutdown_instance or stop_instance."
        )));
    }
    if machine.rescue_image_id.is_some() {
        return Err(ApiError::conflict(
            "The instance is in rescue: use disable_instance_rescue first.",
        ));
    }
    Ok(machine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_up() {
        for (bytes, shown) in [
            (0, "0"),
            (1, "0.01"),
            (1 << 30, "1"),
            ((1 << 30) + 1, "1.01"),
            (3 << 29, "1.5"),
        ] {
            assert_eq!(gigabytes(bytes), Amount::parse(shown).unwrap(), "{bytes}");
        }
    }
}
