//! `remove_organization_member`, `leave_organization`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{OrganizationScope, Permission, User},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Change, NoBody, PathId},
    id::Id,
    store::Tx,
};
use serde_json::json;

use super::{
    MembersLeave, MembersUpdate,
    api::{MembershipId, MembershipKind},
    role::situation,
    rows::{self, Found},
    rules,
};
use crate::{
    mails,
    notifications::{Notice, events::MEMBER_REMOVED, notify},
    organizations,
    refusals::WriteRefusals,
    state::Area,
};

/// [Members] Remove a member
///
/// Remove a member at once: project roles go too, and every access to the organization ends.
#[utoipa::path(
    delete,
    path = "/v1/organizations/{organization_id}/members/{id}",
    operation_id = "remove_organization_member",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path), ("id" = inline(MembershipId), Path)),
    responses((status = 204, description = "Member removed"), WriteRefusals),
    extensions(
        ("x-permission" = json!(MembersUpdate::NAME)),
        ("x-minimum-role" = json!(MembersUpdate::ROLE.as_str())),
        ("x-scope" = json!(MembersUpdate::SCOPE)),
    )
)]
pub(super) async fn remove_organization_member(
    scope: OrganizationScope<MembersUpdate>,
    PathId(id): PathId<MembershipKind>,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<NoBody>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &Change<NoBody>| {
        let organization = organizations::lock(tx, scope.organization)?;
        let found = rows::find(tx.conn(), organization.id, id)?.ok_or_else(ApiError::not_found)?;
        change.check_version(found.0.modified().micros())?;
        let origin = Origin::caller(&scope.caller, &scope.request);
        let is_self = found.1.id == scope.caller.user;
        end(
            tx,
            &found,
            &origin,
            scope.caller.user,
            if is_self { LEFT } else { REMOVED },
        )?;
        if !is_self {
            mails::member_removed(&identity, tx, &found.1, &organization)?;
        }
        Ok(Answer::empty())
    };
    change
        .run(&app, &caller, "remove_organization_member", work)
        .await
}

/// [Members] Leave the organization
///
/// End the own membership. The last owner cannot leave.
#[utoipa::path(
    post,
    path = "/v1/organizations/{organization_id}/members/leave",
    operation_id = "leave_organization",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path)),
    responses((status = 204, description = "Membership ended"), WriteRefusals),
    extensions(
        ("x-permission" = json!(MembersLeave::NAME)),
        ("x-minimum-role" = json!(MembersLeave::ROLE.as_str())),
        ("x-scope" = json!(MembersLeave::SCOPE)),
    )
)]
pub(super) async fn leave_organization(
    scope: OrganizationScope<MembersLeave>,
    State(Area { app, .. }): State<Area>,
    change: Change<NoBody>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, _: &Change<NoBody>| {
        let organization = organizations::lock(tx, scope.organization)?;
        let found = rows::find_user(tx.conn(), organization.id, scope.caller.user)?;
        let found = found.ok_or_else(ApiError::not_found)?;
        let origin = Origin::caller(&scope.caller, &scope.request);
        end(tx, &found, &origin, scope.caller.user, LEFT)?;
        Ok(Answer::empty())
    };
    change.run(&app, &caller, "leave_organization", work).await
}

const LEFT: &str = "member.left";
const REMOVED: &str = "member.removed";

/// Ends a membership, unless the organization would be without an owner, and tells the organization.
fn end(tx: &mut Tx<'_>, found: &Found, origin: &Origin, by: Id<User>, action: &'static str) -> ApiResult<()> {
    rules::end(situation(tx, found)?)?;
    let (row, person) = found;
    rows::delete_with_projects(tx, row.organization_id, row.user_id)?;
    let mut changes = Changes::default();
    changes.note("role", &Some(row.role), &None);
    let event = Event {
        action,
        resource_type: "member",
        resource_id: row.id().cast(),
        resource_name: person.email.clone(),
        description: format!(
            "{} {}",
            person.email,
            if action == LEFT { "has left" } else { "was removed" }
        ),
        changes,
        status: AuditStatus::Success,
    };
    tx.audit(origin, Some(row.organization_id), None, &event)?;
    let facts = json!({
        "member": person.name(),
        "email": person.email,
        "user_id": person.id,
        "has_left": action == LEFT,
    });
    let notice = Notice::new(row.organization_id, &MEMBER_REMOVED, facts).except([by, person.id]);
    Ok(notify(tx, notice)?)
}
