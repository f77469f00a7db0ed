//! The workers.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::watch,
    task::{JoinError, JoinHandle, JoinSet},
};
use tracing::Instrument;

use super::{Kind, Outcome, Step, StepError, Task, TaskRow, TaskStatus, Work, rows};
use crate::{
    App,
    id::{Any, Id},
    json::JsonText,
    store::{Conn, StoreError, Tx},
};

/// Runs tasks of the kinds that it knows.
#[derive(Clone)]
pub struct Engine {
    app: App,
    kinds: Arc<HashMap<&'static str, Arc<dyn Kind>>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("kinds", &self.kinds.keys())
            .finish_non_exhaustive()
    }
}

/// What became of one step.
enum Progress {
    /// Go on with the next.
    Next,
    /// The task has ended, waits for another try, or is another worker's by now.
    Released,
}

impl Engine {
    /// An engine for the kinds of all areas.
    pub fn new(app: App, kinds: Vec<Arc<dyn Kind>>) -> Self {
        let kinds = kinds.into_iter().map(|kind| (kind.name(), kind)).collect();
        Self {
            app,
            kinds: Arc::new(kinds),
        }
    }

    /// Starts to run what is due, as many tasks at once as the settings say. They end after their present step when `stop`
    /// turns true, and the handle with them.
    pub fn start(&self, stop: &watch::Receiver<bool>) -> JoinHandle<()> {
        let (engine, stop) = (self.clone(), stop.clone());
        tokio::spawn(async move { engine.work(stop).await })
    }

    /// Claims what is due for whoever is free, then sleeps until the bell rings, a task ends or the poll is due.
    async fn work(&self, mut stop: watch::Receiver<bool>) {
        let bell = self.app.store().bell();
        let poll = Duration::from_millis(self.app.config().tasks.poll_ms);
        let workers = self.app.config().tasks.workers;
        let mut running = JoinSet::new();
        while !*stop.borrow() {
            while let Some(ended) = running.try_join_next() {
                log_end(ended);
            }
            let free = workers - running.len();
            let claimed = self.claim(free).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "the queue of tasks could not be read");
                Vec::new()
            });
            for (task, owner) in claimed {
                let (engine, stop) = (self.clone(), stop.clone());
                running.spawn(async move { engine.run(task, owner, &stop).await });
            }
            // While all are busy, what the bell tells is seen when one is free.
            let is_free = running.len() < workers;
            tokio::select! {
                () = bell.notified(), if is_free => {}
                () = tokio::time::sleep(poll), if is_free => {}
                Some(ended) = running.join_next() => log_end(ended),
                _ = stop.changed() => {}
            }
        }
        while let Some(ended) = running.join_next().await {
            log_end(ended);
        }
    }

    /// Takes so many due tasks at most under a lease. Nothing is written when none is due.
    async fn claim(&self, most: usize) -> Result<Vec<(TaskRow, Id<Any>)>, StoreError> {
        if most == 0 {
            return Ok(Vec::new());
        }
        let (store, owner, lease) = (self.app.store(), Id::<Any>::new(), self.lease());
        let limit = i64::try_from(most).unwrap_or(i64::MAX);
        loop {
            let now = self.app.clock().now();
            let find = move |conn: &mut Conn| rows::find_due(conn, now, limit);
            let found = store.read("find_tasks", find).await?;
            if found.is_empty() {
                return Ok(Vec::new());
            }
            let claim = move |tx: &mut Tx<'_>| rows::claim(tx, &found, owner, lease);
            let claimed = store.write("claim_tasks", claim).await?;
            // If others were faster with all of them, there may be more.
            if !claimed.is_empty() {
                return Ok(claimed.into_iter().map(|task| (task, owner)).collect());
            }
        }
    }

    /// Claims one due task and runs it until it ends, waits or is lost. `false` if none is due.
    ///
    /// # Errors
    /// The database can't be reached.
    pub async fn run_one(&self, stop: &watch::Receiver<bool>) -> Result<bool, StoreError> {
        let Some((task, owner)) = self.claim(1).await?.pop() else {
            return Ok(false);
        };
        self.run(task, owner, stop).await?;
        Ok(true)
    }

    fn lease(&self) -> Duration {
        Duration::from_secs(self.app.config().tasks.lease_seconds)
    }

    async fn run(
        &self,
        task: TaskRow,
        owner: Id<Any>,
        stop: &watch::Receiver<bool>,
    ) -> Result<(), StoreError> {
        let span = tracing::info_span!("task", id = %task.id, kind = task.kind, resource = %task.resource_id);
        self.run_steps(task, owner, stop).instrument(span).await
    }

    async fn run_steps(
        &self,
        mut task: TaskRow,
        owner: Id<Any>,
        stop: &watch::Receiver<bool>,
    ) -> Result<(), StoreError> {
        let Some(kind) = self.kinds.get(task.kind.as_str()).cloned() else {
            // Written by a newer release, say: left for a node that knows it.
            tracing::error!("no worker here knows this kind of task");
            task.run_at = self.app.clock().now() + self.lease();
            return self.release(task, owner).await;
        };
        let mut recorded = Instant::now();
        loop {
            let progress = self.step(kind.as_ref(), &mut task, owner, &mut recorded).await?;
            if matches!(progress, Progress::Released) {
                return Ok(());
            }
            if *stop.borrow() {
                return self.release(task, owner).await;
            }
        }
    }

    /// Gives the task back to the queue.
    async fn release(&self, mut task: TaskRow, owner: Id<Any>) -> Result<(), StoreError> {
        task.lease_owner = None;
        task.lease_until = None;
        self.app
            .store()
            .write("release_task", move |tx| rows::save(tx, &task, owner))
            .await
            .map(drop)
    }

    /// Runs or undoes the step that the task stands before, and records it; ends the task if none is left.
    ///
    /// `recorded` is when the task was last written. A step that was quick is written with what comes next: were it lost,
    /// it would be repeated, and that costs less than a write after each.
    async fn step(
        &self,
        kind: &dyn Kind,
        task: &mut TaskRow,
        owner: Id<Any>,
        recorded: &mut Instant,
    ) -> Result<Progress, StoreError> {
        let steps = kind.steps();
        // While going back, `step` is one above the step to undo.
        let index = if task.undoing { task.step - 1 } else { task.step };
        let step = usize::try_from(index).ok().and_then(|index| steps.get(index));
        let Some(step) = step else {
            let outcome = if task.undoing {
                Outcome::Failed
            } else {
                Outcome::Completed
            };
            return self.end(kind, task, owner, outcome).await;
        };
        step.name().clone_into(&mut task.step_name);
        let mut work = Work {
            app: self.app.clone(),
            task: task.id,
            organization: task.organization_id,
            project: task.project_id,
            resource: task.resource_id,
            parameters: task.parameters.clone(),
            notes: task.notes.read().unwrap_or_default(),
        };
        let outcome = self
            .with_lease(task.id, owner, run_step(step.as_ref(), &mut work, task.undoing))
            .await;
        crate::crash::point("task.step");
        let Some(outcome) = outcome else {
            return Ok(Progress::Released);
        };
        let notes = JsonText::of(&work.notes);
        let has_noted = notes != task.notes;
        task.notes = notes;
        match outcome {
            Ok(()) if task.undoing => task.step -= 1,
            Ok(()) => {
                task.step += 1;
                task.progress = 100 * task.step / i32::try_from(steps.len()).unwrap_or(i32::MAX);
            }
            Err(error) => return self.failed(kind, task, owner, error).await,
        }
        let pause = Duration::from_millis(self.app.config().tasks.record_ms);
        if !has_noted && !task.undoing && recorded.elapsed() < pause {
            return Ok(Progress::Next);
        }
        task.lease_until = Some(self.app.clock().now() + self.lease());
        let row = task.clone();
        let held = self
            .app
            .store()
            .write("record_step", move |tx| rows::save(tx, &row, owner))
            .await?;
        *recorded = Instant::now();
        crate::crash::point("task.recorded");
        Ok(if held { Progress::Next } else { Progress::Released })
    }

    /// Waits for a step, prolonging the lease meanwhile. Nothing if the lease was lost: the step is given up.
    async fn with_lease(
        &self,
        id: Id<Task>,
        owner: Id<Any>,
        step: impl Future<Output = Result<(), StepError>>,
    ) -> Option<Result<(), StepError>> {
        tokio::pin!(step);
        loop {
            tokio::select! {
                outcome = &mut step => return Some(outcome),
                () = tokio::time::sleep(self.lease() / 3) => {
                    let until = self.app.clock().now() + self.lease();
                    let renewed = self.app.store().write("renew_lease", move |tx| rows::renew(tx, id, owner, until));
                    match renewed.await {
                        Ok(true) => {}
                        // Another worker has the task: this one must not go on with it.
                        Ok(false) => return None,
                        Err::<bool, StoreError>(error) => {
                            tracing::warn!(%error, "the lease could not be renewed");
                        }
                    }
                }
            }
        }
    }

    /// Another try later, or the way back.
    async fn failed(
        &self,
        kind: &dyn Kind,
        task: &mut TaskRow,
        owner: Id<Any>,
        error: StepError,
    ) -> Result<Progress, StoreError> {
        let settings = &self.app.config().tasks;
        if let Some(pause) = error.wait {
            task.status = TaskStatus::Pending;
            task.run_at = self.app.clock().now() + pause;
            self.release(task.clone(), owner).await?;
            return Ok(Progress::Released);
        }
        tracing::warn!(
            step = task.step_name,
            undoing = task.undoing,
            message = error.message,
            detail = error.detail,
            "a step failed"
        );
        task.retry_count += 1;
        // What was begun must be taken back, however long that takes: undoing has no last try.
        let again = task.undoing || (error.retry && task.retry_count <= task.max_retries);
        if again {
            let doubled =
                settings.retry_first_ms << task.retry_count.clamp(1, 20).unsigned_abs().saturating_sub(1);
            let longest = kind.longest_pause().map_or(settings.retry_longest_ms, |pause| {
                u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)
            });
            let pause = doubled.min(longest);
            let jittered = rand::random_range(pause / 2..=pause.max(1));
            task.status = TaskStatus::Pending;
            task.run_at = self.app.clock().now() + Duration::from_millis(jittered);
            if !task.undoing {
                task.error = Some(error.message);
                task.error_detail = Some(error.detail);
            }
        } else {
            task.error = Some(error.message);
            task.error_detail = Some(error.detail);
            task.undoing = true;
            task.retry_count = task.retry_count.min(task.max_retries);
            // The step that failed may have done half of its work.
            task.step += 1;
        }
        let row = task.clone();
        if again {
            self.release(row, owner).await?;
            return Ok(Progress::Released);
        }
        let held = self
            .app
            .store()
            .write("record_failure", move |tx| rows::save(tx, &row, owner))
            .await?;
        Ok(if held { Progress::Next } else { Progress::Released })
    }

    async fn end(
        &self,
        kind: &dyn Kind,
        task: &mut TaskRow,
        owner: Id<Any>,
        outcome: Outcome,
    ) -> Result<Progress, StoreError> {
        task.status = match outcome {
            Outcome::Completed => TaskStatus::Completed,
            Outcome::Failed => TaskStatus::Failed,
        };
        if outcome == Outcome::Completed {
            task.error = None;
            task.error_detail = None;
            task.progress = 100;
        }
        task.completed_at = Some(self.app.clock().now());
        task.lease_owner = None;
        task.lease_until = None;
        let (row, kinds, name) = (task.clone(), Arc::clone(&self.kinds), kind.name());
        self.app
            .store()
            .write("end_task", move |tx| {
                // Only who still holds the lease may end it, and then with all that its end means.
                if rows::save(tx, &row, owner)?
                    && let Some(kind) = kinds.get(name)
                {
                    kind.ended(tx, &row, outcome)?;
                    tx.ring();
                }
                Ok::<_, StoreError>(())
            })
            .await?;
        metrics::counter!("onet_tasks_ended", "kind" => name, "status" => task.status.as_str()).increment(1);
        tracing::info!(status = task.status.as_str(), "a task has ended");
        Ok(Progress::Released)
    }
}

/// A worker that could not write down what it has done: the task's lease ends, and another goes on with it.
fn log_end(ended: Result<Result<(), StoreError>, JoinError>) {
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "a task is left to its next worker"),
        Err(error) => tracing::error!(%error, "a task's worker ended too early"),
    }
}

async fn run_step(step: &dyn Step, work: &mut Work, undoing: bool) -> Result<(), StepError> {
    if crate::crash::point(step.name()) {
        return Err(StepError::fatal("A test made this step fail.", step.name()));
    }
    if undoing {
        step.undo(work).await
    } else {
        step.run(work).await
    }
}
