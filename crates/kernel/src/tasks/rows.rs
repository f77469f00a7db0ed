//! The table of tasks.

use std::time::Duration;

use diesel::{
    BoolExpressionMethods, ExpressionMethods, Insertable, NullableExpressionMethods, OptionalExtension,
    QueryDsl, Queryable, RunQueryDsl, Selectable, SelectableHelper,
    dsl::{exists, not},
};
use serde_json::{Map, Value};

use super::{NewTask, Task};
use crate::{
    access::{Organization, Project, User},
    http::Request,
    id::{Any, Id},
    json::JsonText,
    schema::tasks,
    store::{Conn, StoreError, Tx},
    time::Time,
};

crate::words! {
    /// Where a task stands.
    pub enum TaskStatus {
        /// Waits for its turn, or for another try.
        Pending = "pending",
        /// A worker has it.
        Running = "running",
        /// Done.
        Completed = "completed",
        /// Could not be done; everything was taken back.
        Failed = "failed",
        /// Withdrawn before it began.
        Cancelled = "cancelled",
    }
}

/// A row of the table of tasks.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = tasks)]
#[expect(
    missing_docs,
    reason = "documented where they are set: NewTask, and the engine"
)]
pub struct TaskRow {
    pub id: Id<Task>,
    pub kind: String,
    pub organization_id: Id<Organization>,
    pub project_id: Id<Project>,
    pub resource_type: String,
    pub resource_id: Id<Any>,
    pub status: TaskStatus,
    pub step: i32,
    pub step_name: String,
    pub undoing: bool,
    pub progress: i32,
    pub parameters: JsonText,
    pub notes: JsonText,
    pub result: Option<JsonText>,
    pub error: Option<String>,
    pub error_detail: Option<String>,
    pub retry_count: i32,
    pub max_retries: i32,
    pub run_at: Time,
    pub lease_owner: Option<Id<Any>>,
    pub lease_until: Option<Time>,
    pub created_by: Option<Id<User>>,
    pub request_id: Option<Id<Request>>,
    pub created: Time,
    pub modified: Time,
    pub started_at: Option<Time>,
    pub completed_at: Option<Time>,
}

pub(super) fn insert(tx: &mut Tx<'_>, task: &NewTask, run_at: Time) -> Result<Id<Task>, StoreError> {
    let now = tx.now();
    // The resource is locked by who changes it, but this transaction's time was taken before it had the lock: the
    // order of the resource's tasks is the order in which their changes are committed.
    let last: Option<Time> = tasks::table
        .filter(tasks::resource_id.eq(task.resource))
        .order(tasks::created.desc())
        .select(tasks::created)
        .first(tx.conn())
        .optional()?;
    let created = last.map_or(now, |last| now.max(last + Duration::from_micros(1)));
    let row = TaskRow {
        id: Id::new(),
        kind: task.kind.to_owned(),
        organization_id: task.organization,
        project_id: task.project,
        resource_type: task.resource_type.to_owned(),
        resource_id: task.resource,
        status: TaskStatus::Pending,
        step: 0,
        step_name: String::new(),
        undoing: false,
        progress: 0,
        parameters: JsonText::of(&task.parameters),
        notes: JsonText::of(&Map::<String, Value>::new()),
        result: None,
        error: None,
        error_detail: None,
        retry_count: 0,
        max_retries: task.max_retries,
        run_at,
        lease_owner: None,
        lease_until: None,
        created_by: task.created_by,
        request_id: task.request,
        created,
        modified: now,
        started_at: None,
        completed_at: None,
    };
    diesel::insert_into(tasks::table)
        .values(&row)
        .execute(tx.conn())?;
    Ok(row.id)
}

/// Tasks that may run now, at most so many: due, under nobody's lease, and with no task of their resource before them or
/// running. First those that a worker has left behind, then those that wait the longest.
///
/// One status at a time: the index `tasks_due` then gives them in order, and however many wait, few are read.
pub(super) fn find_due(conn: &mut Conn, now: Time, most: i64) -> Result<Vec<Id<Task>>, StoreError> {
    let mut found = Vec::new();
    for status in [TaskStatus::Running, TaskStatus::Pending] {
        let other = diesel::alias!(tasks as other);
        let in_the_way = other.filter(
            other
                .field(tasks::resource_id)
                .eq(tasks::resource_id)
                .and(other.field(tasks::status).eq_any(["pending", "running"]))
                .and(other.field(tasks::id).ne(tasks::id))
                .and(
                    other
                        .field(tasks::created)
                        .lt(tasks::created)
                        .or(other
                            .field(tasks::created)
                            .eq(tasks::created)
                            .and(other.field(tasks::id).lt(tasks::id)))
                        .or(other.field(tasks::status).eq("running")),
                ),
        );
        let free = tasks::lease_until.is_null().or(tasks::lease_until.lt(Some(now)));
        let due = tasks::table
            .filter(tasks::status.eq(status))
            .filter(tasks::run_at.le(now))
            .filter(free.assume_not_null())
            .filter(not(exists(in_the_way)))
            .order((tasks::run_at, tasks::id))
            .limit(most)
            .select(tasks::id);
        found.extend(due.load::<Id<Task>>(conn)?);
    }
    found.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    Ok(found)
}

/// Takes tasks under a lease, those of them that nobody was faster with.
pub(super) fn claim(
    tx: &mut Tx<'_>,
    found: &[Id<Task>],
    owner: Id<Any>,
    lease: Duration,
) -> Result<Vec<TaskRow>, StoreError> {
    let now = tx.now();
    let mut claimed = Vec::with_capacity(found.len());
    for id in found {
        let free = tasks::lease_until.is_null().or(tasks::lease_until.lt(Some(now)));
        let target = tasks::table
            .filter(tasks::id.eq(id))
            .filter(tasks::status.eq_any(["pending", "running"]))
            .filter(tasks::run_at.le(now))
            .filter(free.assume_not_null());
        let taken = diesel::update(target)
            .set((
                tasks::status.eq(TaskStatus::Running),
                tasks::lease_owner.eq(Some(owner)),
                tasks::lease_until.eq(Some(now + lease)),
                tasks::modified.eq(now),
            ))
            .execute(tx.conn())?;
        if taken == 0 {
            continue;
        }
        let mut task: TaskRow = tasks::table
            .find(id)
            .select(TaskRow::as_select())
            .first(tx.conn())?;
        if task.started_at.is_none() {
            task.started_at = Some(now);
            diesel::update(tasks::table.find(id))
                .set(tasks::started_at.eq(task.started_at))
                .execute(tx.conn())?;
        }
        claimed.push(task);
    }
    Ok(claimed)
}

/// Prolongs a lease. `false` if it was lost.
pub(super) fn renew(tx: &mut Tx<'_>, id: Id<Task>, owner: Id<Any>, until: Time) -> Result<bool, StoreError> {
    let held = tasks::table
        .filter(tasks::id.eq(id))
        .filter(tasks::lease_owner.eq(owner));
    Ok(diesel::update(held)
        .set(tasks::lease_until.eq(Some(until)))
        .execute(tx.conn())?
        == 1)
}

/// Writes back a task that this worker holds. `false` if the lease was lost meanwhile: then nothing is written.
pub(super) fn save(tx: &mut Tx<'_>, task: &TaskRow, owner: Id<Any>) -> Result<bool, StoreError> {
    let held = tasks::table
        .filter(tasks::id.eq(task.id))
        .filter(tasks::lease_owner.eq(owner));
    let saved = diesel::update(held)
        .set((
            tasks::status.eq(task.status),
            tasks::step.eq(task.step),
            tasks::step_name.eq(&task.step_name),
            tasks::undoing.eq(task.undoing),
            tasks::progress.eq(task.progress),
            tasks::notes.eq(&task.notes),
            tasks::error.eq(&task.error),
            tasks::error_detail.eq(&task.error_detail),
            tasks::retry_count.eq(task.retry_count),
            tasks::run_at.eq(task.run_at),
            tasks::lease_owner.eq(task.lease_owner),
            tasks::lease_until.eq(task.lease_until),
            tasks::modified.eq(tx.now()),
            tasks::completed_at.eq(task.completed_at),
        ))
        .execute(tx.conn())?;
    Ok(saved == 1)
}

/// Withdraws a task that no worker has taken yet. `false`: one has, or it is over.
///
/// # Errors
/// The database refused.
pub fn withdraw(tx: &mut Tx<'_>, id: Id<Task>) -> Result<bool, StoreError> {
    let now = tx.now();
    let untouched = tasks::table
        .filter(tasks::id.eq(id))
        .filter(tasks::status.eq(TaskStatus::Pending))
        .filter(tasks::started_at.is_null());
    let withdrawn = diesel::update(untouched)
        .set((
            tasks::status.eq(TaskStatus::Cancelled),
            tasks::completed_at.eq(Some(now)),
            tasks::modified.eq(now),
        ))
        .execute(tx.conn())?;
    // Those behind it may run now.
    tx.ring();
    Ok(withdrawn == 1)
}

/// Queues a failed task again, from its first step on; what its steps have noted stays. `false`: it has not failed.
///
/// It keeps its place: the caller sees to it that no other task of the resource waits.
///
/// # Errors
/// The database refused.
pub fn again(tx: &mut Tx<'_>, id: Id<Task>) -> Result<bool, StoreError> {
    let now = tx.now();
    let failed = tasks::table
        .filter(tasks::id.eq(id))
        .filter(tasks::status.eq(TaskStatus::Failed));
    let queued = diesel::update(failed)
        .set((
            tasks::status.eq(TaskStatus::Pending),
            tasks::step.eq(0),
            tasks::step_name.eq(""),
            tasks::undoing.eq(false),
            tasks::progress.eq(0),
            tasks::error.eq(None::<String>),
            tasks::error_detail.eq(None::<String>),
            tasks::retry_count.eq(0),
            tasks::run_at.eq(now),
            tasks::started_at.eq(None::<Time>),
            tasks::completed_at.eq(None::<Time>),
            tasks::modified.eq(now),
        ))
        .execute(tx.conn())?;
    tx.ring();
    Ok(queued == 1)
}
