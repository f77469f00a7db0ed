//! A request that writes: its body, its preconditions, its idempotency key, and the transaction that honours them.

use std::time::Duration;

use axum::{
    extract::{FromRef, FromRequest, Request},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    answer::{Answer, IfMatch, Rendered},
    error::{ApiError, ApiResult},
    idempotency::Key,
    shape::Shape,
    upload::{self, Part, Upload},
};
use crate::{
    App,
    access::{Caller, User},
    id::Id,
    store::Tx,
};

/// A request body: the type that handlers read, and the documented type that it is checked against.
pub trait Body: DeserializeOwned + Send + Sync + 'static {
    /// The documented schema, the one declaration of every constraint.
    type Wire: ToSchema + 'static;
    /// PATCH: nothing is required.
    const PARTIAL: bool = false;
}

/// The body of operations that take none.
#[derive(Debug)]
pub enum NoBody {}

/// A writing request, read but not yet judged.
///
/// Faults of the body are kept until [`Change::body`] is asked for, because the published API answers that a
/// resource does not exist, or has changed meanwhile, before it complains about the body.
#[derive(Debug)]
pub struct Change<T> {
    body: ApiResult<T>,
    if_match: IfMatch,
    key: Option<Key>,
}

impl<T> Change<T> {
    /// The checked body.
    ///
    /// # Errors
    /// 400 with every fault of it, 413, 415.
    pub fn body(&self) -> ApiResult<&T> {
        self.body.as_ref().map_err(Clone::clone)
    }

    /// Compares `If-Match` with the version of the row that this transaction has locked.
    ///
    /// # Errors
    /// 412 if it does not match.
    pub fn check_version(&self, version: i64) -> ApiResult<()> {
        if self.if_match.allows(version) {
            Ok(())
        } else {
            Err(ApiError::precondition_failed())
        }
    }

    /// Runs `work` as one transaction, once for an idempotency key, and answers.
    ///
    /// # Errors
    /// What `work` returns; then nothing was changed, and the key is free again.
    pub async fn run<A, F>(
        self,
        app: &App,
        caller: &Caller,
        operation: &'static str,
        work: F,
    ) -> ApiResult<Response>
    where
        T: Send + Sync + 'static,
        A: Serialize + Send + 'static,
        F: Fn(&mut Tx<'_>, &Self) -> ApiResult<Answer<A>> + Send + 'static,
    {
        let Some(key) = self.key.clone() else {
            let answer = app.store().write(operation, move |tx| work(tx, &self)).await?;
            return Ok(answer.render()?.into_response());
        };
        let owner: Id<User> = caller.user;
        let _running = app.running_keys().enter(owner, &key)?;
        let rendered = app
            .store()
            .write(operation, move |tx| {
                if let Some(kept) = key.find(tx, owner)? {
                    return Ok::<Rendered, ApiError>(kept);
                }
                let rendered = work(tx, &self)?.render()?;
                key.keep(tx, owner, &rendered)?;
                Ok(rendered)
            })
            .await?;
        Ok(rendered.into_response())
    }
}

impl<T: Body, S: Send + Sync> FromRequest<S> for Change<T>
where
    App: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> ApiResult<Self> {
        let app = App::from_ref(state);
        let (parts, body) = request.into_parts();
        let limit = app.config().server.body_limit_bytes;
        let bytes = read_body(body, &parts.headers, &app, limit).await;
        // A body that could not be read will be refused: it is no request whose answer could be kept or given again.
        let key = match &bytes {
            Ok(bytes) => Key::read(&parts, bytes)?,
            Err(_) => None,
        };
        let if_match = IfMatch::read(&parts.headers);
        Ok(Self {
            body: bytes.and_then(|bytes| check_body(&bytes, &parts.headers)),
            if_match,
            key,
        })
    }
}

/// A request that uploads a file: its body has a limit of its own, [`Part::MOST_BYTES`] and a little for the form.
impl<P: Part, S: Send + Sync> FromRequest<S> for Change<Upload<P>>
where
    App: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> ApiResult<Self> {
        let app = App::from_ref(state);
        let (parts, body) = request.into_parts();
        let bytes = read_body(body, &parts.headers, &app, upload::body_limit::<P>()).await;
        let key = match &bytes {
            Ok(bytes) => Key::read(&parts, bytes)?,
            Err(_) => None,
        };
        let body = match bytes {
            Ok(bytes) => upload::read_form(bytes, &parts.headers).await,
            Err(error) => Err(error),
        };
        Ok(Self {
            body,
            if_match: IfMatch::read(&parts.headers),
            key,
        })
    }
}

/// A request without a body, such as a DELETE: whatever was sent is not looked at.
impl<S: Send + Sync> FromRequest<S> for Change<NoBody>
where
    App: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> ApiResult<Self> {
        let (parts, _) = request.into_parts();
        let key = Key::read(&parts, &[])?;
        let body = Err(ApiError::internal("an operation without a body has asked for it"));
        Ok(Self {
            body,
            if_match: IfMatch::read(&parts.headers),
            key,
        })
    }
}

async fn read_body(body: axum::body::Body, headers: &HeaderMap, app: &App, limit: usize) -> ApiResult<Bytes> {
    let server = &app.config().server;
    let too_large = || {
        let detail = format!("The request body is larger than {limit} bytes.");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", detail)
    };
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        discard(body).await;
        return Err(too_large());
    }
    let whole = Limited::new(body, limit).collect();
    match tokio::time::timeout(Duration::from_secs(server.read_timeout_seconds), whole).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(ApiError::unreadable("The request body ended early.")),
        Err(_) => {
            let detail = "The request body did not arrive in time.";
            Err(
                ApiError::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", detail)
                    .with_header(header::CONNECTION, http::HeaderValue::from_static("close")),
            )
        }
    }
}

/// Lets a client send what it has begun to send, for a short while: one that is cut off would see a broken connection
/// and not the answer (RFC 9112, section 9.6).
async fn discard(mut body: axum::body::Body) {
    const MOST_BYTES: usize = 16 * 1024 * 1024;
    const LONGEST: Duration = Duration::from_secs(2);
    let read = async {
        let mut seen = 0;
        while let Some(Ok(frame)) = body.frame().await {
            seen += frame.data_ref().map_or(0, Bytes::len);
            if seen > MOST_BYTES {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(LONGEST, read).await;
}

fn check_body<T: Body>(bytes: &[u8], headers: &HeaderMap) -> ApiResult<T> {
    let value = if bytes.is_empty() {
        Value::Object(serde_json::Map::new())
    } else {
        parse(bytes, headers)?
    };
    let checked = Shape::of::<T::Wire>(T::PARTIAL).check(value)?;
    // The shape has let through what the type can't hold: a fault of ours, but still no reason to fail.
    serde_json::from_value(checked).map_err(|error| ApiError::unreadable(format!("Invalid data: {error}")))
}

fn parse(bytes: &[u8], headers: &HeaderMap) -> ApiResult<Value> {
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        let detail = format!("Unsupported media type \"{media_type}\" in request.");
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            detail,
        ));
    }
    serde_json::from_slice(bytes).map_err(|error| ApiError::unreadable(format!("JSON parse error - {error}")))
}
