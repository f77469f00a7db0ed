//! Whether the processor runs guests itself: found out by letting it run one.
//!
//! `/dev/kvm` may be there and fail, or be there and be emulated, slower than software. So a guest of one sector is
//! started, which leaves QEMU by writing to its debug port, and must do so in time.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::process::Command;

use crate::error::{HypervisorError, Result};

/// With KVM, QEMU and its firmware reach the sector in half a second.
const LIMIT: Duration = Duration::from_secs(5);
const VALUE: u8 = 0x21;
/// `isa-debug-exit` makes this status of the value.
const STATUS: i32 = (VALUE as i32) << 1 | 1;

/// What was found.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    pub(super) version: String,
    pub(super) number: (u32, u32),
    pub(super) kvm: bool,
    pub(super) note: String,
}

/// Asks QEMU for its version and, if `try_kvm`, tries KVM.
pub(super) async fn probe(program: &str, scratch: &Path, try_kvm: bool) -> Result<Probe> {
    let version = version(program).await?;
    let number = parse(&version).ok_or_else(|| {
        HypervisorError::last(
            "The host is not ready.",
            format!("{version:?} names no version of QEMU"),
        )
    })?;
    if number < (7, 2) {
        return Err(HypervisorError::last(
            "The host is not ready.",
            format!("QEMU 7.2 or later is needed; this is {version}"),
        ));
    }
    let tried = if try_kvm {
        kvm(program, scratch).await
    } else {
        Err("it is switched off in the settings".to_owned())
    };
    Ok(Probe {
        version,
        number,
        kvm: tried.is_ok(),
        note: tried.err().unwrap_or_default(),
    })
}

async fn version(program: &str) -> Result<String> {
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| {
            HypervisorError::last(
                "The host is not ready.",
                format!("can't run {program}: install the package qemu-system-x86"),
            )
            .because(error)
        })?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// "QEMU emulator version 10.0.2 (Debian …)".
fn parse(version: &str) -> Option<(u32, u32)> {
    let number = version
        .split_whitespace()
        .skip_while(|word| *word != "version")
        .nth(1)?;
    let mut parts = number.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

async fn kvm(program: &str, scratch: &Path) -> Result<(), String> {
    std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .map_err(|error| format!("/dev/kvm can't be opened: {error}"))?;
    let disk = tempfile::NamedTempFile::new_in(scratch).map_err(|error| error.to_string())?;
    std::fs::write(disk.path(), sector()).map_err(|error| error.to_string())?;
    let drive = serde_json::json!({"driver": "raw", "node-name": "boot", "read-only": true,
        "file": {"driver": "file", "filename": disk.path().display().to_string()}});
    let mut child = Command::new(program)
        .args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-machine",
            "q35",
        ])
        .args(["-accel", "kvm", "-m", "16M", "-sandbox", "on", "-no-reboot"])
        .args([
            "-blockdev",
            &drive.to_string(),
            "-device",
            "virtio-blk-pci,drive=boot,bootindex=0",
        ])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=1"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| error.to_string())?;
    match tokio::time::timeout(LIMIT, child.wait()).await {
        Ok(Ok(status)) if status.code() == Some(STATUS) => Ok(()),
        Ok(Ok(status)) => Err(format!("a guest ended with {status}")),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => {
            // Killed when it is dropped as well; waited for here, so that it does not stay as a zombie.
            let _ = child.kill().await;
            Err(format!("a guest did not come up within {LIMIT:?}"))
        }
    }
}

/// A boot sector: `mov al, VALUE; out 0xf4, al; hlt; jmp -3`.
fn sector() -> [u8; 512] {
    let mut sector = [0; 512];
    sector[..7].copy_from_slice(&[0xb0, VALUE, 0xe6, 0xf4, 0xf4, 0xeb, 0xfd]);
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(
            parse("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)"),
            Some((10, 0))
        );
        assert_eq!(parse("QEMU emulator version 7.2.19"), Some((7, 2)));
        assert_eq!(parse("something else"), None);
    }
}
