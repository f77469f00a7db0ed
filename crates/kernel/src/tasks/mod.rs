//! Durable work in the outside world: a row in the transaction of the change, done by a worker, whatever crashes.
//!
//! A task has a [`Kind`], which is a list of [`Step`]s. A worker claims the task under a lease and runs its steps in
//! order; each step first looks whether its effect exists already, so that running it twice does no harm, and its
//! completion is recorded with a compare-and-set on the lease. A worker that dies loses its lease, and another goes
//! on with the same step. A step that fails is tried again with growing pauses; one that can't succeed makes the task
//! go back: the steps done are undone in reverse, and the task ends `failed`.
//!
//! Of the tasks of one resource at most one runs; the others wait in the order in which they were enqueued.

mod engine;
mod rows;

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use self::{
    engine::Engine,
    rows::{TaskRow, TaskStatus, again, withdraw},
};
use crate::{
    App,
    access::{Organization, Project, User},
    http::Request,
    id::{Any, Id},
    json::JsonText,
    store::{StoreError, Tx},
    time::Time,
};

/// Names the ids of tasks.
#[derive(Debug)]
pub enum Task {}
/// The id of a task.
pub type TaskId = Id<Task>;

/// A task to be done once this transaction is committed.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// The kind's name, as the API shows it: `attach_vpc`.
    pub kind: &'static str,
    /// Whose it is.
    pub organization: Id<Organization>,
    /// Whose it is.
    pub project: Id<Project>,
    /// The API's word for the resource: `instance`.
    pub resource_type: &'static str,
    /// The resource. Its tasks run one after the other.
    pub resource: Id<Any>,
    /// What the steps need to know. Never a secret: clients see it.
    pub parameters: Value,
    /// How often a failing step is tried again before the task goes back.
    pub max_retries: i32,
    /// Who asked for it.
    pub created_by: Option<Id<User>>,
    /// The request that asked for it.
    pub request: Option<Id<Request>>,
}

impl Tx<'_> {
    /// Enqueues a task in this transaction; workers wake when it is committed.
    ///
    /// # Errors
    /// The database refused.
    pub fn enqueue(&mut self, task: &NewTask) -> Result<Id<Task>, StoreError> {
        self.enqueue_at(task, self.now())
    }

    /// The same, for a task that must not run before `run_at`.
    ///
    /// # Errors
    /// The database refused.
    pub fn enqueue_at(&mut self, task: &NewTask, run_at: Time) -> Result<Id<Task>, StoreError> {
        let id = rows::insert(self, task, run_at)?;
        crate::crash::point("task.enqueued");
        self.ring();
        Ok(id)
    }
}

/// What a step is given.
#[derive(Clone)]
pub struct Work {
    /// The shared parts of onetd.
    pub app: App,
    /// The task.
    pub task: Id<Task>,
    /// Whose it is.
    pub organization: Id<Organization>,
    /// Whose it is.
    pub project: Id<Project>,
    /// The resource.
    pub resource: Id<Any>,
    parameters: JsonText,
    /// What steps note for later steps and for their undoing; kept when the step is done.
    pub notes: Map<String, Value>,
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Work")
            .field("task", &self.task)
            .field("resource", &self.resource)
            .finish_non_exhaustive()
    }
}

impl Work {
    /// The parameters that the task was enqueued with.
    ///
    /// # Errors
    /// Final: they are not what this kind of task takes.
    pub fn parameters<T: DeserializeOwned>(&self) -> Result<T, StepError> {
        self.parameters
            .read()
            .map_err(|error| StepError::fatal("The task's parameters can't be read.", error))
    }
}

/// Why a step failed.
#[derive(Debug)]
pub struct StepError {
    /// For the user.
    pub message: String,
    /// For the operator.
    pub detail: String,
    /// Whether trying again may help.
    pub retry: bool,
    /// Nothing failed: it is not the step's turn, and it is looked at again after so long. No try is counted.
    pub wait: Option<Duration>,
}

impl StepError {
    /// Trying again may help: a host that is away, a time-out.
    pub fn passing(message: impl Into<String>, detail: impl std::fmt::Display) -> Self {
        Self {
            message: message.into(),
            detail: detail.to_string(),
            retry: true,
            wait: None,
        }
    }

    /// It can't succeed.
    pub fn fatal(message: impl Into<String>, detail: impl std::fmt::Display) -> Self {
        Self {
            message: message.into(),
            detail: detail.to_string(),
            retry: false,
            wait: None,
        }
    }

    /// It is not the step's turn: the worker is free for others meanwhile.
    pub fn not_yet(pause: Duration) -> Self {
        Self {
            wait: Some(pause),
            ..Self::passing("", "")
        }
    }
}

impl From<StoreError> for StepError {
    fn from(error: StoreError) -> Self {
        Self::passing("The service is temporarily unavailable.", error)
    }
}

/// What a step returns.
pub type Done<'a> = Pin<Box<dyn Future<Output = Result<(), StepError>> + Send + 'a>>;

/// One thing done in the outside world.
pub trait Step: Send + Sync {
    /// Shown as the task's progress and the name of a point at which tests make it fail.
    fn name(&self) -> &'static str;

    /// Does it, or finds it done: running it twice has the effect of running it once.
    fn run<'a>(&'a self, work: &'a mut Work) -> Done<'a>;

    /// Takes it back, or finds nothing to take back. Called also if `run` failed halfway.
    fn undo<'a>(&'a self, work: &'a mut Work) -> Done<'a>;
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every step was done.
    Completed,
    /// It could not be done, and everything was taken back.
    Failed,
}

/// Whether something may be done with a task; if not, why, for the user.
pub type Verdict = Result<(), &'static str>;

/// A kind of task.
pub trait Kind: Send + Sync {
    /// As [`NewTask::kind`] names it.
    fn name(&self) -> &'static str;

    /// Its steps, in order.
    fn steps(&self) -> &[Arc<dyn Step>];

    /// The longest wait before a failed step is tried again, if not `tasks.retry_longest_ms`.
    fn longest_pause(&self) -> Option<Duration> {
        None
    }

    /// What changes in the database when a task of this kind ends, in the transaction that records the end.
    ///
    /// # Errors
    /// The database refused; the end is then recorded later.
    fn ended(&self, tx: &mut Tx<'_>, task: &TaskRow, outcome: Outcome) -> Result<(), StoreError>;

    /// Takes back, in the transaction that withdraws a task that has not begun, what was written when it was asked for.
    /// See [`withdraw`].
    ///
    /// # Errors
    /// The database refused; nothing was withdrawn.
    fn withdrawn(&self, tx: &mut Tx<'_>, task: &TaskRow) -> Result<Verdict, StoreError> {
        let _ = (tx, task);
        Ok(Err("A task of this kind can't be cancelled."))
    }

    /// Writes anew, in the transaction that queues a failed task again, what the failure took back. See [`again`].
    ///
    /// # Errors
    /// The database refused; nothing was queued.
    fn renewed(&self, tx: &mut Tx<'_>, task: &TaskRow) -> Result<Verdict, StoreError> {
        let _ = (tx, task);
        Ok(Err(
            "A task of this kind can't be tried again: ask for what it did anew.",
        ))
    }
}
