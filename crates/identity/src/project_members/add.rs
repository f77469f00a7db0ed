//! `add_project_member`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope, Role},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiResult, Change, Faults, NON_FIELD},
    store::Tx,
};

use super::{
    ProjectMembersUpdate,
    api::{ProjectMember, ProjectMemberAddResult, ProjectMemberRequest},
    list::view,
    rows::{self, Found},
    rules,
};
use crate::{
    invitations::{self, Invite},
    organizations,
    refusals::WriteRefusals,
    state::Area,
    users::email_key,
};

/// [Project Members] Add a project member
///
/// Give someone a role in the project. For an address outside the organization a guest invitation is sent and
/// returned.
#[utoipa::path(
    post,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/members",
    operation_id = "add_project_member",
    tag = "Projects",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path), ("project_id" = String, Path)),
    request_body = ProjectMemberRequest,
    responses(
        (status = 201, body = ProjectMemberAddResult, description = "Member added or invitation sent"),
        WriteRefusals,
    ),
    extensions(
        ("x-permission" = json!(ProjectMembersUpdate::NAME)),
        ("x-minimum-role" = json!(ProjectMembersUpdate::ROLE.as_str())),
        ("x-scope" = json!(ProjectMembersUpdate::SCOPE)),
    )
)]
pub(super) async fn add_project_member(
    scope: ProjectScope<ProjectMembersUpdate>,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<ProjectMemberRequest>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let link = invitations::Link::new(&app, &identity);
    let work = move |tx: &mut Tx<'_>, change: &Change<ProjectMemberRequest>| {
        let organization = organizations::lock(tx, scope.organization)?;
        let wanted = change.body()?;
        let role = Role::from(wanted.role);
        let all = rows::all(tx.conn(), organization.id, scope.project)?;
        let key = wanted.email.as_deref().map(email_key);
        let known = all.into_iter().find(|found| match (wanted.user_id, &key) {
            (Some(user), _) => found.person.id == user,
            (None, Some(key)) => found.person.email_key == *key,
            (None, None) => false,
        });
        let origin = Origin::caller(&scope.caller, &scope.request);
        match (known, wanted.user_id, &wanted.email) {
            (Some(found), ..) => {
                let member = add(tx, &scope, found, role, &origin)?;
                let path = format!(
                    "/v1/organizations/{}/projects/{}/members/{}",
                    organization.id,
                    scope.project,
                    member.id()
                );
                let body = ProjectMemberAddResult {
                    member: Some(member),
                    invitation: None,
                };
                Ok(Answer::created(body, None, path))
            }
            (None, Some(user), _) => {
                let message = format!("Invalid pk \"{user}\" - object does not exist.");
                Err(Faults::one("user_id", message).into())
            }
            (None, None, Some(email)) => {
                let invite = Invite {
                    email: email.clone(),
                    role: Role::Guest,
                    project_roles: vec![(scope.project, role)],
                    message: String::new(),
                };
                let invitation = invitations::send(
                    &identity,
                    tx,
                    &organization,
                    &scope.caller,
                    &origin,
                    &invite,
                    &link,
                )?;
                let path = format!(
                    "/v1/organizations/{}/invitations/{}",
                    organization.id,
                    invitation.id()
                );
                let body = ProjectMemberAddResult {
                    member: None,
                    invitation: Some(invitation),
                };
                Ok(Answer::created(body, None, path))
            }
            (None, None, None) => Err(Faults::one(NON_FIELD, "Name the user by user_id or email.").into()),
        }
    };
    change.run(&app, &caller, "add_project_member", work).await
}

/// Gives a member of the organization a role in the project.
fn add(
    tx: &mut Tx<'_>,
    scope: &ProjectScope<ProjectMembersUpdate>,
    mut found: Found,
    role: Role,
    origin: &Origin,
) -> ApiResult<ProjectMember> {
    if found.given.is_some() {
        return Err(Faults::one(NON_FIELD, "This user has a role in the project already.").into());
    }
    rules::give(found.member.role, role).map_err(|fault| Faults::one("role", fault))?;
    let given = rows::insert(tx, scope.project, found.person.id, role, Some(scope.caller.user))?;
    found.given = Some(given);
    let mut changes = Changes::default();
    changes.note("role", &None, &Some(role));
    let email = &found.person.email;
    let event = Event {
        action: "project_member.added",
        resource_type: "project_member",
        resource_id: found.id().cast(),
        resource_name: email.clone(),
        description: format!("{email} is now {} of the project", role.as_str()),
        changes,
        status: AuditStatus::Success,
    };
    tx.audit(origin, Some(scope.organization), Some(scope.project), &event)?;
    view(tx.conn(), scope.project, found)
}
