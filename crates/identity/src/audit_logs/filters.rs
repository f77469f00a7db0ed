//! The filters that the list and the export share.

use kernel::{
    access::Organization,
    audit::AuditStatus,
    http::Query,
    id::{AnyId, Id},
    time::Time,
};
use utoipa::IntoParams;

use super::rows::Wanted;

/// Which records are wanted; what is left out does not narrow them.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the document's parameters: they are read by `read`")]
pub(super) struct Filters {
    /// Of this project
    #[param(inline, nullable = false)]
    project_id: Option<AnyId>,
    /// By this user, key or token
    #[param(inline, nullable = false)]
    actor_id: Option<AnyId>,
    /// Of this name. Ex: instance.created
    #[param(nullable = false)]
    action: Option<String>,
    /// Ex: instance
    #[param(nullable = false)]
    resource_type: Option<String>,
    /// Of this resource
    #[param(nullable = false)]
    resource_id: Option<String>,
    /// Done, or refused
    #[param(inline, nullable = false)]
    status: Option<AuditStatus>,
    /// At this time or later
    #[param(inline, nullable = false)]
    created_after: Option<Time>,
    /// At this time or earlier
    #[param(inline, nullable = false)]
    created_before: Option<Time>,
    /// From this address
    #[param(nullable = false)]
    ip_address: Option<String>,
    /// Part of a resource's or actor's name, or of the description
    #[param(nullable = false)]
    search: Option<String>,
    /// `created` or `-created` (the default)
    #[param(nullable = false)]
    ordering: Option<String>,
}

/// Reads the filters for the records of `organization`; faults are kept in `query`.
pub(super) fn read(organization: Id<Organization>, query: &mut Query) -> Wanted {
    Wanted {
        organization,
        project: query.id("project_id"),
        actor: query.id("actor_id"),
        action: query.text("action"),
        resource_type: query.text("resource_type"),
        resource: query.id("resource_id"),
        status: query.choice("status", AuditStatus::from_word),
        after: query.time("created_after"),
        before: query.time("created_before"),
        // Stored as the standard library writes it: other spellings of an address mean the same.
        address: query.text("ip_address").map(|text| {
            text.parse::<std::net::IpAddr>()
                .map_or(text, |address| address.to_string())
        }),
        search: query.text("search"),
        oldest_first: query
            .ordering(&[("created", ())])
            .is_some_and(|((), descending)| !descending),
    }
}
