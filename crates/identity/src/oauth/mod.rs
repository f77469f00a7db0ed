//! Logins by identity providers: OpenID Connect, and OAuth 2 where a provider has nothing better.
//!
//! ```text
//! console            onet                                   provider
//!    │ authorize ─────►│ state, nonce, PKCE                    │
//!    │◄── URL, state ──│                                       │
//!    │ ────────────────┼── browser goes there, comes back ────►│
//!    │◄────────────────┼── code, state, iss ───────────────────│
//!    │ callback ──────►│ uses the state up                     │
//!    │                 │── code, verifier ────────────────────►│
//!    │                 │◄── ID token ──────────────────────────│
//!    │◄── session ─────│ issuer and subject ► account          │
//! ```
//!
//! An account is found by the provider's issuer and subject, never by an address: addresses change hands. A new
//! account is made only for an address that the provider has confirmed, and never beside an account that has it:
//! whoever could add a login to somebody's account by claiming an address could take it over.
//!
//! Followed: OpenID Connect Core 1.0, RFC 6749, RFC 7636 (PKCE), RFC 9207 (`iss`), RFC 9700 (security).

mod api;
mod authorize;
mod callback;
mod connections;
mod journey;
mod link;
mod list_providers;
mod providers;
mod rows;
mod rules;
mod slug;
mod unlink;

use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::{api::OAuthProvider, providers::Providers};
use crate::state::Area;

pub(crate) fn routes() -> OpenApiRouter<Area> {
    OpenApiRouter::new()
        .routes(routes!(list_providers::list_oauth_providers))
        .routes(routes!(authorize::authorize_oauth))
        .routes(routes!(callback::complete_oauth_login))
        .routes(routes!(link::link_oauth_provider))
        .routes(routes!(connections::list_oauth_connections))
        .routes(routes!(unlink::unlink_oauth_provider))
}
