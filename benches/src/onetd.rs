//! `onetd` as a process: loaded, served, measured from outside, ended.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use tempfile::TempDir;

use crate::client::Connection;

/// Limits out of the way (they are counted all the same), production's hashing cost, no line a request in the log.
const SETTINGS: [(&str, &str); 5] = [
    ("ONET_LIMITS__CREDENTIAL_PER_SECOND", "100000000"),
    ("ONET_LIMITS__CREDENTIAL_PER_MINUTE", "100000000"),
    ("ONET_LIMITS__ADDRESS_PER_SECOND", "100000000"),
    ("ONET_LIMITS__ADDRESS_PER_MINUTE", "100000000"),
    ("ONET_LOG__LEVEL", "warn"),
];
const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// An installation: a data folder, and perhaps a database elsewhere.
#[derive(Debug)]
pub(crate) struct Installation {
    binary: PathBuf,
    folder: TempDir,
    store: Option<String>,
    /// Who may do everything in it.
    pub(crate) facts: Facts,
    /// How long loading its data took.
    pub(crate) loading: Duration,
}

/// What `onetd demo` prints, as far as it is needed here.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Facts {
    pub(crate) email: String,
    pub(crate) password: String,
    pub(crate) api_key: String,
    pub(crate) organization_id: String,
}

impl Installation {
    /// Loads `projects` × `instances` into a new SQLite database, or into the empty one at `store`.
    pub(crate) fn load(
        binary: &Path,
        store: Option<String>,
        projects: usize,
        instances: usize,
    ) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("onet-bench-").tempdir()?;
        let facts = Facts::default();
        let loading = Duration::ZERO;
        let mut installation = Self {
            binary: binary.to_owned(),
            folder,
            store,
            facts,
            loading,
        };
        let started = Instant::now();
        let amounts = [projects, instances].map(|amount| amount.to_string());
        let output = installation
            .command(&["demo", "--projects", &amounts[0], "--instances", &amounts[1]])
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("can't run {}", binary.display()))?;
        if !output.status.success() {
            bail!("`onetd demo` failed: {}", output.status);
        }
        installation.facts = serde_json::from_slice(&output.stdout)
            .context("`onetd demo` printed something else than its facts")?;
        installation.loading = started.elapsed();
        Ok(installation)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .arg("--data-dir")
            .arg(self.folder.path())
            .args(arguments)
            .envs(SETTINGS);
        if let Some(store) = &self.store {
            command.env("ONET_STORE__URL", store);
        }
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Result<()> {
        let status = self
            .command(arguments)
            .envs(settings.iter().copied())
            .stdout(Stdio::null())
            .status()?;
        if !status.success() {
            bail!("`onetd {}` failed: {status}", arguments.join(" "));
        }
        Ok(())
    }

    /// Runs a command to its end, for what it prints.
    pub(crate) fn output(&self, arguments: &[&str]) -> Result<String> {
        let output = self.command(arguments).stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            bail!("`onetd {}` failed: {}", arguments.join(" "), output.status);
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Its data folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Names the database by another URL.
    pub(crate) fn move_to(&mut self, store: String) {
        self.store = Some(store);
    }

    /// Serves the installation and returns when it answers.
    pub(crate) fn serve(&self) -> Result<Running> {
        self.serve_with(&["serve"], &[])
    }

    /// The same with other arguments and settings.
    pub(crate) fn serve_with(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Result<Running> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut command = self.command(arguments);
        command
            .env("ONET_SERVER__LISTEN", address.to_string())
            .envs(settings.iter().copied());
        let started = Instant::now();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("can't start onetd")?;
        let mut running = Running {
            child,
            address,
            start: Duration::ZERO,
        };
        let request = format!(
            "GET /v1/organizations HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {}\r\n\r\n",
            self.facts.api_key
        );
        loop {
            if Connection::once(address, request.as_bytes()).is_ok_and(|status| status == 200) {
                running.start = started.elapsed();
                return Ok(running);
            }
            if let Some(status) = running.child.try_wait()? {
                bail!("onetd ended: {status}");
            }
            if started.elapsed() > START_LIMIT {
                bail!("onetd does not answer");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Size of the SQLite database in bytes.
    pub(crate) fn size(&self) -> u64 {
        std::fs::metadata(self.folder.path().join("onet.db")).map_or(0, |facts| facts.len())
    }
}

/// A server that answers. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    pub(crate) address: SocketAddr,
    /// From the start of the process to its first answer to an authenticated request.
    pub(crate) start: Duration,
}

impl Running {
    /// Memory in RAM, and the most that it ever was, in MB.
    pub(crate) fn memory(&self) -> Result<(f64, f64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let megabytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kibibytes: f64 = line
                .trim_start_matches(':')
                .trim()
                .trim_end_matches(" kB")
                .parse()
                .ok()?;
            Some(kibibytes * 1024.0 / 1e6)
        };
        Ok((
            megabytes("VmRSS").context("no VmRSS")?,
            megabytes("VmHWM").context("no VmHWM")?,
        ))
    }

    /// The time that processors have worked for it.
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // After the name, which may hold anything: user and system time are the 12th and 13th field.
        let (_, fields) = stat.rsplit_once(')').context("no name in /proc/…/stat")?;
        let ticks: u64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map_while(|ticks| ticks.parse::<u64>().ok())
            .sum();
        // Linux tells it in hundredths of a second, whatever its own clock.
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Ends it as an operator would.
    pub(crate) fn stop(mut self) -> Result<()> {
        let pid = self.child.id().to_string();
        Command::new("sh")
            .args(["-c", "kill -TERM \"$1\"", "sh", &pid])
            .status()?;
        let deadline = Instant::now() + STOP_LIMIT;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("onetd does not end");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
