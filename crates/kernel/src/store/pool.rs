//! Threads that own a connection each and take jobs from one queue.

use std::{sync::Arc, thread, time::Duration};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::{conn::Conn, error::StoreError};

/// Opens one connection.
pub(super) type Connect = Arc<dyn Fn() -> Result<Conn, StoreError> + Send + Sync>;

/// A connection that may have to be opened first.
pub(super) struct Slot {
    connect: Connect,
    conn: Option<Conn>,
}

impl Slot {
    /// A slot without a connection yet.
    pub(super) const fn new(connect: Connect) -> Self {
        Self { connect, conn: None }
    }

    /// The connection, opened now if there is none.
    pub(super) fn conn(&mut self) -> Result<&mut Conn, StoreError> {
        if self.conn.is_none() {
            self.conn = Some((self.connect)()?);
        }
        self.conn.as_mut().ok_or(StoreError::Overloaded)
    }

    /// Closes a connection that failed, so that the next job opens another.
    pub(super) fn discard(&mut self) {
        self.conn = None;
    }
}

type Job = Box<dyn FnOnce(&mut Slot) + Send>;

/// A fixed number of threads with a connection each.
pub(super) struct Pool {
    queue: Sender<Job>,
    name: &'static str,
}

impl Pool {
    /// Starts `size` threads named `name`, which `begin` with this. Connections are opened when first needed.
    pub(super) fn start(
        name: &'static str,
        size: usize,
        queue: usize,
        connect: &Connect,
        begin: fn(),
    ) -> std::io::Result<Self> {
        let (sender, receiver) = bounded::<Job>(queue);
        for number in 0..size {
            let slot = Slot::new(Arc::clone(connect));
            let jobs = receiver.clone();
            thread::Builder::new()
                .name(format!("{name}-{number}"))
                .spawn(move || {
                    begin();
                    work(slot, &jobs);
                })?;
        }
        Ok(Self { queue: sender, name })
    }

    /// Queues a job; an error at once if the queue is full.
    pub(super) fn submit(&self, job: impl FnOnce(&mut Slot) + Send + 'static) -> Result<(), StoreError> {
        metrics::gauge!("onet_store_queue", "pool" => self.name).set(size_as_f64(self.queue.len()));
        self.queue.try_send(Box::new(job)).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Overloaded,
            TrySendError::Disconnected(_) => StoreError::Unavailable("the store is closed".to_owned()),
        })
    }
}

fn work(mut slot: Slot, jobs: &Receiver<Job>) {
    while let Ok(job) = jobs.recv() {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(&mut slot)));
        if outcome.is_err() {
            // The connection may be in the middle of a transaction: only a new one is surely clean.
            slot.discard();
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A queue length as a metric's value.
#[expect(clippy::cast_precision_loss, reason = "queues hold thousands, not 2^52")]
pub(super) const fn size_as_f64(size: usize) -> f64 {
    size as f64
}
