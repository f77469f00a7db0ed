//! A new delivery: its row and the task of its first attempt, in the transaction of what it tells.

use kernel::{
    id::Id,
    language::Language,
    store::{StoreError, Tx},
    time::Time,
};
use serde_json::{Value, json};

use super::{
    TEST,
    deliver::DeliverWebhook,
    rows::{self, DeliveryKind, DeliveryRow, DeliveryStatus, WebhookRow},
};
use crate::notifications::events::Event;

/// Posts an event to a webhook.
pub(in crate::notifications) fn post(
    tx: &mut Tx<'_>,
    webhook: &WebhookRow,
    event: &Event,
    facts: &Value,
    at: Time,
) -> Result<Id<DeliveryKind>, StoreError> {
    let summary = event.sentence(facts, Language::En);
    enqueue(tx, webhook, event.slug, facts.clone(), &summary, at)
}

/// Posts a test to a webhook.
pub(in crate::notifications) fn post_test(
    tx: &mut Tx<'_>,
    webhook: &WebhookRow,
    organization: &str,
) -> Result<Id<DeliveryKind>, StoreError> {
    let facts = json!({ "organization_id": webhook.organization_id, "organization": organization });
    let now = tx.now();
    enqueue(tx, webhook, TEST, facts, "This is a test.", now)
}

fn enqueue(
    tx: &mut Tx<'_>,
    webhook: &WebhookRow,
    event: &str,
    mut facts: Value,
    summary: &str,
    at: Time,
) -> Result<Id<DeliveryKind>, StoreError> {
    facts["summary"] = summary.into();
    let now = tx.now();
    let row = DeliveryRow {
        id: Id::new(),
        organization_id: webhook.organization_id,
        webhook_id: webhook.id,
        event: event.to_owned(),
        payload: json!({ "type": event, "timestamp": at, "data": facts }).to_string(),
        status: DeliveryStatus::Pending,
        attempts: 0,
        next_attempt_at: Some(now),
        response_status: None,
        error: String::new(),
        delivered_at: None,
        created: now,
        modified: now,
    };
    rows::insert_delivery(tx, &row)?;
    tx.enqueue(&DeliverWebhook::task(row.id))?;
    Ok(row.id)
}
