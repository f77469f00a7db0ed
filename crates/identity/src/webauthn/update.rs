//! `update_webauthn_credential`.

use axum::{extract::State, response::Response};
use kernel::{
    access::Authenticated,
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Change, PathId},
    id::AnyId,
};

use super::{
    api::{PasskeyUpdate, PatchedWebAuthnCredential, WebAuthnCredential},
    rows::{self, Passkey},
};
use crate::{auth::refusals::WritingOne, login_only, state::Area, users};

/// [MFA] Rename a passkey
///
/// Changes the label.
#[utoipa::path(
    patch,
    path = "/v1/auth/mfa/webauthn/credentials/{id}",
    operation_id = "update_webauthn_credential",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    params(("id" = inline(AnyId), Path)),
    request_body = PatchedWebAuthnCredential,
    responses((status = 200, body = WebAuthnCredential, description = "Passkey updated"), WritingOne),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn update_webauthn_credential(
    Authenticated { caller, request }: Authenticated,
    PathId(id): PathId<Passkey>,
    State(Area { app, .. }): State<Area>,
    change: Change<PasskeyUpdate>,
) -> ApiResult<Response> {
    login_only(&caller)?;
    let origin = Origin::caller(&caller, &request);
    let owner = caller.user;
    change
        .run(&app, &caller, "update_webauthn_credential", move |tx, change| {
            users::lock(tx, owner)?;
            let mut row = rows::find(tx.conn(), owner, id)?.ok_or_else(ApiError::not_found)?;
            change.check_version(row.modified.micros())?;
            if let Some(name) = &change.body()?.name
                && *name != row.name
            {
                rows::rename(tx, id, name)?;
                let event = Event {
                    action: "passkey.updated",
                    resource_type: "passkey",
                    resource_id: id.cast(),
                    resource_name: name.clone(),
                    description: format!("Passkey \"{}\" renamed", row.name),
                    changes: Changes::default(),
                    status: AuditStatus::Success,
                };
                tx.audit(&origin, None, None, &event)?;
                row.name.clone_from(name);
                row.modified = tx.now();
            }
            let version = row.modified.micros();
            Ok(Answer::ok(WebAuthnCredential::from(row), version))
        })
        .await
}
