//! `unlink_oauth_provider`.

use axum::{extract::State, response::Response};
use http::StatusCode;
use kernel::{
    access::Authenticated,
    audit::Origin,
    http::{Answer, ApiError, ApiResult, Change, NoBody, PathId},
};
use serde_json::json;

use super::{
    api::{Connection, ConnectionId},
    rows,
};
use crate::{
    auth::{AuthError, Ways},
    recent_login_only,
    security::{self, Incident, SecurityEvent},
    state::Area,
};

/// [OAuth] Unlink an identity provider
///
/// Detaches a provider account. Refused with 409 when it is the last way to log in.
#[utoipa::path(
    delete,
    path = "/v1/auth/oauth/connections/{id}",
    operation_id = "unlink_oauth_provider",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    params(("id" = inline(ConnectionId), Path)),
    responses(
        (status = 204, description = "Provider unlinked"),
        (status = 401, body = AuthError, description = "Authentication credentials missing or invalid"),
        (status = 403, body = AuthError, description = "Insufficient permissions"),
        (status = 404, body = AuthError, description = "Not found"),
        (status = 409, body = AuthError, description = "Conflicts with the current state"),
        (status = 412, body = AuthError, description = "If-Match does not match"),
        (status = 422, body = AuthError, description = "This Idempotency-Key was used for another request"),
        (status = 429, body = AuthError, description = "Too many requests"),
        (status = 503, body = AuthError, description = "Temporarily unavailable"),
    ),
    extensions(("x-credentials" = json!(["jwt"])), ("x-requires-recent-auth" = json!(true)))
)]
pub(super) async fn unlink_oauth_provider(
    Authenticated { caller, request }: Authenticated,
    PathId(id): PathId<Connection>,
    State(Area {
        app, identity, oauth, ..
    }): State<Area>,
    change: Change<NoBody>,
) -> ApiResult<Response> {
    recent_login_only(&identity, &caller)?;
    let origin = Origin::caller(&caller, &request);
    let by = caller.clone();
    change
        .run(&app, &caller, "unlink_oauth_provider", move |tx, change| {
            // The user first: two connections unlinked at once would each count the other.
            let user = rows::lock_user(tx, by.user)?;
            let row = rows::find(tx.conn(), user.id, id)?.ok_or_else(ApiError::not_found)?;
            change.check_version(row.created.micros())?;
            rows::delete(tx, &row)?;
            if !Ways::of(tx.conn(), &identity, &user)?.any() {
                let detail = "This is your last way to log in: set a password or add a passkey first.";
                return Err(ApiError::new(StatusCode::CONFLICT, "last_login_method", detail));
            }
            let provider = oauth.get(&row.provider);
            let name = provider
                .as_ref()
                .map_or(row.provider.as_str(), |known| known.settings().name());
            let incident = Incident {
                user: &user,
                event: SecurityEvent::OauthUnlinked,
                description: &format!("{name} unlinked"),
                session: Some(by.credential),
                metadata: json!({"provider": row.provider, "email": row.email}),
                letter: Some(("oauth_unlinked", json!({"provider": name}))),
            };
            security::record(tx, &identity, &origin, &incident)?;
            Ok(Answer::empty())
        })
        .await
}
