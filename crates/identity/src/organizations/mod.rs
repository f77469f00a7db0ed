//! Organizations: who pays, who belongs, what is theirs.

mod api;
mod get;
mod list;
mod rows;

use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::{
    api::{OrganizationType, SupportPlan},
    rows::OrganizationRow,
};
use crate::state::Area;

kernel::permissions! {
    /// See an organization.
    OrganizationsRead = "organizations.read", Guest, "organizations:read";
}

pub(crate) fn routes() -> OpenApiRouter<Area> {
    OpenApiRouter::new()
        .routes(routes!(list::list_organizations))
        .routes(routes!(get::get_organization))
}
