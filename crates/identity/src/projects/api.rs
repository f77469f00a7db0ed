//! What goes over the wire.

use kernel::{
    access::{OrganizationId, ProjectId, Role},
    http::Body,
    json::JsonText,
    openapi::{Patched, Whole},
    time::Time,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::people::UserSummary;

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

impl From<ProjectRole> for Role {
    fn from(role: ProjectRole) -> Self {
        match role {
            ProjectRole::Owner => Self::Owner,
            ProjectRole::Editor => Self::Editor,
            ProjectRole::Viewer => Self::Viewer,
        }
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
    #[schema(required = false, max_length = 1000, extensions(("x-allow-blank" = json!(true))))]
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

    /// All of them together.
    pub const fn total(&self) -> i64 {
        let Self {
            instances,
            volumes,
            snapshots,
            vpcs,
            firewalls,
            uptime_monitors,
            domains,
            dns_zones,
            hosting_accounts,
        } = *self;
        instances
            + volumes
            + snapshots
            + vpcs
            + firewalls
            + uptime_monitors
            + domains
            + dns_zones
            + hosting_accounts
    }
}

/// The body of a PATCH.
pub(super) type PatchedProject = Patched<Project>;

/// What is wanted of a project; a field that is left out keeps its value.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) environment: Option<Environment>,
    pub(super) color: Option<String>,
    pub(super) tags: Option<JsonText>,
    pub(super) is_default: Option<bool>,
    pub(super) is_active: Option<bool>,
}

/// The body of POST and PUT.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct ProjectReplace(pub(super) Wanted);

impl Body for ProjectReplace {
    type Wire = Project;
}

/// The body of PATCH.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct ProjectUpdate(pub(super) Wanted);

impl Body for ProjectUpdate {
    type Wire = PatchedProject;
    const PARTIAL: bool = true;
}
