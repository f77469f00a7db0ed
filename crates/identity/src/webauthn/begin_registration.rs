//! `begin_webauthn_registration`.

use std::time::Duration;

use axum::{Json, extract::State};
use kernel::{
    access::{Authenticated, User},
    http::{ApiError, ApiResult},
    id::Id,
    store::Tx,
};
use serde::{Deserialize, Serialize};
use webauthn_rs_core::proto::{
    Credential, RegistrationState, RequestRegistrationExtensions, ResidentKeyRequirement,
    UserVerificationPolicy,
};

use super::{api::WebAuthnOptions, rows};
use crate::{
    Identity,
    auth::{
        challenges::{self, NewChallenge, Purpose},
        refusals::Writing,
    },
    recent_login_only,
    state::Area,
    users,
};

/// How long a registration may take.
const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// What the challenge keeps: sealed, what was asked of the browser.
#[derive(Serialize, Deserialize)]
struct Asked {
    state: String,
}

/// [MFA] Start a passkey registration
///
/// Returns creation options for the browser. The challenge works once, for ten minutes.
#[utoipa::path(
    post,
    path = "/v1/auth/mfa/webauthn/register/begin",
    operation_id = "begin_webauthn_registration",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    responses((status = 200, body = WebAuthnOptions, description = "Creation options"), Writing),
    extensions(("x-credentials" = json!(["jwt"])), ("x-requires-recent-auth" = json!(true)))
)]
pub(super) async fn begin_webauthn_registration(
    Authenticated { caller, .. }: Authenticated,
    State(Area { identity, .. }): State<Area>,
) -> ApiResult<Json<WebAuthnOptions>> {
    recent_login_only(&identity, &caller)?;
    let store = identity.store().clone();
    let options = store
        .write("begin_webauthn_registration", move |tx| {
            ask(tx, &identity, caller.user)
        })
        .await?;
    Ok(Json(options))
}

fn ask(tx: &mut Tx<'_>, identity: &Identity, id: Id<User>) -> ApiResult<WebAuthnOptions> {
    let user = users::find(tx.conn(), id)?;
    let known = rows::of_user(tx.conn(), id)?;
    let known: Vec<Credential> = known
        .iter()
        .map(rows::PasskeyRow::credential)
        .collect::<Result<_, _>>()?;
    let core = identity.relying_party().core();
    let name = user.name().unwrap_or_else(|| user.email.clone());
    // The handle is random and says nothing about the user (section 14.6.1).
    let builder = core
        .new_challenge_register_builder(id.uuid().as_bytes(), &user.email, &name)
        .map_err(ApiError::internal)?
        .user_verification_policy(UserVerificationPolicy::Preferred)
        .exclude_credentials(Some(
            known.into_iter().map(|credential| credential.cred_id).collect(),
        ))
        .extensions(Some(RequestRegistrationExtensions {
            cred_protect: None,
            uvm: None,
            cred_props: Some(true),
            min_pin_length: None,
            hmac_create_secret: None,
        }));
    let (mut asked, state) = core
        .generate_challenge_register(builder)
        .map_err(ApiError::internal)?;
    // Passkeys where the authenticator has room, security keys where it has not.
    if let Some(selection) = &mut asked.public_key.authenticator_selection {
        selection.resident_key = Some(ResidentKeyRequirement::Preferred);
    }
    challenges::void(tx, Purpose::WebauthnRegister, id)?;
    let plain = serde_json::to_vec(&state).map_err(ApiError::internal)?;
    let new = NewChallenge {
        purpose: Purpose::WebauthnRegister,
        user: Some(id),
        email_key: None,
        token: None,
        code: None,
        payload: Asked {
            state: identity.sealer().seal(&sealed_for(id), &plain),
        },
        lifetime: LIFETIME,
    };
    let row = challenges::issue(tx, identity.secrets(), &new)?;
    Ok(WebAuthnOptions {
        challenge_id: row.id,
        public_key: serde_json::to_value(asked.public_key).map_err(ApiError::internal)?,
        expires_in: LIFETIME.as_secs(),
    })
}

/// What was asked for.
pub(super) fn asked(
    identity: &Identity,
    row: &challenges::ChallengeRow,
    user: Id<User>,
) -> ApiResult<RegistrationState> {
    let Asked { state } = row.payload()?;
    let plain = identity
        .sealer()
        .open(&sealed_for(user), &state)
        .map_err(ApiError::internal)?;
    serde_json::from_slice(&plain).map_err(ApiError::internal)
}

fn sealed_for(user: Id<User>) -> String {
    format!("webauthn-register/1 {user}")
}
