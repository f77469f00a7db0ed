//! Connections: accepted up to a limit, their heads timed, ended in peace when the process is told to stop.

use std::{convert::Infallible, future::Future, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
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
    let graceful = GracefulShutdown::new();
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
        let watched = graceful.watch(talk(stream, peer, service.clone(), head_timeout));
        tokio::spawn(async move {
            if let Err(error) = watched.await {
                tracing::debug!(%error, %peer, "a connection ended badly");
            }
            drop(place);
        });
    }
    drop(listener);
    app.stop();
    let grace = Duration::from_secs(settings.shutdown_grace_seconds);
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests were still running when the grace period ended");
    }
    Ok(())
}

/// The conversation with one client.
fn talk(
    stream: TcpStream,
    peer: SocketAddr,
    service: NormalizePath<Router>,
    head_timeout: Duration,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> {
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
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .serve_connection(TokioIo::new(stream), service)
        // An upgraded connection (a console) leaves this: it gives its place back, and whoever took it bounds its life.
        .with_upgrades()
}
