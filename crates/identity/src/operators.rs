//! What operators do to users without their passwords: look at them, lock them out and let them in again.
//!
//! Every change is one transaction with its audit record and, where the API has a word for it, a security event that the
//! user can see. Each request asks the database whether its caller may go on, so that a change counts at once on every
//! node.

use diesel::{
    BoolExpressionMethods, EscapeExpressionMethods, ExpressionMethods, JoinOnDsl, QueryDsl, RunQueryDsl,
    SelectableHelper, TextExpressionMethods,
};
use kernel::{
    access::{Credential, Role, User},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{ApiError, ApiResult, contains_pattern},
    id::Id,
    store::{Conn, StoreError, Tx, lock},
    time::Time,
};
use serde_json::json;

use crate::{
    Identity,
    auth::{
        challenges::{self, Purpose},
        sessions,
    },
    credentials::CredentialKind,
    letters,
    mfa::Factors,
    schema::{
        credentials, memberships, mfa_methods, organizations, recovery_codes, trusted_devices, users,
        webauthn_credentials,
    },
    security::{self, Incident, SecurityEvent},
    users::{UserRow, email_key, find_by_email},
};

/// A user as operators see them.
#[derive(Clone, Debug)]
pub struct Account {
    /// The user's id.
    pub id: Id<User>,
    /// Address.
    pub email: String,
    /// First and last name.
    pub name: String,
    /// The address was confirmed.
    pub email_verified: bool,
    /// May log in.
    pub is_active: bool,
    /// Operates this installation.
    pub is_staff: bool,
    /// Can log in with a password.
    pub has_password: bool,
    /// Since when there is the account.
    pub created: Time,
    /// The last login.
    pub last_login: Option<Time>,
    /// When it will be deleted, if it will.
    pub deletion_at: Option<Time>,
}

/// An [`Account`] with what belongs to it.
#[derive(Clone, Debug)]
pub struct AccountDetails {
    /// The account.
    pub account: Account,
    /// Second factors, in words.
    pub second_factors: Vec<&'static str>,
    /// Unused recovery codes.
    pub recovery_codes: i64,
    /// Sessions that are open.
    pub sessions: i64,
    /// API keys that work.
    pub api_keys: i64,
    /// Organizations, and the role in each.
    pub organizations: Vec<(String, Role)>,
}

fn account(row: UserRow) -> Account {
    Account {
        name: row.name().unwrap_or_default(),
        id: row.id,
        email: row.email,
        email_verified: row.email_verified,
        is_active: row.is_active,
        is_staff: row.is_staff,
        has_password: row.password_hash.is_some(),
        created: row.created,
        last_login: row.last_login,
        deletion_at: row.deletion_at,
    }
}

/// The users whose address contains `search`, by address, `most` of them.
///
/// # Errors
/// The database refused.
pub fn list(conn: &mut Conn, search: Option<&str>, most: i64) -> Result<Vec<Account>, StoreError> {
    let mut query = users::table
        .filter(users::deleted_at.is_null())
        .order(users::email_key)
        .limit(most)
        .select(UserRow::as_select())
        .into_boxed();
    if let Some(search) = search {
        let pattern = contains_pattern(search);
        query = query.filter(users::email_key.like(pattern).escape('\\'));
    }
    let rows: Vec<UserRow> = query.load(conn)?;
    Ok(rows.into_iter().map(account).collect())
}

/// The user with this address, and what belongs to them.
///
/// # Errors
/// There is none (404), or the database refused.
pub fn show(conn: &mut Conn, email: &str, now: Time) -> ApiResult<AccountDetails> {
    let row = find_by_email(conn, &email_key(email))?.ok_or_else(unknown)?;
    let factors = Factors::of(conn, row.id)?;
    let mut open = |kind: CredentialKind| {
        credentials::table
            .filter(credentials::user_id.eq(row.id))
            .filter(credentials::kind.eq(kind))
            .filter(credentials::revoked_at.is_null())
            .filter(
                credentials::expires_at
                    .is_null()
                    .or(credentials::expires_at.gt(now)),
            )
            .count()
            .get_result::<i64>(conn)
    };
    let (sessions, api_keys) = (open(CredentialKind::Session)?, open(CredentialKind::ApiKey)?);
    let organizations = memberships::table
        .inner_join(organizations::table.on(organizations::id.eq(memberships::organization_id)))
        .filter(memberships::user_id.eq(row.id))
        .order(organizations::name)
        .limit(100)
        .select((organizations::name, memberships::role))
        .load(conn)?;
    Ok(AccountDetails {
        second_factors: factors.methods().iter().map(|method| method.as_str()).collect(),
        recovery_codes: factors.recovery_codes_left,
        sessions,
        api_keys,
        organizations,
        account: account(row),
    })
}

fn unknown() -> ApiError {
    ApiError::refused("There is no user with this address.")
}

/// What an operator does to a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Locks the account: its sessions end, and its keys are refused until it is enabled again.
    Disable,
    /// Opens it again.
    Enable,
    /// Ends every session.
    EndSessions,
    /// Takes away every second factor, passkeys and remembered devices: for who has lost theirs.
    ResetMfa,
    /// Takes the address as confirmed.
    VerifyEmail,
}

/// Does it. Returns what there is to say about it. What holds already is not done again.
///
/// # Errors
/// There is no such user, or the database refused.
pub fn act(
    tx: &mut Tx<'_>,
    identity: &Identity,
    command: &str,
    email: &str,
    deed: Deed,
) -> ApiResult<String> {
    let found = find_by_email(tx.conn(), &email_key(email))?.ok_or_else(unknown)?;
    let user: UserRow = lock("users", users::table.filter(users::id.eq(found.id))).get_result(tx.conn())?;
    let origin = Origin::system(command);
    match deed {
        Deed::Disable if !user.is_active => Ok("is disabled already".to_owned()),
        Deed::Disable => {
            set_active(tx, user.id, false)?;
            let ended = sessions::end_others(tx, user.id, None)?.len();
            audit(
                tx,
                &origin,
                &user,
                "user.disabled",
                "Account disabled by an operator",
            )?;
            tell(
                tx,
                identity,
                &origin,
                &user,
                SecurityEvent::AccountLocked,
                json!({"by": "operator"}),
            )?;
            Ok(format!(
                "is disabled; {ended} sessions were ended, keys are refused"
            ))
        }
        Deed::Enable if user.is_active => Ok("is enabled already".to_owned()),
        Deed::Enable if user.deleted_at.is_some() => Err(ApiError::refused("This account was deleted.")),
        Deed::Enable => {
            set_active(tx, user.id, true)?;
            audit(
                tx,
                &origin,
                &user,
                "user.enabled",
                "Account enabled by an operator",
            )?;
            Ok("is enabled".to_owned())
        }
        Deed::EndSessions => {
            let ended = sessions::end_others(tx, user.id, None)?;
            for session in &ended {
                let incident = Incident {
                    user: &user,
                    event: SecurityEvent::SessionRevoked,
                    description: "Session ended by an operator",
                    session: Some(*session),
                    metadata: json!({"by": "operator"}),
                    letter: None,
                };
                security::record(tx, identity, &origin, &incident)?;
            }
            Ok(format!("has no session any more; {} were ended", ended.len()))
        }
        Deed::ResetMfa => reset_mfa(tx, identity, &origin, &user),
        Deed::VerifyEmail if user.email_verified => Ok("has a confirmed address already".to_owned()),
        Deed::VerifyEmail => {
            diesel::update(users::table.find(user.id))
                .set((users::email_verified.eq(true), users::modified.eq(tx.now())))
                .execute(tx.conn())?;
            challenges::void(tx, Purpose::VerifyEmail, user.id)?;
            audit(
                tx,
                &origin,
                &user,
                "user.email_verified",
                "Address confirmed by an operator",
            )?;
            Ok("has a confirmed address".to_owned())
        }
    }
}

fn set_active(tx: &mut Tx<'_>, user: Id<User>, is_active: bool) -> Result<(), StoreError> {
    diesel::update(users::table.find(user))
        .set((users::is_active.eq(is_active), users::modified.eq(tx.now())))
        .execute(tx.conn())?;
    Ok(())
}

/// Takes away all that a second step could ask for, and the half-done logins that already ask.
fn reset_mfa(tx: &mut Tx<'_>, identity: &Identity, origin: &Origin, user: &UserRow) -> ApiResult<String> {
    let had = Factors::of(tx.conn(), user.id)?;
    let mut gone =
        diesel::delete(mfa_methods::table.filter(mfa_methods::user_id.eq(user.id))).execute(tx.conn())?;
    gone += diesel::delete(webauthn_credentials::table.filter(webauthn_credentials::user_id.eq(user.id)))
        .execute(tx.conn())?;
    gone += diesel::delete(recovery_codes::table.filter(recovery_codes::user_id.eq(user.id)))
        .execute(tx.conn())?;
    gone += diesel::delete(trusted_devices::table.filter(trusted_devices::user_id.eq(user.id)))
        .execute(tx.conn())?;
    diesel::update(users::table.find(user.id))
        .set((
            users::mfa_default.eq(None::<String>),
            users::modified.eq(tx.now()),
        ))
        .execute(tx.conn())?;
    challenges::void(tx, Purpose::Mfa, user.id)?;
    if gone == 0 {
        return Ok("has no second factor".to_owned());
    }
    let methods: Vec<&str> = had.methods().iter().map(|method| method.as_str()).collect();
    let incident = Incident {
        user,
        event: SecurityEvent::MfaDisabled,
        description: "Second factors taken away by an operator",
        session: None,
        metadata: json!({"by": "operator", "methods": methods}),
        letter: Some((letters::MFA_DISABLED, json!({"method": methods.join(", ")}))),
    };
    security::record(tx, identity, origin, &incident)?;
    Ok(format!(
        "has no second factor any more; there were: {}",
        methods.join(", ")
    ))
}

fn audit(
    tx: &mut Tx<'_>,
    origin: &Origin,
    user: &UserRow,
    action: &'static str,
    description: &str,
) -> Result<(), StoreError> {
    let event = Event {
        action,
        resource_type: "user",
        resource_id: user.id.cast(),
        resource_name: user.email.clone(),
        description: description.to_owned(),
        changes: Changes::default(),
        status: AuditStatus::Success,
    };
    tx.audit(origin, None, None, &event)
}

fn tell(
    tx: &mut Tx<'_>,
    identity: &Identity,
    origin: &Origin,
    user: &UserRow,
    event: SecurityEvent,
    metadata: serde_json::Value,
) -> Result<(), StoreError> {
    let incident = Incident {
        user,
        event,
        description: "",
        session: None::<Id<Credential>>,
        metadata,
        letter: None,
    };
    security::tell(tx, identity, origin, &incident)
}
