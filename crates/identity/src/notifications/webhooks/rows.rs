//! How webhooks and deliveries are stored. Every finder takes the organization, or a delivery's own id.

use diesel::{
    AsChangeset, ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, RunQueryDsl,
    Selectable, SelectableHelper, dsl::count_star,
};
use kernel::{
    access::Organization,
    id::Id,
    json::JsonText,
    store::{Conn, StoreError, Tx, lock as locked},
    time::Time,
};

use super::super::keep::forget_deliveries;
use crate::schema::{notification_webhooks as webhooks, webhook_deliveries as deliveries};

/// Names the ids of webhooks.
#[derive(Debug)]
pub(in crate::notifications) enum WebhookKind {}
/// Names the ids of deliveries.
#[derive(Debug)]
pub(in crate::notifications) enum DeliveryKind {}

/// Deliveries of a webhook that are kept.
const KEPT: i64 = 1000;
/// Deliveries that one transaction deletes.
const PORTION: i64 = 500;

kernel::words! {
    /// Where a delivery stands
    pub(super) enum DeliveryStatus {
        /// Pending
        Pending = "pending",
        /// Delivered
        Delivered = "delivered",
        /// Failed
        Failed = "failed",
    }
}

/// A row of `notification_webhooks`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = webhooks, treat_none_as_null = true)]
pub(in crate::notifications) struct WebhookRow {
    pub(super) id: Id<WebhookKind>,
    pub(super) organization_id: Id<Organization>,
    pub(super) url: String,
    pub(super) description: String,
    pub(super) events: JsonText,
    pub(super) is_enabled: bool,
    pub(super) disabled_reason: String,
    pub(super) secret: String,
    pub(super) former_secret: Option<String>,
    pub(super) former_until: Option<Time>,
    pub(super) failing_since: Option<Time>,
    pub(super) created: Time,
    pub(super) modified: Time,
}

/// A row of `webhook_deliveries`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = deliveries, treat_none_as_null = true)]
pub(super) struct DeliveryRow {
    pub(super) id: Id<DeliveryKind>,
    pub(super) organization_id: Id<Organization>,
    pub(super) webhook_id: Id<WebhookKind>,
    pub(super) event: String,
    pub(super) payload: String,
    pub(super) status: DeliveryStatus,
    pub(super) attempts: i32,
    pub(super) next_attempt_at: Option<Time>,
    pub(super) response_status: Option<i32>,
    pub(super) error: String,
    pub(super) delivered_at: Option<Time>,
    pub(super) created: Time,
    pub(super) modified: Time,
}

/// The webhooks of an organization, in the order in which they were made.
pub(super) fn all(conn: &mut Conn, organization: Id<Organization>) -> Result<Vec<WebhookRow>, StoreError> {
    let query = webhooks::table
        .filter(webhooks::organization_id.eq(organization))
        .order((webhooks::created, webhooks::id))
        .select(WebhookRow::as_select());
    Ok(query.load(conn)?)
}

/// Those that are on.
pub(in crate::notifications) fn enabled(
    conn: &mut Conn,
    organization: Id<Organization>,
) -> Result<Vec<WebhookRow>, StoreError> {
    let all = all(conn, organization)?;
    Ok(all.into_iter().filter(|webhook| webhook.is_enabled).collect())
}

/// One webhook of an organization.
pub(super) fn find(
    conn: &mut Conn,
    organization: Id<Organization>,
    id: Id<WebhookKind>,
) -> Result<Option<WebhookRow>, StoreError> {
    let query = webhooks::table
        .filter(webhooks::id.eq(id))
        .filter(webhooks::organization_id.eq(organization))
        .select(WebhookRow::as_select());
    Ok(query.first(conn).optional()?)
}

/// The same, locked until the transaction ends.
pub(super) fn lock(
    tx: &mut Tx<'_>,
    organization: Id<Organization>,
    id: Id<WebhookKind>,
) -> Result<Option<WebhookRow>, StoreError> {
    let query = webhooks::table
        .filter(webhooks::id.eq(id))
        .filter(webhooks::organization_id.eq(organization))
        .select(WebhookRow::as_select());
    Ok(locked("notification_webhooks", query)
        .get_result(tx.conn())
        .optional()?)
}

pub(super) fn insert(tx: &mut Tx<'_>, row: &WebhookRow) -> Result<(), StoreError> {
    diesel::insert_into(webhooks::table)
        .values(row)
        .execute(tx.conn())?;
    Ok(())
}

/// Writes a webhook that is locked.
pub(super) fn update(tx: &mut Tx<'_>, row: &WebhookRow) -> Result<(), StoreError> {
    diesel::update(webhooks::table.find(row.id))
        .set(row)
        .execute(tx.conn())?;
    Ok(())
}

/// Deletes a webhook that is locked, with its deliveries.
pub(super) fn delete(tx: &mut Tx<'_>, row: &WebhookRow) -> Result<(), StoreError> {
    let theirs: Vec<Id<DeliveryKind>> = deliveries::table
        .filter(deliveries::webhook_id.eq(row.id))
        .select(deliveries::id)
        .load(tx.conn())?;
    for portion in theirs.chunks(500) {
        forget_deliveries(tx, portion)?;
    }
    diesel::delete(webhooks::table.find(row.id)).execute(tx.conn())?;
    Ok(())
}

pub(super) fn insert_delivery(tx: &mut Tx<'_>, row: &DeliveryRow) -> Result<(), StoreError> {
    diesel::insert_into(deliveries::table)
        .values(row)
        .execute(tx.conn())?;
    Ok(())
}

/// A delivery, if it was not forgotten.
pub(super) fn delivery(conn: &mut Conn, id: Id<DeliveryKind>) -> Result<Option<DeliveryRow>, StoreError> {
    Ok(deliveries::table
        .find(id)
        .select(DeliveryRow::as_select())
        .first(conn)
        .optional()?)
}

pub(super) fn update_delivery(tx: &mut Tx<'_>, row: &DeliveryRow) -> Result<(), StoreError> {
    diesel::update(deliveries::table.find(row.id))
        .set(row)
        .execute(tx.conn())?;
    Ok(())
}

/// Gives up all that is still on its way to a webhook.
pub(super) fn give_up(tx: &mut Tx<'_>, webhook: Id<WebhookKind>, reason: &str) -> Result<(), StoreError> {
    let now = tx.now();
    let open = deliveries::table
        .filter(deliveries::webhook_id.eq(webhook))
        .filter(deliveries::status.eq(DeliveryStatus::Pending));
    diesel::update(open)
        .set((
            deliveries::status.eq(DeliveryStatus::Failed),
            deliveries::next_attempt_at.eq(None::<Time>),
            deliveries::error.eq(reason),
            deliveries::modified.eq(now),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// How the first attempts of these deliveries went, of those that were tried.
pub(in crate::notifications) fn outcomes(
    conn: &mut Conn,
    of: &[Id<DeliveryKind>],
) -> Result<Vec<String>, StoreError> {
    type Row = (String, Option<i32>, String);
    let tried: Vec<Row> = deliveries::table
        .inner_join(webhooks::table)
        .filter(deliveries::id.eq_any(of))
        .filter(deliveries::attempts.gt(0))
        .order(deliveries::id)
        .select((webhooks::url, deliveries::response_status, deliveries::error))
        .load(conn)?;
    let said = tried.into_iter().map(|(url, status, error)| {
        let host = super::rules::host(&url);
        match status {
            Some(status) => format!("The webhook to {host} answered {status}."),
            None => format!("The webhook to {host} failed: {error}"),
        }
    });
    Ok(said.collect())
}

/// When an organization's webhooks were last tested, if after `since`.
pub(in crate::notifications) fn last_test(
    conn: &mut Conn,
    organization: Id<Organization>,
    since: Time,
) -> Result<Option<Time>, StoreError> {
    let query = deliveries::table
        .inner_join(webhooks::table)
        .filter(webhooks::organization_id.eq(organization))
        .filter(deliveries::created.gt(since))
        .filter(deliveries::event.eq(super::TEST))
        .order(deliveries::created.desc())
        .select(deliveries::created);
    Ok(query.first(conn).optional()?)
}

/// Deletes the oldest deliveries of webhooks that have more than are kept, and tells how many.
pub(in crate::notifications) fn trim(tx: &mut Tx<'_>) -> Result<usize, StoreError> {
    let crowded: Vec<(Id<WebhookKind>, i64)> = deliveries::table
        .group_by(deliveries::webhook_id)
        .having(count_star().gt(KEPT))
        .select((deliveries::webhook_id, count_star()))
        .load(tx.conn())?;
    let mut deleted = 0;
    for (webhook, count) in crowded {
        let old: Vec<Id<DeliveryKind>> = deliveries::table
            .filter(deliveries::webhook_id.eq(webhook))
            .filter(deliveries::status.ne(DeliveryStatus::Pending))
            .order((deliveries::created, deliveries::id))
            .limit((count - KEPT).min(PORTION))
            .select(deliveries::id)
            .load(tx.conn())?;
        forget_deliveries(tx, &old)?;
        deleted += old.len();
    }
    Ok(deleted)
}
