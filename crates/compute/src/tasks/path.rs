//! The `{instance_id}` of paths below an instance.

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use kernel::{http::ApiError, id::Id};

use crate::instances::api::InstanceKind;

/// The instance that a path names; anything but a UUID is 404.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InstancePath(pub(crate) Id<InstanceKind>);

impl<S: Send + Sync> FromRequestParts<S> for InstancePath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::not_found())?;
        let named = path.iter().find(|(name, _)| *name == "instance_id");
        let id = named.and_then(|(_, id)| id.parse().ok());
        id.map(Self).ok_or_else(ApiError::not_found)
    }
}
