//! The table of changes of size.

use diesel::{
    AsChangeset, ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, RunQueryDsl,
    Selectable, SelectableHelper,
};
use kernel::{
    access::{Organization, Project, User},
    http::Request,
    id::Id,
    money::Amount,
    store::{Conn, StoreError, Tx},
    tasks::TaskId,
    time::Time,
    words,
};

use crate::{
    catalogue::api::{PriceCycle, Size},
    hosts::Share,
    instances::api::InstanceKind,
    schema::instance_resizes,
};

/// Names the ids of changes of size.
#[derive(Debug)]
pub(crate) enum ResizeKind {}
/// The id of a change of size.
pub(crate) type ResizeId = Id<ResizeKind>;

words! {
    /// Where a change of size stands
    pub(super) enum ResizeState {
        /// Its order is not paid.
        Ordered = "ordered",
        /// Its task waits or runs.
        Running = "running",
        /// The machine has its new size.
        Done = "done",
        /// It has come to nothing.
        Dropped = "dropped",
    }
}

/// A row of `instance_resizes`; the migration documents the columns.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = instance_resizes, treat_none_as_null = true)]
pub(super) struct ResizeRow {
    pub(super) id: ResizeId,
    pub(super) organization_id: Id<Organization>,
    pub(super) project_id: Id<Project>,
    pub(super) instance_id: Id<InstanceKind>,
    pub(super) status: ResizeState,
    pub(super) size_id: Id<Size>,
    pub(super) cpus: i64,
    pub(super) memory_mb: i64,
    pub(super) disk_gb: i64,
    pub(super) previous_cpus: i64,
    pub(super) previous_memory_mb: i64,
    pub(super) previous_disk_gb: i64,
    pub(super) description: String,
    pub(super) price: Amount,
    pub(super) monthly_cap: Option<Amount>,
    pub(super) next_cycle: Option<PriceCycle>,
    pub(super) next_price: Option<Amount>,
    pub(super) next_monthly_cap: Option<Amount>,
    pub(super) paid: Amount,
    pub(super) task_id: Option<TaskId>,
    pub(super) user_id: Option<Id<User>>,
    pub(super) request_id: Option<Id<Request>>,
    pub(super) created: Time,
    pub(super) modified: Time,
}

impl ResizeRow {
    /// What the machine will hold of its host.
    pub(super) fn share(&self) -> Share {
        let Self {
            cpus,
            memory_mb,
            disk_gb,
            ..
        } = *self;
        Share {
            cpus,
            memory_mb,
            disk_gb,
        }
    }

    /// What it held before.
    pub(super) fn previous(&self) -> Share {
        Share {
            cpus: self.previous_cpus,
            memory_mb: self.previous_memory_mb,
            disk_gb: self.previous_disk_gb,
        }
    }
}

/// The one of a task.
pub(super) fn of_task(conn: &mut Conn, task: TaskId) -> Result<Option<ResizeRow>, StoreError> {
    Ok(instance_resizes::table
        .filter(instance_resizes::task_id.eq(Some(task)))
        .select(ResizeRow::as_select())
        .first(conn)
        .optional()?)
}

/// One that billing tells of.
pub(super) fn find(conn: &mut Conn, id: ResizeId) -> Result<Option<ResizeRow>, StoreError> {
    Ok(instance_resizes::table
        .find(id)
        .select(ResizeRow::as_select())
        .first(conn)
        .optional()?)
}

/// Whether one of an instance is under way.
pub(super) fn is_under_way(conn: &mut Conn, instance: Id<InstanceKind>) -> Result<bool, StoreError> {
    let live: i64 = instance_resizes::table
        .filter(instance_resizes::instance_id.eq(instance))
        .filter(instance_resizes::status.eq_any([ResizeState::Ordered, ResizeState::Running]))
        .count()
        .get_result(conn)?;
    Ok(live > 0)
}

/// The one of an instance that waits for its payment, if any.
///
/// # Errors
/// The database refused.
pub(crate) fn waiting(conn: &mut Conn, instance: Id<InstanceKind>) -> Result<Option<ResizeId>, StoreError> {
    Ok(instance_resizes::table
        .filter(instance_resizes::instance_id.eq(instance))
        .filter(instance_resizes::status.eq(ResizeState::Ordered))
        .select(instance_resizes::id)
        .first(conn)
        .optional()?)
}

/// Writes a new one.
pub(super) fn insert(tx: &mut Tx<'_>, row: &ResizeRow) -> Result<(), StoreError> {
    diesel::insert_into(instance_resizes::table)
        .values(row)
        .execute(tx.conn())?;
    Ok(())
}

/// Writes one back.
pub(super) fn save(tx: &mut Tx<'_>, row: &mut ResizeRow) -> Result<(), StoreError> {
    row.modified = tx.now();
    diesel::update(instance_resizes::table.find(row.id))
        .set(&*row)
        .execute(tx.conn())?;
    Ok(())
}
