//! Server-sent events (HTML Standard, section 9.2): an answer that goes on as long as there is something to tell.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderValue, header};
use http_body::Frame;
use serde::Serialize;
use tokio::sync::mpsc;

use super::error::{ApiError, ApiResult};

/// How long a client may be told nothing: proxies cut what is silent.
const SILENCE: Duration = Duration::from_secs(15);
/// Events that wait for a slow client.
const WAITING: usize = 16;

/// The sending end of a stream of events. Dropping it ends the stream.
#[derive(Debug)]
pub struct Events(mpsc::Sender<Bytes>);

/// The stream as a body.
struct EventBody(mpsc::Receiver<Bytes>);

impl http_body::Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0
            .poll_recv(context)
            .map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

impl Events {
    /// A stream, and the answer that carries it.
    pub fn open() -> (Self, Response) {
        let (sender, receiver) = mpsc::channel(WAITING);
        let mut response = Body::new(EventBody(receiver)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream"),
        );
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("private, no-store"),
        );
        (Self(sender), response)
    }

    /// Sends an event. `false`: nobody listens any more.
    ///
    /// # Errors
    /// `data` has no JSON.
    pub async fn send(&self, event: &str, data: &impl Serialize) -> ApiResult<bool> {
        // JSON has no line breaks, so that it is one line of data.
        let data = serde_json::to_string(data).map_err(ApiError::internal)?;
        let text = format!("event: {event}\ndata: {data}\n\n");
        Ok(self.0.send(text.into()).await.is_ok())
    }

    /// Waits for `pause`, and says something to who would otherwise hear nothing. `false`: nobody listens any more.
    pub async fn pause(&self, pause: Duration) -> bool {
        tokio::select! {
            () = self.0.closed() => false,
            () = tokio::time::sleep(pause.min(SILENCE)) => true,
        }
    }

    /// A comment, which clients ignore and proxies see.
    pub async fn breathe(&self) -> bool {
        self.0.send(Bytes::from_static(b": \n\n")).await.is_ok()
    }
}
