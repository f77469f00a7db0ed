//! The one way to refuse: what Django REST Framework clients parse, or RFC 9457 where the client asks for it.

use std::{fmt, sync::Arc};

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::store::{Failure, StoreError};

/// What operations and the kernel return.
pub type ApiResult<T> = Result<T, ApiError>;

/// A refusal or failure, as the client will see it, with the inner cause for the log.
#[derive(Clone, Debug)]
pub struct ApiError(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    status: StatusCode,
    /// Stable machine-readable reason.
    code: &'static str,
    body: Body,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Never shown to clients.
    cause: Option<Arc<dyn std::error::Error + Send + Sync>>,
    contended: bool,
    unavailable: bool,
}

#[derive(Clone, Debug)]
enum Body {
    Detail(String),
    Faults(Faults),
}

impl ApiError {
    /// A refusal of the whole request.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            status,
            code,
            body: Body::Detail(detail.into()),
            headers: Vec::new(),
            cause: None,
            contended: false,
            unavailable: false,
        }))
    }

    /// 400: the resource's state forbids it.
    pub fn refused(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", detail)
    }

    /// 400: the body or query is no JSON, or no such thing can be read.
    pub fn unreadable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "parse_error", detail)
    }

    /// 401, with `WWW-Authenticate`.
    pub fn unauthenticated(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, detail)
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// 403.
    pub fn forbidden() -> Self {
        let detail = "You do not have permission to perform this action.";
        Self::new(StatusCode::FORBIDDEN, "permission_denied", detail)
    }

    /// 404: absent, or another's; the answer is the same.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found.")
    }

    /// 409.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", detail)
    }

    /// 412: `If-Match` names another version.
    pub fn precondition_failed() -> Self {
        let detail = "The resource has changed since it was read: If-Match does not match its ETag.";
        Self::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", detail)
    }

    /// 429, to come back after so many seconds.
    pub fn throttled(seconds: u64) -> Self {
        let unit = if seconds == 1 { "second" } else { "seconds" };
        let detail = format!("Request was throttled. Expected available in {seconds} {unit}.");
        Self::new(StatusCode::TOO_MANY_REQUESTS, "throttled", detail)
            .with_header(header::RETRY_AFTER, seconds.into())
    }

    /// 503, to come back soon.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// 500, with its cause for the log only.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let mut error = Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "error",
            "A server error occurred.",
        );
        error.0.cause = Some(Arc::from(cause.into()));
        error
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The stable reason.
    pub fn code(&self) -> &'static str {
        self.0.code
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.status.as_u16(), self.0.code)?;
        match &self.0.body {
            Body::Detail(detail) => write!(f, ": {detail}")?,
            Body::Faults(faults) => write!(f, ": {}", faults.to_value())?,
        }
        let mut cause: Option<&dyn std::error::Error> = self.0.cause.as_deref().map(|cause| cause as _);
        while let Some(error) = cause {
            write!(f, "; {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl From<Faults> for ApiError {
    fn from(faults: Faults) -> Self {
        let mut error = Self::new(StatusCode::BAD_REQUEST, "invalid", String::new());
        error.0.body = Body::Faults(faults);
        error
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let mut answer = match &error {
            StoreError::Unavailable(_) | StoreError::Overloaded | StoreError::Contended(_) => {
                Self::unavailable("The service is temporarily unavailable; nothing was changed. Try again.")
            }
            StoreError::InDoubt(_) => Self::unavailable(
                "The request was given up before its end: it may have been carried out or not. Look before trying \
                 again, or send an Idempotency-Key.",
            ),
            StoreError::Duplicate(_) | StoreError::Panicked | StoreError::Statement(_) => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "error",
                "A server error occurred.",
            ),
        };
        answer.0.contended = matches!(error, StoreError::Contended(_));
        answer.0.unavailable = matches!(error, StoreError::Unavailable(_));
        answer.0.cause = Some(Arc::new(error));
        answer
    }
}

impl From<diesel::result::Error> for ApiError {
    fn from(error: diesel::result::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl Failure for ApiError {
    fn is_contended(&self) -> bool {
        self.0.contended
    }

    fn is_unavailable(&self) -> bool {
        self.0.unavailable
    }
}

/// What [`super::envelope`] needs to word an error anew for a client that wants another format.
#[derive(Clone, Debug)]
pub(super) struct ErrorFacts {
    status: StatusCode,
    code: &'static str,
    body: Body,
}

impl ErrorFacts {
    /// The body that Django REST Framework would send; `with_code` adds the machine-readable reason.
    pub(super) fn plain(&self, with_code: bool) -> Value {
        match &self.body {
            Body::Detail(detail) if with_code => json!({ "detail": detail, "code": self.code }),
            Body::Detail(detail) => json!({ "detail": detail }),
            Body::Faults(faults) => faults.to_value(),
        }
    }

    /// The same facts as RFC 9457.
    pub(super) fn problem(&self, request_id: &str) -> Value {
        let mut problem = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "code": self.code,
            "request_id": request_id,
        });
        match &self.body {
            Body::Detail(detail) => problem["detail"] = detail.as_str().into(),
            Body::Faults(faults) => {
                problem["detail"] = "Some fields of the request are not valid.".into();
                problem["errors"] = faults.to_value();
            }
        }
        problem
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.0.status.is_server_error() {
            tracing::error!(error = %self, "a request failed");
        } else {
            tracing::debug!(error = %self, "a request was refused");
        }
        let inner = *self.0;
        let facts = ErrorFacts {
            status: inner.status,
            code: inner.code,
            body: inner.body,
        };
        let mut response = (inner.status, Json(facts.plain(false))).into_response();
        for (name, value) in inner.headers {
            response.headers_mut().insert(name, value);
        }
        response.extensions_mut().insert(facts);
        response
    }
}

/// Everything that is wrong with a body, field by field, all at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    fields: Vec<(String, Fault)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    Messages(Vec<String>),
    Nested(Faults),
}

/// The key of faults that belong to no field.
pub const NON_FIELD: &str = "non_field_errors";

impl Faults {
    /// One message on one field.
    pub fn one(field: &str, message: impl Into<String>) -> Self {
        let mut faults = Self::default();
        faults.add(field, message);
        faults
    }

    /// Adds a message to a field.
    pub fn add(&mut self, field: &str, message: impl Into<String>) {
        let message = message.into();
        match self.fields.iter_mut().find(|(name, _)| name == field) {
            Some((_, Fault::Messages(messages))) => messages.push(message),
            Some((_, Fault::Nested(nested))) => nested.add(NON_FIELD, message),
            None => self
                .fields
                .push((field.to_owned(), Fault::Messages(vec![message]))),
        }
    }

    /// Adds a message to a field unless `holds`.
    pub fn check(&mut self, field: &str, holds: bool, message: impl Into<String>) {
        if !holds {
            self.add(field, message);
        }
    }

    /// Adds the faults of a nested object or of an item of a list.
    pub fn nest(&mut self, field: &str, faults: Self) {
        self.fields.push((field.to_owned(), Fault::Nested(faults)));
    }

    /// Takes over the faults of fields that have none yet.
    pub fn merge(&mut self, other: Self) {
        for (name, fault) in other.fields {
            if !self.has(&name) {
                self.fields.push((name, fault));
            }
        }
    }

    /// All messages of fields, without the fields' names.
    pub(super) fn messages(&self) -> impl Iterator<Item = &str> {
        let lists = self.fields.iter().filter_map(|(_, fault)| match fault {
            Fault::Messages(messages) => Some(messages),
            Fault::Nested(_) => None,
        });
        lists.flatten().map(String::as_str)
    }

    /// Whether a field has a fault already.
    pub fn has(&self, field: &str) -> bool {
        self.fields.iter().any(|(name, _)| name == field)
    }

    /// Whether nothing is wrong.
    pub const fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// `Ok` if nothing is wrong.
    ///
    /// # Errors
    /// The faults themselves.
    pub fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }

    /// `{"field": ["message", …], "nested": {…}}`.
    pub fn to_value(&self) -> Value {
        let mut map = Map::new();
        for (name, fault) in &self.fields {
            let value = match fault {
                Fault::Messages(messages) => json!(messages),
                Fault::Nested(faults) => faults.to_value(),
            };
            map.insert(name.clone(), value);
        }
        Value::Object(map)
    }
}

/// The refusals that every operation with a credential may answer, for its documentation.
#[derive(Debug)]
pub enum Refusals {}

/// What a writing operation can answer besides: [`Refusals`], preconditions and bodies. 409 has each operation's own words.
#[derive(Debug)]
pub enum WriteRefusals {}

impl utoipa::IntoResponses for WriteRefusals {
    fn responses() -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::Response>> {
        let more = [
            ("412", "If-Match does not match"),
            ("413", "Body too large"),
            ("415", "Unsupported media type"),
            ("422", "This Idempotency-Key was used for another request"),
        ];
        let mut responses = Refusals::responses();
        responses.extend(
            more.into_iter()
                .map(|(code, text)| (code.to_owned(), utoipa::openapi::Response::new(text).into())),
        );
        responses
    }
}

impl utoipa::IntoResponses for Refusals {
    fn responses() -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::Response>> {
        let known = [
            ("401", "No credentials, or invalid ones"),
            ("403", "Insufficient permissions"),
            ("404", "Not found"),
            ("429", "Too many requests; see the Retry-After header"),
            ("503", "Temporarily unavailable; see the Retry-After header"),
        ];
        let response = |text| utoipa::openapi::Response::new(text).into();
        known
            .into_iter()
            .map(|(code, text)| (code.to_owned(), response(text)))
            .collect()
    }
}
