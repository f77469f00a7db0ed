//! onetd as a child process: started, watched, stopped, and never left behind.

use std::fs::{self, File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, bail};

use super::client::Client;
use super::logins::Logins;
use crate::interrupt;
use crate::run;
use crate::workspace::{forget_settings, relative};

const START_LIMIT: Duration = Duration::from_secs(30);
/// For answering the requests in hand and finishing the tasks that run.
const STOP_LIMIT: Duration = Duration::from_secs(15);
const EXIT_MOMENT: Duration = Duration::from_millis(300);
const POLL: Duration = Duration::from_millis(50);
const TAIL_LINES: usize = 20;

/// The program and its data.
#[derive(Debug)]
pub(crate) struct Onetd {
    pub(crate) program: PathBuf,
    pub(crate) data_dir: PathBuf,
}

impl Onetd {
    /// Where the server writes what it has to say.
    pub(crate) fn log(&self) -> PathBuf {
        self.data_dir.join("onetd.log")
    }

    /// Makes the store with two customers in it.
    pub(crate) fn load_demo_data(&self) -> Result<Logins> {
        let mut command = Command::new(&self.program);
        let output = self
            .configure(&mut command)
            .arg("demo")
            .stdin(Stdio::null())
            .stderr(self.open_log()?)
            .output()
            .with_context(|| format!("can't run {}", self.program.display()))?;
        if !output.status.success() {
            bail!("`onetd demo` failed ({}){}", output.status, tail(&self.log()));
        }
        Logins::parse(&String::from_utf8_lossy(&output.stdout))
    }

    /// Global settings. The store is named although it is the default: a configuration file in the working directory
    /// must not lead the demo to another one.
    pub(super) fn configure<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        forget_settings(command)
            .env("ONET_STORE__URL", "")
            .env("ONET_LOG__FORMAT", "human")
            // Machines need no rights, and are where the demo looks for them.
            .env("ONET_COMPUTE__NETWORK", "user")
            .env("ONET_COMPUTE__LOCATION", "par1")
            // Mails stay on this machine, to be read in a browser.
            .env("ONET_MAIL__TRANSPORT", "mailbox")
            .env("ONET_MAIL__MAILBOX_PAGE", "true")
            .arg("--data-dir")
            .arg(&self.data_dir)
    }

    fn open_log(&self) -> Result<File> {
        let path = self.log();
        let log = OpenOptions::new().create(true).append(true).open(&path);
        log.with_context(|| format!("can't write {}", path.display()))
    }
}

/// A running `onetd serve`. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    pub(crate) fn start(onetd: &Onetd, port: u16) -> Result<Self> {
        let mut command = dying_with_us(&onetd.program);
        let child = onetd
            .configure(&mut command)
            .arg("serve")
            .env("ONET_SERVER__LISTEN", format!("127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(onetd.open_log()?)
            .stderr(onetd.open_log()?)
            // Ctrl-C in a terminal is for us; the server is told once, by us, and not twice.
            .process_group(0)
            .spawn()
            .with_context(|| format!("can't run {}", onetd.program.display()))?;
        Ok(Self {
            child,
            log: onetd.log(),
        })
    }

    /// Returns when the server says that it is ready.
    pub(crate) fn wait_until_ready(&mut self, client: &Client) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            interrupt::check()?;
            if let Some(status) = self.child.try_wait()? {
                return Err(self.ended(status));
            }
            // No answer yet and "not yet" are the same here.
            if client
                .call("GET", "/readyz", None)
                .is_ok_and(|reply| reply.status == 200)
            {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!(
                    "onetd is not ready after {} s{}",
                    START_LIMIT.as_secs(),
                    tail(&self.log)
                );
            }
            thread::sleep(POLL);
        }
    }

    /// Adds to an error that the server has ended, if that is the reason, and where its own words are.
    pub(crate) fn explain(&mut self, error: Error) -> Error {
        // A process that has just broken its connections may need a moment to be gone.
        match run::wait_at_most(&mut self.child, EXIT_MOMENT) {
            Ok(Some(status)) => error.context(self.ended(status)),
            Ok(None) | Err(_) => error.context(format!("the tour failed (see also {})", relative(&self.log))),
        }
    }

    /// Returns after an orderly stop that the user asked for; fails if the server ends by itself.
    pub(crate) fn serve_until_interrupted(mut self) -> Result<()> {
        while !interrupt::requested() {
            if let Some(status) = run::wait_at_most(&mut self.child, Duration::from_millis(200))? {
                return Err(self.ended(status));
            }
        }
        self.end("INT")
    }

    /// Stops the server in order.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.end("TERM")
    }

    fn end(&mut self, signal: &str) -> Result<()> {
        run::signal(&self.child, signal);
        let Some(status) = run::wait_at_most(&mut self.child, STOP_LIMIT)? else {
            self.child.kill()?;
            self.child.wait()?;
            bail!(
                "onetd did not stop within {} s and was killed{}",
                STOP_LIMIT.as_secs(),
                tail(&self.log)
            );
        };
        if !status.success() {
            bail!("onetd did not stop in order ({status}){}", tail(&self.log));
        }
        Ok(())
    }

    fn ended(&self, status: ExitStatus) -> Error {
        let tail = tail(&self.log);
        let hint = if tail.contains("Address already in use") {
            "\nThe port is taken: end what listens there, or choose another one with --port."
        } else {
            ""
        };
        Error::msg(format!("onetd ended unexpectedly ({status}){tail}{hint}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After an error or a panic: asked to stop, and made to if it does not. The first cause is what is reported.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.end("TERM");
        }
    }
}

/// A command whose process is told to end when ours is killed and can't stop it. Debian always has `setpriv`; where it
/// is missing, only the kill that nobody can catch leaves the server behind.
fn dying_with_us(program: &Path) -> Command {
    if !run::installed("setpriv") {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).arg(program);
    command
}

/// The end of a log, ready to be appended to a sentence.
fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    if lines.is_empty() {
        return format!("; {} is empty", relative(log));
    }
    let end = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n  ");
    format!("; the end of {}:\n  {end}", relative(log))
}
