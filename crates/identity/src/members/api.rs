//! What goes over the wire.

use kernel::{
    access::{OrganizationId, ProjectId, Role},
    http::Body,
    id::Id,
    openapi::{Patched, WriteOnly},
    time::Time,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{people::UserSummary, projects::ProjectRole};

/// Names the ids of memberships, in organizations and in projects.
#[derive(Debug)]
pub(crate) enum MembershipKind {}
/// The id of a membership.
pub(crate) type MembershipId = Id<MembershipKind>;

/// A member of an organization.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrganizationMember {
    /// Identifier of the membership, not of the user
    #[schema(read_only)]
    pub(super) id: MembershipId,
    #[schema(read_only)]
    pub(super) organization_id: OrganizationId,
    #[schema(read_only)]
    pub(super) user: UserSummary,
    /// Role held in the organization
    pub(super) role: Role,
    /// Project roles the member was given explicitly
    #[schema(read_only)]
    pub(super) projects: Vec<MemberProject>,
    /// Whether the user has a second factor
    #[schema(read_only)]
    pub(super) has_mfa: bool,
    #[schema(required, read_only)]
    pub(super) invited_by: Option<UserSummary>,
    /// When the user joined
    #[schema(read_only)]
    pub(super) created: Time,
    #[schema(read_only)]
    pub(super) modified: Time,
}

/// A role in a project that a member was given.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MemberProject {
    #[schema(read_only)]
    pub(super) project_id: ProjectId,
    #[schema(read_only)]
    pub(super) project_name: String,
    #[schema(read_only)]
    pub(super) role: ProjectRole,
}

/// The body of a PATCH.
pub(super) type PatchedOrganizationMember = Patched<OrganizationMember>;

/// The one field of a member that can be written.
#[derive(Debug, Deserialize)]
pub(super) struct WantedRole {
    #[serde(default)]
    pub(super) role: Option<Role>,
}

/// The body of PUT.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct MemberReplace(pub(super) WantedRole);

impl Body for MemberReplace {
    type Wire = OrganizationMember;
}

/// The body of PATCH.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct MemberUpdate(pub(super) WantedRole);

impl Body for MemberUpdate {
    type Wire = PatchedOrganizationMember;
    const PARTIAL: bool = true;
}

/// The caller's own membership, and what follows from it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CurrentMembership {
    #[schema(read_only)]
    pub(super) member: OrganizationMember,
    /// Permission codes the caller effectively holds in the organization
    #[schema(read_only)]
    pub(super) permissions: Vec<&'static str>,
    /// Effective permissions per accessible project
    #[schema(read_only)]
    pub(super) project_permissions: Vec<ProjectPermissions>,
}

/// What the caller may do in a project.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProjectPermissions {
    #[schema(read_only)]
    pub(super) project_id: ProjectId,
    #[schema(read_only)]
    pub(super) role: ProjectRole,
    #[schema(read_only)]
    pub(super) permissions: Vec<&'static str>,
}

/// Who becomes owner, and what the caller keeps.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OwnershipTransferRequest {
    /// Membership that becomes owner
    member_id: MembershipId,
    /// Role the caller keeps afterwards
    #[schema(required = false, default = "editor")]
    previous_owner_role: Role,
    /// Password of the caller, as confirmation
    #[serde(skip_serializing_if = "WriteOnly::hidden")]
    #[schema(required = false, write_only, value_type = String, extensions(("x-verbatim" = json!(true))))]
    password: WriteOnly<String>,
}

/// The same, read.
#[derive(Clone, Deserialize)]
pub(super) struct Transfer {
    pub(super) member_id: MembershipId,
    #[serde(default = "editor")]
    pub(super) previous_owner_role: Role,
    #[serde(default)]
    pub(super) password: Option<String>,
}

const fn editor() -> Role {
    Role::Editor
}

impl Body for Transfer {
    type Wire = OwnershipTransferRequest;
}
