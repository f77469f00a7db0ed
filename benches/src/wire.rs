//! What onetd says to PostgreSQL: a relay between the two that reads along.
//!
//! It understands as much of the protocol (PostgreSQL's documentation, "Frontend/Backend Protocol") as is needed to
//! tell which statements are executed with which values. Nothing of it can be got from the server's log as exactly.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use anyhow::{Context, Result};

/// A statement as it was executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    pub(crate) values: Vec<Value>,
    /// Whether it was prepared for this one time, not kept.
    pub(crate) once: bool,
}

/// A parameter: the number of its type, and its bytes in the binary format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) kind: u32,
    pub(crate) bytes: Option<Vec<u8>>,
}

/// The relay. Its threads end with the program.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    heard: Arc<Mutex<Vec<Statement>>>,
}

impl Relay {
    /// Starts one before the server at `server`.
    pub(crate) fn start(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let relay = Self {
            address: listener.local_addr()?,
            heard: Arc::default(),
        };
        let heard = Arc::clone(&relay.heard);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(server) else {
                    break;
                };
                let heard = Arc::clone(&heard);
                // A connection that breaks is onetd's affair: it says so itself.
                thread::spawn(move || relay_connection(client, server, &heard));
            }
        });
        Ok(relay)
    }

    /// What was executed since the last call.
    pub(crate) fn take(&self) -> Vec<Statement> {
        std::mem::take(&mut self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn relay_connection(client: TcpStream, server: TcpStream, heard: &Mutex<Vec<Statement>>) -> Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from, mut to) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    let (mut from, mut to) = (client, server);
    let mut listener = Listener::default();
    let mut chunk = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut chunk)?;
        if read == 0 {
            to.shutdown(Shutdown::Both)?;
            return Ok(());
        }
        let statements = listener.hear(&chunk[..read])?;
        // Noted before the server can answer: whoever has the answer finds the statement.
        heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(statements);
        to.write_all(&chunk[..read])?;
    }
}

/// Follows one connection's messages to the server.
#[derive(Debug, Default)]
struct Listener {
    bytes: Vec<u8>,
    started: bool,
    prepared: HashMap<String, (String, Vec<u32>)>,
    bound: HashMap<String, Statement>,
}

/// The version in the first message that is no question about encryption.
const PROTOCOL_3_0: u32 = 196_608;

impl Listener {
    fn hear(&mut self, bytes: &[u8]) -> Result<Vec<Statement>> {
        self.bytes.extend_from_slice(bytes);
        let mut statements = Vec::new();
        loop {
            // The first messages have no type.
            let begins = usize::from(self.started);
            let Some(length) = self.bytes.get(begins..begins + 4) else {
                break;
            };
            let end = begins + u32::from_be_bytes(length.try_into()?) as usize;
            if self.bytes.len() < end {
                break;
            }
            let message: Vec<u8> = self.bytes.drain(..end).collect();
            let body = Body(&message[begins + 4..]);
            if self.started {
                statements.extend(self.message(message[0], body)?);
            } else {
                self.started = Body(&message[4..]).number()? == PROTOCOL_3_0;
            }
        }
        Ok(statements)
    }

    fn message(&mut self, kind: u8, mut body: Body<'_>) -> Result<Option<Statement>> {
        match kind {
            b'Q' => {
                return Ok(Some(Statement {
                    sql: body.text()?,
                    values: Vec::new(),
                    once: false,
                }));
            }
            b'P' => {
                let (name, sql) = (body.text()?, body.text()?);
                let kinds = (0..body.short()?).map(|_| body.number()).collect::<Result<_>>()?;
                self.prepared.insert(name, (sql, kinds));
            }
            b'B' => {
                let (portal, name) = (body.text()?, body.text()?);
                for _ in 0..body.short()? {
                    body.short()?;
                }
                let (sql, kinds) = self
                    .prepared
                    .get(&name)
                    .context("a statement that was never prepared")?;
                let mut values = Vec::new();
                for at in 0..usize::from(body.short()?) {
                    let length = body.number()?;
                    // A length of -1 is NULL.
                    let bytes = if length == u32::MAX {
                        None
                    } else {
                        Some(body.take(length as usize)?.to_vec())
                    };
                    values.push(Value {
                        kind: kinds.get(at).copied().unwrap_or_default(),
                        bytes,
                    });
                }
                self.bound.insert(
                    portal,
                    Statement {
                        sql: sql.clone(),
                        once: name.is_empty(),
                        values,
                    },
                );
            }
            b'E' => return Ok(self.bound.get(&body.text()?).cloned()),
            _ => {}
        }
        Ok(None)
    }
}

/// A message's fields, one after another.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .context("a message that is too short")?;
        self.0 = rest;
        Ok(taken)
    }

    fn text(&mut self) -> Result<String> {
        let length = self
            .0
            .iter()
            .position(|byte| *byte == 0)
            .context("a text without an end")?;
        let text = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.take(1)?;
        Ok(text)
    }

    fn short(&mut self) -> Result<u16> {
        Ok(u16::from_be_bytes(self.take(2)?.try_into()?))
    }

    fn number(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.take(4)?.try_into()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[kind], &length.to_be_bytes()[..], body].concat()
    }

    #[test]
    fn executed_statements_are_heard_with_their_values() {
        let encryption = [8_u32, 80_877_103].map(u32::to_be_bytes).concat();
        let startup = [8, PROTOCOL_3_0].map(u32::to_be_bytes).concat();
        let conversation = [
            encryption,
            startup,
            message(b'Q', b"BEGIN\0"),
            message(b'P', b"s1\0SELECT $1, $2\0\0\x02\0\0\0\x14\0\0\0\x19"),
            message(b'S', b""),
            message(
                b'B',
                b"\0s1\0\0\x01\0\x01\0\x02\0\0\0\x08\0\0\0\0\0\0\0\x07\xff\xff\xff\xff\0\x01\0\x01",
            ),
            message(b'E', b"\0\0\0\0\0"),
        ]
        .concat();
        let mut listener = Listener::default();
        // However the bytes arrive.
        let heard: Vec<Statement> = conversation
            .chunks(3)
            .flat_map(|chunk| listener.hear(chunk).unwrap())
            .collect();
        let values = vec![
            Value {
                kind: 20,
                bytes: Some(7_i64.to_be_bytes().to_vec()),
            },
            Value {
                kind: 25,
                bytes: None,
            },
        ];
        assert_eq!(
            heard[0],
            Statement {
                sql: "BEGIN".to_owned(),
                values: Vec::new(),
                once: false
            }
        );
        assert_eq!(
            heard[1],
            Statement {
                sql: "SELECT $1, $2".to_owned(),
                values,
                once: false
            }
        );
        assert_eq!(heard.len(), 2);
    }
}
