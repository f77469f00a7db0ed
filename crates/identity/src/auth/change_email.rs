//! Another address for an account: asked for by who is logged in, confirmed from the new mailbox, told to the old one.

use std::time::Duration;

use axum::{Extension, Json, extract::State, response::Response};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use http::StatusCode;
use kernel::{
    access::{Authenticated, MaybeAuthenticated, User as UserKind},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Body, Change, Faults, NoBody, RequestFacts},
    id::Id,
    mail::{Letter, wording::masked},
    store::{StoreError, Tx},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{
    AuthError,
    api::{DetailMessage, User},
    challenges::{self, Attempt, NewChallenge, Purpose, gone},
    completion::Desk,
    guard,
    proof_mail::{check_pause, with_token},
    refusals::{Public, Writing},
    verify_email::wrong_code,
    view,
};
use crate::{
    is_recent_login, letters, login_only, recent_login_only,
    schema::users,
    secrets,
    security::{self, Incident, SecurityEvent},
    state::Area,
    users::{self as accounts, UserRow, email_key, find_by_email},
};

const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The body of `request_email_change`.
#[derive(Clone, Deserialize, ToSchema)]
pub(super) struct EmailChange {
    #[schema(format = "email", max_length = 254)]
    new_email: String,
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
    current_password: Option<String>,
}

impl Body for EmailChange {
    type Wire = Self;
}

/// What the challenge keeps.
#[derive(Serialize, Deserialize)]
struct Pending {
    new_email: String,
}

/// [Email Verification] Request an e-mail address change
///
/// Mails a confirmation to the new address and a notice to the old one; the address changes only at confirmation. The
/// answer does not tell whether the new address has an account.
#[utoipa::path(
    post,
    path = "/v1/auth/email/change",
    operation_id = "request_email_change",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    request_body = EmailChange,
    responses(
        (status = 202, body = DetailMessage, description = "Confirmation mail sent"),
        Writing,
    ),
    extensions(("x-credentials" = json!(["jwt"])), ("x-requires-recent-auth" = json!(true)))
)]
pub(super) async fn request_email_change(
    Authenticated { caller, request }: Authenticated,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<EmailChange>,
) -> ApiResult<Response> {
    login_only(&caller)?;
    let wanted = change.body()?.clone();
    if !is_recent_login(&identity, &caller) {
        let Some(password) = &wanted.current_password else {
            return Err(recent_login_only(&identity, &caller)
                .err()
                .unwrap_or_else(ApiError::forbidden));
        };
        let id = caller.user;
        let user = identity
            .store()
            .read("request_email_change", move |conn| accounts::find(conn, id))
            .await?;
        identity
            .check_password(&user, password, &request, "current_password")
            .await?;
    }
    let desk = Desk {
        identity,
        request: request.clone(),
    };
    let origin = Origin::caller(&caller, &request);
    let id = caller.user;
    change
        .run(&app, &caller, "request_email_change", move |tx, _| {
            let user = accounts::lock(tx, id)?;
            begin(tx, &desk, &origin, &user, &wanted.new_email)?;
            let detail = "Follow the link that was mailed to the new address.".to_owned();
            Ok(Answer::noted(DetailMessage { detail }))
        })
        .await
}

fn begin(tx: &mut Tx<'_>, desk: &Desk, origin: &Origin, user: &UserRow, new_email: &str) -> ApiResult<()> {
    let identity = &desk.identity;
    let key = email_key(new_email);
    if key == user.email_key {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            "email_unchanged",
            "This is the account's address already.",
        ));
    }
    check_pause(tx, identity, Purpose::ChangeEmail, &key)?;
    challenges::void(tx, Purpose::ChangeEmail, user.id)?;
    let (token, code) = (secrets::new_challenge_token(), secrets::new_code());
    let new = NewChallenge {
        purpose: Purpose::ChangeEmail,
        user: Some(user.id),
        email_key: Some(&key),
        token: Some(&token),
        code: Some(&code),
        payload: Pending {
            new_email: new_email.to_owned(),
        },
        lifetime: LIFETIME,
    };
    challenges::issue(tx, identity.secrets(), &new)?;
    set_pending(tx, user.id, Some(new_email))?;
    let event = account_event(
        user,
        "user.email_change_requested",
        "Another address was asked for",
    );
    tx.audit(origin, None, None, &event)?;
    // Whoever owns the new address already is told so; the answer to the caller is the same.
    if let Some(owner) = find_by_email(tx.conn(), &key)? {
        let values = json!({"login_url": identity.account_url("login")});
        letters::post(tx, identity, &owner, letters::ACCOUNT_EXISTS, values)?;
    } else {
        let letter = Letter {
            to: new_email.to_owned(),
            language: user.language,
            template: letters::EMAIL_CHANGE_CONFIRM,
            values: json!({
                "name": user.first_name,
                "url": with_token(&identity.account_url("confirm-email"), &token),
                "code": code,
                "new_email": new_email,
            }),
        };
        identity.mailer().post(tx, &letter)?;
    }
    let values = json!({"new_email": masked(new_email)});
    security::notify(tx, identity, origin, user, letters::EMAIL_CHANGE_NOTICE, &values)?;
    Ok(())
}

fn set_pending(tx: &mut Tx<'_>, user: Id<UserKind>, email: Option<&str>) -> Result<(), StoreError> {
    diesel::update(users::table.find(user))
        .set((users::pending_email.eq(email), users::modified.eq(tx.now())))
        .execute(tx.conn())?;
    Ok(())
}

fn account_event(user: &UserRow, action: &'static str, description: &str) -> Event {
    Event {
        action,
        resource_type: "user",
        resource_id: user.id.cast(),
        resource_name: user.email.clone(),
        description: description.to_owned(),
        changes: Changes::default(),
        status: AuditStatus::Success,
    }
}

/// [Email Verification] Cancel a pending e-mail address change
///
/// Drops a change that was not confirmed yet.
#[utoipa::path(
    delete,
    path = "/v1/auth/email/change",
    operation_id = "cancel_email_change",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    responses(
        (status = 204, description = "Change cancelled"),
        (status = 404, body = AuthError, description = "Nothing is pending"),
        Writing,
    ),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn cancel_email_change(
    Authenticated { caller, request }: Authenticated,
    State(Area { app, .. }): State<Area>,
    change: Change<NoBody>,
) -> ApiResult<Response> {
    login_only(&caller)?;
    let origin = Origin::caller(&caller, &request);
    let id = caller.user;
    change
        .run(&app, &caller, "cancel_email_change", move |tx, _| {
            let user = accounts::lock(tx, id)?;
            if user.pending_email.is_none() {
                return Err(ApiError::not_found());
            }
            challenges::void(tx, Purpose::ChangeEmail, id)?;
            set_pending(tx, id, None)?;
            let event = account_event(
                &user,
                "user.email_change_cancelled",
                "The new address was not taken",
            );
            tx.audit(&origin, None, None, &event)?;
            Ok(Answer::empty())
        })
        .await
}

/// Either the `token` of the mailed link or the mailed `code`; the code needs the login that asked for the change.
#[derive(Clone, Deserialize, ToSchema)]
pub(super) struct EmailChangeConfirm {
    #[serde(default)]
    #[schema(value_type = String, required = false, max_length = 255, write_only)]
    token: Option<String>,
    /// 6-digit code.
    #[serde(default)]
    #[schema(value_type = String, required = false, pattern = r"^\d{6}$", write_only)]
    code: Option<String>,
}

impl Body for EmailChangeConfirm {
    type Wire = Self;
}

/// [Email Verification] Confirm an e-mail address change
///
/// Replaces the address of the account with the confirmed one.
#[utoipa::path(
    post,
    path = "/v1/auth/email/change/confirm",
    operation_id = "confirm_email_change",
    tag = "Authentication",
    security((), ("BearerAuth" = [])),
    request_body = EmailChangeConfirm,
    responses(
        (status = 200, body = User, description = "Address changed"),
        (status = 401, body = AuthError, description = "A code needs the login that asked for the change"),
        (status = 403, body = AuthError, description = "Keys can't confirm a change"),
        (status = 409, body = AuthError, description = "Conflicts with the current state"),
        (status = 410, body = AuthError, description = "Link or code expired"),
        Public,
    ),
    extensions(("x-optional-credentials" = json!(["jwt"])))
)]
pub(super) async fn confirm_email_change(
    MaybeAuthenticated(caller): MaybeAuthenticated,
    Extension(request): Extension<RequestFacts>,
    State(Area { identity, .. }): State<Area>,
    change: Change<EmailChangeConfirm>,
) -> ApiResult<Json<User>> {
    let wanted = change.body()?.clone();
    let caller = match (&wanted.token, &wanted.code, caller) {
        (Some(_), ..) => None,
        (None, Some(_), Some(caller)) => {
            login_only(&caller)?;
            Some(caller.user)
        }
        (None, Some(_), None) => return Err(kernel::access::MISSING.into()),
        (None, None, _) => {
            return Err(Faults::one("token", "Give the token of the link, or the code.").into());
        }
    };
    let now = identity.clock().now();
    let account = caller.map_or_else(String::new, |id| format!("email:{id}"));
    identity.throttle().admit(&account, request.address, now)?;
    let desk = Desk {
        identity: identity.clone(),
        request: request.clone(),
    };
    let outcome = identity
        .store()
        .write("confirm_email_change", move |tx| {
            confirm(tx, &desk, &wanted, caller)
        })
        .await?;
    guard::judge(&identity, &account, &request, &outcome)?;
    outcome.map(Json)
}

/// The outcome of a wrong proof is kept, and with it the count of wrong codes.
fn confirm(
    tx: &mut Tx<'_>,
    desk: &Desk,
    wanted: &EmailChangeConfirm,
    caller: Option<Id<UserKind>>,
) -> ApiResult<Result<User, ApiError>> {
    let identity = &desk.identity;
    let secrets = identity.secrets();
    let row = match (&wanted.token, &wanted.code, caller) {
        (Some(token), ..) => match challenges::lock_by_token(tx, secrets, Purpose::ChangeEmail, token)? {
            Some(row) if challenges::use_up(tx, row.id)? => row,
            _ => return Ok(Err(gone())),
        },
        (None, Some(code), Some(caller)) => {
            let Some(row) = challenges::lock_last_of_user(tx, Purpose::ChangeEmail, caller)? else {
                return Ok(Err(gone()));
            };
            match challenges::try_code(tx, secrets, &row, code)? {
                Attempt::Right => row,
                Attempt::Wrong => return Ok(Err(wrong_code())),
                Attempt::Gone => return Ok(Err(gone())),
            }
        }
        (None, ..) => return Ok(Err(gone())),
    };
    let Some(id) = row.user_id else {
        return Ok(Err(gone()));
    };
    let Pending { new_email } = row.payload()?;
    let old = accounts::lock(tx, id)?;
    if !old.is_active || old.deleted_at.is_some() {
        return Ok(Err(gone()));
    }
    if find_by_email(tx.conn(), &email_key(&new_email))?.is_some() {
        return Ok(Err(taken()));
    }
    let changed = diesel::update(users::table.find(id))
        .set((
            users::email.eq(&new_email),
            users::email_key.eq(email_key(&new_email)),
            users::email_verified.eq(true),
            users::pending_email.eq(None::<String>),
            users::modified.eq(tx.now()),
        ))
        .execute(tx.conn());
    match changed.map_err(StoreError::from) {
        Ok(_) => {}
        // Another account was faster: everything is rolled back, the proof too.
        Err(StoreError::Duplicate(_)) => return Err(taken()),
        Err(error) => return Err(error.into()),
    }
    // Links that were mailed to the old address lead nowhere any more.
    for purpose in [
        Purpose::ResetPassword,
        Purpose::Passwordless,
        Purpose::VerifyEmail,
        Purpose::MfaEmail,
    ] {
        challenges::void(tx, purpose, id)?;
    }
    let origin = Origin::caller(&old.caller(Id::new()), &desk.request);
    let incident = Incident {
        user: &old,
        event: SecurityEvent::EmailChanged,
        description: "Address changed",
        session: None,
        metadata: json!({}),
        letter: Some((letters::EMAIL_CHANGED, json!({"new_email": masked(&new_email)}))),
    };
    security::record(tx, identity, &origin, &incident)?;
    let user = accounts::find(tx.conn(), id)?;
    Ok(Ok(view::user(tx.conn(), identity, user)?))
}

fn taken() -> ApiError {
    let detail = "Another account has this address.";
    ApiError::new(StatusCode::CONFLICT, "email_taken", detail)
}
