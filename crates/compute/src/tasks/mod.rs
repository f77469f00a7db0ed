//! The tasks of instances, for who waits for them.

pub mod api;
mod cancel;
mod events;
mod get;
mod list;
mod path;
mod retry;
pub mod secrets;

use kernel::{
    access::{Organization, Project},
    id::Id,
    tasks::Task,
};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::{
    list::{find, has_unfinished, newest_of, one},
    path::InstancePath,
};

use crate::Compute;

pub(crate) fn routes() -> OpenApiRouter<Compute> {
    OpenApiRouter::new()
        .routes(routes!(list::list_instance_tasks))
        .routes(routes!(list::list_instance_tasks_nested))
        .routes(routes!(get::get_instance_task))
        .routes(routes!(get::get_instance_task_nested))
        .routes(routes!(events::watch_instance_task))
        .routes(routes!(cancel::cancel_instance_task))
        .routes(routes!(retry::retry_instance_task))
}

/// Where a task is read, for the answer that names it.
pub(crate) fn path(organization: Id<Organization>, project: Id<Project>, task: Id<Task>) -> String {
    format!("/v1/organizations/{organization}/projects/{project}/compute/tasks/{task}")
}
