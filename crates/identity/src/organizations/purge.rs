//! What becomes of deleted organizations: operators bring them back, or housekeeping empties them for good.

use std::time::Duration;

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use kernel::{
    App,
    access::{Organization, Project},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{ApiError, ApiResult},
    id::Id,
    store::{StoreError, Tx},
    time::Time,
};

use super::rows::{self, OrganizationRow};
use crate::{
    credentials::CredentialKind,
    notifications,
    schema::{
        credentials, invitations, memberships, organization_modules, organizations, project_members, projects,
    },
    state::after,
};

const DAY: Duration = Duration::from_hours(24);
/// Organizations emptied in one transaction.
const AT_ONCE: i64 = 20;
/// What an organization is called when nothing personal is left of it.
const ERASED: &str = "Deleted organization";

/// Brings a deleted organization back, with its members as they were.
///
/// # Errors
/// There is none of that id, it is not deleted, or its grace is over.
pub fn restore(tx: &mut Tx<'_>, id: Id<Organization>, origin: &Origin) -> ApiResult<String> {
    let row = rows::lock_any(tx, id)?;
    let mut row = row.ok_or_else(|| ApiError::refused("There is no organization of this id."))?;
    let erased: Option<Time> = organizations::table
        .find(id)
        .select(organizations::purged_at)
        .first(tx.conn())?;
    if row.deleted_at.is_none() {
        return Err(ApiError::refused("This organization is not deleted."));
    }
    if erased.is_some() {
        return Err(ApiError::refused(
            "This organization has been emptied: there is nothing left to bring back.",
        ));
    }
    let mut changes = Changes::default();
    changes.note("deleted_at", &row.deleted_at, &None);
    row.deleted_at = None;
    row.is_active = true;
    row.modified = after(row.modified, tx.now());
    rows::set_deleted(tx, &row)?;
    let event = event(&row, "organization.restored", "brought back", changes);
    tx.audit(origin, Some(id), None, &event)?;
    Ok(row.name)
}

/// Empties the organizations whose grace is over, and tells how many: members, invitations, keys, names and
/// addresses go for good. The bare row stays, since invoices and audit records refer to it.
///
/// # Errors
/// The store refused; the rest is for the next time.
pub async fn purge(app: &App) -> Result<usize, StoreError> {
    let grace =
        DAY.saturating_mul(u32::try_from(app.config().organizations.deletion_grace_days).unwrap_or(u32::MAX));
    let mut purged = 0;
    loop {
        let done = app
            .store()
            .write("purge_organizations", move |tx| purge_some(tx, grace))
            .await?;
        purged += done;
        if done == 0 {
            return Ok(purged);
        }
    }
}

fn purge_some(tx: &mut Tx<'_>, grace: Duration) -> Result<usize, StoreError> {
    let grace = i64::try_from(grace.as_micros()).unwrap_or(i64::MAX);
    let last = Time::from_micros(tx.now().micros().saturating_sub(grace));
    let due: Vec<Id<Organization>> = organizations::table
        .filter(organizations::deleted_at.le(last))
        .filter(organizations::purged_at.is_null())
        .order(organizations::id)
        .limit(AT_ONCE)
        .select(organizations::id)
        .load(tx.conn())?;
    for id in &due {
        if let Some(row) = rows::lock_any(tx, *id)?
            && row.deleted_at.is_some_and(|deleted| deleted <= last)
        {
            erase(tx, row)?;
        }
    }
    Ok(due.len())
}

fn erase(tx: &mut Tx<'_>, row: OrganizationRow) -> Result<(), StoreError> {
    let (id, now) = (row.id, tx.now());
    let theirs: Vec<Id<Project>> = projects::table
        .filter(projects::organization_id.eq(id))
        .select(projects::id)
        .load(tx.conn())?;
    diesel::delete(project_members::table.filter(project_members::project_id.eq_any(&theirs)))
        .execute(tx.conn())?;
    diesel::delete(memberships::table.filter(memberships::organization_id.eq(id))).execute(tx.conn())?;
    diesel::delete(invitations::table.filter(invitations::organization_id.eq(id))).execute(tx.conn())?;
    diesel::delete(organization_modules::table.filter(organization_modules::organization_id.eq(id)))
        .execute(tx.conn())?;
    notifications::erase(tx, id)?;
    let keys = credentials::table
        .filter(credentials::organization_id.eq(id))
        .filter(credentials::kind.ne(CredentialKind::Session))
        .filter(credentials::revoked_at.is_null());
    diesel::update(keys)
        .set((credentials::revoked_at.eq(now), credentials::modified.eq(now)))
        .execute(tx.conn())?;
    for project in theirs {
        diesel::update(projects::table.find(project))
            .set((
                projects::name.eq(project.to_string()),
                projects::description.eq(""),
                projects::tags.eq("{}"),
            ))
            .execute(tx.conn())?;
    }
    let blank = OrganizationRow {
        name: ERASED.to_owned(),
        logo: String::new(),
        company_name: String::new(),
        address_1: String::new(),
        address_2: String::new(),
        city: String::new(),
        state: String::new(),
        postcode: String::new(),
        country: String::new(),
        phone: String::new(),
        vat_number: String::new(),
        modified: after(row.modified, now),
        ..row
    };
    rows::update(tx, &blank)?;
    diesel::update(organizations::table.find(id))
        .set(organizations::purged_at.eq(now))
        .execute(tx.conn())?;
    let event = event(&blank, "organization.purged", "emptied", Changes::default());
    tx.audit(&Origin::system("housekeeping"), Some(id), None, &event)
}

fn event(row: &OrganizationRow, action: &'static str, done: &str, changes: Changes) -> Event {
    Event {
        action,
        resource_type: "organization",
        resource_id: row.id.cast(),
        resource_name: row.name.clone(),
        description: format!("Organization {done}"),
        changes,
        status: AuditStatus::Success,
    }
}
