//! What a customer uses: a browser, a terminal, a screen.

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use hypervisor::Stream;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};

/// A machine without hardware acceleration, on a busy host.
pub(crate) const BOOT_LIMIT: Duration = Duration::from_secs(90);

/// Fetches a page until it contains `wanted`.
pub(crate) async fn page(host: SocketAddr, path: &str, wanted: &str) -> String {
    let deadline = Instant::now() + BOOT_LIMIT;
    let mut last = String::new();
    while Instant::now() < deadline {
        // The host's side accepts before the machine's system is up.
        let fetched = tokio::time::timeout(Duration::from_millis(2500), fetch(host, path)).await;
        if let Ok(Ok(text)) = fetched {
            if text.contains(wanted) {
                return text;
            }
            last = text;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("http://{host}{path} does not show {wanted:?}, but {last:?}");
}

pub(crate) async fn fetch(host: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut connection = TcpStream::connect(host).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    connection.read_to_string(&mut text).await?;
    Ok(text)
}

/// A value of the state page.
pub(crate) fn value(state: &str, name: &str) -> u64 {
    let line = state
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {state:?}"))
        .trim()
        .parse()
        .unwrap()
}

/// Types something until the answer contains `wanted`: a login that is just starting loses keys.
pub(crate) async fn types(terminal: &mut Stream, keys: &str, wanted: &str) -> String {
    let deadline = Instant::now() + BOOT_LIMIT;
    let mut seen = Vec::new();
    while Instant::now() < deadline {
        terminal.write_all(keys.as_bytes()).await.unwrap();
        if reads(terminal, &mut seen, wanted, Duration::from_secs(4)).await {
            return String::from_utf8_lossy(&seen).into_owned();
        }
    }
    panic!(
        "{keys:?} brings no {wanted:?}, but {:?}",
        String::from_utf8_lossy(&seen)
    );
}

/// Reads until `wanted` was seen.
async fn reads(terminal: &mut Stream, seen: &mut Vec<u8>, wanted: &str, limit: Duration) -> bool {
    let read = async {
        while !String::from_utf8_lossy(seen).contains(wanted) {
            let mut buffer = [0; 4096];
            let count = terminal.read(&mut buffer).await.unwrap();
            assert_ne!(count, 0, "the console was closed");
            seen.extend_from_slice(&buffer[..count]);
        }
    };
    tokio::time::timeout(limit, read).await.is_ok()
}

/// Logs in as root on a real console.
pub(crate) async fn log_in(terminal: &mut Stream, hostname: &str, password: &str) {
    types(terminal, "\r", &format!("{hostname} login: ")).await;
    types_once(terminal, "root\r", "Password: ").await;
    types_once(terminal, &format!("{password}\r"), "# ").await;
}

/// Runs a command in a shell on the console and returns what it printed.
pub(crate) async fn runs(terminal: &mut Stream, command: &str) -> String {
    // The mark is put together by the shell, so that the echo of the command is not taken for its end.
    types_once(terminal, &format!("{command}; echo do''ne\r"), "done\r\n").await
}

async fn types_once(terminal: &mut Stream, keys: &str, wanted: &str) -> String {
    let mut seen = Vec::new();
    terminal.write_all(keys.as_bytes()).await.unwrap();
    let found = reads(terminal, &mut seen, wanted, BOOT_LIMIT).await;
    let seen = String::from_utf8_lossy(&seen).into_owned();
    assert!(found, "{keys:?} brings no {wanted:?}, but {seen:?}");
    seen
}

/// Shakes hands (RFC 6143, 7.1 to 7.3), reads a whole screen, and returns its size and how many pixels are not black.
pub(crate) async fn looks(screen: &mut Stream) -> (u16, u16, usize) {
    let mut version = [0; 12];
    screen.read_exact(&mut version).await.unwrap();
    assert_eq!(&version, b"RFB 003.008\n");
    screen.write_all(&version).await.unwrap();
    let count = screen.read_u8().await.unwrap();
    let mut security = vec![0; usize::from(count)];
    screen.read_exact(&mut security).await.unwrap();
    assert!(security.contains(&1), "{security:?}");
    screen.write_u8(1).await.unwrap();
    assert_eq!(screen.read_u32().await.unwrap(), 0);
    screen.write_u8(1).await.unwrap();
    let (width, height) = (screen.read_u16().await.unwrap(), screen.read_u16().await.unwrap());
    let mut format = [0; 16];
    screen.read_exact(&mut format).await.unwrap();
    assert_eq!(format[0], 32, "bits a pixel");
    let name = screen.read_u32().await.unwrap();
    screen.read_exact(&mut vec![0; name as usize]).await.unwrap();
    // Raw rectangles, then all of the screen.
    screen.write_all(&[2, 0, 0, 1, 0, 0, 0, 0]).await.unwrap();
    screen.write_all(&[3, 0, 0, 0, 0, 0]).await.unwrap();
    screen.write_u16(width).await.unwrap();
    screen.write_u16(height).await.unwrap();
    assert_eq!(screen.read_u8().await.unwrap(), 0, "a framebuffer update");
    screen.read_u8().await.unwrap();
    let rectangles = screen.read_u16().await.unwrap();
    let mut lit = 0;
    for _ in 0..rectangles {
        let mut head = [0; 12];
        screen.read_exact(&mut head).await.unwrap();
        let size = |at: usize| usize::from(u16::from_be_bytes([head[at], head[at + 1]]));
        assert_eq!(head[8..], [0; 4], "raw encoding");
        let mut pixels = vec![0; size(4) * size(6) * 4];
        screen.read_exact(&mut pixels).await.unwrap();
        lit += pixels.chunks(4).filter(|pixel| pixel[..3] != [0, 0, 0]).count();
    }
    (width, height, lit)
}

/// Speaks to QEMU's monitor.
pub(crate) async fn monitor(socket: &Path, commands: &[&str]) {
    let mut monitor = UnixStream::connect(socket).await.unwrap();
    for command in ["qmp_capabilities"].iter().chain(commands) {
        let line = format!("{{\"execute\": \"{command}\"}}\n");
        monitor.write_all(line.as_bytes()).await.unwrap();
    }
    let mut seen = String::new();
    while seen.matches("\"return\"").count() < commands.len() + 1 {
        let mut buffer = [0; 4096];
        let count = monitor.read(&mut buffer).await.unwrap();
        assert_ne!(count, 0);
        seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
}
