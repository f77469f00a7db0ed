//! Answers with a version: strong entity tags, and the preconditions on them (RFC 9110, section 13).

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::Value;

use super::error::{ApiError, ApiResult};

/// A single resource and its version.
///
/// Its entity tag is `"<version>-<hash of the body>"`. `If-None-Match` compares the whole tag: the slightest other
/// byte (a live figure in `state_sync`) makes another representation. `If-Match` compares the version alone, so that
/// a write is refused only when what clients can write has changed: see `docs/decisions/0006-entity-tags.md`.
#[derive(Debug)]
pub struct Versioned<T> {
    /// The resource as the API shows it.
    pub body: T,
    /// Counts the resource's changes.
    pub version: i64,
}

/// A file to be kept by whoever asks for it, with an entity tag like that of [`Versioned`].
#[derive(Debug)]
pub struct File {
    /// The file.
    pub bytes: Vec<u8>,
    /// Counts the changes of what it is made of.
    pub version: i64,
    /// Such as `application/pdf`.
    pub media_type: &'static str,
    /// What it is to be called; letters, digits, dots and dashes only.
    pub name: String,
}

impl IntoResponse for File {
    fn into_response(self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, self.media_type.to_owned()),
            (header::ETAG, tag(self.version, &self.bytes)),
            (
                header::CONTENT_DISPOSITION,
                format!("attachment; filename=\"{}\"", self.name),
            ),
        ];
        (headers, self.bytes).into_response()
    }
}

/// What a write answers.
#[derive(Debug)]
pub struct Answer<T> {
    status: StatusCode,
    body: T,
    version: Option<i64>,
    location: Option<String>,
}

impl<T> Answer<T> {
    /// 200 with the resource as it now is.
    pub const fn ok(body: T, version: i64) -> Self {
        Self {
            status: StatusCode::OK,
            body,
            version: Some(version),
            location: None,
        }
    }

    /// 202: it is noted, and nothing can be looked at meanwhile.
    pub const fn noted(body: T) -> Self {
        Self {
            status: StatusCode::ACCEPTED,
            body,
            version: None,
            location: None,
        }
    }

    /// 200 with something that has no version.
    pub const fn plain(body: T) -> Self {
        Self {
            status: StatusCode::OK,
            body,
            version: None,
            location: None,
        }
    }

    /// 201 with the new resource and its path.
    pub const fn created(body: T, version: Option<i64>, location: String) -> Self {
        Self {
            status: StatusCode::CREATED,
            body,
            version,
            location: Some(location),
        }
    }

    /// 202 with the task that does it, and the task's path.
    pub const fn accepted(body: T, location: String) -> Self {
        Self {
            status: StatusCode::ACCEPTED,
            body,
            version: None,
            location: Some(location),
        }
    }
}

impl Answer<()> {
    /// 204.
    pub const fn empty() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            body: (),
            version: None,
            location: None,
        }
    }
}

/// An answer as bytes: what is sent, and what an idempotency key keeps.
#[derive(Clone, Debug)]
pub(super) struct Rendered {
    pub(super) status: StatusCode,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
}

impl<T: Serialize> Answer<T> {
    pub(super) fn render(&self) -> Result<Rendered, ApiError> {
        let mut headers = Vec::new();
        let mut body = Bytes::new();
        if self.status != StatusCode::NO_CONTENT {
            body = serde_json::to_vec(&self.body).map_err(ApiError::internal)?.into();
            headers.push((header::CONTENT_TYPE.to_string(), "application/json".to_owned()));
        }
        if let Some(version) = self.version {
            headers.push((header::ETAG.to_string(), tag(version, &body)));
        }
        if let Some(location) = &self.location {
            headers.push((header::LOCATION.to_string(), location.clone()));
        }
        Ok(Rendered {
            status: self.status,
            headers,
            body,
        })
    }
}

impl IntoResponse for Rendered {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.body).into_response();
        response.headers_mut().remove(header::CONTENT_TYPE);
        for (name, value) in self.headers {
            if let (Ok(name), Ok(value)) = (name.parse::<http::HeaderName>(), HeaderValue::from_str(&value)) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

impl<T: Serialize> IntoResponse for Versioned<T> {
    fn into_response(self) -> Response {
        match Answer::ok(self.body, self.version).render() {
            Ok(rendered) => rendered.into_response(),
            Err(error) => error.into_response(),
        }
    }
}

fn tag(version: i64, body: &[u8]) -> String {
    format!("\"{version}-{:x}\"", xxhash_rust::xxh3::xxh3_128(body))
}

fn tags<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<Vec<&'a str>> {
    let values: Vec<&str> = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    if values.is_empty() {
        return None;
    }
    Some(
        values
            .into_iter()
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .collect(),
    )
}

/// Whether `If-None-Match` lets a GET go on: absent, or naming other representations only.
pub(super) fn none_match(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let Some(known) = tags(headers, &header::IF_NONE_MATCH) else {
        return true;
    };
    // Weak comparison: `W/` does not matter here.
    !known
        .iter()
        .any(|known| *known == "*" || known.trim_start_matches("W/").as_bytes() == tag.as_bytes())
}

/// What `If-Match` demands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum IfMatch {
    /// Nothing, or any version.
    Any,
    /// One of these versions.
    Versions(Vec<i64>),
}

impl IfMatch {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let Some(tags) = tags(headers, &header::IF_MATCH) else {
            return Self::Any;
        };
        if tags.contains(&"*") {
            return Self::Any;
        }
        // Weak tags never match here, and a tag that is not ours names no version.
        let version = |tag: &str| {
            tag.strip_prefix('"')?
                .strip_suffix('"')?
                .split_once('-')?
                .0
                .parse()
                .ok()
        };
        Self::Versions(tags.into_iter().filter_map(version).collect())
    }

    pub(super) fn allows(&self, version: i64) -> bool {
        match self {
            Self::Any => true,
            Self::Versions(versions) => versions.contains(&version),
        }
    }
}

/// Changes the JSON of an answer that [`Change::run`](super::Change::run) has given: what is shown to one request and kept
/// for no Idempotency-Key, such as a secret, is put in here. `amend` must look whether the answer is that to this
/// request: a repeated one is that to an earlier one.
///
/// # Errors
/// 500 if the answer is no JSON, or larger than any of ours.
pub async fn reveal(answer: Response, amend: impl FnOnce(&mut Value)) -> ApiResult<Response> {
    const LONGEST_ANSWER: usize = 1 << 20;
    let (parts, body) = answer.into_parts();
    let bytes = axum::body::to_bytes(body, LONGEST_ANSWER)
        .await
        .map_err(ApiError::internal)?;
    let mut shown: Value = serde_json::from_slice(&bytes).map_err(ApiError::internal)?;
    amend(&mut shown);
    Ok(Response::from_parts(parts, shown.to_string().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn if_match_compares_versions_strongly() {
        let read = |value| IfMatch::read(&headers(header::IF_MATCH, value));
        assert!(read("\"7-abc\", \"9-def\"").allows(9));
        assert!(!read("\"7-abc\"").allows(8));
        assert!(!read("W/\"7-abc\"").allows(7));
        assert!(!read("\"else\"").allows(7));
        assert!(read("*").allows(1));
        assert!(IfMatch::read(&HeaderMap::new()).allows(1));
    }

    #[test]
    fn if_none_match_compares_whole_tags() {
        let tag = HeaderValue::from_static("\"7-abc\"");
        assert!(!none_match(
            &headers(header::IF_NONE_MATCH, "\"1-x\", W/\"7-abc\""),
            &tag
        ));
        assert!(none_match(&headers(header::IF_NONE_MATCH, "\"7-abd\""), &tag));
        assert!(none_match(&HeaderMap::new(), &tag));
    }
}
