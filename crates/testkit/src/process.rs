//! A real `onetd` process, for what only a process can show: signals, crashes, start-up.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// A running `onetd serve`.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// `127.0.0.1:PORT`
    pub address: String,
}

/// How to run a given binary on a given data folder.
#[derive(Clone, Debug)]
pub struct Program {
    /// The `onetd` to run.
    pub binary: PathBuf,
    /// Its `--data-dir`.
    pub data_dir: PathBuf,
    /// Settings (`ONET_…`).
    pub settings: Vec<(String, String)>,
}

impl Program {
    /// `onetd` with quick hashing and no limits in the way.
    #[must_use]
    pub fn new(binary: &str, data_dir: &Path) -> Self {
        let settings = [
            ("ONET_AUTH__ARGON2_MEMORY_KIB", "64"),
            ("ONET_LIMITS__CREDENTIAL_PER_SECOND", "1000000"),
            ("ONET_LIMITS__CREDENTIAL_PER_MINUTE", "1000000"),
            ("ONET_LIMITS__ADDRESS_PER_SECOND", "1000000"),
            ("ONET_LIMITS__ADDRESS_PER_MINUTE", "1000000"),
            ("ONET_LOG__LEVEL", "warn"),
            // Tests that need a host say so.
            ("ONET_COMPUTE__HYPERVISOR", "none"),
        ];
        Self {
            binary: binary.into(),
            data_dir: data_dir.to_owned(),
            settings: settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    /// The same with another setting.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("--data-dir").arg(&self.data_dir).args(arguments);
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end.
    ///
    /// # Panics
    /// If it can't be started.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("onetd can be started")
    }

    /// Runs a command to its end with something on its standard input.
    ///
    /// # Panics
    /// If it can't be started.
    #[must_use]
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.command(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("onetd can be started");
        child
            .stdin
            .take()
            .expect("a pipe")
            .write_all(input.as_bytes())
            .expect("the input is taken");
        child.wait_with_output().expect("onetd ends")
    }

    /// Starts `onetd serve` on a free port and waits until it answers, or has ended.
    ///
    /// # Panics
    /// If it does neither within half a minute.
    #[must_use]
    pub fn serve(&self) -> Process {
        self.start(Stdio::inherit())
    }

    /// The same with the log going to a file.
    ///
    /// # Panics
    /// As [`Program::serve`], or if the file can't be written.
    #[must_use]
    pub fn serve_logging_to(&self, log: &Path) -> Process {
        self.start(std::fs::File::create(log).expect("a log file").into())
    }

    fn start(&self, log: Stdio) -> Process {
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let address = port.expect("a free port").to_string();
        let mut command = self.command(&["serve"]);
        command.env("ONET_SERVER__LISTEN", &address).stderr(log);
        let child = command.spawn().expect("onetd can be started");
        let mut process = Process { child, address };
        let deadline = Instant::now() + Duration::from_secs(30);
        while !process.answers() && process.is_running() {
            assert!(Instant::now() < deadline, "onetd does not answer");
            std::thread::sleep(Duration::from_millis(10));
        }
        process
    }
}

impl Process {
    /// Whether the process has not ended yet.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Whether `/readyz` answers 200.
    #[must_use]
    pub fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(&self.address) else {
            return false;
        };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let request = format!(
            "GET /readyz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.address
        );
        if stream.write_all(request.as_bytes()).is_err() {
            return false;
        }
        let mut line = String::new();
        let _ = BufReader::new(stream.take(64)).read_line(&mut line);
        line.contains(" 200 ")
    }

    /// Ends it as hard as can be: SIGKILL.
    ///
    /// # Panics
    /// If it can't be killed.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// Ends it politely (SIGTERM) and returns its exit status.
    ///
    /// # Panics
    /// If it does not end within half a minute.
    #[must_use]
    pub fn terminate(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .expect("a signal can be sent");
        self.wait()
    }

    /// Waits for its end (half a minute at most) and returns its exit status; `None` if a signal ended it.
    ///
    /// # Panics
    /// If it does not end.
    pub fn wait(&mut self) -> Option<i32> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.child.try_wait().expect("its state can be read") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "onetd does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
