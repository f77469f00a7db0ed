//! Connections: accepted up to a limit, their heads timed, ended in peace when the process is told to stop.

use std::{convert::Infallible, future::Future, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};
use tower::Service;
use tower_http::normalize_path::NormalizePath;

use crate::App;

/// Serves until `stop` is ready, then lets running requests end (for the configured grace).
///
/// # Errors
/// None today; a listener that fails for a moment is tried again.
pub async fn serve(
    app: &App,
    listener: TcpListener,
    service: NormalizePath<Router>,
    stop: impl Future<Output = ()> + Send,
) -> std::io::Result<()> {
    let settings = &app.config().server;
    let places = Arc::new(Semaphore::new(settings.connections));
    let head_timeout = Duration::from_secs(settings.read_timeout_seconds);
    // Each conversation holds a receiver: told once that the end has come, and gone when it has ended.
    let (end, ended) = watch::channel(());
    tokio::pin!(stop);
    loop {
        let accepted = async {
            // Never closed, so never an error.
            let place = Arc::clone(&places).acquire_owned().await.ok();
            (place, listener.accept().await)
        };
        let (place, connection) = tokio::select! {
            () = &mut stop => break,
            accepted = accepted => accepted,
        };
        let (stream, peer) = match connection {
            Ok(connection) => connection,
            Err(error) => {
                // Out of file descriptors, say: others end and give theirs back.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (service, ended) = (service.clone(), ended.clone());
        tokio::spawn(async move {
            if let Err(error) = talk(stream, peer, service, head_timeout, ended).await {
                tracing::debug!(%error, %peer, "a connection ended badly");
            }
            drop(place);
        });
    }
    drop(listener);
    app.stop();
    let grace = Duration::from_secs(settings.shutdown_grace_seconds);
    drop(ended);
    end.send_replace(());
    if tokio::time::timeout(grace, end.closed()).await.is_err() {
        tracing::warn!("some requests were still running when the grace period ended");
    }
    Ok(())
}

/// The conversation with one client. When `ended` changes, the request in hand is the last one.
async fn talk(
    stream: TcpStream,
    peer: SocketAddr,
    service: NormalizePath<Router>,
    head_timeout: Duration,
    mut ended: watch::Receiver<()>,
) -> hyper::Result<()> {
    // Answers are one write: waiting for more to send would only delay them.
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let mut service = service.clone();
        async move {
            let mut request: Request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            let answer: Result<_, Infallible> = service.call(request).await;
            answer
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .serve_connection(TokioIo::new(stream), service)
        // An upgraded connection (a console) leaves this: it gives its place back, and whoever took it bounds its life.
        .with_upgrades();
    tokio::pin!(connection);
    tokio::select! {
        outcome = &mut connection => return outcome,
        _ = ended.changed() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}
