//! `link_oauth_provider`.

use axum::{Json, extract::State};
use http::{StatusCode, header};
use kernel::{
    access::Authenticated,
    audit::Origin,
    http::{ApiError, ApiResult, Change, Faults},
};
use serde_json::json;

use super::{
    api::{Intent, OAuthConnection, OAuthLink},
    callback::{CODE_REFUSED, Denial, STATE_GONE, arrive, new_connection},
    journey::Claim,
    rows,
    slug::Slug,
};
use crate::{
    auth::{AuthError, ValidationError},
    recent_login_only,
    security::{self, Incident, SecurityEvent},
    state::Area,
};

/// Connections that a user may have.
const MOST_CONNECTIONS: usize = 20;

/// [OAuth] Link an identity provider
///
/// Attaches a provider account to the current user.
#[utoipa::path(
    post,
    path = "/v1/auth/oauth/{provider}/link",
    operation_id = "link_oauth_provider",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    params(("provider" = String, Path)),
    request_body = OAuthLink,
    responses(
        (status = 201, body = OAuthConnection, description = "Provider linked"),
        (status = 400, body = ValidationError, description = "Invalid request parameters"),
        (status = 401, body = AuthError, description = "Authentication credentials missing or invalid"),
        (status = 403, body = AuthError, description = "Insufficient permissions"),
        (status = 404, body = AuthError, description = "Not found"),
        (status = 409, body = AuthError, description = "Conflicts with the current state"),
        (status = 413, body = AuthError, description = "Body too large"),
        (status = 415, body = AuthError, description = "Unsupported media type"),
        (status = 429, body = AuthError, description = "Too many attempts; see the Retry-After header"),
        (status = 503, body = AuthError, description = "The provider can't be reached, or onet is busy"),
    ),
    extensions(("x-credentials" = json!(["jwt"])), ("x-requires-recent-auth" = json!(true)))
)]
pub(super) async fn link_oauth_provider(
    Authenticated { caller, request }: Authenticated,
    slug: Slug,
    State(Area { identity, oauth, .. }): State<Area>,
    change: Change<OAuthLink>,
) -> ApiResult<(
    StatusCode,
    [(header::HeaderName, String); 1],
    Json<OAuthConnection>,
)> {
    recent_login_only(&identity, &caller)?;
    let provider = slug.find(&oauth, |provider| provider.settings().link_enabled)?;
    let OAuthLink {
        code,
        state,
        redirect_uri,
        iss,
    } = change.body()?;
    let claim = Claim {
        provider: provider.slug().to_owned(),
        intent: Intent::Link,
        state: state.clone(),
        redirect_uri: redirect_uri.clone(),
        user: Some(caller.user),
    };
    let arrived = arrive(&identity, &oauth, &provider, claim, code, iss.clone()).await;
    let (_, person) = arrived.map_err(into_error)?;
    let origin = Origin::caller(&caller, &request);
    let store = identity.store().clone();
    let connection = store
        .write("link_oauth_provider", move |tx| {
            let user = rows::lock_user(tx, caller.user)?;
            if let Some(there) = rows::find_person(tx.conn(), &person.issuer, &person.subject)? {
                return Err(already_linked(there.user_id == user.id));
            }
            if rows::all(tx.conn(), user.id)?.len() >= MOST_CONNECTIONS {
                let detail =
                    format!("You have {MOST_CONNECTIONS} linked accounts already: unlink one first.");
                return Err(ApiError::conflict(detail));
            }
            let row = new_connection(tx, &provider, &person, &user);
            rows::insert(tx, &row)?;
            let name = provider.settings().name();
            let incident = Incident {
                user: &user,
                event: SecurityEvent::OauthLinked,
                description: &format!("{name} linked"),
                session: Some(caller.credential),
                metadata: json!({"provider": provider.slug(), "email": person.email}),
                letter: Some(("oauth_linked", json!({"provider": name}))),
            };
            security::record(tx, &identity, &origin, &incident)?;
            Ok(OAuthConnection::new(row, Some(&provider)))
        })
        .await?;
    let place = format!("/v1/auth/oauth/connections/{}", connection.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, place)], Json(connection)))
}

fn into_error(denial: Denial) -> ApiError {
    match denial {
        Denial::State => Faults::one("state", STATE_GONE).into(),
        Denial::Code => Faults::one("code", CODE_REFUSED).into(),
        Denial::Other(error) => error,
    }
}

fn already_linked(is_own: bool) -> ApiError {
    let detail = if is_own {
        "This account is linked to yours already."
    } else {
        "This account is linked to another user. Unlink it there first."
    };
    ApiError::new(StatusCode::CONFLICT, "already_linked", detail)
}
