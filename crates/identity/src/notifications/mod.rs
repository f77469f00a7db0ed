//! What organizations are told, and how: by mail to their owners and to further addresses, and by signed webhooks.
//!
//! An area declares its [`Event`]s, hands them over where all areas are known, and calls [`notify`] in the transaction of
//! what has happened. That writes one row and one task: the request does not wait for anything else. The task
//! ([`tell`]) decides who is told how, by the settings of the organization and the wishes of its owners, and writes mails
//! into the outbox and deliveries of webhooks; what comes in floods is gathered ([`digest`]).

mod audience;
mod digest;
pub mod events;
mod keep;
mod notice;
mod settings;
mod tell;
mod webhooks;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;

pub use self::{
    events::{Category, Event, Events, Switch},
    notice::{Notice, notify},
    settings::low_balance_threshold,
};
pub(crate) use self::{keep::erase, keep::forget_old};
use crate::{Identity, state::Area};

kernel::permissions! {
    /// See what an organization is told of, and where.
    NotificationsRead = "notifications.read", Editor, "notifications:read";
    /// Choose what an organization is told of, and where; send a test.
    NotificationsUpdate = "notifications.update", Owner, "notifications:write";
    /// See the webhooks of an organization, and what was sent to them.
    WebhooksRead = "notifications.webhooks.read", Owner, "notifications:read";
    /// Add, change and remove webhooks.
    WebhooksUpdate = "notifications.webhooks.update", Owner, "notifications:write";
}

pub(crate) fn routes() -> OpenApiRouter<Area> {
    OpenApiRouter::new()
        .merge(settings::routes())
        .merge(webhooks::routes())
}

/// The kinds of tasks that tell.
pub(crate) fn kinds(identity: &Identity) -> [Arc<dyn kernel::tasks::Kind>; 3] {
    [
        Arc::new(tell::TellNotices::new(identity)),
        Arc::new(digest::SendDigest::new(identity)),
        Arc::new(webhooks::DeliverWebhook::new()),
    ]
}
