//! Locks between all who use a data folder, in this process and in others: a file each, locked by the kernel, which
//! frees it when its owner dies.

use std::{
    fs::{File, TryLockError},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::folder::make_private;
use crate::error::{HypervisorError, Result};

const POLL: Duration = Duration::from_millis(15);
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Clone, Debug)]
pub(super) struct Locks {
    folder: PathBuf,
}

/// Held until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
    path: PathBuf,
}

impl Lock {
    /// Deletes the file too: whatever it was about is gone. Who waits for it notices, and makes another.
    pub(super) fn retire(self) {
        // A file that stays is untidy and harmless.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Shared,
    Exclusive,
}

impl Locks {
    pub(super) async fn new(folder: PathBuf) -> Result<Self> {
        make_private(&folder).await?;
        Ok(Self { folder })
    }

    pub(super) async fn exclusive(&self, name: &str) -> Result<Lock> {
        self.lock(name, Kind::Exclusive).await
    }

    pub(super) async fn shared(&self, name: &str) -> Result<Lock> {
        self.lock(name, Kind::Shared).await
    }

    async fn lock(&self, name: &str, kind: Kind) -> Result<Lock> {
        let path = self.folder.join(name);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(file) = attempt(&path, kind)? {
                return Ok(Lock { _file: file, path });
            }
            if Instant::now() >= deadline {
                return Err(HypervisorError::passing(
                    "Another operation on the instance is still under way.",
                    format!("{} was not free within {PATIENCE:?}", path.display()),
                ));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// The lock, if it is free. A file that was deleted after it was opened is nobody's lock any more.
fn attempt(path: &Path, kind: Kind) -> Result<Option<File>> {
    let wrong = |error| HypervisorError::host(format!("can't lock {}", path.display()), error);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .read(true)
        .open(path)
        .map_err(wrong)?;
    let locked = match kind {
        Kind::Shared => file.try_lock_shared(),
        Kind::Exclusive => file.try_lock(),
    };
    match locked {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(wrong(error)),
    }
    let ours = file.metadata().map_err(wrong)?;
    let current =
        std::fs::metadata(path).is_ok_and(|there| there.ino() == ours.ino() && there.dev() == ours.dev());
    Ok(current.then_some(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time_also_over_a_deletion() {
        let folder = tempfile::tempdir().unwrap();
        let locks = Locks::new(folder.path().join("locks")).await.unwrap();
        let first = locks.exclusive("a").await.unwrap();
        assert!(
            tokio::time::timeout(POLL * 5, locks.exclusive("a"))
                .await
                .is_err()
        );
        let waiting = tokio::spawn({
            let locks = locks.clone();
            async move { locks.exclusive("a").await.unwrap() }
        });
        tokio::time::sleep(POLL * 3).await;
        first.retire();
        let second = waiting.await.unwrap();
        assert!(second.path.exists());
        assert!(
            tokio::time::timeout(POLL * 5, locks.exclusive("a"))
                .await
                .is_err()
        );
        drop(second);
        let (_a, _b) = (locks.shared("a").await.unwrap(), locks.shared("a").await.unwrap());
    }
}
