//! `replace_project_member`, `update_project_member`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope, Role},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiResult, Change, Faults, PathId},
    id::Id,
    store::Tx,
};

use super::{
    ProjectMembersUpdate,
    api::{
        MemberReplace, MemberUpdate, PatchedProjectMember, ProjectMember, ProjectMembershipId, WantedRole,
    },
    list::{find, view},
    rows::{self, Found},
    rules,
};
use crate::{
    access::in_project,
    members::MembershipKind,
    organizations,
    refusals::WriteRefusals,
    state::{Area, after},
};

/// [Project Members] Replace a project member role
///
/// Write the role of a member in the project. An inherited member is given one of their own, which narrows theirs.
#[utoipa::path(
    put,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/members/{id}",
    operation_id = "replace_project_member",
    tag = "Projects",
    security(("BearerAuth" = [])),
    params(
        ("organization_id" = String, Path),
        ("project_id" = String, Path),
        ("id" = inline(ProjectMembershipId), Path),
    ),
    request_body = ProjectMember,
    responses((status = 200, body = ProjectMember, description = "Project member updated"), WriteRefusals),
    extensions(
        ("x-permission" = json!(ProjectMembersUpdate::NAME)),
        ("x-minimum-role" = json!(ProjectMembersUpdate::ROLE.as_str())),
        ("x-scope" = json!(ProjectMembersUpdate::SCOPE)),
    )
)]
pub(super) async fn replace_project_member(
    scope: ProjectScope<ProjectMembersUpdate>,
    PathId(id): PathId<MembershipKind>,
    State(Area { app, .. }): State<Area>,
    change: Change<MemberReplace>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work =
        move |tx: &mut Tx<'_>, change: &Change<MemberReplace>| write(tx, &scope, id, change, |body| &body.0);
    change.run(&app, &caller, "replace_project_member", work).await
}

/// [Project Members] Change a project member role
///
/// Change the role of a member in the project.
#[utoipa::path(
    patch,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/members/{id}",
    operation_id = "update_project_member",
    tag = "Projects",
    security(("BearerAuth" = [])),
    params(
        ("organization_id" = String, Path),
        ("project_id" = String, Path),
        ("id" = inline(ProjectMembershipId), Path),
    ),
    request_body = PatchedProjectMember,
    responses((status = 200, body = ProjectMember, description = "Project member updated"), WriteRefusals),
    extensions(
        ("x-permission" = json!(ProjectMembersUpdate::NAME)),
        ("x-minimum-role" = json!(ProjectMembersUpdate::ROLE.as_str())),
        ("x-scope" = json!(ProjectMembersUpdate::SCOPE)),
    )
)]
pub(super) async fn update_project_member(
    scope: ProjectScope<ProjectMembersUpdate>,
    PathId(id): PathId<MembershipKind>,
    State(Area { app, .. }): State<Area>,
    change: Change<MemberUpdate>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work =
        move |tx: &mut Tx<'_>, change: &Change<MemberUpdate>| write(tx, &scope, id, change, |body| &body.0);
    change.run(&app, &caller, "update_project_member", work).await
}

fn write<T>(
    tx: &mut Tx<'_>,
    scope: &ProjectScope<ProjectMembersUpdate>,
    id: Id<MembershipKind>,
    change: &Change<T>,
    wanted: impl Fn(&T) -> &WantedRole,
) -> ApiResult<Answer<ProjectMember>> {
    let organization = organizations::lock(tx, scope.organization)?.id;
    let mut found = find(tx.conn(), organization, scope.project, id)?;
    change.check_version(found.modified().micros())?;
    let wanted = wanted(change.body()?).role.map(Role::from);
    let held = in_project(found.member.role, found.given.as_ref().map(|given| given.role));
    if let Some(wanted) = wanted.filter(|wanted| held != Some(*wanted)) {
        rules::give(found.member.role, wanted).map_err(|fault| Faults::one("role", fault))?;
        let given = match &found.given {
            Some(given) => {
                let modified = after(found.modified(), tx.now());
                rows::set_role(tx, given, wanted, modified)?
            }
            None => rows::insert(
                tx,
                scope.project,
                found.person.id,
                wanted,
                Some(scope.caller.user),
            )?,
        };
        found.given = Some(given);
        let origin = Origin::caller(&scope.caller, &scope.request);
        let event = event(&found, held, wanted);
        tx.audit(&origin, Some(organization), Some(scope.project), &event)?;
    }
    let version = found.modified().micros();
    Ok(Answer::ok(view(tx.conn(), scope.project, found)?, version))
}

fn event(found: &Found, before: Option<Role>, role: Role) -> Event {
    let mut changes = Changes::default();
    changes.note("role", &before, &Some(role));
    let email = &found.person.email;
    Event {
        action: "project_member.role_changed",
        resource_type: "project_member",
        resource_id: found.id().cast(),
        resource_name: email.clone(),
        description: format!("{email} is now {} of the project", role.as_str()),
        changes,
        status: AuditStatus::Success,
    }
}
