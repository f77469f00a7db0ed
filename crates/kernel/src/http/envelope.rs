//! What surrounds every request and answer.

use std::time::{Duration, Instant};

use axum::{
    body::{self, Body},
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tracing::Instrument;

use super::{
    answer::none_match,
    error::{ApiError, ErrorFacts},
    facts::RequestFacts,
};
use crate::App;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PROBLEM: &str = "application/problem+json";

/// Request id, trace span, time limit, the wording of errors, `If-None-Match`, metrics.
pub(super) async fn envelope(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let facts = RequestFacts::read(&request, &app.config().server.trusted_proxies);
    // A client's own id that is no UUID is echoed and logged beside ours.
    let given = request
        .headers()
        .get(REQUEST_ID)
        .filter(|id| is_plain(id))
        .cloned();
    let shown = given.unwrap_or_else(|| id_header(&facts));
    let method = request.method().clone();
    let operation = app.operation(
        &method,
        request.extensions().get::<MatchedPath>().map(MatchedPath::as_str),
    );
    let headers = request.headers().clone();
    let path = request.uri().path().to_owned();
    let span = tracing::info_span!("request", id = %facts.id, given = shown.to_str().unwrap_or_default(), operation,
        client = %facts.address);
    request.extensions_mut().insert(facts);

    let limit = Duration::from_secs(app.config().server.request_timeout_seconds);
    let mut response = async {
        let response = match tokio::time::timeout(limit, next.run(request)).await {
            Ok(response) => response,
            Err(_) => ApiError::unavailable("The request took too long.").into_response(),
        };
        let response = not_modified(&method, &headers, response);
        let response = reword(&headers, &path, &shown, response);
        let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
        tracing::info!(%method, path, status = response.status().as_u16(), milliseconds, "answered");
        response
    }
    .instrument(span)
    .await;

    let status = response.status().as_u16().to_string();
    metrics::counter!("onet_http_requests", "operation" => operation, "status" => status).increment(1);
    metrics::histogram!("onet_http_seconds", "operation" => operation)
        .record(started.elapsed().as_secs_f64());
    let answer = response.headers_mut();
    answer.insert(REQUEST_ID, shown);
    answer.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if path.starts_with("/v1/") {
        // Answers are one caller's: a shared cache must not keep them, a private one must ask again.
        answer
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("private, no-cache"));
        answer.append(header::VARY, HeaderValue::from_static("Authorization, Accept"));
    }
    response
}

fn id_header(facts: &RequestFacts) -> HeaderValue {
    HeaderValue::from_str(&facts.id.to_string()).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Operations on credentials, which are documented to name a code beside the detail.
fn names_code(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(
        parts.as_slice(),
        ["", "v1", "auth", _, ..] | ["", "v1", "organizations", _, "projects", _, "tokens", ..]
    )
}

/// Short enough, and nothing that could break a log line.
fn is_plain(id: &HeaderValue) -> bool {
    let bytes = id.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= 128
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte))
}

/// 304 where the client has this very representation already.
fn not_modified(method: &Method, headers: &HeaderMap, response: Response) -> Response {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let tag = response.headers().get(header::ETAG);
    if !reads || response.status() != StatusCode::OK || tag.is_none_or(|tag| none_match(headers, tag)) {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    parts.status = StatusCode::NOT_MODIFIED;
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::CONTENT_TYPE);
    Response::from_parts(parts, Body::empty())
}

/// Words an error as the client asks, and adds the reason's code where the API documents one (`/v1/auth`).
fn reword(headers: &HeaderMap, path: &str, request_id: &HeaderValue, mut response: Response) -> Response {
    let Some(facts) = response.extensions_mut().remove::<ErrorFacts>() else {
        return response;
    };
    let wants_problem = headers
        .get_all(header::ACCEPT)
        .iter()
        .any(|accept| accept.to_str().is_ok_and(|accept| accept.contains(PROBLEM)));
    let (body, media_type) = if wants_problem {
        (facts.problem(request_id.to_str().unwrap_or_default()), PROBLEM)
    } else {
        (facts.plain(names_code(path)), "application/json")
    };
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.headers_mut().remove(header::CONTENT_LENGTH);
    *response.body_mut() = Body::from(body::Bytes::from(body.to_string()));
    response
}
