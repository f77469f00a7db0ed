//! `authorize_oauth`.

use axum::{Json, extract::State};
use kernel::{
    access::{MISSING, MaybeAuthenticated},
    http::{ApiError, ApiResult, Change, Faults},
};

use super::{
    api::{Intent, OAuthAuthorize, OAuthAuthorizeResponse},
    journey::{self, Journey, Trip},
    slug::Slug,
};
use crate::{
    Identity,
    auth::{AuthError, ValidationError},
    recent_login_only,
    state::Area,
};

/// [OAuth] Start an OAuth login or link
///
/// Builds the provider URL with state and PKCE. The `link` intent needs a logged-in caller.
#[utoipa::path(
    post,
    path = "/v1/auth/oauth/{provider}/authorize",
    operation_id = "authorize_oauth",
    tag = "Authentication",
    security((), ("BearerAuth" = [])),
    params(("provider" = String, Path)),
    request_body = OAuthAuthorize,
    responses(
        (status = 200, body = OAuthAuthorizeResponse, description = "Provider URL"),
        (status = 400, body = ValidationError, description = "Invalid request parameters"),
        (status = 401, body = AuthError, description = "Authentication credentials missing or invalid"),
        (status = 403, body = AuthError, description = "Insufficient permissions"),
        (status = 404, body = AuthError, description = "Not found"),
        (status = 413, body = AuthError, description = "Body too large"),
        (status = 415, body = AuthError, description = "Unsupported media type"),
        (status = 429, body = AuthError, description = "Too many attempts; see the Retry-After header",
            headers(("Retry-After" = isize))),
        (status = 503, body = AuthError, description = "The provider can't be reached, or onet is busy"),
    )
)]
pub(super) async fn authorize_oauth(
    MaybeAuthenticated(caller): MaybeAuthenticated,
    slug: Slug,
    State(Area { identity, oauth, .. }): State<Area>,
    change: Change<OAuthAuthorize>,
) -> ApiResult<Json<OAuthAuthorizeResponse>> {
    let provider = slug.find(&oauth, |_| true)?;
    let OAuthAuthorize {
        redirect_uri,
        intent,
        invitation_token,
    } = change.body()?;
    let settings = provider.settings();
    let user = match (intent, caller) {
        (Intent::Login, _) if settings.login_enabled => None,
        (Intent::Link, Some(caller)) if settings.link_enabled => {
            recent_login_only(&identity, &caller)?;
            Some(caller.user)
        }
        (Intent::Link, None) if settings.link_enabled => return Err(MISSING.into()),
        _ => return Err(ApiError::not_found()),
    };
    // To the letter (RFC 9700, section 4.1.3).
    if !identity.allows_redirect(redirect_uri) && *redirect_uri != own_page(&identity, provider.slug()) {
        let message = "This page is not on the list of pages that users may be sent back to.";
        return Err(Faults::one("redirect_uri", message).into());
    }
    let secrets = identity.secrets();
    let trip = Trip::begin(secrets, redirect_uri);
    let url = provider.authorization_url(&trip, identity.clock().now()).await;
    let authorization_url = url.map_err(|fault| provider.unavailable(&fault.to_string()))?;
    let journey = Journey {
        provider: provider.slug().to_owned(),
        intent: *intent,
        redirect_uri: redirect_uri.clone(),
        invitation: invitation_token
            .as_ref()
            .map(|token| journey::seal(&identity, &trip.state, token)),
    };
    let state = trip.state.clone();
    let (store, keeper) = (identity.store().clone(), identity.clone());
    store
        .write("authorize_oauth", move |tx| {
            journey::remember(tx, keeper.secrets(), &trip.state, user, &journey)
        })
        .await?;
    Ok(Json(OAuthAuthorizeResponse {
        authorization_url,
        state,
        expires_in: journey::LIFETIME.as_secs(),
    }))
}

/// The page that only this provider knows: what comes back there was sent by it (RFC 9700, section 4.4.2.2).
pub(super) fn own_page(identity: &Identity, slug: &str) -> String {
    identity.account_url(&format!("oauth/callback/{slug}"))
}
