//! What happens to an account's safety: one place that records it, audits it and tells the user.
//!
//! A [`SecurityEvent`] is a row that the user can list (`list_security_events`), an audit record on the operator's
//! side, and, where [`Incident::letter`] names one, a mail to the user (NIST SP 800-63B-4, section 4.6; ASVS 5.0,
//! V6.3.7). All of it stands in the transaction of the change itself.

mod list;

use diesel::{ExpressionMethods, Insertable, JoinOnDsl, QueryDsl, RunQueryDsl};
use kernel::{
    access::{Credential, Organization, User},
    audit::{AuditStatus, Changes, Event, Origin},
    id::{Any, Id},
    json::JsonText,
    language::Language,
    mail::wording::moment,
    store::{StoreError, Tx},
    time::Time,
};
use serde_json::{Value, json};

use crate::{
    Identity,
    device::Device,
    letters,
    notifications::{self, Notice, events::MEMBER_MFA_CHANGED},
    schema::{memberships, organizations, security_events},
    users::UserRow,
};

pub(crate) use self::list::routes;

kernel::words! {
    /// What happened to an account
    #[schema(as = SecurityEventKind)]
    pub enum SecurityEvent {
        /// Login Succeeded
        LoginSucceeded = "login_succeeded",
        /// Login Failed
        LoginFailed = "login_failed",
        /// Logout
        Logout = "logout",
        /// Password Changed
        PasswordChanged = "password_changed",
        /// Password Reset
        PasswordReset = "password_reset",
        /// Email Changed
        EmailChanged = "email_changed",
        /// Mfa Enabled
        MfaEnabled = "mfa_enabled",
        /// Mfa Disabled
        MfaDisabled = "mfa_disabled",
        /// Recovery Code Used
        RecoveryCodeUsed = "recovery_code_used",
        /// Recovery Codes Regenerated
        RecoveryCodesRegenerated = "recovery_codes_regenerated",
        /// Oauth Linked
        OauthLinked = "oauth_linked",
        /// Oauth Unlinked
        OauthUnlinked = "oauth_unlinked",
        /// Passkey Added
        PasskeyAdded = "passkey_added",
        /// Passkey Removed
        PasskeyRemoved = "passkey_removed",
        /// Session Revoked
        SessionRevoked = "session_revoked",
        /// Api Key Created
        ApiKeyCreated = "api_key_created",
        /// Api Key Rotated
        ApiKeyRotated = "api_key_rotated",
        /// Api Key Revoked
        ApiKeyRevoked = "api_key_revoked",
        /// Project Token Created
        ProjectTokenCreated = "project_token_created",
        /// Project Token Rotated
        ProjectTokenRotated = "project_token_rotated",
        /// Project Token Revoked
        ProjectTokenRevoked = "project_token_revoked",
        /// Account Locked
        AccountLocked = "account_locked",
    }
}

impl SecurityEvent {
    /// The audit record's action.
    const fn action(self) -> &'static str {
        match self {
            Self::LoginSucceeded => "user.logged_in",
            Self::LoginFailed => "user.login_failed",
            Self::Logout => "user.logged_out",
            Self::PasswordChanged => "user.password_changed",
            Self::PasswordReset => "user.password_reset",
            Self::EmailChanged => "user.email_changed",
            Self::MfaEnabled => "user.mfa_enabled",
            Self::MfaDisabled => "user.mfa_disabled",
            Self::RecoveryCodeUsed => "user.recovery_code_used",
            Self::RecoveryCodesRegenerated => "user.recovery_codes_regenerated",
            Self::OauthLinked => "user.oauth_linked",
            Self::OauthUnlinked => "user.oauth_unlinked",
            Self::PasskeyAdded => "user.passkey_added",
            Self::PasskeyRemoved => "user.passkey_removed",
            Self::SessionRevoked => "session.revoked",
            Self::ApiKeyCreated => "api_key.created",
            Self::ApiKeyRotated => "api_key.rotated",
            Self::ApiKeyRevoked => "api_key.revoked",
            Self::ProjectTokenCreated => "project_token.created",
            Self::ProjectTokenRotated => "project_token.rotated",
            Self::ProjectTokenRevoked => "project_token.revoked",
            Self::AccountLocked => "user.locked",
        }
    }

    const fn status(self) -> AuditStatus {
        match self {
            Self::LoginFailed | Self::AccountLocked => AuditStatus::Failure,
            _ => AuditStatus::Success,
        }
    }
}

/// Something that happened to an account.
pub(crate) struct Incident<'a> {
    /// Whose account.
    pub(crate) user: &'a UserRow,
    /// What.
    pub(crate) event: SecurityEvent,
    /// One line for the audit log.
    pub(crate) description: &'a str,
    /// In which session, or which session it is about.
    pub(crate) session: Option<Id<Credential>>,
    /// Facts for the user, such as the name of a key. Never a secret.
    pub(crate) metadata: Value,
    /// The mail that tells the user, if one does; its values get `name`, `time`, `address` and `device` added.
    pub(crate) letter: Option<(&'static str, Value)>,
}

#[derive(Insertable)]
#[diesel(table_name = security_events)]
struct EventRow<'a> {
    id: Id<Any>,
    user_id: Id<User>,
    event: SecurityEvent,
    ip_address: Option<String>,
    user_agent: &'a str,
    session_id: Option<Id<Credential>>,
    metadata: JsonText,
    created: Time,
}

/// Records an incident whose resource is the user's own account: security event, audit record, mail.
///
/// # Errors
/// The database refused.
pub(crate) fn record(
    tx: &mut Tx<'_>,
    identity: &Identity,
    origin: &Origin,
    incident: &Incident<'_>,
) -> Result<(), StoreError> {
    let event = Event {
        action: incident.event.action(),
        resource_type: "user",
        resource_id: incident.user.id.cast(),
        resource_name: incident.user.email.clone(),
        description: incident.description.to_owned(),
        changes: Changes::default(),
        status: incident.event.status(),
    };
    tx.audit(origin, None, None, &event)?;
    tell(tx, identity, origin, incident)
}

/// Records an incident that has its own audit record already (a key's, a token's): security event, mail.
///
/// # Errors
/// The database refused.
pub(crate) fn tell(
    tx: &mut Tx<'_>,
    identity: &Identity,
    origin: &Origin,
    incident: &Incident<'_>,
) -> Result<(), StoreError> {
    let request = origin.request();
    let now = tx.now();
    let row = EventRow {
        id: Id::new(),
        user_id: incident.user.id,
        event: incident.event,
        ip_address: request.map(|request| request.address.to_string()),
        user_agent: request.map_or("", |request| request.user_agent.as_str()),
        session_id: incident.session,
        metadata: JsonText::of(&incident.metadata),
        created: now,
    };
    diesel::insert_into(security_events::table)
        .values(&row)
        .execute(tx.conn())?;
    match incident.event {
        SecurityEvent::MfaEnabled => tell_organizations(tx, incident.user, "on")?,
        SecurityEvent::MfaDisabled => tell_organizations(tx, incident.user, "off")?,
        _ => {}
    }
    match &incident.letter {
        Some((template, values)) => notify(tx, identity, origin, incident.user, template, values),
        None => Ok(()),
    }
}

/// Tells the organizations of a user that they have or have no second factor any more: owners see that in the list of
/// members, too.
fn tell_organizations(tx: &mut Tx<'_>, user: &UserRow, switched: &str) -> Result<(), StoreError> {
    let theirs: Vec<Id<Organization>> = memberships::table
        .inner_join(organizations::table.on(organizations::id.eq(memberships::organization_id)))
        .filter(memberships::user_id.eq(user.id))
        .filter(organizations::is_active.eq(true))
        .order(organizations::id)
        .select(organizations::id)
        .load(tx.conn())?;
    for organization in theirs {
        let facts = json!({
            "member": user.name().unwrap_or_else(|| user.email.clone()),
            "email": user.email,
            "user_id": user.id,
            "switched": switched,
        });
        let notice = Notice::new(organization, &MEMBER_MFA_CHANGED, facts).except([user.id]);
        notifications::notify(tx, notice)?;
    }
    Ok(())
}

/// Mails a notice about an account's security: `values` with `time`, `address` and `device` added.
///
/// # Errors
/// The database refused.
pub(crate) fn notify(
    tx: &mut Tx<'_>,
    identity: &Identity,
    origin: &Origin,
    user: &UserRow,
    template: &'static str,
    values: &Value,
) -> Result<(), StoreError> {
    let values = told(values, origin, tx.now(), user.language);
    letters::post(tx, identity, user, template, values)
}

/// What every security notice says besides its own matter.
fn told(values: &Value, origin: &Origin, now: Time, language: Language) -> Value {
    let mut values = values.clone();
    let request = origin.request();
    values["time"] = moment(now, language).into();
    values["address"] = request.map_or_else(|| json!(""), |request| json!(request.address.to_string()));
    let device = Device::of(request.map_or("", |request| request.user_agent.as_str()));
    values["device"] = device.spoken().into();
    values["browser"] = device.browser.into();
    values["system"] = device.operating_system.into();
    values
}
