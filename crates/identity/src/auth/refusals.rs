//! The refusals that the area's operations document, in sets, so that each operation names only its own.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses,
    openapi::{ContentBuilder, HeaderBuilder, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder, Type},
};

fn refusal(description: &str, schema: &str) -> ResponseBuilder {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(schema)))
        .build();
    ResponseBuilder::new()
        .description(description)
        .content("application/json", content)
}

fn set(refusals: &[(&str, &str, &str)]) -> BTreeMap<String, RefOr<Response>> {
    let each = refusals.iter().map(|(code, description, schema)| {
        let mut response = refusal(description, schema);
        if *code == "429" {
            let seconds = HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::Integer)));
            response = response.header("Retry-After", seconds.build());
        }
        ((*code).to_owned(), response.build().into())
    });
    each.collect()
}

const INVALID: (&str, &str, &str) = ("400", "Invalid request parameters", "ValidationError");
const MISSING: (&str, &str, &str) = (
    "401",
    "Authentication credentials missing or invalid",
    "AuthError",
);
const FORBIDDEN: (&str, &str, &str) = ("403", "Insufficient permissions", "AuthError");
const ABSENT: (&str, &str, &str) = ("404", "Not found", "AuthError");
const LARGE: (&str, &str, &str) = ("413", "Body too large", "AuthError");
const MEDIA: (&str, &str, &str) = ("415", "Unsupported media type", "AuthError");
const MANY: (&str, &str, &str) = (
    "429",
    "Too many attempts; see the Retry-After header",
    "AuthError",
);
const AWAY: (&str, &str, &str) = ("503", "Temporarily unavailable", "AuthError");

/// Of operations that anybody may call, with a body.
pub(crate) enum Public {}

impl IntoResponses for Public {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        set(&[INVALID, LARGE, MEDIA, MANY, AWAY])
    }
}

/// Of operations on the caller's own account that only read.
pub(crate) enum Reading {}

impl IntoResponses for Reading {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        set(&[INVALID, MISSING, FORBIDDEN, MANY, AWAY])
    }
}

/// Of operations on the caller's own account that write.
pub(crate) enum Writing {}

impl IntoResponses for Writing {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        set(&[
            INVALID,
            MISSING,
            FORBIDDEN,
            ("409", "Conflicts with the current state", "AuthError"),
            ("412", "Changed meanwhile", "AuthError"),
            LARGE,
            MEDIA,
            (
                "422",
                "This Idempotency-Key was used for another request",
                "AuthError",
            ),
            MANY,
            AWAY,
        ])
    }
}

/// Of operations on one of several things, or in a project, that only read.
pub(crate) enum ReadingOne {}

impl IntoResponses for ReadingOne {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut responses = Reading::responses();
        responses.append(&mut set(&[ABSENT]));
        responses
    }
}

/// Of operations on one of several things, or in a project, that write.
pub(crate) enum WritingOne {}

impl IntoResponses for WritingOne {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut responses = Writing::responses();
        responses.append(&mut set(&[ABSENT]));
        responses
    }
}
