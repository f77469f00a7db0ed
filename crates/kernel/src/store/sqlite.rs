//! SQLite's settings and its checkpoints.

use std::{
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use diesel::connection::SimpleConnection;

use super::{conn::Conn, error::StoreError, open_sqlite, pool::Connect};
use crate::config;

/// Opens connections to the file with the settings that onet's promises need.
///
/// `synchronous=FULL` flushes the write-ahead log at every commit: what was acknowledged survives a power cut.
/// Automatic checkpoints are off, because they would run inside some request's commit; see [`start_checkpoints`].
pub(super) fn connector(path: PathBuf, settings: &config::Store) -> Connect {
    let pragmas = format!(
        "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
         PRAGMA foreign_keys = ON; PRAGMA wal_autocheckpoint = 0; PRAGMA temp_store = MEMORY; \
         PRAGMA cache_size = -{}; PRAGMA journal_size_limit = {};",
        settings.sqlite_cache_kib, settings.sqlite_wal_limit_bytes
    );
    Arc::new(move || {
        make_private(&path)
            .map_err(|error| StoreError::Unavailable(format!("can't make {}: {error}", path.display())))?;
        let mut conn = open_sqlite(&path)?;
        conn.batch_execute(&pragmas)?;
        Ok(conn.into())
    })
}

/// Makes an empty file, and its folder, that only this user can read; SQLite gives its log the same rights.
/// What exists already is left as it is.
pub(super) fn make_private(path: &Path) -> std::io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map(drop)
}

/// How often the write-ahead log is looked at.
const PAUSE: Duration = Duration::from_millis(200);
/// A log shorter than this is left alone: a checkpoint would cost more flushes than it saves reading.
const WORTHWHILE_BYTES: u64 = 4 << 20;

/// Starts the thread that moves the write-ahead log into the database file.
///
/// A passive checkpoint disturbs nobody, but under constant writes never lets the log start over; above `limit`
/// bytes a truncating one makes the writer wait for a moment instead.
pub(super) fn start_checkpoints(path: PathBuf, connect: Connect, limit: u64) -> std::io::Result<()> {
    let log = PathBuf::from(format!("{}-wal", path.display()));
    // A weak reference: the thread ends when the store is gone.
    let connect = Arc::downgrade(&connect);
    thread::Builder::new()
        .name("store-checkpoint".to_owned())
        .spawn(move || {
            let mut conn: Option<Conn> = None;
            let mut done_at = 0;
            loop {
                thread::sleep(PAUSE);
                let Some(connect) = connect.upgrade() else { return };
                let size = std::fs::metadata(&log).map_or(0, |facts| facts.len());
                if size < WORTHWHILE_BYTES || (size == done_at && size < limit) {
                    continue;
                }
                if conn.is_none() {
                    conn = connect().ok();
                    // A truncating checkpoint keeps the writer out while it waits for readers: not for long.
                    if let Some(conn) = &mut conn {
                        let _ = conn.batch_execute("PRAGMA busy_timeout = 100");
                    }
                }
                let mode = if size >= limit { "TRUNCATE" } else { "PASSIVE" };
                let outcome = conn
                    .as_mut()
                    .map(|conn| conn.batch_execute(&format!("PRAGMA wal_checkpoint({mode})")));
                if let Some(Err(error)) = outcome {
                    tracing::warn!(%error, mode, size, "the write-ahead log could not be checkpointed");
                    conn = None;
                }
                done_at = size;
            }
        })?;
    Ok(())
}
