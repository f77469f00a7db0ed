//! The table of snapshots. Every finder takes the project.

use std::time::Duration;

use diesel::{
    AsChangeset, ExpressionMethods, Insertable, JoinOnDsl, OptionalExtension, QueryDsl, Queryable,
    RunQueryDsl, Selectable, SelectableHelper,
};
use kernel::{
    access::{Organization, Project},
    id::{Any, Id},
    store::{Conn, StoreError, Tx, lock},
    tasks::TaskId,
    time::Time,
};

use super::api::{SnapshotKind, SnapshotStatus};
use crate::{
    catalogue::api::Image,
    hosts::HostId,
    instances::{
        api::{InstanceKind, VolumeKind},
        rows::VolumeRow,
    },
    schema::{instances, snapshots, volumes},
};

/// A row of `snapshots`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = snapshots, treat_none_as_null = true)]
pub struct SnapshotRow {
    pub id: Id<SnapshotKind>,
    pub organization_id: Id<Organization>,
    pub project_id: Id<Project>,
    pub instance_id: Id<InstanceKind>,
    pub host_id: HostId,
    pub name: String,
    pub description: String,
    pub status: SnapshotStatus,
    pub volume_id: Id<VolumeKind>,
    pub disk_gb: i64,
    pub image_id: Id<Image>,
    pub os_name: String,
    pub size_bytes: Option<i64>,
    pub task_id: Option<TaskId>,
    pub error_message: String,
    pub restored_at: Option<Time>,
    pub created: Time,
    pub modified: Time,
}

/// A snapshot with its instance's name and its volume.
pub(super) type Found = (SnapshotRow, String, VolumeRow);

/// Snapshots with what is shown beside them.
macro_rules! joined {
    () => {
        snapshots::table
            .inner_join(instances::table.on(instances::id.eq(snapshots::instance_id)))
            .inner_join(volumes::table.on(volumes::id.eq(snapshots::volume_id)))
            .select((SnapshotRow::as_select(), instances::name, VolumeRow::as_select()))
    };
}
pub(super) use joined;

/// One snapshot of an instance of a project.
pub(super) fn find(
    conn: &mut Conn,
    project: Id<Project>,
    instance: Id<InstanceKind>,
    id: Id<SnapshotKind>,
) -> Result<Option<Found>, StoreError> {
    let query = joined!()
        .filter(snapshots::id.eq(id))
        .filter(snapshots::instance_id.eq(instance))
        .filter(snapshots::project_id.eq(project));
    Ok(query.first(conn).optional()?)
}

/// The same, kept from changing until this transaction ends.
pub(super) fn find_locked(
    tx: &mut Tx<'_>,
    project: Id<Project>,
    instance: Id<InstanceKind>,
    id: Id<SnapshotKind>,
) -> Result<Option<SnapshotRow>, StoreError> {
    let query = snapshots::table
        .filter(snapshots::id.eq(id))
        .filter(snapshots::instance_id.eq(instance))
        .filter(snapshots::project_id.eq(project))
        .select(SnapshotRow::as_select());
    Ok(lock("snapshots", query).get_result(tx.conn()).optional()?)
}

/// The one that a task is about, wherever its instance is by now.
pub(super) fn lock_of_task(tx: &mut Tx<'_>, id: Id<Any>) -> Result<Option<SnapshotRow>, StoreError> {
    let query = snapshots::table
        .filter(snapshots::id.eq(id.cast::<SnapshotKind>()))
        .select(SnapshotRow::as_select());
    Ok(lock("snapshots", query).get_result(tx.conn()).optional()?)
}

/// How many snapshots an instance has.
pub(super) fn count(conn: &mut Conn, instance: Id<InstanceKind>) -> Result<i64, StoreError> {
    Ok(snapshots::table
        .filter(snapshots::instance_id.eq(instance))
        .count()
        .get_result(conn)?)
}

/// The snapshots of an instance.
///
/// # Errors
/// The database refused.
pub(crate) fn ids_of_instance(
    conn: &mut Conn,
    instance: Id<InstanceKind>,
) -> Result<Vec<Id<SnapshotKind>>, StoreError> {
    Ok(snapshots::table
        .filter(snapshots::instance_id.eq(instance))
        .select(snapshots::id)
        .load(conn)?)
}

/// Forgets the snapshots of an instance of which nothing is left.
///
/// # Errors
/// The database refused.
pub(crate) fn forget_all(tx: &mut Tx<'_>, instance: Id<InstanceKind>) -> Result<(), StoreError> {
    diesel::delete(snapshots::table.filter(snapshots::instance_id.eq(instance))).execute(tx.conn())?;
    Ok(())
}

/// The host that has a snapshot's copy.
pub(super) fn host_of(conn: &mut Conn, id: Id<Any>) -> Result<Option<HostId>, StoreError> {
    Ok(snapshots::table
        .find(id.cast::<SnapshotKind>())
        .select(snapshots::host_id)
        .first(conn)
        .optional()?)
}

/// Writes a new one.
pub(super) fn insert(tx: &mut Tx<'_>, row: &SnapshotRow) -> Result<(), StoreError> {
    diesel::insert_into(snapshots::table)
        .values(row)
        .execute(tx.conn())?;
    Ok(())
}

/// Writes one back, as a new version.
pub(super) fn save(tx: &mut Tx<'_>, row: &mut SnapshotRow) -> Result<(), StoreError> {
    row.modified = tx.now().max(row.modified + Duration::from_micros(1));
    diesel::update(snapshots::table.find(row.id))
        .set(&*row)
        .execute(tx.conn())?;
    Ok(())
}

/// Forgets one whose copy is gone.
pub(super) fn delete(tx: &mut Tx<'_>, id: Id<SnapshotKind>) -> Result<(), StoreError> {
    diesel::delete(snapshots::table.find(id)).execute(tx.conn())?;
    Ok(())
}
