//! `revoke_api_key`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Authenticated, Credential, CredentialId},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Change, NoBody, PathId},
    time::Time,
};

use super::rows::{self, KeyRow};
use crate::{auth::AuthError, login_only, state::Area};

/// [API Keys] Revoke an API key
///
/// Immediate and final: requests with the key are refused from now on.
#[utoipa::path(
    delete,
    path = "/v1/auth/api-keys/{id}",
    operation_id = "revoke_api_key",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    params(("id" = inline(CredentialId), Path)),
    responses(
        (status = 204, description = "API key revoked"),
        (status = 401, body = AuthError, description = "Authentication credentials missing or invalid"),
        (status = 403, body = AuthError, description = "Insufficient permissions"),
        (status = 404, body = AuthError, description = "Not found"),
        (status = 409, body = AuthError,
            description = "The first request with this Idempotency-Key still runs"),
        (status = 412, body = AuthError, description = "If-Match does not match"),
        (status = 422, body = AuthError, description = "This Idempotency-Key was used for another request"),
        (status = 429, body = AuthError, description = "Too many requests"),
        (status = 503, body = AuthError, description = "Temporarily unavailable"),
    ),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn revoke_api_key(
    Authenticated { caller, request }: Authenticated,
    PathId(id): PathId<Credential>,
    State(Area { app, .. }): State<Area>,
    change: Change<NoBody>,
) -> ApiResult<Response> {
    login_only(&caller)?;
    let origin = Origin::caller(&caller, &request);
    let user = caller.user;
    change
        .run(&app, &caller, "revoke_api_key", move |tx, change| {
            let row = rows::lock_one(tx, user, id)?.ok_or_else(ApiError::not_found)?;
            change.check_version(row.modified.micros())?;
            if row.revoked_at.is_none() {
                rows::revoke(tx, id)?;
                let event = event(&row, tx.now());
                tx.audit(&origin, row.organization_id, None, &event)?;
            }
            Ok(Answer::empty())
        })
        .await
}

fn event(row: &KeyRow, now: Time) -> Event {
    let mut changes = Changes::default();
    changes.note("revoked_at", &None, &Some(now));
    Event {
        action: "api_key.revoked",
        resource_type: "api_key",
        resource_id: row.id.cast(),
        resource_name: row.name.clone(),
        description: format!("API key {}… revoked", row.prefix),
        changes,
        status: AuditStatus::Success,
    }
}
