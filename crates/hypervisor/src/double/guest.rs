//! What the system of the demo image would show: its page, its login, its screen.

use std::{
    fmt::Write as _,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};

use crate::{driver::Stream, model::MacAddress};

const BUFFER: usize = 64 << 10;
const WIDTH: u16 = 64;
const HEIGHT: u16 = 48;

/// A system that is up.
#[derive(Clone, Debug, Default)]
pub(super) struct System(Arc<Mutex<Shown>>);

#[derive(Debug, Default)]
struct Shown {
    hostname: String,
    instance: String,
    boots: u32,
    second: Option<u32>,
    /// Processors, memory in KiB, disk in sectors, keys.
    sizes: [u64; 4],
    interfaces: Vec<MacAddress>,
}

/// A page that is served until this is dropped.
#[derive(Debug)]
pub(super) struct Page(AbortHandle);

impl Drop for Page {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl System {
    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(
        &self,
        hostname: String,
        instance: String,
        boots: u32,
        second: Option<u32>,
        sizes: [u64; 4],
        interfaces: Vec<MacAddress>,
    ) {
        *self.shown() = Shown {
            hostname,
            instance,
            boots,
            second,
            sizes,
            interfaces,
        };
    }

    pub(super) fn set_interfaces(&self, interfaces: Vec<MacAddress>) {
        self.shown().interfaces = interfaces;
    }

    fn page(&self, path: &str) -> String {
        let shown = self.shown();
        let mut text = String::new();
        if path == "/cgi-bin/state" {
            for mac in &shown.interfaces {
                let _ = writeln!(text, "interface {mac} up");
            }
            let [processors, memory, sectors, keys] = shown.sizes;
            let _ = write!(
                text,
                "processors {processors}\nmemory_kib {memory}\ndisk_sectors {sectors}\nkeys {keys}\n"
            );
        } else {
            let second = shown
                .second
                .map_or_else(|| "none".to_owned(), |boots| boots.to_string());
            let _ = write!(
                text,
                "<h1>{}</h1>\n<p>instance: {}</p>\n<p>boots: {}</p>\n<p>second disk: {second}</p>\n",
                shown.hostname, shown.instance, shown.boots
            );
        }
        text
    }
}

/// Serves the system's page, and returns where.
pub(super) fn serve(host: SocketAddr, system: &System) -> io::Result<(SocketAddr, Page)> {
    let listener = std::net::TcpListener::bind(host)?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let (address, system) = (listener.local_addr()?, system.clone());
    let served = tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            // A client that goes away early is its own business.
            let _ = answer(connection, &system).await;
        }
    });
    Ok((address, Page(served.abort_handle())))
}

async fn answer(connection: TcpStream, system: &System) -> io::Result<()> {
    let mut connection = BufReader::new(connection);
    let mut line = String::new();
    (&mut connection).take(4096).read_line(&mut line).await?;
    let path = line.split_whitespace().nth(1).unwrap_or("/").to_owned();
    loop {
        let mut header = String::new();
        let read = (&mut connection).take(4096).read_line(&mut header).await?;
        if read == 0 || header.trim().is_empty() {
            break;
        }
    }
    let body = system.page(&path);
    let head = format!(
        "HTTP/1.0 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).await?;
    connection.write_all(body.as_bytes()).await?;
    connection.shutdown().await
}

/// A login that greets whoever presses Return.
pub(super) fn serial(system: &System) -> Stream {
    let (ours, theirs) = tokio::io::duplex(BUFFER);
    let system = system.clone();
    tokio::spawn(async move {
        let _ = log_in(ours, &system).await;
    });
    Box::new(theirs)
}

async fn log_in(mut terminal: DuplexStream, system: &System) -> io::Result<()> {
    let mut key = [0];
    while terminal.read(&mut key).await? != 0 {
        if matches!(key[0], b'\r' | b'\n') {
            let prompt = format!("\r\n{} login: ", system.shown().hostname);
            terminal.write_all(prompt.as_bytes()).await?;
        }
    }
    Ok(())
}

/// A small grey screen (RFC 6143).
pub(super) fn screen() -> Stream {
    let (ours, theirs) = tokio::io::duplex(BUFFER);
    tokio::spawn(async move {
        let _ = show(ours).await;
    });
    Box::new(theirs)
}

async fn show(mut viewer: DuplexStream) -> io::Result<()> {
    viewer.write_all(b"RFB 003.008\n").await?;
    viewer.read_exact(&mut [0; 12]).await?;
    // One security type: none.
    viewer.write_all(&[1, 1]).await?;
    viewer.read_u8().await?;
    viewer.write_u32(0).await?;
    viewer.read_u8().await?;
    viewer.write_u16(WIDTH).await?;
    viewer.write_u16(HEIGHT).await?;
    // 32 bits a pixel, 24 of them used, true colour, a byte each of red, green and blue.
    viewer
        .write_all(&[32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0])
        .await?;
    viewer.write_u32(4).await?;
    viewer.write_all(b"onet").await?;
    loop {
        match viewer.read_u8().await? {
            0 => viewer.read_exact(&mut [0; 19]).await.map(drop)?,
            2 => {
                viewer.read_u8().await?;
                let count = viewer.read_u16().await?;
                viewer.read_exact(&mut vec![0; usize::from(count) * 4]).await?;
            }
            3 => {
                viewer.read_exact(&mut [0; 9]).await?;
                viewer.write_all(&[0, 0, 0, 1, 0, 0, 0, 0]).await?;
                viewer.write_u16(WIDTH).await?;
                viewer.write_u16(HEIGHT).await?;
                viewer.write_i32(0).await?;
                let pixels = vec![0x80; usize::from(WIDTH) * usize::from(HEIGHT) * 4];
                viewer.write_all(&pixels).await?;
            }
            4 => viewer.read_exact(&mut [0; 7]).await.map(drop)?,
            5 => viewer.read_exact(&mut [0; 5]).await.map(drop)?,
            _ => return Ok(()),
        }
    }
}
