//! Uploads: a form with one file (`multipart/form-data`, RFC 7578), read whole within a limit of its own.

use std::{fmt, marker::PhantomData};

use axum::{
    body::Body,
    extract::{DefaultBodyLimit, FromRequest, Multipart, Request},
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};

use super::error::{ApiError, ApiResult, Faults};

/// What a form takes besides the file: boundaries, heads, small fields.
const FORM_BYTES: usize = 65_536;

/// A form's file.
pub trait Part: Send + Sync + 'static {
    /// The field that it comes in.
    const FIELD: &'static str;
    /// Its greatest size.
    const MOST_BYTES: usize;
}

/// A file that was sent; a [`Change`](super::Change) of it is a request that uploads.
pub struct Upload<P> {
    /// What is in it; never nothing.
    pub file: Bytes,
    part: PhantomData<fn() -> P>,
}

impl<P> fmt::Debug for Upload<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upload({} bytes)", self.file.len())
    }
}

/// The greatest body that holds such a file.
pub(super) const fn body_limit<P: Part>() -> usize {
    P::MOST_BYTES + FORM_BYTES
}

/// Reads a form that is here already. What it calls its file, and what type it says that it is, is not looked at.
///
/// # Errors
/// 415 for another type of body; 400 for a broken form, and in Django REST Framework's words for the file.
pub(super) async fn read_form<P: Part>(bytes: Bytes, headers: &HeaderMap) -> ApiResult<Upload<P>> {
    let media_type = headers.get(header::CONTENT_TYPE);
    let essence = media_type
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let is_form = essence
        .split(';')
        .next()
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("multipart/form-data"));
    if !is_form {
        let detail = format!("Unsupported media type \"{essence}\" in request.");
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            detail,
        ));
    }
    let broken = || ApiError::unreadable("Multipart form parse error - the form is not complete.");
    let mut request = Request::new(Body::from(bytes));
    if let Some(media_type) = media_type {
        request
            .headers_mut()
            .insert(header::CONTENT_TYPE, media_type.clone());
    }
    // The body is here already, and was limited before.
    DefaultBodyLimit::disable().apply(&mut request);
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|_| ApiError::unreadable("Multipart form parse error - Invalid boundary in multipart."))?;
    let mut found = None;
    while let Some(field) = form.next_field().await.map_err(|_| broken())? {
        if field.name() == Some(P::FIELD) {
            let is_file = field.file_name().is_some();
            found = Some((is_file, field.bytes().await.map_err(|_| broken())?));
        }
    }
    let fault = |message: String| Err(Faults::one(P::FIELD, message).into());
    match found {
        None => fault("No file was submitted.".to_owned()),
        Some((false, _)) => {
            fault("The submitted data was not a file. Check the encoding type on the form.".to_owned())
        }
        Some((true, file)) if file.is_empty() => fault("The submitted file is empty.".to_owned()),
        Some((true, file)) if file.len() > P::MOST_BYTES => fault(format!(
            "Ensure this file has no more than {} bytes.",
            P::MOST_BYTES
        )),
        Some((true, file)) => Ok(Upload {
            file,
            part: PhantomData,
        }),
    }
}
