//! Programs of the host, run without a shell.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{io::AsyncWriteExt, process::Command};

use crate::error::{HypervisorError, Result};

const LIMIT: Duration = Duration::from_secs(30);

/// Runs programs where the host's network is.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    namespace: Option<String>,
}

impl Programs {
    pub(super) fn new(namespace: Option<String>) -> Self {
        Self { namespace }
    }

    /// A command line that begins with what leads into the namespace.
    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = match &self.namespace {
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace, program]);
                command
            }
            None => Command::new(program),
        };
        command
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs a program in a session of its own and in `folder`, which goes on when we end. What it complains of goes to `log`.
    pub(super) async fn detach(&self, program: &str, args: &[&str], folder: &Path, log: &Path) -> Result<()> {
        let wrong = |error: std::io::Error| HypervisorError::host(format!("can't run {program}"), error);
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(log)
            .map_err(wrong)?;
        let args = [&["--fork", program], args].concat();
        let mut command = self.command("setsid", &args);
        command.current_dir(folder).stdout(Stdio::null()).stderr(log);
        let status = tokio::time::timeout(LIMIT, command.status())
            .await
            .map_err(|_| {
                HypervisorError::host(
                    format!("{program} was not started within {LIMIT:?}"),
                    "time is over",
                )
            })?
            .map_err(wrong)?;
        if status.success() {
            return Ok(());
        }
        Err(HypervisorError::host(
            format!("can't run {program}"),
            format!("setsid failed ({status})"),
        ))
    }

    /// Runs a program to its end and returns what it printed.
    pub(super) async fn run(&self, program: &str, args: &[&str]) -> Result<Vec<u8>> {
        self.run_with(program, args, &[]).await
    }

    /// Runs a program that reads `input`.
    pub(super) async fn run_with(&self, program: &str, args: &[&str], input: &[u8]) -> Result<Vec<u8>> {
        let what = format!("{program} {}", args.first().copied().unwrap_or_default());
        let wrong = |error: std::io::Error| HypervisorError::host(format!("can't run {what}"), error);
        let mut command = self.command(program, args);
        if !input.is_empty() {
            command.stdin(Stdio::piped());
        }
        let mut child = command.spawn().map_err(wrong)?;
        let work = async {
            if let Some(mut stdin) = child.stdin.take() {
                stdin.write_all(input).await?;
            }
            child.wait_with_output().await
        };
        let output = tokio::time::timeout(LIMIT, work)
            .await
            .map_err(|_| HypervisorError::host(format!("{what} took longer than {LIMIT:?}"), "time is over"))?
            .map_err(wrong)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(HypervisorError::host(
            format!("{what} failed ({})", output.status),
            said,
        ))
    }
}
