//! The task that makes one attempt to deliver.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use kernel::{
    App,
    audit::{Changes, Origin},
    id::Id,
    outbound::{Call, OutboundError},
    store::{StoreError, Tx},
    tasks::{Done, Kind, NewTask, Outcome, Step, StepError, TaskRow, Work},
    time::Time,
};
use serde_json::json;
use tokio::sync::{OnceCell, Semaphore};

use super::{
    create,
    rows::{self, DeliveryKind, DeliveryRow, DeliveryStatus, WebhookRow},
    rules, signature,
};
use crate::notifications::{
    events::WEBHOOK_DISABLED,
    notice::{Notice, notify},
    tell::internal,
};

/// The pauses after failed attempts: with a quarter of jitter, a bit more than three days in all.
const PAUSES: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(14),
    Duration::from_hours(20),
    Duration::from_hours(24),
];
/// How long a delivery waits if others keep the workers busy.
const TURN: Duration = Duration::from_secs(2);
/// Bytes of an answer that are read: only its status counts.
const LONGEST_ANSWER: usize = 1024;

/// The kind `deliver_webhook`: one step, which makes one attempt.
pub(in crate::notifications) struct DeliverWebhook {
    steps: [Arc<dyn Step>; 1],
}

impl DeliverWebhook {
    const NAME: &'static str = "deliver_webhook";

    pub(in crate::notifications) fn new() -> Self {
        Self {
            steps: [Arc::new(Attempt::default())],
        }
    }

    /// The task of an attempt. It belongs to no project, so no client ever sees it.
    pub(super) fn task(delivery: Id<DeliveryKind>) -> NewTask {
        internal(Self::NAME, "webhook_delivery", delivery.cast(), json!({}))
    }
}

impl Kind for DeliverWebhook {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn steps(&self) -> &[Arc<dyn Step>] {
        &self.steps
    }

    fn ended(&self, _tx: &mut Tx<'_>, _task: &TaskRow, _outcome: Outcome) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Posts a delivery once.
#[derive(Default)]
struct Attempt {
    /// Slow endpoints keep at most half of the workers waiting.
    turns: OnceCell<Semaphore>,
}

impl Step for Attempt {
    fn name(&self) -> &'static str {
        "post_webhook"
    }

    fn run<'a>(&'a self, work: &'a mut Work) -> Done<'a> {
        Box::pin(self.attempt(&work.app, work.resource.cast()))
    }

    /// What was posted can't be called back.
    fn undo<'a>(&'a self, _work: &'a mut Work) -> Done<'a> {
        Box::pin(async { Ok(()) })
    }
}

impl Attempt {
    async fn attempt(&self, app: &App, id: Id<DeliveryKind>) -> Result<(), StepError> {
        let now = app.clock().now();
        let found = app.store().read("find_delivery", move |conn| {
            let Some(delivery) = rows::delivery(conn, id)? else {
                return Ok(None);
            };
            let webhook = rows::find(conn, delivery.organization_id, delivery.webhook_id)?;
            Ok::<_, StoreError>(webhook.map(|webhook| (delivery, webhook)))
        });
        // Forgotten with its webhook; given up; or tried already by a worker that died before it could say so to the queue.
        let is_due = |delivery: &DeliveryRow| {
            delivery.status == DeliveryStatus::Pending && delivery.next_attempt_at.is_none_or(|at| at <= now)
        };
        let Some((delivery, webhook)) = found.await?.filter(|(delivery, _)| is_due(delivery)) else {
            return Ok(());
        };
        let turns = self
            .turns
            .get_or_init(|| async { Semaphore::new((app.config().tasks.workers / 2).max(1)) })
            .await;
        let Ok(_turn) = turns.try_acquire() else {
            return put_off(app, delivery).await;
        };
        let answer = post(app, &delivery, &webhook).await;
        let days = app.config().notifications.webhook_failing_days;
        let patience = Duration::from_hours(24 * u64::from(days));
        app.store()
            .write("record_delivery", move |tx| record(tx, id, &answer, patience))
            .await?;
        Ok(())
    }
}

/// Tries again in a moment, when others have had their turn.
async fn put_off(app: &App, delivery: DeliveryRow) -> Result<(), StepError> {
    let write = app.store().write("put_off_delivery", move |tx| {
        let at = tx.now() + jittered(TURN);
        tx.enqueue_at(&DeliverWebhook::task(delivery.id), at)?;
        Ok::<_, StoreError>(())
    });
    Ok(write.await?)
}

/// A pause and up to a quarter more, so that what failed together is not tried together again.
fn jittered(pause: Duration) -> Duration {
    let millis = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(rand::random_range(millis..=millis + millis / 4))
}

/// Posts it. An answer of any status is an answer.
async fn post(app: &App, delivery: &DeliveryRow, webhook: &WebhookRow) -> Result<StatusCode, OutboundError> {
    let now = app.clock().now();
    let id = delivery.id.to_string();
    let former = webhook
        .former_secret
        .as_ref()
        .filter(|_| webhook.former_until.is_some_and(|until| until > now));
    let open = |sealed: &String| {
        let plain = app.sealer().open(&create::sealed_for(webhook.id), sealed);
        plain.ok().and_then(|plain| String::from_utf8(plain).ok())
    };
    let secrets: Vec<String> = [Some(&webhook.secret), former]
        .into_iter()
        .flatten()
        .filter_map(open)
        .collect();
    if secrets.is_empty() {
        tracing::error!(webhook = %webhook.id, "the secret of a webhook can't be opened");
        return Err(OutboundError::Unavailable);
    }
    let signature = signature::sign(&secrets, &id, now, &delivery.payload);
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in [
        ("webhook-id", id),
        ("webhook-timestamp", now.seconds().to_string()),
        ("webhook-signature", signature),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    let call = Call {
        headers,
        body: Bytes::from(delivery.payload.clone()),
        longest_answer: LONGEST_ANSWER,
        time: Duration::from_secs(app.config().notifications.webhook_seconds),
        ..Call::new(Method::POST, webhook.url.clone())
    };
    let reply = app.outbound().send(call).await?;
    Ok(reply.status)
}

/// Writes how an attempt went, and what follows from it.
fn record(
    tx: &mut Tx<'_>,
    id: Id<DeliveryKind>,
    answer: &Result<StatusCode, OutboundError>,
    patience: Duration,
) -> Result<(), StoreError> {
    let Some(seen) = rows::delivery(tx.conn(), id)? else {
        return Ok(());
    };
    // The webhook's lock is that of its deliveries too.
    let Some(mut webhook) = rows::lock(tx, seen.organization_id, seen.webhook_id)? else {
        return Ok(());
    };
    let Some(mut delivery) =
        rows::delivery(tx.conn(), id)?.filter(|row| row.status == DeliveryStatus::Pending)
    else {
        return Ok(());
    };
    let now = tx.now();
    delivery.attempts += 1;
    delivery.modified = now;
    delivery.response_status = answer.as_ref().ok().map(|status| i32::from(status.as_u16()));
    if answer.as_ref().is_ok_and(StatusCode::is_success) {
        delivery.status = DeliveryStatus::Delivered;
        delivery.delivered_at = Some(now);
        delivery.next_attempt_at = None;
        delivery.error.clear();
        rows::update_delivery(tx, &delivery)?;
        metrics::counter!("onet_webhooks", "outcome" => "delivered").increment(1);
        if webhook.failing_since.take().is_some() {
            rows::update(tx, &webhook)?;
        }
        return Ok(());
    }
    delivery.error = match answer {
        Ok(status) => format!("The endpoint answered {}.", status.as_u16()),
        Err(error) => error.to_string(),
    };
    schedule(tx, &mut delivery)?;
    rows::update_delivery(tx, &delivery)?;
    let is_gone = answer.as_ref().is_ok_and(|status| *status == StatusCode::GONE);
    let since = *webhook.failing_since.get_or_insert(now);
    if is_gone {
        return switch_off(tx, webhook, "The endpoint answered 410: it is gone.");
    }
    if now.since(since) >= patience {
        let days = patience.as_secs() / 86_400;
        return switch_off(tx, webhook, &format!("It has taken nothing for {days} days."));
    }
    rows::update(tx, &webhook)
}

/// Plans the next attempt, or gives up after the last.
fn schedule(tx: &mut Tx<'_>, delivery: &mut DeliveryRow) -> Result<(), StoreError> {
    let made = usize::try_from(delivery.attempts).unwrap_or(0);
    let Some(pause) = PAUSES.get(made.saturating_sub(1)) else {
        delivery.status = DeliveryStatus::Failed;
        delivery.next_attempt_at = None;
        metrics::counter!("onet_webhooks", "outcome" => "failed").increment(1);
        return Ok(());
    };
    metrics::counter!("onet_webhooks", "outcome" => "retried").increment(1);
    let at: Time = tx.now() + jittered(*pause);
    delivery.next_attempt_at = Some(at);
    tx.enqueue_at(&DeliverWebhook::task(delivery.id), at)?;
    Ok(())
}

/// Switches a webhook off, gives up what is on its way to it, and tells the owners.
fn switch_off(tx: &mut Tx<'_>, mut webhook: WebhookRow, reason: &str) -> Result<(), StoreError> {
    webhook.is_enabled = false;
    reason.clone_into(&mut webhook.disabled_reason);
    webhook.modified = crate::state::after(webhook.modified, tx.now());
    rows::update(tx, &webhook)?;
    rows::give_up(tx, webhook.id, "The webhook was switched off.")?;
    let mut changes = Changes::default();
    changes.note("is_enabled", &true, &false);
    let event = create::event(&webhook, "notification_webhook.disabled", "switched off", changes);
    let organization = webhook.organization_id;
    tx.audit(&Origin::system("worker"), Some(organization), None, &event)?;
    let facts = json!({ "webhook_id": webhook.id, "host": rules::host(&webhook.url), "reason": reason });
    notify(tx, Notice::new(organization, &WEBHOOK_DISABLED, facts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_go_on_for_a_bit_more_than_three_days() {
        let all: Duration = PAUSES.iter().sum();
        assert!(all > Duration::from_hours(72) && all < Duration::from_hours(84));
        for pause in PAUSES {
            let jittered = jittered(pause);
            assert!(jittered >= pause && jittered <= pause + pause / 4);
        }
    }
}
