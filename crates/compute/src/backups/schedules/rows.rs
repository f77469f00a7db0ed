//! The table of schedules. Every finder of requests takes the project.

use std::time::Duration;

use diesel::{
    AsChangeset, ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, RunQueryDsl,
    Selectable, SelectableHelper,
};
use kernel::{
    access::{Organization, Project},
    id::Id,
    store::{Conn, StoreError, Tx, lock},
    time::Time,
};

use super::api::{Frequency, LastStatus, ScheduleId};
use crate::{backups::api::BackupId, instances::api::InstanceKind, schema::backup_schedules};

/// A row of `backup_schedules`.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = backup_schedules, treat_none_as_null = true)]
pub struct ScheduleRow {
    pub id: ScheduleId,
    pub organization_id: Id<Organization>,
    pub project_id: Id<Project>,
    pub instance_id: Id<InstanceKind>,
    pub name: String,
    pub frequency: Frequency,
    pub run_at: String,
    pub weekday: Option<i64>,
    pub day_of_month: Option<i64>,
    pub timezone: String,
    pub retention_count: i64,
    pub retention_days: Option<i64>,
    pub is_active: bool,
    pub last_run_at: Option<Time>,
    pub last_backup_id: Option<BackupId>,
    pub last_status: LastStatus,
    pub next_run_at: Option<Time>,
    pub created: Time,
    pub modified: Time,
}

/// One schedule of an instance of a project.
pub(super) fn find(
    conn: &mut Conn,
    project: Id<Project>,
    instance: Id<InstanceKind>,
    id: ScheduleId,
) -> Result<Option<ScheduleRow>, StoreError> {
    Ok(backup_schedules::table
        .filter(backup_schedules::id.eq(id))
        .filter(backup_schedules::instance_id.eq(instance))
        .filter(backup_schedules::project_id.eq(project))
        .select(ScheduleRow::as_select())
        .first(conn)
        .optional()?)
}

/// The same, kept from changing until this transaction ends.
pub(super) fn find_locked(
    tx: &mut Tx<'_>,
    project: Id<Project>,
    instance: Id<InstanceKind>,
    id: ScheduleId,
) -> Result<Option<ScheduleRow>, StoreError> {
    let query = backup_schedules::table
        .filter(backup_schedules::id.eq(id))
        .filter(backup_schedules::instance_id.eq(instance))
        .filter(backup_schedules::project_id.eq(project))
        .select(ScheduleRow::as_select());
    Ok(lock("backup_schedules", query).get_result(tx.conn()).optional()?)
}

/// The one that a task or the clock is about, wherever its instance is by now.
pub(crate) fn lock_of_task(tx: &mut Tx<'_>, id: ScheduleId) -> Result<Option<ScheduleRow>, StoreError> {
    let query = backup_schedules::table
        .filter(backup_schedules::id.eq(id))
        .select(ScheduleRow::as_select());
    Ok(lock("backup_schedules", query).get_result(tx.conn()).optional()?)
}

/// How many schedules an instance has.
pub(super) fn count(conn: &mut Conn, instance: Id<InstanceKind>) -> Result<i64, StoreError> {
    Ok(backup_schedules::table
        .filter(backup_schedules::instance_id.eq(instance))
        .count()
        .get_result(conn)?)
}

/// Schedules whose turn has come, with their instances, those first that have waited longest.
pub(super) fn due(
    conn: &mut Conn,
    now: Time,
    most: i64,
) -> Result<Vec<(ScheduleId, Id<InstanceKind>)>, StoreError> {
    Ok(backup_schedules::table
        .filter(backup_schedules::next_run_at.le(Some(now)))
        .order((backup_schedules::next_run_at, backup_schedules::id))
        .limit(most)
        .select((backup_schedules::id, backup_schedules::instance_id))
        .load(conn)?)
}

/// Writes a new one.
pub(super) fn insert(tx: &mut Tx<'_>, row: &ScheduleRow) -> Result<(), StoreError> {
    diesel::insert_into(backup_schedules::table)
        .values(row)
        .execute(tx.conn())?;
    Ok(())
}

/// Writes one back, as a new version.
pub(crate) fn save(tx: &mut Tx<'_>, row: &mut ScheduleRow) -> Result<(), StoreError> {
    row.modified = tx.now().max(row.modified + Duration::from_micros(1));
    diesel::update(backup_schedules::table.find(row.id))
        .set(&*row)
        .execute(tx.conn())?;
    Ok(())
}

/// Forgets one. Its backups stay.
pub(super) fn delete(tx: &mut Tx<'_>, id: ScheduleId) -> Result<(), StoreError> {
    diesel::delete(backup_schedules::table.find(id)).execute(tx.conn())?;
    Ok(())
}

/// Forgets those of an instance of which nothing is left.
///
/// # Errors
/// The database refused.
pub(crate) fn forget_all(tx: &mut Tx<'_>, instance: Id<InstanceKind>) -> Result<(), StoreError> {
    let own = backup_schedules::table.filter(backup_schedules::instance_id.eq(instance));
    diesel::delete(own).execute(tx.conn())?;
    Ok(())
}
