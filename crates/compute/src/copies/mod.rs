//! Copies of instances' disks: what snapshots and backups share.
//!
//! A copy is a file on the host, by the id of the snapshot or backup. It is written by a task of the instance, so that
//! nothing else is done to the disk meanwhile, and read back by one.

pub(crate) mod steps;

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use http::StatusCode;
use kernel::{
    access::Permission,
    http::{ApiError, ApiResult},
    id::{Any, Id},
    money::Amount,
    schema::tasks,
    store::{Conn, Tx},
    tasks::TaskStatus,
};

use crate::{
    addons::rows::{self as addons, AddonState},
    catalogue::Catalogue,
    instances::{actions::Action, api::InstanceKind},
    machines::{MachineRow, Power},
};

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
    (instance, size): (Id<InstanceKind>, Id<crate::catalogue::api::Size>),
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
    let Some(offer) = size
        .available_addons
        .iter()
        .find(|offer| offer.addon.slug == slug)
    else {
        // Where nobody sells it, everybody has it.
        return if catalogue.sells_addon(slug) {
            needs_payment(format!(
                "The add-on \"{slug}\" is needed for this, and the instance's size does not offer it."
            ))
        } else {
            Ok(())
        };
    };
    if offer.is_included {
        return Ok(());
    }
    let is_in_force = addons::live(conn, instance)?.iter().any(|row| {
        row.addon_id == offer.addon.id && matches!(row.status, AddonState::Active | AddonState::Cancelling)
    });
    if is_in_force {
        return Ok(());
    }
    needs_payment(format!(
        "The add-on \"{}\" ({}) is needed for this: activate it first.",
        offer.addon.name, offer.addon.id
    ))
}

/// Refuses a second task at the disk of an instance that this transaction has locked.
///
/// # Errors
/// 409.
pub(crate) fn must_be_free(tx: &mut Tx<'_>, instance: Id<InstanceKind>) -> ApiResult<()> {
    let busy: i64 = tasks::table
        .filter(tasks::resource_id.eq(instance.cast::<Any>()))
        .filter(tasks::status.eq_any([TaskStatus::Pending, TaskStatus::Running]))
        .filter(tasks::kind.eq_any(OF_DISKS))
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
