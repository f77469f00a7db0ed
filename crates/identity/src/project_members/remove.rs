//! `remove_project_member`, and what becomes of guests without a project.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Organization, Permission, ProjectScope, Role, User},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Change, NoBody, PathId},
    id::Id,
    store::Tx,
};

use super::{ProjectMembersUpdate, api::ProjectMembershipId, list::find, rows};
use crate::{
    members::{self, MembershipKind},
    organizations,
    refusals::WriteRefusals,
    state::Area,
};

/// [Project Members] Remove a project member
///
/// Remove a member from the project; inherited members cannot be removed here. A guest left with no project loses the
/// organization too; an editor or viewer has their own role in the project again.
#[utoipa::path(
    delete,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/members/{id}",
    operation_id = "remove_project_member",
    tag = "Projects",
    security(("BearerAuth" = [])),
    params(
        ("organization_id" = String, Path),
        ("project_id" = String, Path),
        ("id" = inline(ProjectMembershipId), Path),
    ),
    responses((status = 204, description = "Project member removed"), WriteRefusals),
    extensions(
        ("x-permission" = json!(ProjectMembersUpdate::NAME)),
        ("x-minimum-role" = json!(ProjectMembersUpdate::ROLE.as_str())),
        ("x-scope" = json!(ProjectMembersUpdate::SCOPE)),
    )
)]
pub(super) async fn remove_project_member(
    scope: ProjectScope<ProjectMembersUpdate>,
    PathId(id): PathId<MembershipKind>,
    State(Area { app, .. }): State<Area>,
    change: Change<NoBody>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &Change<NoBody>| {
        let organization = organizations::lock(tx, scope.organization)?.id;
        let found = find(tx.conn(), organization, scope.project, id)?;
        change.check_version(found.modified().micros())?;
        if found.is_inherited() {
            return Err(ApiError::refused(
                "This role comes from the organization: change or end it there.",
            ));
        }
        rows::delete(tx, scope.project, found.person.id)?;
        let mut changes = Changes::default();
        changes.note("role", &found.given.as_ref().map(|given| given.role), &None);
        let email = &found.person.email;
        let event = Event {
            action: "project_member.removed",
            resource_type: "project_member",
            resource_id: found.id().cast(),
            resource_name: email.clone(),
            description: format!("{email} was removed from the project"),
            changes,
            status: AuditStatus::Success,
        };
        let origin = Origin::caller(&scope.caller, &scope.request);
        tx.audit(&origin, Some(organization), Some(scope.project), &event)?;
        end_empty_guest(tx, organization, found.person.id, &origin)?;
        Ok(Answer::empty())
    };
    change.run(&app, &caller, "remove_project_member", work).await
}

/// Ends the membership of a guest who has no project any more.
pub(crate) fn end_empty_guest(
    tx: &mut Tx<'_>,
    organization: Id<Organization>,
    user: Id<User>,
    origin: &Origin,
) -> ApiResult<()> {
    let Some((row, person)) = members::find_user(tx.conn(), organization, user)? else {
        return Ok(());
    };
    if row.role != Role::Guest || rows::count_of_user(tx, organization, user)? > 0 {
        return Ok(());
    }
    members::delete_with_projects(tx, organization, user)?;
    let mut changes = Changes::default();
    changes.note("role", &Some(row.role), &None);
    let event = Event {
        action: "member.removed",
        resource_type: "member",
        resource_id: row.id().cast(),
        resource_name: person.email.clone(),
        description: format!("{} was a guest and has no project any more", person.email),
        changes,
        status: AuditStatus::Success,
    };
    Ok(tx.audit(origin, Some(organization), None, &event)?)
}
