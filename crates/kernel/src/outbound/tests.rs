//! Against a server on this host, which the tests' settings allow or do not allow.

use std::{net::SocketAddr, time::Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;

fn client(allowed: &[&str]) -> Outbound {
    Outbound::new(&config::Outbound {
        allowed_networks: allowed.iter().map(|text| text.parse().unwrap()).collect(),
        allow_http: true,
    })
}

/// Serves each connection with `answer`, which is given the request's head.
async fn serve<F, R>(answer: F) -> SocketAddr
where
    F: Fn(String, TcpStream) -> R + Send + Sync + 'static,
    R: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let mut head = Vec::new();
                let mut chunk = [0; 1024];
                while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                    match stream.read(&mut chunk).await {
                        Ok(length) if length > 0 => head.extend_from_slice(&chunk[..length]),
                        _ => return,
                    }
                }
                answer(String::from_utf8_lossy(&head).into_owned(), stream).await;
            });
        }
    });
    address
}

async fn say(mut stream: TcpStream, text: String) {
    let _ = stream.write_all(text.as_bytes()).await;
}

fn get(url: String) -> Call {
    Call::new(Method::GET, url)
}

#[tokio::test]
async fn an_answer_of_any_status_is_an_answer() {
    let server = serve(|head, stream| async move {
        assert!(head.starts_with("POST /hook HTTP/1.1\r\n"), "{head}");
        assert!(
            head.contains("user-agent: onet/") && !head.contains("cookie"),
            "{head}"
        );
        say(
            stream,
            "HTTP/1.1 418 Teapot\r\nset-cookie: a=b\r\ncontent-length: 2\r\n\r\nno".to_owned(),
        )
        .await;
    })
    .await;
    let outbound = client(&["127.0.0.0/8"]);
    for _ in 0..2 {
        let mut call = Call::new(Method::POST, format!("http://{server}/hook"));
        call.body = Bytes::from_static(b"{}");
        let reply = outbound.send(call).await.unwrap();
        assert_eq!(
            (reply.status.as_u16(), &reply.body[..], reply.is_whole),
            (418, &b"no"[..], true)
        );
    }
}

#[tokio::test]
async fn what_is_not_public_is_not_called() {
    let server = serve(|_, _| async { panic!("nobody may come here") }).await;
    let port = server.port();
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "localhost",
        "0.0.0.0",
        "[::]",
    ] {
        let outcome = client(&[]).send(get(format!("http://{host}:{port}/"))).await;
        assert_eq!(outcome.unwrap_err(), OutboundError::Forbidden, "{host}");
    }
    let other = client(&["10.0.0.0/8"])
        .send(get(format!("http://localhost:{port}/")))
        .await;
    assert_eq!(other.unwrap_err(), OutboundError::Forbidden);
}

#[tokio::test]
async fn a_name_is_called_at_the_address_that_was_judged() {
    let server = serve(|_, stream| say(stream, "HTTP/1.1 204 No Content\r\n\r\n".to_owned())).await;
    let outbound = client(&["127.0.0.0/8"]);
    // `::1`, which the name means too, is not allowed here and is not tried.
    let reply = outbound
        .send(get(format!("http://localhost:{}/", server.port())))
        .await
        .unwrap();
    assert_eq!(reply.status, 204);
}

#[tokio::test]
async fn redirects_are_judged_anew() {
    let server = serve(|head, stream| async move {
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let answer = match target.as_str() {
            "/end" => {
                assert!(
                    head.starts_with("GET ") && !head.contains("content-length: 3"),
                    "{head}"
                );
                assert!(!head.contains("x-secret"), "{head}");
                "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nend".to_owned()
            }
            // Another origin: the same server by name.
            "/elsewhere" => {
                let host = head
                    .split("host: ")
                    .nth(1)
                    .and_then(|rest| rest.split("\r\n").next())
                    .unwrap();
                let port = host.rsplit(':').next().unwrap();
                format!(
                    "HTTP/1.1 303 See\r\nlocation: http://localhost:{port}/end\r\ncontent-length: 0\r\n\r\n"
                )
            }
            "/inside" => {
                "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.2/\r\ncontent-length: 0\r\n\r\n".to_owned()
            }
            "/metadata" => {
                "HTTP/1.1 307 T\r\nlocation: http://169.254.169.254/latest/\r\ncontent-length: 0\r\n\r\n"
                    .to_owned()
            }
            "/file" => {
                "HTTP/1.1 302 Found\r\nlocation: file:///etc/passwd\r\ncontent-length: 0\r\n\r\n".to_owned()
            }
            _ => "HTTP/1.1 302 Found\r\nlocation: /round\r\ncontent-length: 0\r\n\r\n".to_owned(),
        };
        say(stream, answer).await;
    })
    .await;
    let outbound = client(&["127.0.0.1/32"]);
    let call = |path: &str, redirects| {
        let mut call = Call::new(Method::POST, format!("http://{server}{path}"));
        call.headers.insert("x-secret", "s".parse().unwrap());
        call.body = Bytes::from_static(b"abc");
        call.redirects = redirects;
        call
    };
    assert_eq!(outbound.send(call("/elsewhere", 0)).await.unwrap().status, 303);
    assert_eq!(
        &outbound.send(call("/elsewhere", 3)).await.unwrap().body[..],
        b"end"
    );
    assert_eq!(
        outbound.send(call("/inside", 3)).await.unwrap_err(),
        OutboundError::Forbidden
    );
    assert_eq!(
        outbound.send(call("/metadata", 3)).await.unwrap_err(),
        OutboundError::Forbidden
    );
    assert!(matches!(
        outbound.send(call("/file", 3)).await,
        Err(OutboundError::BadAddress(_))
    ));
    assert_eq!(
        outbound.send(call("/round", 9)).await.unwrap_err(),
        OutboundError::Redirects
    );
}

#[tokio::test]
async fn slow_and_huge_answers_are_cut_off() {
    let server = serve(|head, mut stream| async move {
        if head.starts_with("GET /slow") {
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx")
                .await;
            tokio::time::sleep(Duration::from_secs(60)).await;
        } else {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            // Without end, until the client has had enough.
            while stream.write_all(&[b'x'; 65_536]).await.is_ok() {}
        }
    })
    .await;
    let outbound = client(&["127.0.0.0/8"]);
    let mut call = get(format!("http://{server}/slow"));
    call.time = Duration::from_millis(200);
    let started = Instant::now();
    assert_eq!(outbound.send(call).await.unwrap_err(), OutboundError::TimedOut);
    assert!(started.elapsed() < Duration::from_secs(5));
    let mut call = get(format!("http://{server}/huge"));
    call.longest_answer = 100_000;
    let reply = outbound.send(call).await.unwrap();
    assert_eq!((reply.body.len(), reply.is_whole), (100_000, false));
}

#[tokio::test]
async fn files_are_fetched_within_their_limits() {
    let server = serve(|head, mut stream| async move {
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let head = match target.as_str() {
            "/moved" => "HTTP/1.1 302 Found\r\nlocation: /file\r\ncontent-length: 0\r\n\r\n",
            "/inside" => "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.2/\r\ncontent-length: 0\r\n\r\n",
            "/gone" => "HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\ngone",
            "/file" => "HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n",
            "/short" => "HTTP/1.1 200 OK\r\ncontent-length: 900000\r\n\r\n",
            _ => "HTTP/1.1 200 OK\r\n\r\n",
        };
        let _ = stream.write_all(head.as_bytes()).await;
        if matches!(target.as_str(), "/file" | "/short" | "/endless") {
            let _ = stream.write_all(&[b'x'; 200_000]).await;
        }
        while target == "/endless" && stream.write_all(&[b'x'; 65_536]).await.is_ok() {}
        if target == "/slow" {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
    })
    .await;
    let outbound = client(&["127.0.0.1/32"]);
    let fetch = async |path: &str| {
        let (mut file, seen) = (Vec::new(), std::cell::Cell::new((0, None)));
        let wanted = Download {
            url: format!("http://{server}{path}"),
            most_bytes: 300_000,
            time: Duration::from_millis(if path == "/slow" { 200 } else { 10_000 }),
        };
        let size = outbound
            .download(wanted, &mut file, |size, whole| seen.set((size, whole)))
            .await?;
        assert_eq!((size, file.len()), (200_000, 200_000));
        assert_eq!(seen.get(), (200_000, Some(200_000)));
        Ok::<_, DownloadError>(())
    };
    fetch("/file").await.unwrap();
    fetch("/moved").await.unwrap();
    assert!(matches!(fetch("/gone").await, Err(DownloadError::Status(status)) if status == 404));
    assert!(matches!(
        fetch("/short").await,
        Err(DownloadError::TooLarge(300_000))
    ));
    assert!(matches!(
        fetch("/endless").await,
        Err(DownloadError::TooLarge(300_000))
    ));
    let inside = fetch("/inside").await.unwrap_err();
    assert!(matches!(inside, DownloadError::NoAnswer(OutboundError::Forbidden)) && !inside.is_passing());
    let slow = fetch("/slow").await.unwrap_err();
    assert!(matches!(slow, DownloadError::NoAnswer(OutboundError::TimedOut)) && slow.is_passing());
}

#[tokio::test]
async fn failures_tell_a_safe_reason() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let outbound = client(&["127.0.0.0/8"]);
    assert_eq!(
        outbound.send(get(format!("http://{closed}/"))).await.unwrap_err(),
        OutboundError::Unreachable
    );
    let unresolved = outbound.send(get("http://name.invalid/".to_owned())).await;
    assert_eq!(unresolved.unwrap_err(), OutboundError::Unresolved);
    let babble = serve(|_, stream| say(stream, "what?\r\n\r\n".to_owned())).await;
    assert_eq!(
        outbound.send(get(format!("http://{babble}/"))).await.unwrap_err(),
        OutboundError::Broken
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            // Read on: closed with unread bytes, the connection would be reset before the answer is seen.
            while stream.read(&mut [0; 1024]).await.is_ok_and(|length| length > 0) {}
        }
    });
    assert_eq!(
        outbound.send(get(format!("https://{plain}/"))).await.unwrap_err(),
        OutboundError::Tls
    );
}

#[test]
fn addresses_are_refused_where_they_are_entered() {
    let strict = Outbound::new(&config::Outbound::default());
    assert_eq!(strict.judge("https://hooks.example.com/x"), Ok(()));
    assert_eq!(strict.judge("https://10.1.2.3/"), Err(OutboundError::Forbidden));
    for bad in [
        "http://hooks.example.com/",
        "ftp://example.com/",
        "nonsense",
        "https://",
        "https://user:pw@example.com/",
    ] {
        assert!(
            matches!(strict.judge(bad), Err(OutboundError::BadAddress(_))),
            "{bad}"
        );
    }
}
