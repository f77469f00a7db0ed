//! Processes of machines: found by what is in their command lines, never by a number alone.

use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use super::folder::Folder;
use crate::{
    error::{HypervisorError, Result},
    model::VmId,
};

const KILL_LIMIT: Duration = Duration::from_secs(20);
/// tokio registers foreign descriptors only in unsafe code; waits for machines are few, and seconds long.
const POLL: Duration = Duration::from_millis(20);

/// A machine's process, by a descriptor: the number may be another process's by the time that it is used.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) vm: VmId,
    pub(super) pid: u32,
    handle: OwnedFd,
}

impl Process {
    /// Kills it, and waits until it is gone.
    pub(super) async fn kill(&self) -> Result<()> {
        // It may have ended by itself just now.
        let _ = pidfd_send_signal(&self.handle, Signal::KILL);
        if self.wait(KILL_LIMIT).await? {
            return Ok(());
        }
        Err(HypervisorError::host(
            format!("process {} does not end", self.pid),
            "it was killed, and is still there",
        ))
    }

    /// Waits for its end; `false` when the time is over.
    pub(super) async fn wait(&self, limit: Duration) -> Result<bool> {
        let deadline = Instant::now() + limit;
        loop {
            // A process that has ended can be read from (pidfd_open(2)).
            let mut handles = [PollFd::new(&self.handle, PollFlags::IN)];
            let ended = poll(&mut handles, Some(&Timespec::default()))
                .map_err(|error| HypervisorError::host("can't wait for a machine's process", error))?;
            if ended > 0 {
                return Ok(true);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            tokio::time::sleep(left.min(POLL)).await;
        }
    }
}

/// How processes of this data folder are recognised.
#[derive(Clone, Debug)]
pub(super) struct Processes {
    machines: PathBuf,
    program: String,
}

impl Processes {
    pub(super) fn new(machines: PathBuf, program: &str) -> Self {
        let program = Path::new(program).file_name().unwrap_or_default();
        Self {
            machines,
            program: program.to_string_lossy().into_owned(),
        }
    }

    /// The machine's process. Its file names it, unless the file was lost: then all processes are looked at.
    pub(super) fn find(&self, vm: VmId) -> Result<Option<Process>> {
        let file = Folder::new(&self.machines, vm).pid();
        let noted = std::fs::read_to_string(file).ok();
        let noted = noted.and_then(|text| text.trim().parse().ok());
        if let Some(process) = noted.and_then(|pid| self.open(pid))
            && process.vm == vm
        {
            return Ok(Some(process));
        }
        Ok(self.all()?.into_iter().find(|process| process.vm == vm))
    }

    /// All processes of machines, those without a folder too.
    pub(super) fn all(&self) -> Result<Vec<Process>> {
        let wrong = |error| HypervisorError::host("/proc can't be listed", error);
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").map_err(wrong)? {
            let name = entry.map_err(wrong)?.file_name();
            let pid = name.to_str().and_then(|name| name.parse().ok());
            found.extend(pid.and_then(|pid| self.open(pid)));
        }
        Ok(found)
    }

    /// The process of this number, if it is a machine of ours.
    fn open(&self, pid: u32) -> Option<Process> {
        self.identify(pid)?;
        let number = Pid::from_raw(i32::try_from(pid).ok()?)?;
        let handle = pidfd_open(number, PidfdFlags::empty()).ok()?;
        // Only now can the number not change hands any more.
        let vm = self.identify(pid)?;
        Some(Process { vm, pid, handle })
    }

    fn identify(&self, pid: u32) -> Option<VmId> {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        whose(&line, &self.program, &self.machines)
    }
}

/// The machine of a command line: the right program, and a pid file where ours are, below the same id.
fn whose(line: &[u8], program: &str, machines: &Path) -> Option<VmId> {
    let words: Vec<&str> = line
        .split(|byte| *byte == 0)
        .map(|word| std::str::from_utf8(word).unwrap_or_default())
        .collect();
    let name = Path::new(words.first()?).file_name()?;
    let after = |option: &str| {
        words
            .iter()
            .position(|word| *word == option)
            .and_then(|at| words.get(at + 1))
    };
    let vm: VmId = after("-uuid")?.parse().ok()?;
    let ours = name == program && Path::new(after("-pidfile")?) == Folder::new(machines, vm).pid();
    ours.then_some(vm)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0199c0de-0000-7000-8000-000000000001";

    fn line(words: &[&str]) -> Option<VmId> {
        let line = words.join("\0") + "\0";
        whose(line.as_bytes(), "qemu-system-x86_64", Path::new("/data/vms"))
    }

    #[test]
    fn only_our_machines_are_recognised() {
        let pid = format!("/data/vms/{ID}/pid");
        let other = "/data/vms/0199c0de-0000-7000-8000-000000000002/pid";
        assert_eq!(
            line(&["/usr/bin/qemu-system-x86_64", "-uuid", ID, "-pidfile", &pid]),
            Some(ID.parse().unwrap())
        );
        assert_eq!(
            line(&["prlimit", "qemu-system-x86_64", "-uuid", ID, "-pidfile", &pid]),
            None
        );
        assert_eq!(
            line(&["qemu-system-x86_64", "-uuid", ID, "-pidfile", "/else/pid"]),
            None
        );
        assert_eq!(
            line(&["qemu-system-x86_64", "-uuid", ID, "-pidfile", other]),
            None
        );
        assert_eq!(line(&["qemu-system-x86_64", "-uuid"]), None);
        assert_eq!(line(&[""]), None);
    }

    #[test]
    fn a_number_that_another_process_has_is_not_taken() {
        let data = tempfile::tempdir().unwrap();
        let processes = Processes::new(data.path().to_owned(), "qemu-system-x86_64");
        let vm: VmId = ID.parse().unwrap();
        let folder = Folder::new(data.path(), vm);
        std::fs::create_dir(folder.path()).unwrap();
        std::fs::write(folder.pid(), std::process::id().to_string()).unwrap();
        assert!(processes.find(vm).unwrap().is_none());
    }
}
