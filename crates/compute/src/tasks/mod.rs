//! The tasks of instances, for who waits for them.

pub mod api;
mod list;

use kernel::{
    access::{Organization, Project},
    id::Id,
    tasks::Task,
};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::list::{find, has_unfinished, newest_of, one};

use crate::Compute;

pub(crate) fn routes() -> OpenApiRouter<Compute> {
    OpenApiRouter::new()
        .routes(routes!(list::list_instance_tasks))
        .routes(routes!(list::get_instance_task))
}

/// Where a task is read, for the answer that names it.
pub(crate) fn path(organization: Id<Organization>, project: Id<Project>, task: Id<Task>) -> String {
    format!("/v1/organizations/{organization}/projects/{project}/compute/tasks/{task}")
}
