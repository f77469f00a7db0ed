//! Projects: what the resources of an organization are grouped into.

mod api;
mod create;
mod delete;
mod get;
mod list;
mod replace;
mod rows;
mod rules;
mod view;

use utoipa_axum::{router::OpenApiRouter, routes};

pub use self::api::ResourceCounts;
pub(crate) use self::{
    api::ProjectRole,
    list::visible,
    rows::{ProjectRow, existing},
};
use crate::state::Area;

kernel::permissions! {
    /// See a project.
    ProjectsRead = "projects.read", Guest, "projects:read";
    /// Create projects.
    ProjectsCreate = "projects.create", Editor, "projects:write";
    /// Change what a project is called and how it is shown.
    ProjectsUpdate = "projects.update", Editor, "projects:write";
    /// Delete a project.
    ProjectsDelete = "projects.delete", Owner, "projects:write";
}

pub(crate) fn routes() -> OpenApiRouter<Area> {
    OpenApiRouter::new()
        .routes(routes!(list::list_projects, create::create_project))
        .routes(routes!(
            get::get_project,
            replace::replace_project,
            replace::update_project,
            delete::delete_project
        ))
}
