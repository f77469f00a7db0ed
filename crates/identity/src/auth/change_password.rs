//! `change_password`: a new password by whoever is logged in.

use axum::{extract::State, response::Response};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use kernel::{
    access::Authenticated,
    audit::Origin,
    http::{Answer, ApiError, ApiResult, Body, Change, Faults},
    openapi::Whole,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{password_rules, refusals::Writing, sessions};
use crate::{
    is_recent_login, letters, login_only, recent_login_only,
    schema::users,
    security::{self, Incident, SecurityEvent},
    state::Area,
    users as accounts,
};

/// `current_password` is required unless the account has no password yet (OAuth or passwordless only).
#[derive(Clone, Deserialize, ToSchema)]
pub(super) struct AccountPasswordChange {
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
    /// At least 8 characters with one uppercase letter, one lowercase letter and one number.
    #[schema(
        format = "password",
        min_length = 8,
        max_length = 128,
        write_only,
        extensions(("x-verbatim" = json!(true)))
    )]
    new_password: String,
    /// The new password once more.
    #[serde(default)]
    #[schema(
        value_type = String,
        required = false,
        format = "password",
        min_length = 8,
        max_length = 128,
        write_only,
        extensions(("x-verbatim" = json!(true)))
    )]
    new_password_confirm: Option<String>,
    /// Ends every other session.
    #[serde(default = "yes")]
    #[schema(default = true)]
    logout_other_sessions: bool,
}

const fn yes() -> bool {
    true
}

impl Body for AccountPasswordChange {
    type Wire = Self;
}

/// A password that was changed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AccountPasswordChangeResponse {
    detail: String,
    /// Number of other sessions ended.
    #[schema(value_type = Whole)]
    revoked_sessions: usize,
}

/// [Password] Change the password
///
/// Replaces the password after checking the current one, or sets a first password. Other sessions end unless the caller
/// keeps them; API keys are not touched.
#[utoipa::path(
    post,
    path = "/v1/auth/password/change",
    operation_id = "change_password",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    request_body = AccountPasswordChange,
    responses(
        (status = 200, body = AccountPasswordChangeResponse, description = "Password changed"),
        Writing,
    ),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn change_password(
    Authenticated { caller, request }: Authenticated,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<AccountPasswordChange>,
) -> ApiResult<Response> {
    login_only(&caller)?;
    let wanted = change.body()?.clone();
    let id = caller.user;
    let user = identity
        .store()
        .read("change_password", move |conn| accounts::find(conn, id))
        .await?;
    let mut faults = Faults::default();
    let repeated = wanted
        .new_password_confirm
        .as_deref()
        .map(|repeated| ("new_password_confirm", repeated));
    password_rules::judge(
        &mut faults,
        "new_password",
        &wanted.new_password,
        &user.email,
        repeated,
    );
    let old = user.password_hash.clone();
    if old.is_some() {
        let given = wanted.current_password.is_some();
        faults.check("current_password", given, "This field is required.");
    }
    faults.into_result()?;
    match (&old, &wanted.current_password) {
        (Some(_), Some(current)) => {
            identity
                .check_password(&user, current, &request, "current_password")
                .await?
        }
        // A first password is a new way in: the session alone is not enough for it.
        _ if is_recent_login(&identity, &caller) => {}
        _ => recent_login_only(&identity, &caller)?,
    }
    if wanted.current_password.as_ref() == Some(&wanted.new_password) {
        let message = "The new password must differ from the current one.";
        return Err(Faults::one("new_password", message).into());
    }
    let hash = identity.passwords().hash(wanted.new_password.clone()).await?;
    let origin = Origin::caller(&caller, &request);
    let session = caller.credential;
    let desk = identity.clone();
    change
        .run(&app, &caller, "change_password", move |tx, _| {
            let user = accounts::lock(tx, id)?;
            // Somebody else was faster: what was checked does not hold any more.
            if user.password_hash != old {
                return Err(ApiError::conflict("The password was changed meanwhile."));
            }
            diesel::update(users::table.find(id))
                .set((users::password_hash.eq(&hash), users::modified.eq(tx.now())))
                .execute(tx.conn())?;
            let ended = if wanted.logout_other_sessions {
                sessions::end_others(tx, id, Some(session))?.len()
            } else {
                0
            };
            let incident = Incident {
                user: &user,
                event: SecurityEvent::PasswordChanged,
                description: "Password changed",
                session: Some(session),
                metadata: json!({"revoked_sessions": ended}),
                letter: Some((letters::PASSWORD_CHANGED, json!({}))),
            };
            security::record(tx, &desk, &origin, &incident)?;
            Ok(Answer::plain(AccountPasswordChangeResponse {
                detail: "The password was changed.".to_owned(),
                revoked_sessions: ended,
            }))
        })
        .await
}
