//! Making, changing, rotating and revoking a key: each with its audit record and its notice, in the caller's transaction.

use std::time::Duration;

use kernel::{
    access::{ActorType, Caller, Credential, Organization, User},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{ApiError, ApiResult, Change, RequestFacts},
    id::Id,
    json::JsonText,
    store::{StoreError, Tx},
};
use serde_json::{Value, json};

use super::{
    api::{Edits, Rotate},
    rows::{self, Holder, KeyRow, NewCredential},
    rules,
};
use crate::{
    Identity,
    credentials::CredentialKind,
    letters,
    notifications::{
        Notice,
        events::{KEY_CREATED, KEY_REVOKED},
        notify,
    },
    secrets,
    security::{self, Incident, SecurityEvent},
    users::{self, UserRow},
};

/// Keys of a holder that may work at once.
const MOST_KEYS: i64 = 100;

/// What a request that changes keys has at hand.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    identity: Identity,
    origin: Origin,
    /// Who asks.
    user: Id<User>,
    session: Option<Id<Credential>>,
    /// Whose keys.
    holder: Holder,
}

impl Desk {
    pub(crate) fn new(identity: &Identity, caller: &Caller, request: &RequestFacts, holder: Holder) -> Self {
        Self {
            identity: identity.clone(),
            origin: Origin::caller(caller, request),
            user: caller.user,
            session: (caller.actor_type == ActorType::User).then_some(caller.credential),
            holder,
        }
    }
}

/// A fresh secret, as far as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct NewSecret {
    pub(crate) prefix: String,
    hash: String,
}

impl NewSecret {
    /// Makes one; the second value is the secret itself.
    pub(crate) fn make(identity: &Identity) -> (Self, String) {
        let (secret, prefix) = secrets::new_api_key();
        let hash = identity.secrets().hash_token(&secret);
        (Self { prefix, hash }, secret)
    }
}

/// Makes a key. `also` finds what is wrong besides the fields that all keys have.
///
/// # Errors
/// 400 with every fault, or if the holder has too many keys.
pub(crate) fn create(
    tx: &mut Tx<'_>,
    desk: &Desk,
    id: Id<Credential>,
    secret: &NewSecret,
    organization: Option<Id<Organization>>,
    wanted: &Edits,
    also: impl FnOnce(&mut Tx<'_>, &mut kernel::http::Faults) -> ApiResult<()>,
) -> ApiResult<KeyRow> {
    rows::lock_holder(tx, desk.holder)?;
    let now = tx.now();
    let mut faults = rules::faults(wanted, now);
    also(tx, &mut faults)?;
    faults.into_result()?;
    if rows::count_active(tx, desk.holder)? >= MOST_KEYS {
        return Err(ApiError::refused(format!(
            "There are {MOST_KEYS} active ones already: revoke one first."
        )));
    }
    let project_id = match desk.holder {
        Holder::User(_) => None,
        Holder::Project(project) => Some(project),
    };
    let blank = KeyRow {
        id,
        kind: desk.holder.kind(),
        user_id: desk.user,
        name: String::new(),
        prefix: secret.prefix.clone(),
        scopes: JsonText::of::<[&str]>(&[]),
        allowed_ips: JsonText::of::<[&str]>(&[]),
        organization_id: organization,
        project_id,
        expires_at: None,
        revoked_at: None,
        last_used_at: None,
        last_used_ip: None,
        created: now,
        modified: now,
    };
    let row = rules::edited(&blank, wanted);
    rows::insert(tx, &stored(&row, &secret.hash))?;
    record(tx, desk, &row, Deed::Created, rules::changes(&blank, &row))?;
    Ok(row)
}

fn stored(row: &KeyRow, hash: &str) -> NewCredential {
    NewCredential {
        id: row.id,
        kind: row.kind,
        user_id: row.user_id,
        name: row.name.clone(),
        prefix: row.prefix.clone(),
        secret_hash: hash.to_owned(),
        scopes: row.scopes.clone(),
        allowed_ips: row.allowed_ips.clone(),
        organization_id: row.organization_id,
        project_id: row.project_id,
        expires_at: row.expires_at,
        user_agent: String::new(),
        created: row.created,
        modified: row.modified,
    }
}

/// The holder's key, locked, in the version that the client has seen.
fn lock_wanted<T>(tx: &mut Tx<'_>, desk: &Desk, id: Id<Credential>, change: &Change<T>) -> ApiResult<KeyRow> {
    let row = rows::lock_one(tx, desk.holder, id)?.ok_or_else(ApiError::not_found)?;
    change.check_version(row.modified.micros())?;
    Ok(row)
}

/// Changes a key's settings.
///
/// # Errors
/// 404; 412; 400 with every fault, or for a key that has ended.
pub(crate) fn update<T: AsRef<Edits> + kernel::http::Body>(
    tx: &mut Tx<'_>,
    desk: &Desk,
    id: Id<Credential>,
    change: &Change<T>,
) -> ApiResult<KeyRow> {
    let row = lock_wanted(tx, desk, id, change)?;
    let edits = change.body()?.as_ref();
    let now = tx.now();
    rules::faults(edits, now).into_result()?;
    if !row.is_active(now) {
        return Err(ApiError::refused("It has ended, which is final: make a new one."));
    }
    let mut new = rules::edited(&row, edits);
    let changes = rules::changes(&row, &new);
    if changes.is_empty() {
        return Ok(row);
    }
    new.modified = now;
    rows::update(tx, &new)?;
    record(tx, desk, &new, Deed::Updated, changes)?;
    Ok(new)
}

/// Gives a key another secret.
///
/// # Errors
/// 404; 412; 400 with every fault; 409 for a key that has ended.
pub(crate) fn rotate(
    tx: &mut Tx<'_>,
    desk: &Desk,
    id: Id<Credential>,
    secret: &NewSecret,
    change: &Change<Rotate>,
) -> ApiResult<KeyRow> {
    let row = lock_wanted(tx, desk, id, change)?;
    let Rotate {
        grace_period_seconds,
        expires_at,
    } = change.body()?;
    let edits = Edits {
        expires_at: *expires_at,
        ..Edits::default()
    };
    let now = tx.now();
    rules::faults(&edits, now).into_result()?;
    if !row.is_active(now) {
        return Err(ApiError::conflict(
            "It has ended, which is final: make a new one.",
        ));
    }
    let mut new = rules::edited(&row, &edits);
    new.prefix.clone_from(&secret.prefix);
    new.modified = now;
    let grace = Duration::from_secs(*grace_period_seconds);
    let former_until = (!grace.is_zero()).then(|| now + grace);
    rows::replace_secret(tx, &new, &secret.hash, former_until)?;
    let mut changes = rules::changes(&row, &new);
    changes.note("prefix", &row.prefix, &new.prefix);
    changes.note("former_secret_until", &None, &former_until);
    record(tx, desk, &new, Deed::Rotated, changes)?;
    Ok(new)
}

/// Revokes a key; one that was revoked before stays as it is.
///
/// # Errors
/// 404; 412.
pub(crate) fn revoke<T>(
    tx: &mut Tx<'_>,
    desk: &Desk,
    id: Id<Credential>,
    change: &Change<T>,
) -> ApiResult<()> {
    let row = lock_wanted(tx, desk, id, change)?;
    Ok(revoke_row(tx, desk, &row)?)
}

/// Revokes a key that is locked.
///
/// # Errors
/// The database refused.
pub(crate) fn revoke_row(tx: &mut Tx<'_>, desk: &Desk, row: &KeyRow) -> Result<(), StoreError> {
    if row.revoked_at.is_some() {
        return Ok(());
    }
    rows::revoke(tx, row.id)?;
    let mut changes = Changes::default();
    changes.note("revoked_at", &None, &Some(tx.now()));
    record(tx, desk, row, Deed::Revoked, changes)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    Created,
    Updated,
    Rotated,
    Revoked,
}

/// Action of the audit record and, where the user is told, the event.
const fn names(kind: CredentialKind, deed: Deed) -> (&'static str, Option<SecurityEvent>) {
    let is_token = matches!(kind, CredentialKind::ProjectToken);
    match (deed, is_token) {
        (Deed::Created, false) => ("api_key.created", Some(SecurityEvent::ApiKeyCreated)),
        (Deed::Updated, false) => ("api_key.updated", None),
        (Deed::Rotated, false) => ("api_key.rotated", Some(SecurityEvent::ApiKeyRotated)),
        (Deed::Revoked, false) => ("api_key.revoked", Some(SecurityEvent::ApiKeyRevoked)),
        (Deed::Created, true) => ("project_token.created", Some(SecurityEvent::ProjectTokenCreated)),
        (Deed::Updated, true) => ("project_token.updated", None),
        (Deed::Rotated, true) => ("project_token.rotated", Some(SecurityEvent::ProjectTokenRotated)),
        (Deed::Revoked, true) => ("project_token.revoked", Some(SecurityEvent::ProjectTokenRevoked)),
    }
}

/// Audit record, security event and, where somebody may have to act, a letter.
///
/// The user who acted is told: of an API key that is its owner. A project token's audit record is the organization's.
fn record(
    tx: &mut Tx<'_>,
    desk: &Desk,
    row: &KeyRow,
    deed: Deed,
    changes: Changes,
) -> Result<(), StoreError> {
    let (action, told) = names(row.kind, deed);
    let is_token = row.kind == CredentialKind::ProjectToken;
    let (noun, resource_type) = if is_token {
        ("Project token", "project_token")
    } else {
        ("API key", "api_key")
    };
    let verb = match deed {
        Deed::Created => "created",
        Deed::Updated => "updated",
        Deed::Rotated => "rotated",
        Deed::Revoked => "revoked",
    };
    let event = Event {
        action,
        resource_type,
        resource_id: row.id.cast(),
        resource_name: row.name.clone(),
        description: format!("{noun} {}… {verb}", row.prefix),
        changes,
        status: AuditStatus::Success,
    };
    tx.audit(&desk.origin, row.organization_id, row.project_id, &event)?;
    let Some(event) = told else { return Ok(()) };
    let user = users::find(tx.conn(), desk.user)?;
    let incident = Incident {
        user: &user,
        event,
        description: "",
        session: desk.session,
        metadata: json!({ "id": row.id, "name": row.name, "prefix": row.prefix, "project_id": row.project_id }),
        letter: letter(tx, deed, row)?,
    };
    security::tell(tx, &desk.identity, &desk.origin, &incident)?;
    tell_organization(tx, desk, row, deed, &user)
}

/// Tells an organization of a key that reaches nothing else. Who made or revoked it has a letter of their own.
fn tell_organization(
    tx: &mut Tx<'_>,
    desk: &Desk,
    row: &KeyRow,
    deed: Deed,
    user: &UserRow,
) -> Result<(), StoreError> {
    let event = match deed {
        Deed::Created => &KEY_CREATED,
        Deed::Revoked => &KEY_REVOKED,
        Deed::Updated | Deed::Rotated => return Ok(()),
    };
    let Some(organization) = row.organization_id else {
        return Ok(());
    };
    let is_token = row.kind == CredentialKind::ProjectToken;
    let facts = json!({
        "member": user.name().unwrap_or_else(|| user.email.clone()),
        "user_id": user.id,
        "kind": if is_token { "project token" } else { "API key" },
        "key_id": row.id,
        "name": row.name,
        "prefix": row.prefix,
        "project_id": row.project_id,
    });
    notify(tx, Notice::new(organization, event, facts).except([desk.user]))
}

/// The letter that tells the user, with its values.
fn letter(tx: &mut Tx<'_>, deed: Deed, row: &KeyRow) -> Result<Option<(&'static str, Value)>, StoreError> {
    let about_key = json!({ "key": row.name, "prefix": row.prefix });
    Ok(match (deed, row.project_id) {
        (Deed::Created, None) => Some((letters::API_KEY_CREATED, about_key)),
        (Deed::Rotated, None) => Some((letters::API_KEY_ROTATED, about_key)),
        (Deed::Revoked, None) => Some((letters::API_KEY_REVOKED, about_key)),
        (Deed::Created, Some(project)) => {
            let project = rows::project_name(tx, project)?;
            Some((
                letters::PROJECT_TOKEN_CREATED,
                json!({ "token": row.name, "project": project }),
            ))
        }
        (Deed::Updated, _) | (Deed::Rotated | Deed::Revoked, Some(_)) => None,
    })
}
