//! The notification settings of an organization: there from the start, with everything on.

mod api;
mod change;
mod get;
mod rows;
mod rules;
mod test;

use utoipa_axum::{router::OpenApiRouter, routes};

pub use self::rows::low_balance_threshold;
pub(super) use self::{rows::find, rules::Settings};
use crate::state::Area;

pub(super) fn routes() -> OpenApiRouter<Area> {
    OpenApiRouter::new()
        .routes(routes!(
            get::get_notification_settings,
            change::replace_notification_settings,
            change::update_notification_settings
        ))
        .routes(routes!(test::test_notification_settings))
}
