//! `begin_passkey_login`.

use axum::{Extension, Json, extract::State};
use kernel::{
    http::{ApiError, ApiResult, Change, RequestFacts},
    store::Tx,
};
use webauthn_rs_core::proto::{AllowCredentials, AuthenticatorTransport};

use super::{
    api::{PasskeyLoginBegin, WebAuthnOptions},
    assertion::{self, LIFETIME, Question},
    rows,
};
use crate::{
    Identity,
    auth::{AuthError, challenges::Purpose, refusals::Public},
    state::Area,
    users::{email_key, find_by_email},
};

/// [Passwordless] Start a passkey login
///
/// Returns request options for the browser. The answer looks the same for addresses without an account or passkey.
#[utoipa::path(
    post,
    path = "/v1/auth/passkeys/login/begin",
    operation_id = "begin_passkey_login",
    tag = "Authentication",
    security(()),
    request_body = PasskeyLoginBegin,
    responses(
        (status = 200, body = WebAuthnOptions, description = "Request options"),
        (status = 403, body = AuthError, description = "Insufficient permissions"),
        Public,
    )
)]
pub(super) async fn begin_passkey_login(
    Extension(request): Extension<RequestFacts>,
    State(Area { identity, .. }): State<Area>,
    change: Change<PasskeyLoginBegin>,
) -> ApiResult<Json<WebAuthnOptions>> {
    let email = change.body()?.email.as_deref().map(email_key);
    identity
        .throttle()
        .admit("", request.address, identity.clock().now())?;
    let store = identity.store().clone();
    let options = store
        .write("begin_passkey_login", move |tx| {
            ask(tx, &identity, email.as_deref())
        })
        .await?;
    Ok(Json(options))
}

fn ask(tx: &mut Tx<'_>, identity: &Identity, email: Option<&str>) -> ApiResult<WebAuthnOptions> {
    let user = match email {
        Some(email) => find_by_email(tx.conn(), email)?,
        None => None,
    };
    let passkeys = match &user {
        Some(user) => rows::of_user(tx.conn(), user.id)?,
        None => Vec::new(),
    };
    let question = Question {
        purpose: Purpose::WebauthnLogin,
        user: user.map(|user| user.id),
        decoy: email
            .filter(|_| passkeys.is_empty())
            .map(|email| decoy(identity, email)),
        passkeys: &passkeys,
        login: None,
    };
    let (challenge_id, options) = assertion::ask(tx, identity, question)?;
    Ok(WebAuthnOptions {
        challenge_id,
        public_key: serde_json::to_value(options).map_err(ApiError::internal)?,
        expires_in: LIFETIME.as_secs(),
    })
}

/// What stands for the passkey of an address that has none: always the same, as a passkey's id would be, so that nobody
/// learns who has an account (section 14.6.2).
fn decoy(identity: &Identity, email: &str) -> AllowCredentials {
    let hash = identity.secrets().disguise(&format!("passkey {email}"));
    AllowCredentials {
        type_: "public-key".to_owned(),
        id: hash.to_vec(),
        transports: Some(vec![
            AuthenticatorTransport::Internal,
            AuthenticatorTransport::Hybrid,
        ]),
    }
}
