//! What goes over the wire.

use kernel::{
    access::{OrganizationId, ProjectId, Role, UserId},
    json::JsonText,
    openapi::Whole,
    time::Time,
};
use serde::Serialize;
use utoipa::ToSchema;

kernel::words! {
    /// What the project is for
    pub enum Environment {
        /// Production
        Production = "production",
        /// Staging
        Staging = "staging",
        /// Development
        Development = "development",
        /// Other
        Other = "other",
    }
}

kernel::words! {
    /// Role in a project
    pub enum ProjectRole {
        /// Owner
        Owner = "owner",
        /// Editor
        Editor = "editor",
        /// Viewer
        Viewer = "viewer",
    }
}

impl From<Role> for ProjectRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Owner => Self::Owner,
            Role::Editor => Self::Editor,
            // A guest's role in a project is that of their membership of it, never this.
            Role::Viewer | Role::Guest => Self::Viewer,
        }
    }
}

/// A project, as the caller sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Project {
    #[schema(read_only)]
    pub(super) id: ProjectId,
    #[schema(read_only)]
    pub(super) organization_id: OrganizationId,
    /// Unique in the organization
    #[schema(max_length = 255)]
    pub(super) name: String,
    #[schema(required = false, max_length = 1000)]
    pub(super) description: String,
    #[schema(required = false, default = "other")]
    pub(super) environment: Environment,
    /// Hex colour used by the console
    #[schema(required = false, max_length = 7, pattern = "^#[0-9a-fA-F]{6}$")]
    pub(super) color: String,
    /// Custom tags
    #[schema(required = false, value_type = serde_json::Value)]
    pub(super) tags: JsonText,
    /// The project made together with the organization
    #[schema(required = false)]
    pub(super) is_default: bool,
    #[schema(required = false)]
    pub(super) is_active: bool,
    /// Role of the caller in the project
    #[schema(read_only)]
    pub(super) role: ProjectRole,
    #[schema(read_only, value_type = Whole)]
    pub(super) member_count: i64,
    #[schema(read_only)]
    pub(super) resource_counts: ResourceCounts,
    #[schema(required, read_only)]
    pub(super) created_by: Option<UserSummary>,
    #[schema(read_only)]
    pub(super) created: Time,
    #[schema(read_only)]
    pub(super) modified: Time,
}

/// How many resources of each kind a project has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ProjectResourceCounts)]
pub struct ResourceCounts {
    /// Instances, gone ones not counted.
    #[schema(read_only, value_type = Whole)]
    pub instances: i64,
    /// Volumes.
    #[schema(read_only, value_type = Whole)]
    pub volumes: i64,
    /// Snapshots.
    #[schema(read_only, value_type = Whole)]
    pub snapshots: i64,
    /// Virtual networks.
    #[schema(read_only, value_type = Whole)]
    pub vpcs: i64,
    /// Firewalls.
    #[schema(read_only, value_type = Whole)]
    pub firewalls: i64,
    /// Uptime monitors.
    #[schema(read_only, value_type = Whole)]
    pub uptime_monitors: i64,
    /// Domains.
    #[schema(read_only, value_type = Whole)]
    pub domains: i64,
    /// DNS zones.
    #[schema(read_only, value_type = Whole)]
    pub dns_zones: i64,
    /// Hosting accounts.
    #[schema(read_only, value_type = Whole)]
    pub hosting_accounts: i64,
}

impl ResourceCounts {
    /// Whether nothing is there that somebody uses or pays for. Empty networks and rules do not count.
    pub const fn is_empty(&self) -> bool {
        self.instances == 0
            && self.volumes == 0
            && self.snapshots == 0
            && self.uptime_monitors == 0
            && self.domains == 0
            && self.dns_zones == 0
            && self.hosting_accounts == 0
    }
}

/// A user, as other members see them.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct UserSummary {
    #[schema(read_only)]
    pub(super) id: UserId,
    #[schema(read_only, format = "email")]
    pub(super) email: String,
    #[schema(read_only)]
    pub(super) first_name: String,
    #[schema(read_only)]
    pub(super) last_name: String,
    #[schema(read_only)]
    pub(super) is_active: bool,
    #[schema(required, read_only)]
    pub(super) last_login: Option<Time>,
}
