//! Ctrl-C and SIGTERM: noted here, acted upon by whoever waits, so that servers are stopped in order.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// From now on the first signal asks for an orderly end, and the second one ends this program at once.
pub(crate) fn install() -> Result<()> {
    ctrlc::set_handler(|| {
        if REQUESTED.swap(true, Ordering::SeqCst) {
            process::exit(130);
        }
    })
    .context("can't listen for Ctrl-C")
}

/// Whether someone asked us to end.
pub(crate) fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}

/// Fails if someone asked us to end: for the gaps between two pieces of work.
pub(crate) fn check() -> Result<()> {
    if requested() {
        bail!("interrupted");
    }
    Ok(())
}
