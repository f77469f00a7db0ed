//! Work that no request waits for: its threads give way to those of requests.
//!
//! What runs on [`runtime`] is background work, and the store knows: it reads through connections of its own and writes
//! after the requests that wait, so that a thousand tasks don't slow down who looks at them. See
//! `docs/decisions/0036-background-work.md`.

use std::{cell::Cell, io};

use tokio::runtime::{Builder, Runtime};

/// How much its threads give way, as nice(2) counts. Idle processors are used all the same.
const NICENESS: i32 = 10;

thread_local! {
    static HERE: Cell<bool> = const { Cell::new(false) };
}

/// A runtime for background work. What is spawned on it, and by that in turn, is background work.
///
/// # Errors
/// No threads can be had.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("background")
        .enable_all()
        .on_thread_start(|| {
            HERE.set(true);
            give_way();
        })
        .build()
}

/// Whether the caller is background work.
pub(crate) fn is_here() -> bool {
    HERE.get()
}

/// Lets this thread give way to others. Where that is refused it does not.
pub(crate) fn give_way() {
    // On Linux niceness is a thread's own.
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "this thread does not give way");
    }
}
