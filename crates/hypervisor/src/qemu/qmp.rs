//! QEMU's machine protocol, as far as we speak it: commands, answers and events, a JSON object a line
//! (QEMU, `docs/interop/qmp-spec.rst`).

use std::{
    collections::VecDeque,
    fmt,
    io::IoSlice,
    mem::MaybeUninit,
    os::fd::BorrowedFd,
    time::{Duration, Instant},
};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Interest},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::folder::Folder;
use crate::error::HypervisorError;

/// An answer has some kilobytes. A QEMU that was taken over by its guest must not fill our memory.
const LONGEST_LINE: u64 = 4 << 20;
const MOST_EVENTS: usize = 256;
const COMMAND_LIMIT: Duration = Duration::from_secs(20);

/// A conversation with one machine.
pub(super) struct Qmp {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    events: VecDeque<Event>,
    next: u64,
}

/// What happened.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) name: String,
    pub(super) data: Value,
}

/// Why a command was not carried out.
#[derive(Debug)]
pub(super) enum QmpError {
    /// QEMU says no.
    Refused(String),
    /// QEMU does not answer, or went away.
    Lost(String),
}

impl fmt::Display for QmpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "QEMU refuses: {why}"),
            Self::Lost(why) => write!(f, "QEMU does not answer: {why}"),
        }
    }
}

impl std::error::Error for QmpError {}

impl From<std::io::Error> for QmpError {
    fn from(error: std::io::Error) -> Self {
        Self::Lost(error.to_string())
    }
}

impl From<QmpError> for HypervisorError {
    fn from(error: QmpError) -> Self {
        Self::host("the machine's monitor failed", error)
    }
}

/// A line of QEMU's.
#[derive(Deserialize)]
struct Message {
    id: Option<u64>,
    #[serde(rename = "return")]
    answer: Option<Value>,
    error: Option<Value>,
    event: Option<String>,
    #[serde(default)]
    data: Value,
}

impl Qmp {
    /// Connects to one of the machine's monitors.
    pub(super) async fn connect(folder: &Folder, socket: &str) -> Result<Self, QmpError> {
        within(COMMAND_LIMIT, async {
            let (reader, writer) = folder.connect(socket).await?.into_split();
            let mut qmp = Self {
                reader: BufReader::new(reader),
                writer,
                events: VecDeque::new(),
                next: 0,
            };
            // The greeting; then QEMU waits for this command.
            qmp.line().await?;
            qmp.ask("qmp_capabilities", json!({})).await?;
            Ok(qmp)
        })
        .await
    }

    /// Carries out a command and returns its answer.
    pub(super) async fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, QmpError> {
        within(COMMAND_LIMIT, self.ask(command, arguments)).await
    }

    /// Waits for an event, from the beginning of the conversation on; `false` when the time is over.
    pub(super) async fn event(
        &mut self,
        limit: Duration,
        mut wanted: impl FnMut(&Event) -> bool,
    ) -> Result<bool, QmpError> {
        let deadline = Instant::now() + limit;
        loop {
            while let Some(event) = self.events.pop_front() {
                if wanted(&event) {
                    return Ok(true);
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = tokio::time::timeout(left, self.line()).await else {
                return Ok(false);
            };
            let line = line?;
            self.note(line);
        }
    }

    /// Hands over an open file, which QEMU then knows as `/dev/fdset/{set}`: the way to a file that its own account can't
    /// open.
    pub(super) async fn hand_over(&mut self, file: BorrowedFd<'_>, set: u32) -> Result<(), QmpError> {
        self.next += 1;
        let id = self.next;
        let mut line = json!({"execute": "add-fd", "arguments": {"fdset-id": set}, "id": id}).to_string();
        line.push('\n');
        within(COMMAND_LIMIT, async {
            let socket: &UnixStream = self.writer.as_ref();
            let send = || {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
                let mut control = SendAncillaryBuffer::new(&mut space);
                let files = [file];
                control.push(SendAncillaryMessage::ScmRights(&files));
                let parts = [IoSlice::new(line.as_bytes())];
                let sent = rustix::net::sendmsg(socket, &parts, &mut control, SendFlags::empty())?;
                Ok(sent)
            };
            // A line of this length goes out whole.
            let sent = socket.async_io(Interest::WRITABLE, send).await?;
            if sent != line.len() {
                return Err(QmpError::Lost("it takes no command".to_owned()));
            }
            self.answer(id, "add-fd").await.map(drop)
        })
        .await
    }

    async fn ask(&mut self, command: &str, arguments: Value) -> Result<Value, QmpError> {
        self.next += 1;
        let id = self.next;
        let mut line = json!({"execute": command, "arguments": arguments, "id": id}).to_string();
        line.push('\n');
        self.writer.write_all(line.as_bytes()).await?;
        self.answer(id, command).await
    }

    async fn answer(&mut self, id: u64, command: &str) -> Result<Value, QmpError> {
        loop {
            let message = self.line().await?;
            if message.id == Some(id) {
                if let Some(answer) = message.answer {
                    return Ok(answer);
                }
                let why = message.error.as_ref().and_then(|error| error["desc"].as_str());
                return Err(QmpError::Refused(format!(
                    "{command}: {}",
                    why.unwrap_or("no reason given")
                )));
            }
            self.note(message);
        }
    }

    fn note(&mut self, message: Message) {
        if let Some(name) = message.event {
            if self.events.len() == MOST_EVENTS {
                self.events.pop_front();
            }
            self.events.push_back(Event {
                name,
                data: message.data,
            });
        }
    }

    async fn line(&mut self) -> Result<Message, QmpError> {
        let mut line = Vec::new();
        (&mut self.reader)
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)
            .await?;
        if line.last() != Some(&b'\n') {
            return Err(QmpError::Lost("it closed the connection".to_owned()));
        }
        serde_json::from_slice(&line)
            .map_err(|error| QmpError::Lost(format!("it does not speak QMP: {error}")))
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, QmpError>>) -> Result<T, QmpError> {
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(QmpError::Lost(format!("no answer within {limit:?}"))))
}
