//! SQLite's one writer: takes closures from its queues, runs each in a savepoint, commits the group once.
//!
//! SQLite allows one write transaction at a time, and each durable commit costs a flush to disk. One thread that
//! commits whatever has queued up meanwhile pays one flush for many requests, and needs no retries.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, select_biased};
use diesel::RunQueryDsl;

use super::{
    conn::Conn,
    error::StoreError,
    pool::{Connect, Slot, size_as_f64},
};

/// One request's write, as the writer sees it.
pub(super) trait Write: Send {
    /// Runs the closure inside its savepoint. `true` keeps what it wrote, `false` takes it back.
    fn run(&mut self, conn: &mut Conn) -> bool;
    /// Answers the waiting request, after the group was committed or not.
    fn finish(self: Box<Self>, committed: Result<(), &StoreError>);
}

type Job = Box<dyn Write>;

/// The handle to the writer's thread.
pub(super) struct Writer {
    requests: Sender<Job>,
    background: Sender<Job>,
}

/// What waits for the writer: requests first.
struct Queues {
    requests: Receiver<Job>,
    background: Receiver<Job>,
    /// Writes that one commit may hold,
    most: usize,
    /// and how many of them may be background work: a request that comes meanwhile waits for as many at most, and however
    /// many requests there are, background work goes on.
    most_background: usize,
}

impl Queues {
    /// The next write, once there is one; `None` when there will be none.
    fn wait(&self) -> Option<Job> {
        select_biased! {
            recv(self.requests) -> job => job.ok(),
            recv(self.background) -> job => job.ok(),
        }
    }

    /// Another write that waits, for a commit that has `taken` so many already, `background` of them background work.
    fn next(&self, taken: usize, background: &mut usize) -> Option<Job> {
        let left = self.most.saturating_sub(taken);
        let kept = self.most_background.saturating_sub(*background);
        if left > kept
            && let Ok(job) = self.requests.try_recv()
        {
            return Some(job);
        }
        if left == 0 || kept == 0 {
            return None;
        }
        let job = self.background.try_recv().ok()?;
        *background += 1;
        Some(job)
    }
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(connect: &Connect, queue: usize, group: usize) -> std::io::Result<Self> {
        let (requests, waiting) = bounded(queue);
        let (background, waiting_background) = bounded(queue);
        let queues = Queues {
            requests: waiting,
            background: waiting_background,
            most: group,
            most_background: (group / 8).max(1),
        };
        let connect = Arc::clone(connect);
        thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || work(Slot::new(connect), &queues))?;
        Ok(Self { requests, background })
    }

    /// Queues a write; an error at once if the queue is full.
    pub(super) fn submit(&self, write: Job, is_background: bool) -> Result<(), StoreError> {
        let queue = if is_background {
            &self.background
        } else {
            &self.requests
        };
        queue.try_send(write).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Overloaded,
            TrySendError::Disconnected(_) => StoreError::Unavailable("the store is closed".to_owned()),
        })
    }
}

fn work(mut slot: Slot, queues: &Queues) {
    while let Some(first) = queues.wait() {
        metrics::gauge!("onet_store_queue", "pool" => "writer").set(size_as_f64(queues.requests.len()));
        metrics::gauge!("onet_store_queue", "pool" => "writer-background")
            .set(size_as_f64(queues.background.len()));
        let started = Instant::now();
        let mut group = vec![first];
        let outcome = slot.conn().and_then(|conn| run_group(conn, queues, &mut group));
        metrics::histogram!("onet_store_group_size").record(size_as_f64(group.len()));
        metrics::histogram!("onet_store_group_seconds").record(started.elapsed().as_secs_f64());
        if let Err(error) = &outcome {
            tracing::error!(%error, writes = group.len(), "a group of writes was not committed");
            // Ends an open transaction for sure, and finds a database that came back.
            slot.discard();
        }
        for write in group {
            write.finish(outcome.as_ref().copied());
        }
        if outcome.is_err() {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Runs the first write of `group` and whatever else waits in one transaction. On an error nothing of it happened.
fn run_group(conn: &mut Conn, queues: &Queues, group: &mut Vec<Job>) -> Result<(), StoreError> {
    command(conn, "BEGIN IMMEDIATE")?;
    let mut background = 0;
    while let Some(write) = group.last_mut() {
        command(conn, "SAVEPOINT request")?;
        // If these fail, SQLite has ended the whole transaction (a full disk, say): so has this group.
        if write.run(conn) {
            command(conn, "RELEASE request")?;
        } else {
            command(conn, "ROLLBACK TO request")?;
            command(conn, "RELEASE request")?;
        }
        let Some(another) = queues.next(group.len(), &mut background) else {
            break;
        };
        group.push(another);
    }
    if crate::crash::point("store.commit") {
        return Err(StoreError::Unavailable("a test made this commit fail".to_owned()));
    }
    command(conn, "COMMIT")?;
    crate::crash::point("store.committed");
    Ok(())
}

/// Runs a command that stays prepared.
fn command(conn: &mut Conn, text: &str) -> Result<(), StoreError> {
    diesel::sql_query(text).execute(conn)?;
    Ok(())
}
