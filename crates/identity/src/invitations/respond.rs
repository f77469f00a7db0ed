//! `accept_invitation`, `decline_invitation`, and accepting while registering.

use axum::{extract::State, http::StatusCode, response::Response};
use kernel::{
    access::{Authenticated, Role, User},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Change, Faults, NON_FIELD},
    id::Id,
    store::{Conn, Tx},
    time::Time,
};
use serde_json::json;

use super::{
    api::{InvitationResponseRequest, InvitationStatus, Reply},
    rows::{self, GivenRole, InvitationRow},
    send::event,
};
use crate::{
    Identity, login_only, mails,
    members::{self, OrganizationMember},
    notifications::{Notice, events::MEMBER_JOINED, notify},
    organizations::{self, OrganizationRow},
    people::{self, PersonRow},
    project_members, projects,
    refusals::WriteRefusals,
    secrets::Secrets,
    state::{Area, after},
};

/// [Invitations] Accept an invitation
///
/// Join the organization with the offered role and project roles. The invited address must be the caller's, and
/// verified.
#[utoipa::path(
    post,
    path = "/v1/invitations/accept",
    operation_id = "accept_invitation",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    request_body = InvitationResponseRequest,
    responses((status = 200, body = OrganizationMember, description = "Invitation accepted"), WriteRefusals),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn accept_invitation(
    Authenticated { caller, request }: Authenticated,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<Reply>,
) -> ApiResult<Response> {
    login_only(&caller)?;
    let (origin, user) = (Origin::caller(&caller, &request), caller.user);
    let work = move |tx: &mut Tx<'_>, change: &Change<Reply>| {
        let me = people::find(tx.conn(), user)?;
        let row = named(tx, identity.secrets(), change.body()?, &me)?;
        let member = accept(&identity, tx, &origin, &me, row)?;
        Ok(Answer::plain(member))
    };
    change.run(&app, &caller, "accept_invitation", work).await
}

/// [Invitations] Decline an invitation
///
/// Refuse an invitation.
#[utoipa::path(
    post,
    path = "/v1/invitations/decline",
    operation_id = "decline_invitation",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    request_body = InvitationResponseRequest,
    responses((status = 204, description = "Invitation declined"), WriteRefusals),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn decline_invitation(
    Authenticated { caller, request }: Authenticated,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<Reply>,
) -> ApiResult<Response> {
    login_only(&caller)?;
    let (origin, user) = (Origin::caller(&caller, &request), caller.user);
    let work = move |tx: &mut Tx<'_>, change: &Change<Reply>| {
        let me = people::find(tx.conn(), user)?;
        let row = named(tx, identity.secrets(), change.body()?, &me)?;
        let (organization, mut row) = lock(tx, &row)?;
        check_address(&row, &me)?;
        end(tx, &mut row, InvitationStatus::Declined)?;
        let mut changes = Changes::default();
        changes.note("status", &InvitationStatus::Pending, &row.status);
        let event = event(&row, "invitation.declined", "has declined", changes);
        tx.audit(&origin, Some(organization.id), None, &event)?;
        Ok(Answer::empty())
    };
    change.run(&app, &caller, "decline_invitation", work).await
}

/// The address that a link was sent to, if it still works. Who has the link has read that address's mail: a
/// registration with it may count the address as verified.
///
/// # Errors
/// The database refused.
pub fn invited_address(
    conn: &mut Conn,
    secrets: &Secrets,
    token: &str,
    now: Time,
) -> ApiResult<Option<String>> {
    let found = rows::find_by_secret(conn, &secrets.hash_token(token))?;
    Ok(found
        .filter(|(row, _)| row.is_open(now))
        .map(|(row, _)| row.email))
}

/// Accepts the invitation of a link for a user, in the transaction of a registration. The user's address must be the
/// invited one and verified: see [`invited_address`].
///
/// # Errors
/// 400 if the link does not work (any more) or the quota is reached, 403 for another address.
pub fn accept_in(
    identity: &Identity,
    tx: &mut Tx<'_>,
    user: Id<User>,
    token: &str,
    origin: &Origin,
) -> ApiResult<()> {
    let me = people::find(tx.conn(), user)?;
    let hash = identity.secrets().hash_token(token);
    let (row, _) = rows::find_by_secret(tx.conn(), &hash)?.ok_or_else(invalid)?;
    accept(identity, tx, origin, &me, row).map(drop)
}

fn invalid() -> ApiError {
    ApiError::refused("This invitation is invalid, has expired or was used already.")
}

/// The invitation that the body names: by its link, or by its id among those to the caller's verified address.
fn named(tx: &mut Tx<'_>, secrets: &Secrets, reply: &Reply, me: &PersonRow) -> ApiResult<InvitationRow> {
    match reply {
        Reply {
            token: Some(token), ..
        } => {
            let found = rows::find_by_secret(tx.conn(), &secrets.hash_token(token))?;
            found.map(|(row, _)| row).ok_or_else(invalid)
        }
        Reply {
            invitation_id: Some(id),
            ..
        } => {
            let found = rows::find_to(tx.conn(), &me.email_key, *id)?;
            found.filter(|_| me.email_verified).ok_or_else(invalid)
        }
        Reply {
            token: None,
            invitation_id: None,
        } => Err(Faults::one(NON_FIELD, "Send token or invitation_id.").into()),
    }
}

/// The invitation and its organization, once nobody else can change them: of two answers at once, the second finds
/// what the first has made of it.
fn lock(tx: &mut Tx<'_>, row: &InvitationRow) -> ApiResult<(OrganizationRow, InvitationRow)> {
    let organization = organizations::lock(tx, row.organization_id).map_err(|error| {
        if error.status() == StatusCode::NOT_FOUND {
            invalid()
        } else {
            error
        }
    })?;
    let now = tx.now();
    let current = rows::find(tx.conn(), organization.id, row.id)?;
    // A link that was sent again is another one.
    let current = current.filter(|current| current.is_open(now) && current.token_hash == row.token_hash);
    Ok((organization, current.ok_or_else(invalid)?))
}

fn check_address(row: &InvitationRow, me: &PersonRow) -> ApiResult<()> {
    if row.email_key != me.email_key {
        return Err(forbidden("This invitation was sent to another address."));
    }
    if !me.email_verified {
        return Err(forbidden("Verify your e-mail address first."));
    }
    Ok(())
}

fn forbidden(detail: &str) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "permission_denied", detail)
}

fn accept(
    identity: &Identity,
    tx: &mut Tx<'_>,
    origin: &Origin,
    me: &PersonRow,
    row: InvitationRow,
) -> ApiResult<OrganizationMember> {
    let (organization, mut row) = lock(tx, &row)?;
    check_address(&row, me)?;
    if members::find_user(tx.conn(), organization.id, me.id)?.is_some() {
        return Err(ApiError::refused(
            "You are a member of this organization already.",
        ));
    }
    // The invitation itself was counted when it was sent; the quota may have been lowered since.
    if members::count(tx.conn(), organization.id)? >= organization.user_quota {
        let most = organization.user_quota;
        return Err(ApiError::refused(format!(
            "The organization's quota of {most} users is reached."
        )));
    }
    let given: Vec<GivenRole> = row.project_roles.read().unwrap_or_default();
    let ids: Vec<_> = given.iter().map(|given| given.project_id).collect();
    let existing = projects::existing(tx.conn(), organization.id, &ids)?;
    let given: Vec<GivenRole> = given
        .into_iter()
        .filter(|given| existing.contains_key(&given.project_id))
        .collect();
    if row.role == Role::Guest && given.is_empty() {
        return Err(ApiError::refused(
            "The projects of this invitation do not exist any more: ask for another one.",
        ));
    }
    let member = members::insert(tx, organization.id, me.id, row.role, row.invited_by)?;
    for GivenRole { project_id, role } in &given {
        project_members::insert(tx, *project_id, me.id, *role, row.invited_by)?;
    }
    row.accepted_at = Some(tx.now());
    end(tx, &mut row, InvitationStatus::Accepted)?;
    let mut changes = Changes::default();
    changes.note("role", &None, &Some(row.role));
    changes.note("project_roles", &None, &Some(&given));
    let event = Event {
        action: "member.joined",
        resource_type: "member",
        resource_id: member.id().cast(),
        resource_name: me.email.clone(),
        description: format!("{} has joined as {}", me.email, row.role.as_str()),
        changes,
        status: AuditStatus::Success,
    };
    tx.audit(origin, Some(organization.id), None, &event)?;
    let inviter = match row.invited_by {
        Some(id) => Some(people::find(tx.conn(), id)?),
        None => None,
    };
    let facts = json!({ "member": me.name(), "email": me.email, "user_id": me.id, "role": row.role });
    let mut notice = Notice::new(organization.id, &MEMBER_JOINED, facts).except([me.id]);
    // Who has left meanwhile is not told what goes on.
    if let Some(inviter) = inviter
        && members::find_user(tx.conn(), organization.id, inviter.id)?.is_some()
    {
        mails::invitation_accepted(identity, tx, &inviter, &organization, me, row.role)?;
        notice = notice.except([inviter.id]);
    }
    notify(tx, notice)?;
    Ok(members::view(tx.conn(), organization.id, (member, me.clone()))?)
}

/// Writes that an invitation is over.
fn end(tx: &mut Tx<'_>, row: &mut InvitationRow, status: InvitationStatus) -> ApiResult<()> {
    row.status = status;
    row.modified = after(row.modified, tx.now());
    Ok(rows::update(tx, row)?)
}
