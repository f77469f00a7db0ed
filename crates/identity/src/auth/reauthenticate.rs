//! `reauthenticate`: a session's user confirms who they are, and may change credentials for a while.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use http::StatusCode;
use kernel::{
    access::{Authenticated, Caller, Credential},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{ApiError, ApiResult, Body, Change, Faults, RequestFacts},
    id::Id,
    openapi::Whole,
    store::StoreError,
    time::Time,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::refusals::Writing;
use crate::{
    login_only,
    mfa::{
        self, MfaChallenge, WebAuthnAssertion,
        proofs::{self, CodeKind},
    },
    schema::credentials,
    state::Area,
};

kernel::words! {
    /// How a user confirms who they are
    pub(super) enum Confirmation {
        /// Password
        Password = "password",
        /// Authenticator app
        Totp = "totp",
        /// Email verification
        Email = "email",
        /// Security key or passkey
        Webauthn = "webauthn",
        /// Recovery code
        RecoveryCode = "recovery_code",
    }
}

/// The body of `reauthenticate`.
#[derive(Deserialize, ToSchema)]
pub(super) struct Reauthenticate {
    method: Confirmation,
    /// Current password of the account.
    #[serde(default)]
    #[schema(
        value_type = String,
        required = false,
        format = "password",
        max_length = 128,
        write_only,
        extensions(("x-verbatim" = json!(true)))
    )]
    password: Option<String>,
    /// Code of the authenticator app, mail or recovery sheet.
    #[serde(default)]
    #[schema(value_type = String, required = false, max_length = 32, write_only)]
    code: Option<String>,
    #[serde(default)]
    #[schema(value_type = WebAuthnAssertion, required = false, write_only)]
    credential: Option<WebAuthnAssertion>,
}

impl Body for Reauthenticate {
    type Wire = Self;
}

/// The window that was opened.
#[derive(Serialize, ToSchema)]
pub(super) struct ReauthenticateResponse {
    reauthenticated_at: Time,
    /// Seconds during which sensitive changes are allowed.
    #[schema(value_type = Whole)]
    expires_in: u64,
}

/// [Authentication] Confirm the identity again
///
/// Opens a short window in which the current session may change credentials, MFA and keys. With `method` `email` and no
/// `code`, a code is mailed to the account's address and the answer is 202; send it with a second request. `webauthn`
/// without `credential` answers 202 with the options for the browser in the same way. Wrong passwords and codes are 400: a 401 is about the access token.
#[utoipa::path(
    post,
    path = "/v1/auth/reauthenticate",
    operation_id = "reauthenticate",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    request_body = Reauthenticate,
    responses(
        (status = 200, body = ReauthenticateResponse, description = "Identity confirmed"),
        (status = 202, body = MfaChallenge, description = "A code was mailed; send it with another request"),
        Writing,
    ),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn reauthenticate(
    Authenticated { caller, request }: Authenticated,
    State(area): State<Area>,
    change: Change<Reauthenticate>,
) -> ApiResult<Response> {
    login_only(&caller)?;
    let given = change.body()?;
    given.check()?;
    let code = given.code.as_deref();
    match (given.method, code) {
        (Confirmation::Password, _) => {
            let password = given.password.as_deref().unwrap_or_default();
            proofs::check_password(&area, &caller, &request, password).await?;
        }
        (Confirmation::Email, None) => return mail_code(&area, caller).await,
        (Confirmation::Email, Some(code)) => {
            proofs::check_code(&area, &caller, &request, CodeKind::Email, code).await?;
        }
        (Confirmation::Totp, code) => {
            let code = code.unwrap_or_default();
            proofs::check_code(&area, &caller, &request, CodeKind::Totp, code).await?;
        }
        (Confirmation::RecoveryCode, code) => {
            let code = code.unwrap_or_default();
            proofs::check_code(&area, &caller, &request, CodeKind::RecoveryCode, code).await?;
        }
        (Confirmation::Webauthn, _) => match &given.credential {
            Some(shown) => proofs::check_passkey(&area, &caller, &request, shown).await?,
            None => return ask_passkey(&area, caller).await,
        },
    }
    let window = open_window(&area, &caller, &request, given.method).await?;
    Ok(Json(window).into_response())
}

impl Reauthenticate {
    /// What each method needs.
    fn check(&self) -> Result<(), Faults> {
        let mut faults = Faults::default();
        let required = "This field is required.";
        match self.method {
            Confirmation::Password => faults.check("password", self.password.is_some(), required),
            Confirmation::Totp | Confirmation::RecoveryCode => {
                faults.check("code", self.code.is_some(), required);
            }
            // Without a proof these two ask for one.
            Confirmation::Email | Confirmation::Webauthn => {}
        }
        faults.into_result()
    }
}

async fn mail_code(area: &Area, caller: Caller) -> ApiResult<Response> {
    let identity = area.identity.clone();
    let store = identity.store().clone();
    let challenge = store
        .write("mail_confirmation", move |tx| {
            mfa::mail_confirmation(tx, &identity, &caller)
        })
        .await?;
    Ok((StatusCode::ACCEPTED, Json(challenge)).into_response())
}

async fn ask_passkey(area: &Area, caller: Caller) -> ApiResult<Response> {
    let identity = area.identity.clone();
    let store = identity.store().clone();
    let challenge = store
        .write("ask_passkey", move |tx| {
            proofs::passkey_confirmation(tx, &identity, &caller)
        })
        .await?;
    Ok((StatusCode::ACCEPTED, Json(challenge)).into_response())
}

async fn open_window(
    area: &Area,
    caller: &Caller,
    request: &RequestFacts,
    method: Confirmation,
) -> ApiResult<ReauthenticateResponse> {
    let origin = Origin::caller(caller, request);
    let session: Id<Credential> = caller.credential;
    let event = Event {
        action: "user.reauthenticated",
        resource_type: "session",
        resource_id: session.cast(),
        resource_name: caller.email.clone(),
        description: format!("Identity confirmed by {}", method.as_str()),
        changes: Changes::default(),
        status: AuditStatus::Success,
    };
    let store = area.identity.store();
    let now = store
        .write("reauthenticate", move |tx| {
            let now = tx.now();
            diesel::update(credentials::table.find(session))
                .set(credentials::authenticated_at.eq(now))
                .execute(tx.conn())
                .map_err(StoreError::from)?;
            tx.audit(&origin, None, None, &event)?;
            Ok::<_, ApiError>(now)
        })
        .await?;
    let minutes = area.identity.settings().recent_minutes;
    Ok(ReauthenticateResponse {
        reauthenticated_at: now,
        expires_in: Duration::from_secs(minutes.saturating_mul(60)).as_secs(),
    })
}
