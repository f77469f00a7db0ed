//! `revoke_session` and `revoke_other_sessions`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Authenticated, Credential},
    audit::Origin,
    http::{Answer, ApiError, ApiResult, Change, NoBody, PathId},
    id::Id,
    store::{StoreError, Tx},
};
use serde_json::json;

use super::{api::SessionsRevoked, rows};
use crate::{
    Identity,
    auth::{AuthError, end_other_sessions, end_session, refusals::Writing},
    login_only,
    security::{self, Incident, SecurityEvent},
    state::Area,
    users::{self, UserRow},
};

/// [Sessions] Revoke a session
///
/// Ends the session; its tokens stop working at once.
#[utoipa::path(
    delete,
    path = "/v1/auth/sessions/{id}",
    operation_id = "revoke_session",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    params(("id" = inline(kernel::access::CredentialId), Path)),
    responses(
        (status = 204, description = "Session revoked"),
        (status = 404, body = AuthError, description = "Not found"),
        Writing,
    ),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn revoke_session(
    Authenticated { caller, request }: Authenticated,
    PathId(id): PathId<Credential>,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<NoBody>,
) -> ApiResult<Response> {
    login_only(&caller)?;
    let origin = Origin::caller(&caller, &request);
    let owner = caller.user;
    change
        .run(&app, &caller, "revoke_session", move |tx, _| {
            let now = tx.now();
            rows::find(tx.conn(), owner, id, now)?.ok_or_else(ApiError::not_found)?;
            if end_session(tx, id)? {
                let user = users::find(tx.conn(), owner)?;
                note(tx, &identity, &origin, &user, id)?;
            }
            Ok(Answer::empty())
        })
        .await
}

fn note(
    tx: &mut Tx<'_>,
    identity: &Identity,
    origin: &Origin,
    user: &UserRow,
    session: Id<Credential>,
) -> Result<(), StoreError> {
    let incident = Incident {
        user,
        event: SecurityEvent::SessionRevoked,
        description: "Session ended",
        session: Some(session),
        metadata: json!({}),
        letter: None,
    };
    security::record(tx, identity, origin, &incident)
}

/// [Sessions] Revoke every other session
///
/// Keeps only the session that makes the call.
#[utoipa::path(
    post,
    path = "/v1/auth/sessions/revoke-others",
    operation_id = "revoke_other_sessions",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    responses((status = 200, body = SessionsRevoked, description = "Sessions revoked"), Writing),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn revoke_other_sessions(
    Authenticated { caller, request }: Authenticated,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<NoBody>,
) -> ApiResult<Response> {
    login_only(&caller)?;
    let origin = Origin::caller(&caller, &request);
    let (owner, kept) = (caller.user, caller.credential);
    change
        .run(&app, &caller, "revoke_other_sessions", move |tx, _| {
            let ended = end_other_sessions(tx, owner, Some(kept))?;
            let user = users::find(tx.conn(), owner)?;
            for session in &ended {
                note(tx, &identity, &origin, &user, *session)?;
            }
            Ok(Answer::plain(SessionsRevoked { revoked: ended.len() }))
        })
        .await
}
