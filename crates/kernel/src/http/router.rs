//! One router from the areas' routes, with the layers around it.

use std::{collections::HashMap, sync::Arc};

use axum::{Router, extract::Request, middleware, response::IntoResponse};
use http::{HeaderName, HeaderValue, Method, header};
use serde_json::Value;
use tower::Layer;
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{AllowOrigin, CorsLayer},
    normalize_path::{NormalizePath, NormalizePathLayer},
};
use utoipa_axum::router::OpenApiRouter;

use super::{docs, envelope::envelope, error::ApiError, gate::gate};
use crate::{App, openapi};

/// The routes of all areas, and the document made from them.
#[derive(Debug)]
pub struct Areas {
    routes: Router,
    /// OpenAPI 3.0.3.
    pub document: Value,
}

impl Areas {
    /// Takes the routes apart from their documentation. `api` carries the document's head (title, tags, security),
    /// `pages` what is for people and not in the document.
    pub fn new(mut api: utoipa::openapi::OpenApi, routes: OpenApiRouter, pages: Router) -> Self {
        let (routes, paths) = routes.split_for_parts();
        api.merge(paths);
        Self {
            routes: routes.merge(pages),
            document: openapi::document(&api),
        }
    }

    /// `PUT /v1/…/{id}` → `replace_instance`: what requests are called in logs and metrics.
    pub fn operations(&self) -> HashMap<(Method, String), &'static str> {
        let mut operations = HashMap::new();
        for (path, item) in self.document["paths"].as_object().into_iter().flatten() {
            for (method, operation) in item.as_object().into_iter().flatten() {
                let method = method.to_ascii_uppercase().parse::<Method>();
                if let (Ok(method), Some(id)) = (method, operation["operationId"].as_str()) {
                    // One small text an operation, kept for the process's life.
                    let id: &'static str = Box::leak(id.to_owned().into_boxed_str());
                    if method == Method::GET {
                        operations.insert((Method::HEAD, path.clone()), id);
                    }
                    operations.insert((method, path.clone()), id);
                }
            }
        }
        operations
    }
}

/// The service that answers every request of this installation.
pub fn build(app: &App, areas: Areas) -> NormalizePath<Router> {
    let limited = areas
        .routes
        .merge(docs::schema_routes(Arc::new(areas.document)))
        .fallback(async || ApiError::not_found())
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(app.clone(), gate));
    let router = limited.merge(docs::operations_routes(app));
    let router = match cors(app) {
        Some(cors) => router.layer(cors),
        None => router,
    };
    let router = router
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(app.clone(), envelope));
    // A trailing slash is cut off before routing: a redirect would drop a body.
    NormalizePathLayer::trim_trailing_slash().layer(router)
}

async fn method_not_allowed(request: Request) -> ApiError {
    let detail = format!("Method \"{}\" not allowed.", request.method());
    ApiError::new(http::StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}

fn panicked(panic: Box<dyn std::any::Any + Send>) -> axum::response::Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    ApiError::internal(format!("a handler panicked: {}", text.unwrap_or("without words"))).into_response()
}

/// What browsers are told; nothing unless an operator has named origins.
fn cors(app: &App) -> Option<CorsLayer> {
    let origins = &app.config().server.cors_origins;
    if origins.is_empty() {
        return None;
    }
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(
            origins
                .iter()
                .filter_map(|origin| HeaderValue::from_str(origin).ok()),
        )
    };
    let named = ["idempotency-key", "x-request-id"].map(HeaderName::from_static);
    let standard = [
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        header::IF_MATCH,
        header::IF_NONE_MATCH,
    ];
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers(standard.into_iter().chain(named).collect::<Vec<_>>())
        .expose_headers([
            header::ETAG,
            header::LOCATION,
            header::RETRY_AFTER,
            HeaderName::from_static("x-request-id"),
            HeaderName::from_static("ratelimit"),
            HeaderName::from_static("ratelimit-policy"),
        ]);
    Some(layer)
}
