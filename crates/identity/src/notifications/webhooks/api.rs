//! What goes over the wire.

use kernel::{
    access::OrganizationId,
    http::Body,
    id::Id,
    openapi::{Patched, Whole},
    time::Time,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rows::{DeliveryKind, DeliveryRow, DeliveryStatus, WebhookKind, WebhookRow};

/// The id of a webhook.
pub(super) type WebhookId = Id<WebhookKind>;
/// The id of a delivery.
type DeliveryId = Id<DeliveryKind>;

/// An address that events are posted to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NotificationWebhook {
    #[schema(read_only)]
    id: WebhookId,
    #[schema(read_only)]
    organization_id: OrganizationId,
    /// Where events are posted to: a public address, by https
    #[schema(format = "uri", max_length = 2048)]
    url: String,
    #[schema(required = false, max_length = 255, extensions(("x-allow-blank" = json!(true))))]
    description: String,
    /// Events, or groups of them such as `invoice.*`; none for all
    #[schema(required = false, max_items = 100)]
    events: Vec<String>,
    #[schema(required = false, default = true)]
    is_enabled: bool,
    /// Why it was switched off without anybody's doing; empty if it was not
    #[schema(read_only)]
    disabled_reason: String,
    /// Since when nothing was taken there
    #[schema(required, read_only)]
    failing_since: Option<Time>,
    /// What signatures are made with: in the answers only that made it, otherwise null
    #[schema(required, read_only)]
    secret: Option<String>,
    #[schema(read_only)]
    created: Time,
    #[schema(read_only)]
    modified: Time,
}

/// The body of PATCH.
pub(super) type PatchedNotificationWebhook = Patched<NotificationWebhook>;

impl From<WebhookRow> for NotificationWebhook {
    fn from(row: WebhookRow) -> Self {
        let WebhookRow {
            id,
            organization_id,
            url,
            description,
            events,
            is_enabled,
            disabled_reason,
            secret: _,
            former_secret: _,
            former_until: _,
            failing_since,
            created,
            modified,
        } = row;
        Self {
            id,
            organization_id,
            url,
            description,
            events: events.read().unwrap_or_default(),
            is_enabled,
            disabled_reason,
            failing_since,
            secret: None,
            created,
            modified,
        }
    }
}

/// What is wanted of a webhook; a field that is left out keeps its value.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    pub(super) url: Option<String>,
    pub(super) description: Option<String>,
    pub(super) events: Option<Vec<String>>,
    pub(super) is_enabled: Option<bool>,
}

/// The body of POST.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct NewWebhook(pub(super) Wanted);

impl Body for NewWebhook {
    type Wire = NotificationWebhook;
}

/// The body of PATCH.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct WebhookUpdate(pub(super) Wanted);

impl Body for WebhookUpdate {
    type Wire = PatchedNotificationWebhook;
    const PARTIAL: bool = true;
}

/// One event on its way to a webhook.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NotificationDelivery {
    /// The `webhook-id` of all its attempts
    #[schema(read_only)]
    id: DeliveryId,
    #[schema(read_only)]
    event: String,
    #[schema(read_only)]
    status: DeliveryStatus,
    #[schema(read_only, value_type = Whole)]
    attempts: i32,
    #[schema(required, read_only)]
    next_attempt_at: Option<Time>,
    /// The status of the last answer
    #[schema(read_only, nullable, value_type = Option<Whole>)]
    response_status: Option<i32>,
    /// Why the last attempt failed; empty if it did not
    #[schema(read_only)]
    error: String,
    /// What is posted
    #[schema(read_only)]
    payload: String,
    #[schema(required, read_only)]
    delivered_at: Option<Time>,
    #[schema(read_only)]
    created: Time,
}

impl From<DeliveryRow> for NotificationDelivery {
    fn from(row: DeliveryRow) -> Self {
        let DeliveryRow {
            id,
            organization_id: _,
            webhook_id: _,
            event,
            payload,
            status,
            attempts,
            next_attempt_at,
            response_status,
            error,
            delivered_at,
            created,
            modified: _,
        } = row;
        Self {
            id,
            event,
            status,
            attempts,
            next_attempt_at,
            response_status,
            error,
            payload,
            delivered_at,
            created,
        }
    }
}
