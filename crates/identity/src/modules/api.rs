//! What goes over the wire.

use kernel::{openapi::Whole, time::Time};
use serde::Serialize;
use utoipa::ToSchema;

use super::Module;
use crate::people::UserSummary;

/// A module, as it stands in an organization.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OrganizationModule {
    #[schema(read_only)]
    pub(super) slug: Module,
    #[schema(read_only)]
    pub(super) name: &'static str,
    #[schema(required = false, read_only)]
    pub(super) description: &'static str,
    #[schema(read_only)]
    pub(super) is_enabled: bool,
    /// False when the platform operator does not offer the module
    #[schema(read_only)]
    pub(super) is_available: bool,
    /// Live resources of the module in the organization; must be 0 to disable
    #[schema(read_only, value_type = Whole)]
    pub(super) resource_count: i64,
    #[schema(required, read_only)]
    pub(super) enabled_at: Option<Time>,
    #[schema(required, read_only)]
    pub(super) enabled_by: Option<UserSummary>,
}
