//! Pages to log in and to look after an account, for installations without a console.
//!
//! Plain files, compiled in; what they do is calls of the published API. They may load nothing but each other
//! (Content-Security-Policy), tell nobody where the user was (Referrer-Policy: the links in mails carry tokens), and
//! can't be framed. Opening a page changes nothing: a token in its address is used by POST, when the user says so.

use axum::{
    Router,
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use kernel::http::ApiError;

/// Served by one file, which asks the address what it is.
const PAGES: [&str; 8] = [
    "login",
    "register",
    "verify-email",
    "reset-password",
    "confirm-email",
    "invitation",
    "oauth/callback",
    "security",
];

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

const FILES: [(&str, &str, &str); 9] = [
    (
        "style.css",
        "text/css; charset=utf-8",
        include_str!("files/style.css"),
    ),
    ("main.js", JAVASCRIPT, include_str!("files/main.js")),
    ("api.js", JAVASCRIPT, include_str!("files/api.js")),
    ("dom.js", JAVASCRIPT, include_str!("files/dom.js")),
    ("login.js", JAVASCRIPT, include_str!("files/login.js")),
    ("passkeys.js", JAVASCRIPT, include_str!("files/passkeys.js")),
    ("proofs.js", JAVASCRIPT, include_str!("files/proofs.js")),
    ("security.js", JAVASCRIPT, include_str!("files/security.js")),
    ("words.js", JAVASCRIPT, include_str!("files/words.js")),
];

/// `/account/…`; nothing where the installation has a console of its own (`server.account_pages = false`).
pub(crate) fn routes(are_wanted: bool) -> Router {
    if !are_wanted {
        return Router::new();
    }
    PAGES
        .iter()
        .fold(Router::new(), |routes, page| {
            routes.route(&format!("/account/{page}"), get(page_file))
        })
        .route("/account/assets/{file}", get(asset))
}

async fn page_file() -> Response {
    answer("text/html; charset=utf-8", include_str!("files/page.html"))
}

async fn asset(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(known, ..)| *known == name) {
        Some((_, content_type, text)) => answer(content_type, text),
        None => ApiError::not_found().into_response(),
    }
}

fn answer(content_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // A page is short-lived, and so may a new version be.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (StatusCode::OK, headers, text).into_response()
}
