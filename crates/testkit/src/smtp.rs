//! A real mail server (aiosmtpd), which the test can make refuse, ask for a login, or speak TLS.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
};

use kernel::mail::mailbox::ReceivedMail;
use serde_json::Value;
use tempfile::TempDir;

/// How a mail server protects its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Not at all.
    None,
    /// It offers STARTTLS.
    StartTls,
    /// From the first byte.
    Wrapper,
}

/// A running mail server. Dropping it ends it.
#[derive(Debug)]
pub struct SmtpServer {
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    child: Child,
    _stdin: Option<ChildStdin>,
    folder: TempDir,
}

/// A mail as the server got it.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// What a recipient's program reads of it.
    pub mail: ReceivedMail,
    /// Byte by byte.
    pub raw: String,
    /// `from`, `to`, `encrypted`, `user`.
    pub envelope: Value,
}

/// A port that nobody listens on.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound address").port()
}

/// The Python that has aiosmtpd, if the test command has installed it; says so if not.
fn python() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("ONET_TEST_PYTHON_BIN") else {
        eprintln!("skipped: the mail server for tests is installed by `cargo xtask test`");
        return None;
    };
    Some(Path::new(&folder).join("python"))
}

/// Whether tests can start a mail server; says so if not.
#[must_use]
pub fn available() -> bool {
    python().is_some()
}

impl SmtpServer {
    /// A server on a free port that takes every mail. Nothing if it is not installed.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::start_on(free_port(), Tls::None, None)
    }

    /// A server on this port; with `login` (`user:password`) it takes mails of nobody else.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start_on(port: u16, tls: Tls, login: Option<&str>) -> Option<Self> {
        let python = python()?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new(python);
        command
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/python/smtp_server.py"))
            .arg(folder.path())
            .arg(port.to_string())
            .args([
                "--tls",
                match tls {
                    Tls::None => "none",
                    Tls::StartTls => "starttls",
                    Tls::Wrapper => "wrapper",
                },
            ]);
        if let Some(login) = login {
            command.args(["--auth", login]);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its output is a pipe");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("it says something");
        assert_eq!(line.trim(), "ready", "the mail server did not start");
        Some(Self {
            port,
            _stdin: child.stdin.take(),
            child,
            folder,
        })
    }

    /// The certificate of the authority that its own is signed by, as a file.
    #[must_use]
    pub fn authority(&self) -> String {
        self.folder.path().join("ca.pem").display().to_string()
    }

    /// From now on every recipient is answered with `reply`, such as `451 4.3.0 Later`.
    ///
    /// # Panics
    /// If the order can't be written.
    pub fn refuse(&self, reply: &str) {
        let draft = self.folder.path().join("order");
        std::fs::write(&draft, reply).expect("the order can be written");
        std::fs::rename(draft, self.folder.path().join("refuse")).expect("the order can be given");
    }

    /// Takes mails again.
    ///
    /// # Panics
    /// If the order can't be taken back.
    pub fn accept(&self) {
        std::fs::remove_file(self.folder.path().join("refuse")).expect("the order can be taken back");
    }

    /// How many times a recipient was refused.
    #[must_use]
    pub fn refusals(&self) -> usize {
        let text = std::fs::read_to_string(self.folder.path().join("refusals")).unwrap_or_default();
        text.lines().count()
    }

    /// All mails that it took, in their order.
    ///
    /// # Panics
    /// If what it has written can't be read.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Delivery> {
        let mut all = Vec::new();
        loop {
            let file = self.folder.path().join(format!("{}.eml", all.len() + 1));
            let Ok(bytes) = std::fs::read(&file) else {
                return all;
            };
            let envelope = std::fs::read(file.with_extension("json")).expect("the envelope is there");
            all.push(Delivery {
                mail: ReceivedMail::parse(&bytes).expect("it is a mail"),
                raw: String::from_utf8(bytes).expect("mails are text"),
                envelope: serde_json::from_slice(&envelope).expect("the envelope is JSON"),
            });
        }
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
