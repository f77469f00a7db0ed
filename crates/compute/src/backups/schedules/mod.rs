//! Schedules: when backups are made by themselves, and how many of them are kept.

pub mod api;
mod calendar;
mod change;
pub mod clock;
mod create;
mod delete;
mod list;
mod plan;
pub(crate) mod rows;
mod run;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::Compute;

pub(super) fn routes() -> OpenApiRouter<Compute> {
    OpenApiRouter::new()
        .routes(routes!(
            list::list_backup_schedules,
            create::create_backup_schedule
        ))
        .routes(routes!(
            list::get_backup_schedule,
            change::replace_backup_schedule,
            change::update_backup_schedule,
            delete::delete_backup_schedule
        ))
        .routes(routes!(run::run_backup_schedule))
}
