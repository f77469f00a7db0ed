//! Webhooks: what organizations are told, posted to addresses of theirs, and signed so that the receiver can tell it from
//! anybody else's (<https://www.standardwebhooks.com>).
//!
//! A delivery is a row with the very bytes that are signed, and a task for each attempt. An attempt that fails is followed
//! by another, after growing pauses, for about three days. An endpoint that takes nothing for days is switched off.

mod api;
mod change;
mod create;
mod delete;
mod deliver;
mod deliveries;
mod events;
mod look;
mod post;
mod rotate;
mod rows;
mod rules;
mod signature;

use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) use self::{
    deliver::DeliverWebhook,
    post::{post, post_test},
    rows::{DeliveryKind, WebhookRow, enabled, last_test, outcomes, trim},
};
use crate::state::Area;

/// What tests are called among events.
const TEST: &str = "test";

pub(super) fn routes() -> OpenApiRouter<Area> {
    OpenApiRouter::new()
        .routes(routes!(
            look::list_notification_webhooks,
            create::create_notification_webhook
        ))
        .routes(routes!(
            look::get_notification_webhook,
            change::update_notification_webhook,
            delete::delete_notification_webhook
        ))
        .routes(routes!(rotate::rotate_notification_webhook_secret))
        .routes(routes!(deliveries::list_notification_deliveries))
}
