//! What is left of an account when its grace period is over: a row without a person.

use diesel::{BoolExpressionMethods, ExpressionMethods, QueryDsl, RunQueryDsl};
use kernel::{
    access::{Organization, User},
    audit::{AuditStatus, Changes, Event, Origin},
    id::Id,
    store::{StoreError, Tx},
    time::Time,
};
use serde_json::json;

use crate::{
    Identity, letters,
    schema::{
        challenges, credentials, memberships, mfa_methods, notification_preferences, oauth_connections,
        organizations, project_members, recovery_codes, refresh_tokens, security_events, trusted_devices,
        user_pictures, users, webauthn_credentials,
    },
    users as accounts,
};

/// Ends the next account whose time has come. Tells whether there was one.
///
/// # Errors
/// The database refused.
pub(crate) fn purge_one(tx: &mut Tx<'_>, identity: &Identity) -> Result<bool, StoreError> {
    let now = tx.now();
    let due: Vec<Id<User>> = users::table
        .filter(users::deletion_at.le(now))
        .filter(users::deleted_at.is_null())
        .order(users::deletion_at)
        .limit(1)
        .select(users::id)
        .load(tx.conn())?;
    let Some(id) = due.first().copied() else {
        return Ok(false);
    };
    let user = accounts::lock(tx, id)?;
    // A login, or another node, was faster.
    if user.deletion_at.is_none_or(|end| end > now) || user.deleted_at.is_some() {
        return Ok(true);
    }
    letters::post(tx, identity, &user, letters::ACCOUNT_DELETED, json!({}))?;
    leave_organizations(tx, id)?;
    forget(tx, id)?;
    let gone = format!("deleted-{id}");
    diesel::update(users::table.find(id))
        .set((
            (
                users::email.eq(format!("{gone}@deleted.invalid")),
                users::email_key.eq(format!("{gone}@deleted.invalid")),
                users::password_hash.eq(None::<String>),
                users::first_name.eq(""),
                users::last_name.eq(""),
                users::phone.eq(""),
                users::company_name.eq(""),
                users::pending_email.eq(None::<String>),
            ),
            (
                users::marketing_consent.eq(false),
                users::is_active.eq(false),
                users::is_staff.eq(false),
                users::mfa_default.eq(None::<String>),
                users::picture_id.eq(None::<Id<kernel::id::Any>>),
                users::deletion_at.eq(None::<Time>),
                users::deleted_at.eq(now),
                users::modified.eq(now),
            ),
        ))
        .execute(tx.conn())?;
    let event = Event {
        action: "user.deleted",
        resource_type: "user",
        resource_id: id.cast(),
        resource_name: gone,
        description: "Account deleted".to_owned(),
        changes: Changes::default(),
        status: AuditStatus::Success,
    };
    tx.audit(&Origin::system("housekeeping"), None, None, &event)?;
    Ok(true)
}

/// Organizations that nobody is left in end with the account.
fn leave_organizations(tx: &mut Tx<'_>, user: Id<User>) -> Result<(), StoreError> {
    let left: Vec<Id<Organization>> = memberships::table
        .filter(memberships::user_id.eq(user))
        .select(memberships::organization_id)
        .load(tx.conn())?;
    diesel::delete(project_members::table.filter(project_members::user_id.eq(user))).execute(tx.conn())?;
    diesel::delete(memberships::table.filter(memberships::user_id.eq(user))).execute(tx.conn())?;
    for organization in left {
        let others: i64 = memberships::table
            .filter(memberships::organization_id.eq(organization))
            .count()
            .get_result(tx.conn())?;
        if others == 0 {
            diesel::update(organizations::table.find(organization))
                .set((
                    organizations::is_active.eq(false),
                    organizations::modified.eq(tx.now()),
                ))
                .execute(tx.conn())?;
        }
    }
    Ok(())
}

/// Everything that is the user's alone. The rows of sessions and keys stay for the audit log's sake, without addresses.
fn forget(tx: &mut Tx<'_>, user: Id<User>) -> Result<(), StoreError> {
    let now = tx.now();
    diesel::delete(challenges::table.filter(challenges::user_id.eq(user))).execute(tx.conn())?;
    diesel::delete(security_events::table.filter(security_events::user_id.eq(user))).execute(tx.conn())?;
    diesel::delete(mfa_methods::table.filter(mfa_methods::user_id.eq(user))).execute(tx.conn())?;
    diesel::delete(recovery_codes::table.filter(recovery_codes::user_id.eq(user))).execute(tx.conn())?;
    diesel::delete(webauthn_credentials::table.filter(webauthn_credentials::user_id.eq(user)))
        .execute(tx.conn())?;
    diesel::delete(trusted_devices::table.filter(trusted_devices::user_id.eq(user))).execute(tx.conn())?;
    diesel::delete(oauth_connections::table.filter(oauth_connections::user_id.eq(user)))
        .execute(tx.conn())?;
    diesel::delete(notification_preferences::table.filter(notification_preferences::user_id.eq(user)))
        .execute(tx.conn())?;
    diesel::delete(user_pictures::table.filter(user_pictures::user_id.eq(user))).execute(tx.conn())?;
    let of_user = credentials::table
        .filter(credentials::user_id.eq(user))
        .select(credentials::id);
    diesel::delete(refresh_tokens::table.filter(refresh_tokens::session_id.eq_any(of_user)))
        .execute(tx.conn())?;
    diesel::update(credentials::table.filter(credentials::user_id.eq(user)))
        .set((
            credentials::last_used_ip.eq(None::<String>),
            credentials::user_agent.eq(""),
        ))
        .execute(tx.conn())?;
    let open = credentials::user_id
        .eq(user)
        .and(credentials::revoked_at.is_null());
    diesel::update(credentials::table.filter(open))
        .set(credentials::revoked_at.eq(now))
        .execute(tx.conn())?;
    Ok(())
}
