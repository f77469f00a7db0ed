//! `/.well-known/jwks.json`: the public keys, for whoever checks access tokens without asking onet.

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderValue, header};

use crate::Identity;

/// Beside the API's document: a path that verifiers expect as it is.
pub(crate) fn pages() -> Router<Identity> {
    Router::new().route("/.well-known/jwks.json", get(jwks))
}

/// Five minutes: a verifier that meets a new `kid` asks again by itself, and a retired key is of no use for long.
async fn jwks(State(identity): State<Identity>) -> Response {
    let keys = identity.tokens().jwks(identity.clock().now());
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/jwk-set+json"),
        ),
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("public, max-age=300"),
        ),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
    ];
    (headers, keys.to_string()).into_response()
}
