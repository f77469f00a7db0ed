//! A write transaction, and how one request's transaction is run on either database.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::Duration,
};

use diesel::connection::SimpleConnection;
use tokio::sync::{Notify, oneshot};

use super::{
    conn::Conn,
    error::{Failure, StoreError},
    pool::Slot,
    writer::Write,
};
use crate::{
    audit::SealKey,
    time::{Clock, Time},
};

/// An open write transaction. Audit records and tasks are written with it ([`crate::audit`], [`crate::tasks`]).
#[derive(Debug)]
pub struct Tx<'c> {
    conn: &'c mut Conn,
    now: Time,
    rings: bool,
    seal_key: Option<SealKey>,
}

impl Tx<'_> {
    /// The connection, for Diesel queries.
    pub const fn conn(&mut self) -> &mut Conn {
        self.conn
    }

    /// The time of this transaction: one value for all that it writes.
    pub const fn now(&self) -> Time {
        self.now
    }

    /// The key that audit records are sealed with.
    pub(crate) const fn seal_key(&self) -> Option<SealKey> {
        self.seal_key
    }

    /// Rings the workers' bell once this transaction is committed.
    pub(crate) const fn ring(&mut self) {
        self.rings = true;
    }
}

/// How often a transaction is tried before the client is told to come back.
const ATTEMPTS: u32 = 8;

/// A write that waits for its turn, and the request that waits for its answer.
pub(super) struct Pending<T, E, F> {
    work: F,
    answer: oneshot::Sender<Result<T, E>>,
    result: Option<Result<T, E>>,
    rings: bool,
    clock: Clock,
    bell: Arc<Notify>,
    seal_key: Option<SealKey>,
}

impl<T, E: Failure, F: Fn(&mut Tx<'_>) -> Result<T, E>> Pending<T, E, F> {
    pub(super) const fn new(
        work: F,
        answer: oneshot::Sender<Result<T, E>>,
        clock: Clock,
        bell: Arc<Notify>,
        seal_key: Option<SealKey>,
    ) -> Self {
        Self {
            work,
            answer,
            result: None,
            rings: false,
            clock,
            bell,
            seal_key,
        }
    }

    /// Runs the closure once inside an open transaction.
    fn attempt(&mut self, conn: &mut Conn) -> bool {
        // Whoever waited has given up and was told that the outcome is not known: better that nothing happens.
        if self.answer.is_closed() {
            self.result = Some(Err(StoreError::Unavailable("given up".to_owned()).into()));
            return false;
        }
        let mut tx = Tx {
            conn,
            now: self.clock.now(),
            rings: false,
            seal_key: self.seal_key,
        };
        let result = catch_unwind(AssertUnwindSafe(|| (self.work)(&mut tx)));
        self.rings = tx.rings;
        let result = result.unwrap_or_else(|_| Err(StoreError::Panicked.into()));
        let keep = result.is_ok();
        self.result = Some(result);
        keep
    }

    fn answer(self, committed: Result<(), &StoreError>) {
        let result = match (committed, self.result) {
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(StoreError::Panicked.into()),
            (Err(StoreError::InDoubt(text)), _) => Err(StoreError::InDoubt(text.clone()).into()),
            (Err(error), _) => Err(StoreError::Unavailable(error.to_string()).into()),
        };
        if self.rings && result.is_ok() {
            self.bell.notify_one();
        }
        // A client that went away: its change stands all the same.
        let _ = self.answer.send(result);
    }
}

impl<T: Send, E: Failure, F: Fn(&mut Tx<'_>) -> Result<T, E> + Send> Write for Pending<T, E, F> {
    fn run(&mut self, conn: &mut Conn) -> bool {
        self.attempt(conn)
    }

    fn finish(self: Box<Self>, committed: Result<(), &StoreError>) {
        self.answer(committed);
    }
}

/// Runs a write on a connection to PostgreSQL, again if it lost against another transaction.
pub(super) fn run_on_postgres<T, E: Failure, F: Fn(&mut Tx<'_>) -> Result<T, E>>(
    slot: &mut Slot,
    mut pending: Pending<T, E, F>,
) {
    let mut attempt = 1;
    let outcome = loop {
        match transaction(slot, &mut pending) {
            Err(StoreError::Contended(text)) if attempt < ATTEMPTS => {
                tracing::debug!(attempt, text, "a transaction is tried again");
                metrics::counter!("onet_store_retries").increment(1);
                thread::sleep(Duration::from_millis(rand::random_range(1..=4_u64 << attempt)));
                attempt += 1;
            }
            outcome => break outcome,
        }
    };
    if !matches!(outcome, Ok(()) | Err(StoreError::Contended(_))) {
        slot.discard();
    }
    pending.answer(outcome.as_ref().copied());
}

/// One attempt: an error means that it must be tried again or given up; refusals of the closure are no errors here.
fn transaction<T, E: Failure, F: Fn(&mut Tx<'_>) -> Result<T, E>>(
    slot: &mut Slot,
    pending: &mut Pending<T, E, F>,
) -> Result<(), StoreError> {
    let conn = slot.conn()?;
    conn.batch_execute("BEGIN")?;
    if pending.attempt(conn) {
        if crate::crash::point("store.commit") {
            conn.batch_execute("ROLLBACK")?;
            return Err(StoreError::Unavailable("a test made this commit fail".to_owned()));
        }
        // Without an answer to it, nobody knows whether it was done; a definite refusal is one that PostgreSQL words.
        conn.batch_execute("COMMIT")
            .map_err(|error| match StoreError::from(error) {
                StoreError::Unavailable(text) => StoreError::InDoubt(text),
                other => other,
            })?;
        crate::crash::point("store.committed");
        return Ok(());
    }
    conn.batch_execute("ROLLBACK")?;
    match &pending.result {
        Some(Err(error)) if error.is_contended() => {
            Err(StoreError::Contended("in the transaction".to_owned()))
        }
        Some(Err(error)) if error.is_unavailable() => {
            Err(StoreError::Unavailable("in the transaction".to_owned()))
        }
        _ => Ok(()),
    }
}
