//! A PostgreSQL server of one's own: made in a temporary directory, gone with its owner.
//!
//! Tests and benchmarks need a real server and must leave nothing behind, however they end. Two guards see to that:
//! - [`Postgres`] stops the server and removes its directory when it is dropped;
//! - a small shell process, the *heir*, holds the reading end of a pipe whose writing end only the owner has. When the
//!   owner dies without having dropped it (`kill -9`, a `static`, an abort), the pipe ends and the heir does the same
//!   work. Unlike a parent-death signal this survives a change of user and follows the process, not the thread, that
//!   started the server.
//!
//! The server accepts the superuser `onet` without a password, on the loopback interface only: it holds test data.
//! This file uses the standard library alone, because the build chores include it too and are compiled before all else.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The account that Debian's package makes; the server runs as it when its owner is root.
const SERVICE_ACCOUNT: &str = "postgres";
/// How long a server may take until it answers; seconds on a busy machine, never minutes.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long a fast shutdown may take before the server is killed.
const STOP_LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);
/// Another program may take the free port between our choice and the server's `bind`.
const PORT_ATTEMPTS: u32 = 5;

/// What the heir does. Its argument is the server's directory. A line on standard input means that the owner has
/// tidied up itself; the end of input means that it died. The directory is removed in a loop, since an `initdb` that
/// outlived its owner may still be writing into it.
const HEIR: &str = r#"
read -r _ && exit 0
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
case $pid in
'' | *[!0-9]*) ;;
*)
    kill -INT "$pid" 2>/dev/null
    n=0
    while [ -e "$1/data/postmaster.pid" ] && kill -0 "$pid" 2>/dev/null && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done
    kill -KILL "$pid" 2>/dev/null
    ;;
esac
n=0
while [ -e "$1" ] && [ $n -lt 20 ]; do rm -rf "$1" 2>/dev/null; sleep 0.5; n=$((n + 1)); done
"#;

/// How much the server promises about a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Nothing survives a power failure: as fast as it gets, for tests.
    Relaxed,
    /// A commit is on disk before it is answered, as in production: for benchmarks.
    Full,
}

impl Durability {
    fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Relaxed => &["fsync=off", "synchronous_commit=off", "full_page_writes=off"],
            Self::Full => &[
                "fsync=on",
                "synchronous_commit=on",
                "full_page_writes=on",
                "shared_buffers=256MB",
                "max_wal_size=2GB",
            ],
        }
    }
}

/// A running server. Dropping it stops the server and removes its directory.
#[derive(Debug)]
pub struct Postgres {
    server: Child,
    port: u16,
    // The order matters: fields are dropped after `Drop::drop` has stopped the server, the directory's guard last.
    home: Home,
}

impl Postgres {
    /// Creates a cluster in a fresh temporary directory and starts its server; returns when it answers.
    ///
    /// # Errors
    /// When PostgreSQL is not installed, root has no unprivileged account to run it as, or the server does not start;
    /// the error then carries the end of its log.
    pub fn start(durability: Durability) -> io::Result<Self> {
        let programs = programs().ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                "PostgreSQL is not installed (package `postgresql`)",
            )
        })?;
        let home = Home::create(programs, Account::current()?)?;
        home.init_cluster(durability)?;
        let mut attempt = 1;
        loop {
            let port = free_port()?;
            let mut server = home.spawn_server(durability, port)?;
            match home.wait_until_ready(&mut server, port) {
                Ok(()) => return Ok(Self { server, port, home }),
                Err(error) => {
                    // Both fail only if the process is gone already, which is what is wanted.
                    let _ = server.kill();
                    let _ = server.wait();
                    let taken = home.log_tail().contains("Address already in use");
                    if !taken || attempt == PORT_ATTEMPTS {
                        return Err(error);
                    }
                }
            }
            attempt += 1;
        }
    }

    /// The URL of a database of this server. `postgres` exists from the start; create others from there.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://onet@127.0.0.1:{}/{database}", self.port)
    }

    /// The path of one of PostgreSQL's programs (`psql`, `pgbench`, …), of the same version as the server.
    #[must_use]
    pub fn bin(&self, name: &str) -> PathBuf {
        self.home.programs.join(name)
    }

    /// The directory of the server, which disappears with it.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.home.path
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGINT is PostgreSQL's fast shutdown: open sessions are ended, the cluster is closed in order. A failure to
        // signal means that the server is gone or will be killed below.
        let pid = self.server.id().to_string();
        let _ = Command::new("sh")
            .args(["-c", r#"kill -INT "$1" 2>/dev/null"#, "sh", &pid])
            .status();
        let deadline = Instant::now() + STOP_LIMIT;
        while matches!(self.server.try_wait(), Ok(None)) {
            if Instant::now() >= deadline {
                let _ = self.server.kill();
                let _ = self.server.wait();
                return;
            }
            thread::sleep(POLL);
        }
    }
}

/// The directory with PostgreSQL's programs: the one in `PATH`, else the highest version that Debian's packages
/// installed (they keep the server's programs out of `PATH`).
#[must_use]
pub fn programs() -> Option<PathBuf> {
    let complete = |dir: &PathBuf| {
        ["initdb", "postgres", "pg_isready"]
            .iter()
            .all(|name| dir.join(name).is_file())
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    if let Some(dir) = std::env::split_paths(&path).find(complete) {
        return Some(dir);
    }
    let version = |dir: &PathBuf| dir.file_name()?.to_str()?.parse::<u32>().ok();
    let mut installed: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter_map(|dir| Some((version(&dir)?, dir.join("bin"))))
        .filter(|(_, dir)| complete(dir))
        .collect();
    installed.sort();
    installed.pop().map(|(_, dir)| dir)
}

/// As whom PostgreSQL's programs run: it refuses to run as root.
#[derive(Debug)]
enum Account {
    Own,
    Service { uid: u32, gid: u32 },
}

impl Account {
    fn current() -> io::Result<Self> {
        if id(&["-u"])? != 0 {
            return Ok(Self::Own);
        }
        let lookup = |flag| {
            id(&[flag, SERVICE_ACCOUNT]).map_err(|error| {
                context(
                    &error,
                    "PostgreSQL does not run as root, and there is no account `postgres`",
                )
            })
        };
        Ok(Self::Service {
            uid: lookup("-u")?,
            gid: lookup("-g")?,
        })
    }

    /// A command that runs `program` as this account, in a process group of its own: Ctrl-C in a terminal is for the
    /// owner, who ends the server when nothing needs it any more.
    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = match self {
            Self::Own => Command::new(program),
            Self::Service { uid, gid } => {
                let mut command = Command::new("setpriv");
                command
                    .arg(format!("--reuid={uid}"))
                    .arg(format!("--regid={gid}"));
                command.arg("--clear-groups").arg("--").arg(program);
                command
            }
        };
        command.process_group(0).stdin(Stdio::null());
        command
    }
}

/// The directory of a server, with the heir that removes it if the owner can't.
#[derive(Debug)]
struct Home {
    path: PathBuf,
    programs: PathBuf,
    account: Account,
    heir: Child,
}

impl Home {
    fn create(programs: PathBuf, account: Account) -> io::Result<Self> {
        let path = fresh_directory()?;
        Self::prepare(&path, &account)
            .map(|heir| Self {
                path: path.clone(),
                programs,
                account,
                heir,
            })
            .inspect_err(|_| {
                // The first error is the one to tell.
                let _ = fs::remove_dir_all(&path);
            })
    }

    fn prepare(path: &Path, account: &Account) -> io::Result<Child> {
        if let Account::Service { uid, gid } = account {
            chown(path, Some(*uid), Some(*gid))?;
        }
        // The working directory must be one that the account may enter.
        account
            .command("sh")
            .args(["-c", HEIR, "onet-postgres-heir"])
            .arg(path)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| context(&error, "can't start the process that tidies up after PostgreSQL"))
    }

    fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    fn log(&self) -> PathBuf {
        self.path.join("server.log")
    }

    fn init_cluster(&self, durability: Durability) -> io::Result<()> {
        let mut initdb = self.account.command(self.programs.join("initdb"));
        initdb
            .args(["-A", "trust", "-U", "onet", "-E", "UTF8", "--no-locale", "-D"])
            .arg(self.data());
        if durability == Durability::Relaxed {
            initdb.arg("--no-sync");
        }
        let output = initdb
            .current_dir("/")
            .output()
            .map_err(|error| context(&error, "can't run initdb"))?;
        if output.status.success() {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "initdb failed ({}):\n{}",
            output.status,
            text(&output)
        )))
    }

    fn spawn_server(&self, durability: Durability, port: u16) -> io::Result<Child> {
        let log = fs::File::create(self.log())?;
        let mut postgres = self.account.command(self.programs.join("postgres"));
        postgres
            .arg("-D")
            .arg(self.data())
            .arg("-p")
            .arg(port.to_string());
        postgres.arg("-c").arg("listen_addresses=127.0.0.1");
        postgres
            .arg("-c")
            .arg(format!("unix_socket_directories={}", self.path.display()));
        postgres.arg("-c").arg("max_connections=300");
        for setting in durability.settings() {
            postgres.arg("-c").arg(setting);
        }
        postgres
            .current_dir("/")
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| context(&error, "can't run postgres"))
    }

    /// Asks through the socket in our own directory: a stranger's server on the same port can't answer there, and the
    /// TCP port is bound before that socket exists.
    fn wait_until_ready(&self, server: &mut Child, port: u16) -> io::Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if let Some(status) = server.try_wait()? {
                return Err(io::Error::other(format!(
                    "PostgreSQL ended ({status}):\n{}",
                    self.log_tail()
                )));
            }
            let answer = Command::new(self.programs.join("pg_isready"))
                .args([
                    "--quiet",
                    "--port",
                    &port.to_string(),
                    "--dbname",
                    "postgres",
                    "--host",
                ])
                .arg(&self.path)
                .status()?;
            if answer.success() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let message = format!(
                    "PostgreSQL does not answer after {START_LIMIT:?}:\n{}",
                    self.log_tail()
                );
                return Err(io::Error::new(io::ErrorKind::TimedOut, message));
            }
            thread::sleep(POLL);
        }
    }

    fn log_tail(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let removed = fs::remove_dir_all(&self.path);
        // Dismiss the heir only when its work is done; else closing the pipe lets it try for longer than we may wait.
        if let Some(mut lifeline) = self.heir.stdin.take()
            && removed.is_ok()
        {
            let _ = lifeline.write_all(b"done\n");
            drop(lifeline);
            let _ = self.heir.wait();
        }
    }
}

fn fresh_directory() -> io::Result<PathBuf> {
    let parent = std::env::temp_dir();
    for number in 0..10_000 {
        let path = parent.join(format!("onet-pg-{}-{number}", process::id()));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            // Another server of this process, or what a process with our number left before the machine stopped.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(context(&error, &format!("can't create {}", path.display()))),
        }
    }
    Err(io::Error::other(format!(
        "no free directory name in {}",
        parent.display()
    )))
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn id(args: &[&str]) -> io::Result<u32> {
    let output = Command::new("id").args(args).output()?;
    let printed = text(&output);
    printed
        .trim()
        .parse()
        .map_err(|_| io::Error::other(format!("`id {}` says: {}", args.join(" "), printed.trim())))
}

/// What a finished program printed: its errors first, since they name the cause.
fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout)
    )
}

fn context(error: &io::Error, what: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
