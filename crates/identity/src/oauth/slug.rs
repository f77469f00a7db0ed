//! The provider's name in a path.

use std::{convert::Infallible, sync::Arc};

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use kernel::http::{ApiError, ApiResult};

use super::providers::{Provider, Providers};

/// `{provider}` of the path. Whether there is such a provider is asked after the caller's right to know.
#[derive(Debug)]
pub(super) struct Slug(String);

impl Slug {
    /// The provider of this name.
    ///
    /// # Errors
    /// 404 if none is configured, or not for this.
    pub(super) fn find(
        &self,
        providers: &Providers,
        is_fit: impl FnOnce(&Provider) -> bool,
    ) -> ApiResult<Arc<Provider>> {
        let provider = providers.get(&self.0).filter(|provider| is_fit(provider));
        provider.ok_or_else(ApiError::not_found)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Slug {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        // What can't be decoded is no provider's name.
        let path = RawPathParams::from_request_parts(parts, state).await.ok();
        let slug = path.and_then(|path| {
            let mut named = path.iter().filter(|(name, _)| *name == "provider");
            named.next().map(|(_, value)| value.to_owned())
        });
        Ok(Self(slug.unwrap_or_default()))
    }
}
