//! `complete_webauthn_registration`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Authenticated, Caller},
    audit::Origin,
    http::{Answer, ApiError, ApiResult, Change, Faults},
    id::{AnyId, Id},
    json::JsonText,
    store::Tx,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;
use webauthn_rs_core::{
    error::WebauthnError,
    proto::{AuthenticatorTransport, Credential, RegisterPublicKeyCredential},
};

use super::{
    api::{WebAuthnAttestation, WebAuthnCredential},
    begin_registration,
    rows::{self, PasskeyRow},
};
use crate::{
    Identity,
    auth::{
        AuthError,
        challenges::{self, Purpose, gone},
        refusals::Writing,
    },
    letters, login_only,
    security::{self, Incident, SecurityEvent},
    state::Area,
    users::{self, touch},
};

/// Authenticators' ids are at most so long (section 4, "Credential ID").
const LONGEST_ID: usize = 1023;

/// [MFA] Register a passkey
///
/// Verifies the attestation and stores the credential; the first one enables the `webauthn` method. At most 20 a user.
#[utoipa::path(
    post,
    path = "/v1/auth/mfa/webauthn/register/complete",
    operation_id = "complete_webauthn_registration",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    request_body = WebAuthnAttestation,
    responses(
        (status = 201, body = WebAuthnCredential, description = "Passkey registered"),
        (status = 410, body = AuthError, description = "Link or code expired"),
        Writing,
    ),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn complete_webauthn_registration(
    Authenticated { caller, request }: Authenticated,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<WebAuthnAttestation>,
) -> ApiResult<Response> {
    login_only(&caller)?;
    let origin = Origin::caller(&caller, &request);
    let by = caller.clone();
    change
        .run(
            &app,
            &caller,
            "complete_webauthn_registration",
            move |tx, change| {
                let row = register(tx, &identity, &by, &origin, change.body()?)?;
                let location = format!("/v1/auth/mfa/webauthn/credentials/{}", row.id);
                let version = row.modified.micros();
                Ok(Answer::created(
                    WebAuthnCredential::from(row),
                    Some(version),
                    location,
                ))
            },
        )
        .await
}

fn register(
    tx: &mut Tx<'_>,
    identity: &Identity,
    caller: &Caller,
    origin: &Origin,
    given: &WebAuthnAttestation,
) -> ApiResult<PasskeyRow> {
    let user = users::lock(tx, caller.user)?;
    let challenge = challenges::lock_by_id(tx, Purpose::WebauthnRegister, given.challenge_id)?;
    let challenge = challenge
        .filter(|row| row.user_id == Some(user.id) && row.is_open(tx.now()))
        .ok_or_else(gone)?;
    let answer = answer(&given.credential)?;
    let state = begin_registration::asked(identity, &challenge, user.id)?;
    let credential = identity
        .relying_party()
        .core()
        .register_credential(&answer, &state, None)
        .map_err(|fault| refused(&fault))?;
    if !challenges::use_up(tx, challenge.id)? {
        return Err(gone());
    }
    if rows::find_by_credential(tx.conn(), &credential.cred_id)?.is_some() {
        return Err(known());
    }
    let mine = rows::of_user(tx.conn(), user.id)?;
    if i64::try_from(mine.len()).is_ok_and(|count| count >= rows::MOST) {
        return Err(ApiError::conflict(
            "You have 20 passkeys: remove one that you don't use first.",
        ));
    }
    let row = row(tx, given.name.as_deref(), user.id, &answer, credential);
    rows::insert(tx, &row)?;
    touch(tx, user.id)?;
    let incident = Incident {
        user: &user,
        event: SecurityEvent::PasskeyAdded,
        description: "Passkey added",
        session: Some(caller.credential),
        metadata: json!({"passkey_id": row.id, "name": row.name}),
        letter: Some((letters::PASSKEY_ADDED, json!({"passkey": row.name}))),
    };
    security::record(tx, identity, origin, &incident)?;
    Ok(row)
}

/// What the browser says, if it says it as browsers do.
fn answer(given: &Map<String, Value>) -> ApiResult<RegisterPublicKeyCredential> {
    let answer: Option<RegisterPublicKeyCredential> =
        serde_json::from_value(Value::Object(given.clone())).ok();
    answer
        .filter(|answer| answer.type_ == "public-key" && answer.id == rows::text(&answer.raw_id))
        .filter(|answer| answer.raw_id.len() <= LONGEST_ID)
        .ok_or_else(|| {
            Faults::one(
                "credential",
                "This is not what browsers answer to creation options.",
            )
            .into()
        })
}

fn refused(fault: &WebauthnError) -> ApiError {
    if matches!(fault, WebauthnError::CredentialAlreadyExists) {
        return known();
    }
    tracing::info!(%fault, "a passkey was not registered");
    Faults::one("credential", "This does not answer the challenge.").into()
}

fn known() -> ApiError {
    ApiError::conflict("This passkey or security key is registered already.")
}

fn row(
    tx: &Tx<'_>,
    name: Option<&str>,
    user: Id<kernel::access::User>,
    answer: &RegisterPublicKeyCredential,
    credential: Credential,
) -> PasskeyRow {
    let extension = answer.extensions.cred_props.as_ref();
    let is_passkey = extension.and_then(|props| props.rk).unwrap_or(false);
    let default = if is_passkey { "Passkey" } else { "Security key" };
    let transports = answer.response.transports.as_deref().unwrap_or_default();
    let now = tx.now();
    PasskeyRow {
        id: Id::new(),
        user_id: user,
        name: name.unwrap_or(default).to_owned(),
        credential_id: rows::text(&credential.cred_id),
        aaguid: aaguid(&answer.response.attestation_object, &credential.cred_id),
        transports: JsonText::of(&named(transports)),
        is_passkey,
        is_backed_up: credential.backup_state,
        credential: JsonText::of(&credential),
        last_used_at: None,
        created: now,
        modified: now,
    }
}

/// The transports that have a name, each once.
fn named(transports: &[AuthenticatorTransport]) -> Vec<&AuthenticatorTransport> {
    let mut named: Vec<&AuthenticatorTransport> = Vec::new();
    for transport in transports {
        if !matches!(transport, AuthenticatorTransport::Unknown) && !named.contains(&transport) {
            named.push(transport);
        }
    }
    named
}

/// The authenticator's kind, for people to recognise it by: it stands before the credential's id and its length in the
/// attested data (section 6.5.2). All zeros where the browser hides it.
fn aaguid(attestation_object: &[u8], credential_id: &[u8]) -> Option<AnyId> {
    const LENGTH: usize = 16;
    let mut tail = u16::try_from(credential_id.len()).ok()?.to_be_bytes().to_vec();
    tail.extend_from_slice(credential_id);
    let at = attestation_object
        .windows(tail.len())
        .position(|window| window == tail)?;
    let bytes = attestation_object.get(at.checked_sub(LENGTH)?..at)?;
    let uuid = Uuid::from_slice(bytes).ok()?;
    if uuid.is_nil() {
        return None;
    }
    uuid.to_string().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_stands_before_the_id() {
        let kind = Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
        let mut object = b"\xa3authData\x00\x00".to_vec();
        object.extend_from_slice(kind.as_bytes());
        object.extend_from_slice(&[0, 3, 7, 8, 9, 0xa5]);
        assert_eq!(
            aaguid(&object, &[7, 8, 9]).map(|id| id.to_string()),
            Some(kind.to_string())
        );
        assert_eq!(aaguid(&object, &[7, 8, 8]), None);
        assert_eq!(aaguid(&[0, 1, 7], &[7]), None);
        let mut hidden = vec![0; 16];
        hidden.extend_from_slice(&[0, 1, 7]);
        assert_eq!(aaguid(&hidden, &[7]), None);
    }

    #[test]
    fn unknown_transports_are_left_out() {
        use AuthenticatorTransport::{Internal, Unknown, Usb};
        assert_eq!(named(&[Usb, Unknown, Internal, Usb]), [&Usb, &Internal]);
    }
}
