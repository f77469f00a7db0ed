//! What a user wants to be told, and how: per event by mail and in the console, and a master switch for optional mails.

mod api;
mod change;
mod get;
mod rows;
mod rules;

use utoipa_axum::{router::OpenApiRouter, routes};

pub use self::rows::wants_mail;
pub(crate) use self::{rows::of_users, rules::Wishes};
use crate::state::Area;

pub(crate) fn routes() -> OpenApiRouter<Area> {
    OpenApiRouter::new().routes(routes!(
        get::get_notification_preferences,
        change::replace_notification_preferences,
        change::update_notification_preferences
    ))
}
