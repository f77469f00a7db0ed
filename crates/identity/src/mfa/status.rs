//! `get_mfa_status`, `update_mfa_default`: which second factors there are, and which comes first.

use axum::{extract::State, response::Response};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use kernel::{
    access::Authenticated,
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Change, Versioned},
    mail::wording::masked,
    store::{Conn, StoreError},
    time::Time,
};

use super::{
    Factors,
    api::{MethodStatus, MfaDefault, MfaStatus},
    policy,
    rows::{self, MethodRow},
};
use crate::{
    auth::{
        MfaMethod,
        refusals::{Reading, Writing},
    },
    login_only,
    schema::users,
    state::Area,
    users::{self as accounts, UserRow},
};

/// [MFA] Get the MFA status
///
/// Second factors of the current user.
#[utoipa::path(
    get,
    path = "/v1/auth/mfa",
    operation_id = "get_mfa_status",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    responses((status = 200, body = MfaStatus, description = "MFA status"), Reading),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn get_mfa_status(
    Authenticated { caller, .. }: Authenticated,
    State(Area { identity, .. }): State<Area>,
) -> ApiResult<Versioned<MfaStatus>> {
    login_only(&caller)?;
    let (user, status) = identity
        .store()
        .read("get_mfa_status", move |conn| {
            let user = accounts::find(conn, caller.user)?;
            let status = view(conn, &user)?;
            Ok::<_, StoreError>((user, status))
        })
        .await?;
    Ok(Versioned {
        version: user.modified.micros(),
        body: status,
    })
}

/// [MFA] Choose the default method
///
/// Sets which enabled method the login offers first.
#[utoipa::path(
    patch,
    path = "/v1/auth/mfa",
    operation_id = "update_mfa_default",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    request_body = MfaDefault,
    responses((status = 200, body = MfaStatus, description = "MFA status"), Writing),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn update_mfa_default(
    Authenticated { caller, request }: Authenticated,
    State(Area { app, .. }): State<Area>,
    change: Change<MfaDefault>,
) -> ApiResult<Response> {
    login_only(&caller)?;
    let origin = Origin::caller(&caller, &request);
    let id = caller.user;
    change
        .run(&app, &caller, "update_mfa_default", move |tx, change| {
            let mut user = accounts::lock(tx, id)?;
            change.check_version(user.modified.micros())?;
            let wanted = change.body()?.default_method;
            if !Factors::of(tx.conn(), id)?.has(wanted) {
                let detail = "This method is not enabled: enable it before you make it the default.";
                return Err(ApiError::conflict(detail));
            }
            let event = event(&user, wanted);
            if !event.changes.is_empty() {
                user.mfa_default = Some(wanted);
                user.modified = tx.now();
                diesel::update(users::table.find(id))
                    .set((
                        users::mfa_default.eq(user.mfa_default),
                        users::modified.eq(user.modified),
                    ))
                    .execute(tx.conn())?;
                tx.audit(&origin, None, None, &event)?;
            }
            Ok(Answer::ok(view(tx.conn(), &user)?, user.modified.micros()))
        })
        .await
}

fn event(user: &UserRow, wanted: MfaMethod) -> Event {
    let mut changes = Changes::default();
    changes.note("default_method", &user.mfa_default, &Some(wanted));
    Event {
        action: "user.mfa_default_changed",
        resource_type: "user",
        resource_id: user.id.cast(),
        resource_name: user.email.clone(),
        description: "Default second factor changed".to_owned(),
        changes,
        status: AuditStatus::Success,
    }
}

/// A user's second factors, as the API shows them: five queries.
pub(super) fn view(conn: &mut Conn, user: &UserRow) -> Result<MfaStatus, StoreError> {
    let factors = Factors::of(conn, user.id)?;
    let rows = rows::all(conn, user.id)?;
    let passkeys = rows::passkeys(conn, user.id)?;
    let default = user
        .mfa_default
        .filter(|method| factors.has(*method))
        .or(factors.methods().first().copied());
    let method = |method: MfaMethod| {
        let is_default = default == Some(method);
        let enabled = |row: &&MethodRow| row.method == method && row.enabled_at.is_some();
        let row = rows.iter().find(enabled);
        match method {
            MfaMethod::Totp => shown(method, row, is_default, None),
            MfaMethod::Email => shown(method, row, is_default, Some(masked(&user.email))),
            MfaMethod::Webauthn => shown_passkeys(&passkeys, is_default),
        }
    };
    Ok(MfaStatus {
        enabled: factors.is_enabled(),
        methods: MfaMethod::ALL.iter().copied().map(method).collect(),
        default_method: default,
        recovery_codes_remaining: factors.recovery_codes_left,
        required_by_organizations: policy::required_by(conn, user.id)?,
    })
}

fn shown(
    method: MfaMethod,
    row: Option<&MethodRow>,
    is_default: bool,
    destination: Option<String>,
) -> MethodStatus {
    MethodStatus {
        method,
        is_enabled: row.is_some(),
        is_default,
        destination,
        credential_count: 0,
        enabled_at: row.and_then(|row| row.enabled_at),
        last_used_at: row.and_then(|row| row.last_used_at),
    }
}

fn shown_passkeys(passkeys: &[(Time, Option<Time>)], is_default: bool) -> MethodStatus {
    MethodStatus {
        method: MfaMethod::Webauthn,
        is_enabled: !passkeys.is_empty(),
        is_default,
        destination: None,
        credential_count: passkeys.len(),
        enabled_at: passkeys.first().map(|(created, _)| *created),
        last_used_at: passkeys.iter().filter_map(|(_, used)| *used).max(),
    }
}
