//! `delete_webauthn_credential`.

use axum::{extract::State, response::Response};
use http::StatusCode;
use kernel::{
    access::{Authenticated, Caller, Credential},
    audit::Origin,
    http::{Answer, ApiError, ApiResult, Change, NoBody, PathId},
    id::{AnyId, Id},
    store::{StoreError, Tx},
};
use serde_json::json;

use super::rows::{self, Passkey, PasskeyId};
use crate::{
    Identity,
    auth::{MfaMethod, Ways, refusals::WritingOne},
    letters,
    mfa::{self, Factors},
    recent_login_only,
    security::{self, Incident, SecurityEvent},
    state::Area,
    users::{self, UserRow, touch},
};

/// [MFA] Remove a passkey
///
/// Deletes the credential; refused with 409 when it is the last way to log in.
#[utoipa::path(
    delete,
    path = "/v1/auth/mfa/webauthn/credentials/{id}",
    operation_id = "delete_webauthn_credential",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    params(("id" = inline(AnyId), Path)),
    responses((status = 204, description = "Passkey removed"), WritingOne),
    extensions(("x-credentials" = json!(["jwt"])), ("x-requires-recent-auth" = json!(true)))
)]
pub(super) async fn delete_webauthn_credential(
    Authenticated { caller, request }: Authenticated,
    PathId(id): PathId<Passkey>,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<NoBody>,
) -> ApiResult<Response> {
    recent_login_only(&identity, &caller)?;
    let origin = Origin::caller(&caller, &request);
    let by = caller.clone();
    change
        .run(&app, &caller, "delete_webauthn_credential", move |tx, change| {
            let user = users::lock(tx, by.user)?;
            let row = rows::find(tx.conn(), user.id, id)?.ok_or_else(ApiError::not_found)?;
            change.check_version(row.modified.micros())?;
            remove(tx, &identity, &origin, by.credential, &user, id)?;
            tell(tx, &identity, &origin, &by, &user, &row)?;
            Ok(Answer::empty())
        })
        .await
}

/// Removes it, and what only made sense with it.
fn remove(
    tx: &mut Tx<'_>,
    identity: &Identity,
    origin: &Origin,
    session: Id<Credential>,
    user: &UserRow,
    id: PasskeyId,
) -> ApiResult<()> {
    rows::delete(tx, id)?;
    let left = Factors::of(tx.conn(), user.id)?;
    if left.webauthn == 0 {
        if !Ways::of(tx.conn(), identity, user)?.any() {
            let detail = "This is your last way to log in: set a password or add another passkey first.";
            return Err(ApiError::new(StatusCode::CONFLICT, "last_login_method", detail));
        }
        let change = mfa::changes::Change {
            identity,
            origin,
            user,
            session,
        };
        change.disabled(tx, MfaMethod::Webauthn)?;
    }
    Ok(touch(tx, user.id)?)
}

fn tell(
    tx: &mut Tx<'_>,
    identity: &Identity,
    origin: &Origin,
    caller: &Caller,
    user: &UserRow,
    row: &rows::PasskeyRow,
) -> Result<(), StoreError> {
    let incident = Incident {
        user,
        event: SecurityEvent::PasskeyRemoved,
        description: "Passkey removed",
        session: Some(caller.credential),
        metadata: json!({"passkey_id": row.id, "name": row.name}),
        letter: Some((letters::PASSKEY_REMOVED, json!({"passkey": row.name}))),
    };
    security::record(tx, identity, origin, &incident)
}
