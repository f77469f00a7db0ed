//! What goes over the wire.

use kernel::{
    access::{OrganizationId, ProjectId, Role},
    http::Body,
    id::Id,
    openapi::WriteOnly,
    time::Time,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rows::{GivenRole, InvitationRow};
use crate::{
    people::{PersonRow, UserSummary},
    projects::ProjectRole,
};

/// Names the ids of invitations.
#[derive(Debug)]
pub(crate) enum InvitationKind {}
/// The id of an invitation.
pub(crate) type InvitationId = Id<InvitationKind>;

kernel::words! {
    /// Where an invitation stands
    pub(crate) enum InvitationStatus {
        /// Pending
        Pending = "pending",
        /// Accepted
        Accepted = "accepted",
        /// Declined
        Declined = "declined",
        /// Revoked
        Revoked = "revoked",
        /// Expired
        Expired = "expired",
    }
}

/// An invitation into an organization.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrganizationInvitation {
    #[schema(read_only)]
    id: InvitationId,
    #[schema(read_only)]
    organization_id: OrganizationId,
    #[schema(read_only)]
    organization_name: String,
    /// Address the invitation is sent to
    #[schema(format = "email", max_length = 254)]
    email: String,
    /// Role given on acceptance
    role: Role,
    /// Project roles given on acceptance; at least one is needed when role is guest
    #[schema(required = false, max_items = 100)]
    project_roles: Vec<ProjectRoleAssignment>,
    /// Optional note shown in the e-mail
    #[schema(required = false, max_length = 1000, extensions(("x-allow-blank" = json!(true))))]
    message: String,
    #[schema(read_only)]
    status: InvitationStatus,
    #[schema(required, read_only)]
    invited_by: Option<UserSummary>,
    #[schema(read_only)]
    expires_at: Time,
    #[schema(required, read_only)]
    accepted_at: Option<Time>,
    #[schema(read_only)]
    last_sent_at: Time,
    #[schema(read_only)]
    created: Time,
    #[schema(read_only)]
    modified: Time,
}

/// A role in a project, given on acceptance.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct ProjectRoleAssignment {
    pub(super) project_id: ProjectId,
    pub(super) role: ProjectRole,
}

impl OrganizationInvitation {
    /// The invitation as it stands at `now`.
    pub(super) fn at(
        now: Time,
        row: InvitationRow,
        organization_name: String,
        inviter: Option<PersonRow>,
    ) -> Self {
        let status = row.status_at(now);
        let InvitationRow {
            id,
            organization_id,
            email,
            email_key: _,
            role,
            project_roles,
            message,
            status: _,
            token_hash: _,
            invited_by: _,
            expires_at,
            accepted_at,
            last_sent_at,
            created,
            modified,
        } = row;
        let given: Vec<GivenRole> = project_roles.read().unwrap_or_default();
        let given = given.into_iter().map(|given| ProjectRoleAssignment {
            project_id: given.project_id,
            role: given.role.into(),
        });
        Self {
            id,
            organization_id,
            organization_name,
            email,
            role,
            project_roles: given.collect(),
            message,
            status,
            invited_by: inviter.map(Into::into),
            expires_at,
            accepted_at,
            last_sent_at,
            created,
            modified,
        }
    }

    /// The invitation's id.
    pub(crate) const fn id(&self) -> InvitationId {
        self.id
    }
}

/// The body of `create_organization_invitation`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct NewInvitation {
    pub(super) email: String,
    pub(super) role: Role,
    #[serde(default)]
    pub(super) project_roles: Vec<ProjectRoleAssignment>,
    #[serde(default)]
    pub(super) message: String,
}

impl Body for NewInvitation {
    type Wire = OrganizationInvitation;
}

/// The secret of a link.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InvitationTokenRequest {
    /// Secret from the invitation e-mail
    #[serde(skip_serializing_if = "WriteOnly::hidden")]
    #[schema(required, write_only, value_type = String, max_length = 128)]
    token: WriteOnly<String>,
}

/// The same, read.
#[derive(Deserialize)]
pub(super) struct Token {
    pub(super) token: String,
}

impl Body for Token {
    type Wire = InvitationTokenRequest;
}

/// What a link stands for, before anybody has logged in.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InvitationPreview {
    #[schema(read_only)]
    pub(super) organization_name: String,
    #[schema(read_only, format = "email")]
    pub(super) email: String,
    #[schema(read_only)]
    pub(super) role: Role,
    #[schema(read_only)]
    pub(super) invited_by_name: String,
    #[schema(read_only)]
    pub(super) status: InvitationStatus,
    /// Whether the invited address already has an account
    #[schema(read_only)]
    pub(super) account_exists: bool,
    #[schema(read_only)]
    pub(super) expires_at: Time,
}

/// Which invitation is accepted or declined.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InvitationResponseRequest {
    /// Secret from the invitation e-mail
    #[serde(skip_serializing_if = "WriteOnly::hidden")]
    #[schema(required = false, write_only, value_type = String, max_length = 128)]
    token: WriteOnly<String>,
    /// Alternative to token when the signed-in user owns the invited e-mail address
    #[serde(skip_serializing_if = "WriteOnly::hidden")]
    #[schema(required = false, write_only, value_type = InvitationId)]
    invitation_id: WriteOnly<InvitationId>,
}

/// The same, read.
#[derive(Clone, Deserialize)]
pub(super) struct Reply {
    #[serde(default)]
    pub(super) token: Option<String>,
    #[serde(default)]
    pub(super) invitation_id: Option<InvitationId>,
}

impl Body for Reply {
    type Wire = InvitationResponseRequest;
}
