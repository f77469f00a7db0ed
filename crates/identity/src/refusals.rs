//! The refusals that writing operations may answer, for their documentation.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses,
    openapi::{RefOr, Response},
};

/// Of writes below an organization: what every operation refuses, the body, and the preconditions.
#[derive(Debug)]
pub(crate) enum WriteRefusals {}

impl IntoResponses for WriteRefusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let of_writes = [
            ("400", "Invalid request parameters"),
            ("409", "The first request with this Idempotency-Key still runs"),
        ];
        let mut all = kernel::http::WriteRefusals::responses();
        for (code, text) in of_writes {
            all.insert(code.to_owned(), Response::new(text).into());
        }
        all
    }
}
