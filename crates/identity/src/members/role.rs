//! `replace_organization_member`, `update_organization_member`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{OrganizationScope, Permission, Role, User},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Change, Faults, PathId},
    id::Id,
    store::Tx,
};
use serde_json::json;

use super::{
    MembersUpdate,
    api::{
        MemberReplace, MemberUpdate, MembershipId, MembershipKind, OrganizationMember,
        PatchedOrganizationMember, WantedRole,
    },
    rows::{self, Found},
    rules::{self, Situation},
    view,
};
use crate::{
    Identity, mails,
    notifications::{Notice, events::ROLE_CHANGED, notify},
    organizations,
    refusals::WriteRefusals,
    state::{Area, after},
};

/// [Members] Replace a member role
///
/// Write the role of a member; it counts from the next request on.
#[utoipa::path(
    put,
    path = "/v1/organizations/{organization_id}/members/{id}",
    operation_id = "replace_organization_member",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path), ("id" = inline(MembershipId), Path)),
    request_body = OrganizationMember,
    responses((status = 200, body = OrganizationMember, description = "Member updated"), WriteRefusals),
    extensions(
        ("x-permission" = json!(MembersUpdate::NAME)),
        ("x-minimum-role" = json!(MembersUpdate::ROLE.as_str())),
        ("x-scope" = json!(MembersUpdate::SCOPE)),
    )
)]
pub(super) async fn replace_organization_member(
    scope: OrganizationScope<MembersUpdate>,
    PathId(id): PathId<MembershipKind>,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<MemberReplace>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &Change<MemberReplace>| {
        write(&identity, tx, &scope, id, change, |body| &body.0)
    };
    change
        .run(&app, &caller, "replace_organization_member", work)
        .await
}

/// [Members] Change a member role
///
/// Change the role of a member; it counts from the next request on.
#[utoipa::path(
    patch,
    path = "/v1/organizations/{organization_id}/members/{id}",
    operation_id = "update_organization_member",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path), ("id" = inline(MembershipId), Path)),
    request_body = PatchedOrganizationMember,
    responses((status = 200, body = OrganizationMember, description = "Member updated"), WriteRefusals),
    extensions(
        ("x-permission" = json!(MembersUpdate::NAME)),
        ("x-minimum-role" = json!(MembersUpdate::ROLE.as_str())),
        ("x-scope" = json!(MembersUpdate::SCOPE)),
    )
)]
pub(super) async fn update_organization_member(
    scope: OrganizationScope<MembersUpdate>,
    PathId(id): PathId<MembershipKind>,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<MemberUpdate>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &Change<MemberUpdate>| {
        write(&identity, tx, &scope, id, change, |body| &body.0)
    };
    change
        .run(&app, &caller, "update_organization_member", work)
        .await
}

fn write<T>(
    identity: &Identity,
    tx: &mut Tx<'_>,
    scope: &OrganizationScope<MembersUpdate>,
    id: Id<MembershipKind>,
    change: &Change<T>,
    wanted: impl Fn(&T) -> &WantedRole,
) -> ApiResult<Answer<OrganizationMember>> {
    let organization = organizations::lock(tx, scope.organization)?;
    let found = rows::find(tx.conn(), organization.id, id)?.ok_or_else(ApiError::not_found)?;
    change.check_version(found.0.modified().micros())?;
    let wanted = wanted(change.body()?).role.unwrap_or(found.0.role);
    let origin = Origin::caller(&scope.caller, &scope.request);
    let before = found.0.role;
    rules::change(situation(tx, &found)?, wanted).map_err(|fault| Faults::one("role", fault))?;
    let found = set_role(tx, found, wanted, &origin, scope.caller.user)?;
    if found.0.role != before && found.1.id != scope.caller.user {
        mails::role_changed(identity, tx, &found.1, &organization, wanted)?;
    }
    let version = found.0.modified().micros();
    Ok(Answer::ok(view::one(tx.conn(), organization.id, found)?, version))
}

/// What must be known of a member, under the organization's lock.
pub(super) fn situation(tx: &mut Tx<'_>, (row, _): &Found) -> ApiResult<Situation> {
    Ok(Situation {
        role: row.role,
        other_owners: rows::count_other_owners(tx.conn(), row.organization_id, row.user_id)?,
        projects: rows::given(tx.conn(), row.organization_id, Some(row.user_id))?.len(),
    })
}

/// Writes a role, if it is another, with its audit record, and tells the organization.
pub(super) fn set_role(
    tx: &mut Tx<'_>,
    (row, person): Found,
    role: Role,
    origin: &Origin,
    by: Id<User>,
) -> ApiResult<Found> {
    if row.role == role {
        return Ok((row, person));
    }
    let modified = after(row.modified(), tx.now());
    let new = rows::set_role(tx, &row, role, modified)?;
    let mut changes = Changes::default();
    changes.note("role", &row.role, &role);
    let event = Event {
        action: "member.role_changed",
        resource_type: "member",
        resource_id: row.id().cast(),
        resource_name: person.email.clone(),
        description: format!("{} is now {}", person.email, role.as_str()),
        changes,
        status: AuditStatus::Success,
    };
    tx.audit(origin, Some(row.organization_id), None, &event)?;
    let facts = json!({
        "member": person.name(),
        "email": person.email,
        "user_id": person.id,
        "role": role,
        "former_role": row.role,
    });
    // The member has a letter of their own.
    let notice = Notice::new(row.organization_id, &ROLE_CHANGED, facts).except([by, person.id]);
    notify(tx, notice)?;
    Ok((new, person))
}
