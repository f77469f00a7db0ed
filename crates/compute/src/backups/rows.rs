//! The table of backups. Every finder of requests takes the project.

use std::time::Duration;

use diesel::{
    AsChangeset, BoolExpressionMethods, ExpressionMethods, Insertable, JoinOnDsl, NullableExpressionMethods,
    OptionalExtension, QueryDsl, Queryable, RunQueryDsl, Selectable, SelectableHelper,
};
use kernel::{
    access::{Organization, Project},
    id::{Any, Id},
    store::{Conn, StoreError, Tx, lock},
    tasks::TaskId,
    time::Time,
};

use super::{
    api::{BackupId, BackupKind, BackupStatus, BackupType},
    schedules::api::ScheduleId,
};
use crate::{
    catalogue::api::Image,
    hosts::HostId,
    instances::api::{InstanceKind, InstanceStatus},
    schema::{backups, instances},
};

/// A row of `backups`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = backups, treat_none_as_null = true)]
pub struct BackupRow {
    pub id: BackupId,
    pub organization_id: Id<Organization>,
    pub project_id: Id<Project>,
    pub instance_id: Id<InstanceKind>,
    pub host_id: HostId,
    pub schedule_id: Option<ScheduleId>,
    pub name: String,
    pub description: String,
    pub backup_type: BackupType,
    pub status: BackupStatus,
    pub is_protected: bool,
    pub expires_at: Option<Time>,
    pub disk_gb: i64,
    pub image_id: Id<Image>,
    pub os_name: String,
    pub size_bytes: Option<i64>,
    pub started_at: Option<Time>,
    pub completed_at: Option<Time>,
    pub task_id: Option<TaskId>,
    pub error_message: String,
    pub created: Time,
    pub modified: Time,
}

/// Where a backup can be deleted by itself.
pub(super) const AT_REST: [BackupStatus; 2] = [BackupStatus::Available, BackupStatus::Error];

/// Backups with the names of their instances.
macro_rules! joined {
    () => {
        backups::table
            .inner_join(instances::table.on(instances::id.eq(backups::instance_id)))
            .select((BackupRow::as_select(), instances::name))
    };
}
pub(super) use joined;

/// One backup of an instance of a project, with the instance's name.
pub(super) fn find(
    conn: &mut Conn,
    project: Id<Project>,
    instance: Id<InstanceKind>,
    id: BackupId,
) -> Result<Option<(BackupRow, String)>, StoreError> {
    let query = joined!()
        .filter(backups::id.eq(id))
        .filter(backups::instance_id.eq(instance))
        .filter(backups::project_id.eq(project));
    Ok(query.first(conn).optional()?)
}

/// The same, kept from changing until this transaction ends.
pub(super) fn find_locked(
    tx: &mut Tx<'_>,
    project: Id<Project>,
    instance: Id<InstanceKind>,
    id: BackupId,
) -> Result<Option<BackupRow>, StoreError> {
    let query = backups::table
        .filter(backups::id.eq(id))
        .filter(backups::instance_id.eq(instance))
        .filter(backups::project_id.eq(project))
        .select(BackupRow::as_select());
    Ok(lock("backups", query).get_result(tx.conn()).optional()?)
}

/// The one that a task is about, wherever its instance is by now.
pub(super) fn lock_of_task(tx: &mut Tx<'_>, id: Id<Any>) -> Result<Option<BackupRow>, StoreError> {
    let query = backups::table
        .filter(backups::id.eq(id.cast::<BackupKind>()))
        .select(BackupRow::as_select());
    Ok(lock("backups", query).get_result(tx.conn()).optional()?)
}

/// How many backups of an instance were asked for by hand.
pub(super) fn count_manual(conn: &mut Conn, instance: Id<InstanceKind>) -> Result<i64, StoreError> {
    Ok(backups::table
        .filter(backups::instance_id.eq(instance))
        .filter(backups::backup_type.eq(BackupType::Manual))
        .count()
        .get_result(conn)?)
}

/// Whether a schedule's backup is on its way.
pub(super) fn is_coming(conn: &mut Conn, schedule: ScheduleId) -> Result<bool, StoreError> {
    let coming: i64 = backups::table
        .filter(backups::schedule_id.eq(Some(schedule)))
        .filter(backups::status.eq_any([BackupStatus::Pending, BackupStatus::Running]))
        .count()
        .get_result(conn)?;
    Ok(coming > 0)
}

/// The backups of a schedule that its retention has no room for: those behind the newest `count`. Protected ones are
/// neither counted nor taken.
pub(super) fn superfluous(
    conn: &mut Conn,
    schedule: ScheduleId,
    count: i64,
) -> Result<Vec<BackupId>, StoreError> {
    Ok(backups::table
        .filter(backups::schedule_id.eq(Some(schedule)))
        .filter(backups::status.eq(BackupStatus::Available))
        .filter(backups::is_protected.eq(false))
        .order((backups::created.desc(), backups::id.desc()))
        .offset(count)
        .limit(1000)
        .select(backups::id)
        .load(conn)?)
}

/// Backups whose time is over, at most so many. Protection ends with the instance.
pub(super) fn expired(conn: &mut Conn, now: Time, most: i64) -> Result<Vec<BackupId>, StoreError> {
    Ok(backups::table
        .inner_join(instances::table.on(instances::id.eq(backups::instance_id)))
        .filter(backups::expires_at.le(Some(now)))
        .filter(backups::status.eq_any(AT_REST))
        .filter(
            backups::is_protected
                .eq(false)
                .or(instances::status.eq_any(InstanceStatus::OVER)),
        )
        .order(backups::expires_at)
        .limit(most)
        .select(backups::id)
        .load(conn)?)
}

/// The instance of which nothing is left keeps its backups until then, at most.
///
/// # Errors
/// The database refused.
pub(crate) fn expire_all(tx: &mut Tx<'_>, instance: Id<InstanceKind>, at: Time) -> Result<(), StoreError> {
    let later = backups::expires_at.gt(Some(at)).assume_not_null();
    let kept = backups::table
        .filter(backups::instance_id.eq(instance))
        .filter(backups::expires_at.is_null().or(later));
    diesel::update(kept)
        .set((backups::expires_at.eq(Some(at)), backups::modified.eq(tx.now())))
        .execute(tx.conn())?;
    Ok(())
}

/// The host that has a backup's copy.
pub(super) fn host_of(conn: &mut Conn, id: Id<Any>) -> Result<Option<HostId>, StoreError> {
    Ok(backups::table
        .find(id.cast::<BackupKind>())
        .select(backups::host_id)
        .first(conn)
        .optional()?)
}

/// Writes a new one.
pub(super) fn insert(tx: &mut Tx<'_>, row: &BackupRow) -> Result<(), StoreError> {
    diesel::insert_into(backups::table)
        .values(row)
        .execute(tx.conn())?;
    Ok(())
}

/// Writes one back, as a new version.
pub(super) fn save(tx: &mut Tx<'_>, row: &mut BackupRow) -> Result<(), StoreError> {
    row.modified = tx.now().max(row.modified + Duration::from_micros(1));
    diesel::update(backups::table.find(row.id))
        .set(&*row)
        .execute(tx.conn())?;
    Ok(())
}

/// Forgets one whose copy is gone.
pub(super) fn delete(tx: &mut Tx<'_>, id: BackupId) -> Result<(), StoreError> {
    diesel::delete(backups::table.find(id)).execute(tx.conn())?;
    Ok(())
}
