//! `logout`: the end of a session.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use kernel::{
    access::Authenticated,
    audit::Origin,
    http::{Answer, ApiError, ApiResult, Change},
};
use serde_json::json;

use super::{AuthError, ValidationError, api::Logout, refresh::refusal, sessions};
use crate::{
    login_only,
    security::{self, Incident, SecurityEvent},
    state::Area,
    users,
};

/// [Authentication] Log out
///
/// Ends the session of the given refresh token, or of the access token used.
#[utoipa::path(
    post,
    path = "/v1/auth/logout",
    operation_id = "logout",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    request_body = Logout,
    responses(
        (status = 204, description = "Logged out"),
        (status = 400, body = ValidationError, description = "Invalid request parameters"),
        (status = 401, body = AuthError, description = "Authentication credentials missing or invalid"),
        (status = 403, body = AuthError, description = "Insufficient permissions"),
        (status = 409, body = AuthError,
            description = "The first request with this Idempotency-Key still runs"),
        (status = 413, body = AuthError, description = "Body too large"),
        (status = 415, body = AuthError, description = "Unsupported media type"),
        (status = 422, body = AuthError, description = "This Idempotency-Key was used for another request"),
        (status = 429, body = AuthError, description = "Too many requests"),
        (status = 503, body = AuthError, description = "Temporarily unavailable"),
    ),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn logout(
    Authenticated { caller, request }: Authenticated,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<Logout>,
) -> ApiResult<Response> {
    login_only(&caller)?;
    let named = change
        .body()?
        .refresh
        .as_ref()
        .map(|token| identity.secrets().hash_token(token));
    let (own, user) = (caller.credential, caller.user);
    let origin = Origin::caller(&caller, &request);
    let ended = change
        .run(&app, &caller, "logout", move |tx, _| {
            let session = match &named {
                Some(hash) => sessions::lock_by_refresh_token(tx, hash)?
                    .filter(|(_, _, owner)| owner.id == user)
                    .map(|(_, session, _)| session.id)
                    .ok_or_else(refusal)?,
                None => own,
            };
            if sessions::end(tx, session)? {
                let user = users::find(tx.conn(), user)?;
                let incident = Incident {
                    user: &user,
                    event: SecurityEvent::Logout,
                    description: "Logged out",
                    session: Some(session),
                    metadata: json!({}),
                    letter: None,
                };
                security::record(tx, &identity, &origin, &incident)?;
            }
            Ok::<_, ApiError>(Answer::empty())
        })
        .await?;
    Ok(ended.into_response())
}
