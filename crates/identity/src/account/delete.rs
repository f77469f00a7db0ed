//! `delete_account`.

use std::time::Duration;

use axum::{extract::State, response::Response};
use diesel::{ExpressionMethods, JoinOnDsl, QueryDsl, RunQueryDsl};
use http::StatusCode;
use kernel::{
    access::{Authenticated, Organization, Role, User},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Body, Change},
    id::Id,
    mail::wording::day,
    store::{Conn, StoreError, Tx},
};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::{
    Identity,
    auth::{end_other_sessions, refusals::Writing},
    credentials::CredentialKind,
    letters, login_only,
    mfa::proofs::{self, Proof},
    schema::{credentials, memberships, organizations, projects, users},
    security,
    state::{Area, ResourceCounter},
    users as accounts,
};

/// Proof as for disabling MFA; not needed within the re-authentication window.
#[derive(Clone, Deserialize, ToSchema)]
pub(super) struct UserDelete {
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
    /// Code of an enabled second factor or a recovery code.
    #[serde(default)]
    #[schema(value_type = String, required = false, max_length = 32, write_only)]
    code: Option<String>,
    #[serde(default)]
    #[schema(value_type = String, required = false, max_length = 500)]
    reason: Option<String>,
}

impl Body for UserDelete {
    type Wire = Self;
}

/// [Profile] Delete the account
///
/// Ends sessions and keys at once. After the grace period of the installation the user leaves every organization and is
/// anonymized; logging in before that keeps the account. Refused with 409 while the user is the only owner of an
/// organization that has other members or live resources.
#[utoipa::path(
    post,
    path = "/v1/auth/profile/delete",
    operation_id = "delete_account",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    request_body = UserDelete,
    responses((status = 204, description = "Account deleted"), Writing),
    extensions(("x-credentials" = json!(["jwt"])), ("x-requires-recent-auth" = json!(true)))
)]
pub(super) async fn delete_account(
    Authenticated { caller, request }: Authenticated,
    State(area): State<Area>,
    change: Change<UserDelete>,
) -> ApiResult<Response> {
    login_only(&caller)?;
    let wanted = change.body()?.clone();
    let id = caller.user;
    let proof = Proof {
        password: wanted.password.clone(),
        code: wanted.code.clone(),
    };
    proofs::require(&area, &caller, &request, &proof).await?;
    let Area {
        app,
        identity,
        counter,
        ..
    } = area;
    let origin = Origin::caller(&caller, &request);
    change
        .run(&app, &caller, "delete_account", move |tx, _| {
            refuse_orphans(tx.conn(), counter.as_ref(), id)?;
            schedule(tx, &identity, &origin, id, wanted.reason.as_deref())?;
            Ok(Answer::empty())
        })
        .await
}

/// An organization must not lose its only owner while others, or resources, depend on it.
fn refuse_orphans(conn: &mut Conn, counter: &dyn ResourceCounter, user: Id<User>) -> ApiResult<()> {
    let owned: Vec<(Id<Organization>, String)> = memberships::table
        .inner_join(organizations::table.on(organizations::id.eq(memberships::organization_id)))
        .filter(memberships::user_id.eq(user))
        .filter(memberships::role.eq(Role::Owner))
        .filter(organizations::is_active.eq(true))
        .select((organizations::id, organizations::name))
        .load(conn)?;
    for (organization, name) in owned {
        let others: Vec<Role> = memberships::table
            .filter(memberships::organization_id.eq(organization))
            .filter(memberships::user_id.ne(user))
            .select(memberships::role)
            .load(conn)?;
        if others.contains(&Role::Owner) {
            continue;
        }
        let projects: Vec<_> = projects::table
            .filter(projects::organization_id.eq(organization))
            .select(projects::id)
            .load(conn)?;
        let has_resources = counter
            .count(conn, &projects)?
            .values()
            .any(|counts| !counts.is_empty());
        if !others.is_empty() || has_resources {
            let detail = format!(
                "You are the only owner of “{name}”, which has other members or resources: make somebody else its \
                 owner or empty it first."
            );
            return Err(ApiError::new(StatusCode::CONFLICT, "sole_owner", detail));
        }
    }
    Ok(())
}

fn schedule(
    tx: &mut Tx<'_>,
    identity: &Identity,
    origin: &Origin,
    id: Id<User>,
    reason: Option<&str>,
) -> Result<(), StoreError> {
    let now = tx.now();
    let user = accounts::lock(tx, id)?;
    let grace = Duration::from_secs(
        identity
            .settings()
            .deletion_grace_days
            .saturating_mul(24 * 60 * 60),
    );
    let end = now + grace;
    diesel::update(users::table.find(id))
        .set((users::deletion_at.eq(end), users::modified.eq(now)))
        .execute(tx.conn())?;
    end_other_sessions(tx, id, None)?;
    let keys = credentials::table
        .filter(credentials::user_id.eq(id))
        .filter(credentials::kind.ne(CredentialKind::Session))
        .filter(credentials::revoked_at.is_null());
    diesel::update(keys)
        .set((credentials::revoked_at.eq(now), credentials::modified.eq(now)))
        .execute(tx.conn())?;
    let mut changes = Changes::default();
    changes.note("deletion_at", &None, &Some(end));
    changes.note("reason", &None, &reason);
    let event = Event {
        action: "user.deletion_requested",
        resource_type: "user",
        resource_id: id.cast(),
        resource_name: user.email.clone(),
        description: "Account to be deleted".to_owned(),
        changes,
        status: AuditStatus::Success,
    };
    tx.audit(origin, None, None, &event)?;
    let values = json!({"date": day(end, user.language)});
    security::notify(
        tx,
        identity,
        origin,
        &user,
        letters::ACCOUNT_DELETION_SCHEDULED,
        &values,
    )
}
