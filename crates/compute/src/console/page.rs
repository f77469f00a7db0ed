//! `/console/{session_id}`: the page with noVNC or xterm.js, which load nothing from elsewhere.
//!
//! Opening it changes nothing and tells nothing: whether there is such a session is known to whoever has its token, which
//! stands behind the `#` of the address and is sent by the page's script alone.

use axum::{
    extract::{Path, Query},
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use kernel::http::ApiError;
use serde::Deserialize;

use super::api::{ConsoleType, SessionPath};

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";

/// A name, a type, and what is in it.
type File = (&'static str, &'static str, &'static [u8]);

/// Ours change with onetd; the others carry their version in their names, and can be kept.
const OURS: [File; 4] = [
    ("console.css", CSS, include_bytes!("files/console.css")),
    ("main.js", JAVASCRIPT, include_bytes!("files/main.js")),
    ("screen.js", JAVASCRIPT, include_bytes!("files/screen.js")),
    ("terminal.js", JAVASCRIPT, include_bytes!("files/terminal.js")),
];
const THEIRS: [File; 3] = [
    (
        "novnc-1.7.0.js",
        JAVASCRIPT,
        include_bytes!("../../assets/console/novnc-1.7.0.js"),
    ),
    (
        "xterm-6.0.0.js",
        JAVASCRIPT,
        include_bytes!("../../assets/console/xterm-6.0.0.js"),
    ),
    (
        "xterm-6.0.0.css",
        CSS,
        include_bytes!("../../assets/console/xterm-6.0.0.css"),
    ),
];

/// What the page may load. noVNC draws pointers from `data:` addresses and pictures from `blob:` ones.
macro_rules! policy {
    ($styles:literal) => {
        concat!(
            "default-src 'none'; script-src 'self'; style-src ",
            $styles,
            "; img-src 'self' data: blob:; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
        )
    };
}

const SCREEN_POLICY: &str = policy!("'self'");
/// xterm.js measures characters and writes a sheet of styles for its rows.
const TERMINAL_POLICY: &str = policy!("'self' 'unsafe-inline'");

/// What the page's address says behind the `?`.
#[derive(Debug, Deserialize)]
pub(super) struct Kind {
    r#type: Option<String>,
}

pub(super) async fn page(_: SessionPath, Query(kind): Query<Kind>) -> Response {
    let kind = kind.r#type.as_deref().unwrap_or(ConsoleType::Novnc.as_str());
    let policy = match ConsoleType::from_word(kind) {
        Some(ConsoleType::Novnc) => SCREEN_POLICY,
        Some(ConsoleType::Serial) => TERMINAL_POLICY,
        None => return ApiError::not_found().into_response(),
    };
    answer(
        "text/html; charset=utf-8",
        include_bytes!("files/page.html"),
        policy,
        "no-cache",
    )
}

pub(super) async fn asset(Path(name): Path<String>) -> Response {
    let known = |files: &'static [File]| files.iter().find(|(known, ..)| *known == name);
    if let Some((_, content_type, bytes)) = known(&OURS) {
        return answer(content_type, bytes, SCREEN_POLICY, "no-cache");
    }
    if let Some((_, content_type, bytes)) = known(&THEIRS) {
        return answer(
            content_type,
            bytes,
            SCREEN_POLICY,
            "public, max-age=31536000, immutable",
        );
    }
    ApiError::not_found().into_response()
}

fn answer(
    content_type: &'static str,
    bytes: &'static [u8],
    policy: &'static str,
    cache: &'static str,
) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, cache),
    ];
    (StatusCode::OK, headers, bytes).into_response()
}
