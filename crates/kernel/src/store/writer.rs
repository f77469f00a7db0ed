//! SQLite's one writer: takes closures from a queue, runs each in a savepoint, commits the group once.
//!
//! SQLite allows one write transaction at a time, and each durable commit costs a flush to disk. One thread that
//! commits whatever has queued up meanwhile pays one flush for many requests, and needs no retries.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use diesel::connection::SimpleConnection;

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

/// The handle to the writer's thread.
pub(super) struct Writer {
    queue: Sender<Box<dyn Write>>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(connect: &Connect, queue: usize, group: usize) -> std::io::Result<Self> {
        let (sender, receiver) = bounded(queue);
        let connect = Arc::clone(connect);
        thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || work(Slot::new(connect), &receiver, group))?;
        Ok(Self { queue: sender })
    }

    /// Queues a write; an error at once if the queue is full.
    pub(super) fn submit(&self, write: Box<dyn Write>) -> Result<(), StoreError> {
        self.queue.try_send(write).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Overloaded,
            TrySendError::Disconnected(_) => StoreError::Unavailable("the store is closed".to_owned()),
        })
    }
}

fn work(mut slot: Slot, queue: &Receiver<Box<dyn Write>>, most: usize) {
    while let Ok(first) = queue.recv() {
        metrics::gauge!("onet_store_queue", "pool" => "writer").set(size_as_f64(queue.len()));
        let started = Instant::now();
        let mut group = Vec::with_capacity(most);
        let outcome = slot
            .conn()
            .and_then(|conn| run_group(conn, first, queue, most, &mut group));
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

/// Runs `first` and whatever else waits, up to `most`, in one transaction. On an error nothing of it happened.
fn run_group(
    conn: &mut Conn,
    first: Box<dyn Write>,
    queue: &Receiver<Box<dyn Write>>,
    most: usize,
    group: &mut Vec<Box<dyn Write>>,
) -> Result<(), StoreError> {
    group.push(first);
    conn.batch_execute("BEGIN IMMEDIATE")?;
    let mut next = 0;
    loop {
        if let Some(write) = group.get_mut(next) {
            conn.batch_execute("SAVEPOINT request")?;
            // If these fail, SQLite has ended the whole transaction (a full disk, say): so has this group.
            if write.run(conn) {
                conn.batch_execute("RELEASE request")?;
            } else {
                conn.batch_execute("ROLLBACK TO request; RELEASE request")?;
            }
        }
        next += 1;
        if group.len() >= most {
            break;
        }
        let Ok(another) = queue.try_recv() else { break };
        group.push(another);
    }
    if crate::crash::point("store.commit") {
        return Err(StoreError::Unavailable("a test made this commit fail".to_owned()));
    }
    conn.batch_execute("COMMIT")?;
    crate::crash::point("store.committed");
    Ok(())
}
