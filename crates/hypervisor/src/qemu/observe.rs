//! Looking at machines: all that are on the host, whether we know them or not.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::fs::MetadataExt,
    path::Path,
    sync::Arc,
};

use tokio::{
    io::{AsyncReadExt, AsyncSeekExt},
    sync::Semaphore,
    task::JoinSet,
};

use super::{
    Qemu,
    arguments::SHUTDOWN_REQUEST,
    folder::{Folder, Record, older},
    network::Link,
    process::Process,
    statistics,
};
use crate::{
    error::{HypervisorError, Result},
    model::{BootDisk, BoundForward, Connection, Ended, Observed, PowerState, VmId},
};

/// So many machines are asked at once.
const AT_ONCE: usize = 16;

impl Qemu {
    /// The machines that have a folder.
    pub(super) async fn machines(&self) -> Result<Vec<VmId>> {
        let folder = &self.host.machines;
        let wrong = |error| HypervisorError::host(format!("can't list {}", folder.display()), error);
        let mut machines = Vec::new();
        let mut entries = tokio::fs::read_dir(folder).await.map_err(wrong)?;
        while let Some(entry) = entries.next_entry().await.map_err(wrong)? {
            machines.extend(
                entry
                    .file_name()
                    .to_str()
                    .and_then(|name| name.parse::<VmId>().ok()),
            );
        }
        Ok(machines)
    }

    pub(super) async fn observe_all(&self) -> Result<Vec<Observed>> {
        let processes: BTreeMap<VmId, Process> = self
            .host
            .processes
            .all()?
            .into_iter()
            .map(|process| (process.vm, process))
            .collect();
        let mut machines: BTreeSet<VmId> = self.machines().await?.into_iter().collect();
        machines.extend(processes.keys());
        let mut records = Vec::new();
        for vm in machines {
            // One record that can't be read must not hide all other machines.
            let record = self.folder(vm).load().await.unwrap_or_else(|error| {
                tracing::error!(%vm, %error, "a machine's record can't be read");
                Record::default()
            });
            records.push((vm, record));
        }
        let links = Arc::new(self.links(records.iter().map(|(_, record)| record)).await);
        let (permits, mut asked) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
        for (vm, record) in records {
            let (folder, pid) = (self.folder(vm), processes.get(&vm).map(|process| process.pid));
            let (permits, links, keep) = (
                Arc::clone(&permits),
                Arc::clone(&links),
                self.host.settings.serial_log_bytes,
            );
            asked.spawn(async move {
                // The semaphore is never closed.
                let _permit = permits.acquire().await;
                trim(&folder, keep).await;
                look(vm, &folder, &record, pid, &links).await
            });
        }
        let mut observed = asked.join_all().await;
        observed.sort_by_key(|machine| machine.id);
        Ok(observed)
    }

    pub(super) async fn observe_one(&self, vm: VmId) -> Result<Option<Observed>> {
        let folder = self.folder(vm);
        let process = self.host.processes.find(vm)?;
        if process.is_none() && !folder.path().exists() {
            return Ok(None);
        }
        let record = folder.load().await?;
        let links = self.links([&record]).await;
        trim(&folder, self.host.settings.serial_log_bytes).await;
        let pid = process.map(|process| process.pid);
        Ok(Some(look(vm, &folder, &record, pid, &links).await))
    }

    /// The host's devices, if a machine has one.
    async fn links<'a>(&self, records: impl IntoIterator<Item = &'a Record>) -> Vec<Link> {
        let bridged = records
            .into_iter()
            .filter_map(|record| record.spec.as_ref())
            .flat_map(|spec| &spec.interfaces)
            .any(|interface| matches!(interface.connection, Connection::Bridge { .. }));
        if !bridged {
            return Vec::new();
        }
        self.host.network.links().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "traffic of machines can't be counted");
            Vec::new()
        })
    }

    pub(super) async fn read_serial_log(&self, vm: VmId, limit: usize) -> Result<Vec<u8>> {
        let folder = self.folder(vm);
        let mut text = Vec::new();
        for path in [older(&folder.serial_log()), folder.serial_log()] {
            match tokio::fs::read(&path).await {
                Ok(part) => text.extend(part),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(HypervisorError::host(
                        format!("can't read {}", path.display()),
                        error,
                    ));
                }
            }
        }
        Ok(text.split_off(text.len().saturating_sub(limit)))
    }
}

async fn look(vm: VmId, folder: &Folder, record: &Record, pid: Option<u32>, links: &[Link]) -> Observed {
    let mut observed = Observed {
        id: vm,
        state: if pid.is_some() {
            PowerState::Running
        } else {
            PowerState::Stopped
        },
        ended: None,
        boot: if record.rescue.is_some() {
            BootDisk::Rescue
        } else {
            BootDisk::Root
        },
        defined: record.spec.is_some(),
        interfaces: record
            .spec
            .iter()
            .flat_map(|spec| spec.interfaces.iter().map(|interface| interface.id))
            .collect(),
        forwards: Vec::new(),
        disk_bytes: allocated(folder).await,
        statistics: None,
    };
    let Some(pid) = pid else {
        observed.ended = ended(folder).await;
        return observed;
    };
    observed.forwards = record
        .bound
        .iter()
        .map(|bound| BoundForward {
            host: bound.host,
            guest_port: bound.guest_port,
        })
        .collect();
    match statistics::observe(folder, pid, record, links).await {
        Ok((state, statistics)) => {
            observed.state = state;
            observed.statistics = Some(statistics);
        }
        Err(error) => tracing::warn!(%vm, %error, "a machine does not tell how it is"),
    }
    observed
}

/// What the disks take of the host: blocks that were written (stat(2)).
async fn allocated(folder: &Folder) -> Option<u64> {
    let disk = tokio::fs::metadata(folder.disk()).await.ok()?;
    let rescue = tokio::fs::metadata(folder.rescue_disk()).await;
    let blocks = disk.blocks() + rescue.map_or(0, |rescue| rescue.blocks());
    Some(blocks * 512)
}

/// How the last run ended, by what QEMU has left; `None` if there was none.
async fn ended(folder: &Folder) -> Option<Ended> {
    let log = folder.complaints();
    let said = tokio::fs::read(&log).await.ok()?;
    let before = tokio::fs::read(older(&log)).await.unwrap_or_default();
    let orderly = [before, said]
        .iter()
        .any(|said| switched_itself_off(&String::from_utf8_lossy(said)));
    Some(if orderly { Ended::Orderly } else { Ended::Cut })
}

/// Whether a log says that the machine's system switched it off. The number is `guest-shutdown` among QEMU's reasons
/// (`ShutdownCause` in `qapi/run-state.json`, counted from 0).
fn switched_itself_off(said: &str) -> bool {
    const GUEST_SHUTDOWN: &str = "6";
    said.lines()
        .filter(|line| line.contains(SHUTDOWN_REQUEST))
        .filter_map(|line| line.split_once("reason="))
        .any(|(_, reason)| reason.split_whitespace().next() == Some(GUEST_SHUTDOWN))
}

/// Keeps the logs from growing: QEMU appends to them for as long as the machine runs.
async fn trim(folder: &Folder, keep: u64) {
    for log in [folder.serial_log(), folder.complaints()] {
        if let Err(error) = cut(&log, keep).await {
            tracing::warn!(%error, log = %log.display(), "a machine's log could not be cut");
        }
    }
}

/// Moves the end of a log aside and begins anew. QEMU opened it for appending, so that it goes on at the beginning.
async fn cut(log: &Path, keep: u64) -> std::io::Result<()> {
    let size = tokio::fs::metadata(log).await.map_or(0, |data| data.len());
    if size <= keep {
        return Ok(());
    }
    let mut file = tokio::fs::File::options()
        .read(true)
        .write(true)
        .open(log)
        .await?;
    file.seek(std::io::SeekFrom::Start(size.saturating_sub(keep / 2)))
        .await?;
    let mut end = Vec::new();
    (&mut file).take(keep).read_to_end(&mut end).await?;
    tokio::fs::write(older(log), end).await?;
    file.set_len(0).await
}

/// Free space where `folder` is, bytes.
pub(super) fn free_space(folder: &Path) -> Result<u64> {
    let space = rustix::fs::statvfs(folder).map_err(|error| {
        HypervisorError::host(format!("can't ask for the space of {}", folder.display()), error)
    })?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_that_switched_itself_off_is_told_from_one_that_was_ended() {
        assert!(switched_itself_off(
            "warning: x\nqemu_system_shutdown_request reason=6\n"
        ));
        assert!(switched_itself_off("7@1.5:qemu_system_shutdown_request reason=6"));
        for other in [
            "qemu_system_shutdown_request reason=4",
            "reason=6",
            "qemu: terminating on signal 15",
            "",
        ] {
            assert!(!switched_itself_off(other), "{other}");
        }
    }

    #[tokio::test]
    async fn a_long_log_is_cut_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("serial.log");
        std::fs::write(&log, [vec![b'a'; 90], vec![b'b'; 20]].concat()).unwrap();
        cut(&log, 110).await.unwrap();
        assert!(!older(&log).exists());
        cut(&log, 40).await.unwrap();
        assert_eq!(std::fs::read(older(&log)).unwrap(), vec![b'b'; 20]);
        assert_eq!(std::fs::read(&log).unwrap(), b"");
        cut(&folder.path().join("none"), 40).await.unwrap();
    }
}
