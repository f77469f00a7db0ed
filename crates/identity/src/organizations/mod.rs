//! Organizations: who pays, who belongs, what is theirs.
//!
//! Whatever counts against a quota, or keeps an owner in an organization, is decided under the lock of the
//! organization's row ([`lock`]): of many requests at once, one after the other looks at what the last one has left.

mod api;
mod create;
mod delete;
mod get;
mod list;
mod purge;
mod quotas;
mod replace;
mod rows;
mod rules;

use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::{
    api::{OrganizationType, SupportPlan},
    rows::{OrganizationRow, find, lock, lock_active},
};
pub use self::{
    purge::{purge, restore},
    quotas::{Quotas, enter},
};
use crate::state::Area;

kernel::permissions! {
    /// See an organization.
    OrganizationsRead = "organizations.read", Guest, "organizations:read";
    /// Change an organization's name, type, logo and address.
    OrganizationsUpdate = "organizations.update", Owner, "organizations:write";
    /// Delete an organization.
    OrganizationsDelete = "organizations.delete", Owner, "organizations:write";
    /// See quotas and what is used of them.
    QuotasRead = "organizations.quotas.read", Viewer, "organizations:read";
}

pub(crate) fn routes() -> OpenApiRouter<Area> {
    OpenApiRouter::new()
        .routes(routes!(list::list_organizations, create::create_organization))
        .routes(routes!(
            get::get_organization,
            replace::replace_organization,
            replace::update_organization,
            delete::delete_organization
        ))
        .routes(routes!(quotas::get_organization_quotas))
}
