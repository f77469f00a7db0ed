//! Control groups, version 2: a group a machine, with bounded memory and processors, in a folder that was delegated to
//! us. Without one, machines have only the limits of their process (`prlimit`).

use std::path::{Path, PathBuf};

use crate::{
    error::{HypervisorError, Result},
    model::{VmId, VmSpec},
};

/// QEMU's own memory beside the guest's: translated code, disk caches, the screen.
pub(super) const OVERHEAD_MIB: u64 = 768;
const PERIOD_MICROSECONDS: u64 = 100_000;

fn folder(parent: &Path, vm: VmId) -> PathBuf {
    parent.join(format!("vm-{vm}"))
}

/// Puts a process into the machine's group.
pub(super) async fn enter(parent: &Path, spec: &VmSpec, pid: u32) -> Result<()> {
    let folder = folder(parent, spec.id);
    let wrong = |what: &Path, error| HypervisorError::host(format!("can't set up {}", what.display()), error);
    if let Err(error) = tokio::fs::create_dir(&folder).await
        && error.kind() != std::io::ErrorKind::AlreadyExists
    {
        return Err(wrong(&folder, error));
    }
    let memory = (u64::from(spec.memory_mib) + OVERHEAD_MIB) << 20;
    // One more processor for QEMU's own threads.
    let time = (u64::from(spec.cpus) + 1) * PERIOD_MICROSECONDS;
    for (name, value) in [
        ("memory.max", memory.to_string()),
        ("cpu.max", format!("{time} {PERIOD_MICROSECONDS}")),
    ] {
        let file = folder.join(name);
        // A controller that was not delegated has no file.
        if file.exists() {
            tokio::fs::write(&file, value)
                .await
                .map_err(|error| wrong(&file, error))?;
        }
    }
    let members = folder.join("cgroup.procs");
    tokio::fs::write(&members, pid.to_string())
        .await
        .map_err(|error| wrong(&members, error))
}

/// Removes the machine's group; one that is not there is fine.
pub(super) async fn remove(parent: &Path, vm: VmId) -> Result<()> {
    let folder = folder(parent, vm);
    match tokio::fs::remove_dir(&folder).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(HypervisorError::host(
            format!("can't remove {}", folder.display()),
            error,
        )),
        _ => Ok(()),
    }
}
