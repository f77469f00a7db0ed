//! The API's interactive documentation: `/docs`, with everything it needs inside this program.

use std::sync::Arc;

use axum::{
    Router,
    extract::Path,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use kernel::http::ApiError;
use utoipa_swagger_ui::Config;

/// `/docs` and the files that its page loads.
pub(crate) fn routes() -> Router {
    let config = Arc::new(
        Config::from("/schema?format=json")
            .try_it_out_enabled(true)
            .persist_authorization(true)
            .deep_linking(true),
    );
    let (page, files) = (Arc::clone(&config), config);
    Router::new()
        .route("/docs", get(move || file(page, "index.html".to_owned())))
        .route(
            "/docs/{file}",
            get(move |Path(name): Path<String>| file(files, name)),
        )
}

async fn file(config: Arc<Config<'static>>, name: String) -> Response {
    let Ok(Some(file)) = utoipa_swagger_ui::serve(&name, config) else {
        return ApiError::not_found().into_response();
    };
    let mut bytes = file.bytes.into_owned();
    if name == "index.html" {
        // The page has no trailing slash here, so its relative links need to be told where they start.
        let page =
            String::from_utf8_lossy(&bytes).replacen("<head>", "<head>\n    <base href=\"/docs/\">", 1);
        bytes = page
            .replace("<title>Swagger UI</title>", "<title>onet API</title>")
            .into_bytes();
    }
    let content_type = HeaderValue::from_str(&file.content_type);
    let content_type = content_type.unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"));
    (StatusCode::OK, [(header::CONTENT_TYPE, content_type)], bytes).into_response()
}
