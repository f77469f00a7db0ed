//! Projects: what the resources of an organization are grouped into.

mod api;
mod get;
mod list;
mod rows;
mod view;

use utoipa_axum::{router::OpenApiRouter, routes};

pub use self::api::ResourceCounts;
pub(crate) use self::{api::Environment, rows::ProjectRow};
use crate::state::Area;

kernel::permissions! {
    /// See a project.
    ProjectsRead = "projects.read", Guest, "projects:read";
}

pub(crate) fn routes() -> OpenApiRouter<Area> {
    OpenApiRouter::new()
        .routes(routes!(list::list_projects))
        .routes(routes!(get::get_project))
}
