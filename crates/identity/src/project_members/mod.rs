//! Members of projects: everybody of the organization who is no guest, and who was given a role here.
//!
//! A role given here narrows that of an editor or viewer, and is all that a guest has. Owners of the organization own
//! every project.

mod add;
mod api;
mod list;
mod remove;
mod role;
mod rows;
mod rules;

use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::{
    remove::end_empty_guest,
    rows::{insert, users_of},
};
use crate::state::Area;

kernel::permissions! {
    /// See the members of a project.
    ProjectMembersRead = "projects.members.read", Viewer, "projects:read";
    /// Add and remove the members of a project, and change their roles.
    ProjectMembersUpdate = "projects.members.update", Owner, "projects:write";
    /// See which roles there are in a project.
    ProjectRolesRead = "projects.roles.read", Viewer, "projects:read";
}

pub(crate) fn routes() -> OpenApiRouter<Area> {
    OpenApiRouter::new()
        .routes(routes!(list::list_project_members, add::add_project_member))
        .routes(routes!(
            list::get_project_member,
            role::replace_project_member,
            role::update_project_member,
            remove::remove_project_member
        ))
        .routes(routes!(list::list_project_roles))
}
