//! `qemu-img`, held short: bounded memory, processor time, size of files and time.

use std::{path::Path, process::Stdio, time::Duration};

use serde::Deserialize;
use tokio::process::Command;

use super::Format;
use crate::error::{HypervisorError, Result};

/// The program's address space: it needs some 200 MiB, whatever the image is.
const MEMORY: u64 = 2 << 30;
const INFO_LIMIT: Duration = Duration::from_secs(20);

/// The program, found by its name in `PATH` unless a path is given.
#[derive(Clone, Debug)]
pub(crate) struct ImageTool {
    program: String,
}

/// What `qemu-img info` says, as far as we ask.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Info {
    format: String,
    virtual_size: u64,
    #[serde(default)]
    encrypted: bool,
    backing_filename: Option<String>,
    #[serde(default)]
    format_specific: Option<FormatSpecific>,
}

#[derive(Debug, Deserialize)]
struct FormatSpecific {
    data: Option<Data>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Data {
    data_file: Option<String>,
}

impl ImageTool {
    pub(crate) fn new(program: String) -> Self {
        Self { program }
    }

    /// A second opinion on what our own parser found.
    pub(super) async fn confirm(
        &self,
        file: &Path,
        format: Format,
        size: u64,
        limit: Duration,
    ) -> Result<()> {
        let limits = Limits {
            file_size: 0,
            time: limit.min(INFO_LIMIT),
        };
        let file = file.display().to_string();
        let said = self
            .run(&["info", "--output=json", "-f", format.as_str(), &file], limits)
            .await?;
        let info: Info = serde_json::from_slice(&said)
            .map_err(|error| HypervisorError::host("qemu-img info can't be understood", error))?;
        let data_file = info
            .format_specific
            .and_then(|specific| specific.data)
            .and_then(|data| data.data_file);
        let alone = !info.encrypted && info.backing_filename.is_none() && data_file.is_none();
        if !alone || info.format != format.as_str() || info.virtual_size != size {
            return Err(HypervisorError::last(
                "The image is refused: its header makes no sense.",
                format!(
                    "qemu-img sees {}, {} bytes; our parser {size} bytes",
                    info.format, info.virtual_size
                ),
            ));
        }
        Ok(())
    }

    /// Writes a flat qcow2 file.
    pub(crate) async fn convert(
        &self,
        from: &Path,
        format: Format,
        to: &Path,
        size: u64,
        limit: Duration,
    ) -> Result<()> {
        let limits = Limits {
            file_size: largest_file(size),
            time: limit,
        };
        let (from, to) = (from.display().to_string(), to.display().to_string());
        let args = ["convert", "-f", format.as_str(), "-O", "qcow2", &from, &to];
        self.run(&args, limits).await.map(drop)
    }

    /// Writes what `from`, which builds on `image`, has itself: another disk that builds on the image.
    pub(crate) async fn convert_changes(
        &self,
        from: &Path,
        image: &Path,
        to: &Path,
        size: u64,
        limit: Duration,
    ) -> Result<()> {
        let limits = Limits {
            file_size: largest_file(size),
            time: limit,
        };
        let [from, image, to] = [from, image, to].map(|path| path.display().to_string());
        let args = [
            "convert", "-f", "qcow2", "-O", "qcow2", "-F", "qcow2", "-B", &image, &from, &to,
        ];
        self.run(&args, limits).await.map(drop)
    }

    /// Makes a disk that is empty.
    pub(crate) async fn create(&self, to: &Path, size: u64) -> Result<()> {
        let limits = Limits {
            file_size: largest_file(size),
            time: INFO_LIMIT,
        };
        let (to, size) = (to.display().to_string(), size.to_string());
        self.run(&["create", "-q", "-f", "qcow2", &to, &size], limits)
            .await
            .map(drop)
    }

    /// Makes a disk that is empty where it does not show what `image` has.
    pub(crate) async fn overlay(&self, image: &Path, to: &Path, size: u64) -> Result<()> {
        let limits = Limits {
            file_size: largest_file(size),
            time: INFO_LIMIT,
        };
        let (image, to, size) = (
            image.display().to_string(),
            to.display().to_string(),
            size.to_string(),
        );
        let args = [
            "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", &image, &to, &size,
        ];
        self.run(&args, limits).await.map(drop)
    }

    /// Grows a disk of ours.
    pub(crate) async fn grow(&self, disk: &Path, size: u64) -> Result<()> {
        let limits = Limits {
            file_size: largest_file(size),
            time: INFO_LIMIT,
        };
        let (disk, size) = (disk.display().to_string(), size.to_string());
        self.run(&["resize", "-q", "-f", "qcow2", &disk, &size], limits)
            .await
            .map(drop)
    }

    pub(crate) async fn version(&self) -> Result<String> {
        let limits = Limits {
            file_size: 0,
            time: INFO_LIMIT,
        };
        let said = self.run(&["--version"], limits).await?;
        let text = String::from_utf8_lossy(&said);
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }

    async fn run(&self, args: &[&str], limits: Limits) -> Result<Vec<u8>> {
        let cpu = limits.time.as_secs().max(1);
        let mut command = Command::new("prlimit");
        command
            .arg(format!("--as={MEMORY}"))
            .arg(format!("--cpu={cpu}"))
            .arg(format!("--fsize={}", limits.file_size))
            .args(["--core=0", "--nofile=64", "--"])
            .arg(&self.program)
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let what = format!("{} {}", self.program, args.first().copied().unwrap_or_default());
        let output = tokio::time::timeout(limits.time, command.output())
            .await
            .map_err(|_| {
                HypervisorError::host(
                    format!("{what} took longer than {:?}", limits.time),
                    "time is over",
                )
            })?
            .map_err(|error| {
                HypervisorError::host(format!("can't run {what} (package qemu-utils)"), error)
            })?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(HypervisorError::host(
                format!("{what} failed ({})", output.status),
                said,
            ));
        }
        Ok(output.stdout)
    }
}

struct Limits {
    /// The largest file that may be written, bytes.
    file_size: u64,
    time: Duration,
}

/// A qcow2 file with its tables is a little larger than the disk in it.
fn largest_file(virtual_size: u64) -> u64 {
    virtual_size
        .saturating_add(virtual_size / 8)
        .saturating_add(64 << 20)
}
