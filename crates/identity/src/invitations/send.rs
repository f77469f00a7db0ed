//! `create_organization_invitation`, `resend_organization_invitation`.

use std::time::Duration;

use axum::{extract::State, response::Response};
use kernel::{
    App,
    access::{Caller, OrganizationScope, Permission, Project, Role},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Change, Faults, NoBody, PathId},
    id::Id,
    json::JsonText,
    store::Tx,
    time::Time,
};
use serde_json::json;

use super::{
    InvitationsUpdate,
    api::{InvitationId, InvitationKind, InvitationStatus, NewInvitation, OrganizationInvitation},
    rows::{self, GivenRole, InvitationRow},
    rules,
};
use crate::{
    Identity, mails, members,
    notifications::{Notice, events::MEMBER_INVITED, notify},
    organizations::{self, OrganizationRow},
    people, projects,
    refusals::WriteRefusals,
    secrets,
    state::{Area, after},
    users::email_key,
};

/// How soon the same address may be written to again.
const PAUSE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

/// A fresh link: its secret, and how that is stored.
pub(crate) struct Link {
    secret: String,
    hash: String,
    /// For how long it works.
    days: u64,
}

impl Link {
    /// Made before the transaction, which may run twice.
    pub(crate) fn new(app: &App, identity: &Identity) -> Self {
        let secret = secrets::new_challenge_token();
        Self {
            hash: identity.secrets().hash_token(&secret),
            secret,
            days: app.config().organizations.invitation_days,
        }
    }

    /// When it ends.
    fn expiry(&self, now: Time) -> Time {
        now + DAY.saturating_mul(u32::try_from(self.days).unwrap_or(u32::MAX))
    }
}

/// Who is invited as what.
pub(crate) struct Invite {
    /// The address, as it was written.
    pub(crate) email: String,
    /// The role in the organization.
    pub(crate) role: Role,
    /// The roles in projects.
    pub(crate) project_roles: Vec<(Id<Project>, Role)>,
    /// A note for the mail.
    pub(crate) message: String,
}

/// [Invitations] Invite a member
///
/// Send an invitation e-mail with a single-use link. Counts against the user quota while pending.
#[utoipa::path(
    post,
    path = "/v1/organizations/{organization_id}/invitations",
    operation_id = "create_organization_invitation",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path)),
    request_body = OrganizationInvitation,
    responses((status = 201, body = OrganizationInvitation, description = "Invitation sent"), WriteRefusals),
    extensions(
        ("x-permission" = json!(InvitationsUpdate::NAME)),
        ("x-minimum-role" = json!(InvitationsUpdate::ROLE.as_str())),
        ("x-scope" = json!(InvitationsUpdate::SCOPE)),
    )
)]
pub(super) async fn create_organization_invitation(
    scope: OrganizationScope<InvitationsUpdate>,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<NewInvitation>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let link = Link::new(&app, &identity);
    let work = move |tx: &mut Tx<'_>, change: &Change<NewInvitation>| {
        let organization = organizations::lock(tx, scope.organization)?;
        let wanted = change.body()?.clone();
        let project_roles = wanted.project_roles.iter();
        let invite = Invite {
            email: wanted.email,
            role: wanted.role,
            project_roles: project_roles
                .map(|given| (given.project_id, given.role.into()))
                .collect(),
            message: wanted.message,
        };
        let origin = Origin::caller(&scope.caller, &scope.request);
        let body = send(
            &identity,
            tx,
            &organization,
            &scope.caller,
            &origin,
            &invite,
            &link,
        )?;
        let path = format!("/v1/organizations/{}/invitations/{}", organization.id, body.id());
        // The version is the time at which it was made.
        Ok(Answer::created(body, Some(tx.now().micros()), path))
    };
    change
        .run(&app, &caller, "create_organization_invitation", work)
        .await
}

/// Invites somebody, under the organization's lock.
pub(crate) fn send(
    identity: &Identity,
    tx: &mut Tx<'_>,
    organization: &OrganizationRow,
    inviter: &Caller,
    origin: &Origin,
    invite: &Invite,
    link: &Link,
) -> ApiResult<OrganizationInvitation> {
    let now = tx.now();
    let key = email_key(&invite.email);
    let ids: Vec<Id<Project>> = invite.project_roles.iter().map(|(id, _)| *id).collect();
    let existing = projects::existing(tx.conn(), organization.id, &ids)?;
    rules::offer(invite.role, &invite.project_roles, &existing)?;
    let members = members::all(tx.conn(), organization.id)?;
    if members.iter().any(|(_, person)| person.email_key == key) {
        return Err(Faults::one("email", "This user is a member already.").into());
    }
    if let Some(mut earlier) = rows::pending_to(tx, organization.id, &key)? {
        if earlier.is_open(now) {
            return Err(Faults::one("email", "This address has been invited already.").into());
        }
        earlier.status = InvitationStatus::Expired;
        rows::update(tx, &earlier)?;
    }
    check_quota(tx, organization)?;
    if let Some(last) = rows::last_sent(tx, organization.id, &key)? {
        check_pause(now, last)?;
    }
    let given: Vec<GivenRole> = invite
        .project_roles
        .iter()
        .map(|(project_id, role)| GivenRole {
            project_id: *project_id,
            role: *role,
        })
        .collect();
    let row = InvitationRow {
        id: Id::new(),
        organization_id: organization.id,
        email: invite.email.trim().to_owned(),
        email_key: key,
        role: invite.role,
        project_roles: JsonText::of(&given),
        message: invite.message.clone(),
        status: InvitationStatus::Pending,
        token_hash: link.hash.clone(),
        invited_by: Some(inviter.user),
        expires_at: link.expiry(now),
        accepted_at: None,
        last_sent_at: now,
        created: now,
        modified: now,
    };
    rows::insert(tx, &row)?;
    let mut changes = Changes::default();
    changes.note("email", &None, &Some(&row.email));
    changes.note("role", &None, &Some(row.role));
    changes.note("project_roles", &None, &Some(&row.project_roles));
    tx.audit(
        origin,
        Some(organization.id),
        None,
        &event(&row, "invitation.created", "was invited", changes),
    )?;
    let facts = json!({ "email": row.email, "invitation_id": row.id, "role": row.role });
    notify(
        tx,
        Notice::new(organization.id, &MEMBER_INVITED, facts).except([inviter.user]),
    )?;
    finish(identity, tx, organization, row, link)
}

/// [Invitations] Resend an invitation
///
/// Send the e-mail again with a fresh link and a fresh expiry; the earlier link stops working. At most once a minute.
#[utoipa::path(
    post,
    path = "/v1/organizations/{organization_id}/invitations/{id}/resend",
    operation_id = "resend_organization_invitation",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path), ("id" = inline(InvitationId), Path)),
    responses((status = 200, body = OrganizationInvitation, description = "Invitation sent again"), WriteRefusals),
    extensions(
        ("x-permission" = json!(InvitationsUpdate::NAME)),
        ("x-minimum-role" = json!(InvitationsUpdate::ROLE.as_str())),
        ("x-scope" = json!(InvitationsUpdate::SCOPE)),
    )
)]
pub(super) async fn resend_organization_invitation(
    scope: OrganizationScope<InvitationsUpdate>,
    PathId(id): PathId<InvitationKind>,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<NoBody>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let link = Link::new(&app, &identity);
    let work = move |tx: &mut Tx<'_>, _: &Change<NoBody>| {
        let organization = organizations::lock(tx, scope.organization)?;
        let row = rows::find(tx.conn(), organization.id, id)?.ok_or_else(ApiError::not_found)?;
        let now = tx.now();
        match row.status_at(now) {
            InvitationStatus::Pending => {}
            // It counts against the quota again, and another one may have taken its place.
            InvitationStatus::Expired => {
                let pending = rows::pending_to(tx, organization.id, &row.email_key)?;
                if pending.is_some_and(|pending| pending.id != row.id) {
                    return Err(ApiError::refused("This address has been invited again since."));
                }
                check_quota(tx, &organization)?;
            }
            status
            @ (InvitationStatus::Accepted | InvitationStatus::Declined | InvitationStatus::Revoked) => {
                let detail = format!("This invitation was {}.", status.as_str());
                return Err(ApiError::refused(detail));
            }
        }
        if members::all(tx.conn(), organization.id)?
            .iter()
            .any(|(_, person)| person.email_key == row.email_key)
        {
            return Err(ApiError::refused("This user is a member already."));
        }
        check_pause(now, row.last_sent_at)?;
        let new = InvitationRow {
            status: InvitationStatus::Pending,
            token_hash: link.hash.clone(),
            expires_at: link.expiry(now),
            last_sent_at: now,
            modified: after(row.modified, now),
            ..row.clone()
        };
        rows::update(tx, &new)?;
        let mut changes = Changes::default();
        changes.note("expires_at", &row.expires_at, &new.expires_at);
        let origin = Origin::caller(&scope.caller, &scope.request);
        let event = event(&new, "invitation.resent", "was invited again", changes);
        tx.audit(&origin, Some(organization.id), None, &event)?;
        let version = new.modified.micros();
        Ok(Answer::ok(
            finish(&identity, tx, &organization, new, &link)?,
            version,
        ))
    };
    change
        .run(&app, &caller, "resend_organization_invitation", work)
        .await
}

/// Writes the mail, and gives what is answered.
fn finish(
    identity: &Identity,
    tx: &mut Tx<'_>,
    organization: &OrganizationRow,
    row: InvitationRow,
    link: &Link,
) -> ApiResult<OrganizationInvitation> {
    let inviter = match row.invited_by {
        Some(id) => Some(people::find(tx.conn(), id)?),
        None => None,
    };
    let letter = mails::Invitation {
        email: &row.email,
        role: row.role,
        message: &row.message,
        inviter: inviter.as_ref(),
        secret: &link.secret,
        days: link.days,
    };
    mails::invitation(identity, tx, organization, &letter)?;
    let name = organization.name.clone();
    Ok(OrganizationInvitation::at(tx.now(), row, name, inviter))
}

/// Whether one more may be invited.
fn check_quota(tx: &mut Tx<'_>, organization: &OrganizationRow) -> ApiResult<()> {
    let now = tx.now();
    let most = organization.user_quota;
    if members::count_with_pending(tx.conn(), organization.id, now)? >= most {
        return Err(ApiError::refused(format!(
            "The organization's quota of {most} users is reached: pending invitations count."
        )));
    }
    Ok(())
}

/// Whether an address that was written to at `last` may be written to again.
fn check_pause(now: Time, last: Time) -> ApiResult<()> {
    let waited = now.since(last);
    if waited < PAUSE {
        return Err(ApiError::throttled((PAUSE - waited).as_secs() + 1));
    }
    Ok(())
}

/// What is recorded of an invitation: never its secret.
pub(super) fn event(row: &InvitationRow, action: &'static str, done: &str, changes: Changes) -> Event {
    Event {
        action,
        resource_type: "invitation",
        resource_id: row.id.cast(),
        resource_name: row.email.clone(),
        description: format!("{} {done}", row.email),
        changes,
        status: AuditStatus::Success,
    }
}
