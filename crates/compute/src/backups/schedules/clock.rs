//! The clock of backups: schedules have their turns, and backups whose time is over go.
//!
//! Each schedule and backup has a transaction of its own, which looks again: two nodes, or one that died halfway, do
//! no harm. Turns that were missed while no node ran become one.

use std::time::Duration;

use kernel::{
    access::User,
    http::Request,
    id::Id,
    store::{Conn, StoreError, Tx},
    time::Time,
};
use tokio::sync::watch;

use super::{
    api::{LastStatus, ScheduleId},
    calendar,
    rows::{self, ScheduleRow},
};
use crate::{
    Compute,
    backups::{
        create::{self, New},
        rows as backups, tasks,
    },
    catalogue::Catalogue,
    copies::{BACKUP_ADDON, must_be_bought},
    instances::{
        api::{InstanceKind, InstanceStatus},
        rows as instances,
    },
    machines::rows as machines,
};

const PAUSE: Duration = Duration::from_secs(20);
const BATCH: i64 = 200;

/// Looks at the clock until `stop` turns true.
pub async fn run(compute: Compute, mut stop: watch::Receiver<bool>) {
    loop {
        if let Err(error) = round(&compute).await {
            tracing::warn!(%error, "schedules of backups could not be looked at");
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            _ = stop.changed() => return,
        }
    }
}

/// Does what is due. What fails is tried again in the next round, and not in the way of the others.
///
/// # Errors
/// The database can't be read.
pub async fn round(compute: &Compute) -> Result<(), StoreError> {
    let store = compute.app.store();
    let mut failed = false;
    while !failed {
        let now = compute.app.clock().now();
        let find = move |conn: &mut Conn| rows::due(conn, now, BATCH);
        let due = store.read("due_backup_schedules", find).await?;
        if due.is_empty() {
            break;
        }
        let Ok(catalogue) = compute.catalogues.current(&compute.app).await else {
            return Ok(());
        };
        for (id, instance) in due {
            let catalogue = catalogue.clone();
            let turn = move |tx: &mut Tx<'_>| turn(tx, &catalogue, id, instance);
            if let Err::<_, StoreError>(error) = store.write("run_backup_schedule", turn).await {
                tracing::warn!(%error, schedule = %id, "a schedule could not have its turn");
                failed = true;
            }
        }
    }
    let now = compute.app.clock().now();
    let find = move |conn: &mut Conn| backups::expired(conn, now, BATCH);
    for id in store.read("expired_backups", find).await? {
        let expire = move |tx: &mut Tx<'_>| tasks::expire(tx, id);
        if let Err::<_, StoreError>(error) = store.write("expire_backup", expire).await {
            tracing::warn!(%error, backup = %id, "a backup could not be let go");
        }
    }
    Ok(())
}

/// One schedule's turn.
fn turn(
    tx: &mut Tx<'_>,
    catalogue: &Catalogue,
    id: ScheduleId,
    instance: Id<InstanceKind>,
) -> Result<(), StoreError> {
    let now = tx.now();
    // The instance before the schedule, as everywhere.
    let instance = instances::lock_anywhere(tx, instance)?;
    let Some(mut row) = rows::lock_of_task(tx, id)? else {
        return Ok(());
    };
    if row.next_run_at.is_none_or(|at| at > now) {
        return Ok(());
    }
    row.next_run_at = row.is_active.then(|| calendar::next(&row, now)).flatten();
    let in_force = instance.filter(|instance| instance.status == InstanceStatus::Active);
    let begun = match in_force {
        Some(instance)
            if !backups::is_coming(tx.conn(), id)?
                && must_be_bought(
                    tx.conn(),
                    catalogue,
                    (instance.id, instance.size_id),
                    BACKUP_ADDON,
                )
                .is_ok() =>
        {
            match machines::find(tx.conn(), instance.id)? {
                Some(machine) => Some(create::begin(tx, &instance, &machine, backup(&row, now, None))?),
                None => None,
            }
        }
        _ => None,
    };
    row.last_run_at = Some(now);
    match begun {
        Some(backup) => row.last_backup_id = Some(backup.id),
        None => row.last_status = LastStatus::Skipped,
    }
    rows::save(tx, &mut row)
}

/// The backup that a schedule makes now.
pub(super) fn backup(row: &ScheduleRow, now: Time, by: Option<(Id<User>, Id<Request>)>) -> New {
    let days = row.retention_days.and_then(|days| u64::try_from(days).ok());
    let name: String = row.name.chars().take(230).collect();
    // To the minute, in UTC.
    let minute: String = now.to_string().chars().take(16).collect();
    New {
        name: format!("{name} {}", minute.replace('T', " ")),
        description: String::new(),
        is_protected: false,
        schedule: Some(row.id),
        expires_at: days.map(|days| now + Duration::from_secs(days * 24 * 3600)),
        by,
    }
}
