//! What goes over the wire.

use std::collections::HashMap;

use kernel::{
    access::{Project, ProjectId, Role, User, UserId},
    http::Body,
    id::Id,
    openapi::Patched,
    time::Time,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rows::Found;
use crate::{
    access::in_project,
    invitations::OrganizationInvitation,
    members::MembershipKind,
    people::{PersonRow, UserSummary},
    projects::ProjectRole,
};

/// The id of a membership of a project; of an inherited one, that of the organization's.
pub(super) type ProjectMembershipId = Id<MembershipKind>;

/// A member of a project.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProjectMember {
    /// Identifier of the project membership
    #[schema(read_only)]
    id: ProjectMembershipId,
    #[schema(read_only)]
    project_id: ProjectId,
    #[schema(read_only)]
    user: UserSummary,
    /// Role held in the project
    role: ProjectRole,
    #[schema(read_only)]
    organization_role: Role,
    /// True when the role comes from the organization role and cannot be removed here
    #[schema(read_only)]
    is_inherited: bool,
    #[schema(required, read_only)]
    invited_by: Option<UserSummary>,
    #[schema(read_only)]
    created: Time,
    #[schema(read_only)]
    modified: Time,
}

impl ProjectMember {
    /// A member of `project`, if they are one; `inviters` are the users behind `invited_by`.
    pub(super) fn of(
        project: Id<Project>,
        found: Found,
        inviters: &HashMap<Id<User>, PersonRow>,
    ) -> Option<Self> {
        let role = in_project(found.member.role, found.given.as_ref().map(|given| given.role))?;
        let inviter = found.invited_by().and_then(|id| inviters.get(&id).cloned());
        Some(Self {
            id: found.id(),
            project_id: project,
            role: role.into(),
            organization_role: found.member.role,
            is_inherited: found.is_inherited(),
            invited_by: inviter.map(Into::into),
            created: found.created(),
            modified: found.modified(),
            user: found.person.into(),
        })
    }
}

impl ProjectMember {
    /// The membership's id.
    pub(super) const fn id(&self) -> ProjectMembershipId {
        self.id
    }
}

/// The body of a PATCH.
pub(super) type PatchedProjectMember = Patched<ProjectMember>;

/// The one field of a member that can be written.
#[derive(Debug, Deserialize)]
pub(super) struct WantedRole {
    #[serde(default)]
    pub(super) role: Option<ProjectRole>,
}

/// The body of PUT.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct MemberReplace(pub(super) WantedRole);

impl Body for MemberReplace {
    type Wire = ProjectMember;
}

/// The body of PATCH.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct MemberUpdate(pub(super) WantedRole);

impl Body for MemberUpdate {
    type Wire = PatchedProjectMember;
    const PARTIAL: bool = true;
}

/// Who gets a role in the project.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct ProjectMemberRequest {
    /// User who already belongs to the organization
    #[serde(default)]
    #[schema(nullable = false)]
    pub(super) user_id: Option<UserId>,
    /// Used when user_id is absent; an unknown address gets an organization invitation as guest
    #[serde(default)]
    #[schema(nullable = false, format = "email", max_length = 254)]
    pub(super) email: Option<String>,
    pub(super) role: ProjectRole,
}

impl Body for ProjectMemberRequest {
    type Wire = Self;
}

/// The new member, or the invitation that was sent.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProjectMemberAddResult {
    #[schema(required, read_only)]
    pub(super) member: Option<ProjectMember>,
    #[schema(required, read_only)]
    pub(super) invitation: Option<OrganizationInvitation>,
}
