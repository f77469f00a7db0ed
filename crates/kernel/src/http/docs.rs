//! The API's document, and what operators ask: `/healthz`, `/readyz`, `/metrics`.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::Value;

use super::{
    error::{ApiError, ApiResult},
    facts::RequestFacts,
    query::Query,
};
use crate::{App, openapi};

/// The document in both forms, written once.
struct Texts {
    json: String,
    yaml: String,
}

/// `/schema`.
pub(super) fn schema_routes(document: Arc<Value>) -> Router {
    let texts = Arc::new(Texts {
        json: serde_json::to_string(&*document).unwrap_or_default(),
        yaml: openapi::to_yaml(&document),
    });
    Router::new().route(
        "/schema",
        get(move |headers, query| schema(Arc::clone(&texts), headers, query)),
    )
}

/// YAML unless JSON is asked for, by `Accept` or `?format=json`, as drf-spectacular does.
async fn schema(texts: Arc<Texts>, headers: HeaderMap, mut query: Query) -> ApiResult<Response> {
    let format = query.choice("format", |word| match word {
        "json" | "openapi-json" => Some(true),
        "yaml" | "openapi" => Some(false),
        _ => None,
    });
    query.check()?;
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .unwrap_or_default();
    let asks_json = accept.contains("json") && !accept.contains("yaml");
    let (body, media_type) = if format.unwrap_or(asks_json) {
        (
            texts.json.clone(),
            "application/vnd.oai.openapi+json; charset=utf-8",
        )
    } else {
        (texts.yaml.clone(), "application/vnd.oai.openapi; charset=utf-8")
    };
    Ok((
        [(header::CONTENT_TYPE, HeaderValue::from_static(media_type))],
        body,
    )
        .into_response())
}

/// What watches this process; outside the limits, so that a flood can't make it look dead.
pub(super) fn operations_routes(app: &App) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(app.clone())
}

/// 200 when the database answers and its schema is the one that this program needs.
async fn ready(State(app): State<App>) -> ApiResult<&'static str> {
    use diesel::connection::SimpleConnection;
    app.store()
        .read("readyz", |conn| {
            Ok::<_, ApiError>(conn.batch_execute("SELECT 1")?)
        })
        .await?;
    if app.is_stopping() {
        return Err(ApiError::unavailable("The server is stopping."));
    }
    Ok("ready")
}

async fn metrics(State(app): State<App>, request: Request) -> Response {
    let wanted = app.config().server.metrics_token.expose();
    let (parts, _) = request.into_parts();
    let allowed = if wanted.is_empty() {
        // Behind a proxy the client's own address counts: RequestFacts has looked through trusted ones.
        is_loopback(RequestFacts::of(&parts).address)
    } else {
        let given = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        given
            .and_then(|value| value.strip_prefix("Bearer "))
            .is_some_and(|token| same(token, wanted))
    };
    if !allowed {
        return ApiError::not_found().into_response();
    }
    let text = app.metrics();
    (
        StatusCode::OK,
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        text,
    )
        .into_response()
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Compares secrets in a time that depends on their length alone.
pub fn same(left: &str, right: &str) -> bool {
    left.len() == right.len()
        && left
            .bytes()
            .zip(right.bytes())
            .fold(0, |difference, (a, b)| difference | (a ^ b))
            == 0
}
