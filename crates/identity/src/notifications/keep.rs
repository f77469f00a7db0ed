//! What is forgotten, and what goes with an organization.

use std::time::Duration;

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use kernel::{
    App,
    access::Organization,
    id::{Any, Id},
    schema::tasks,
    store::{StoreError, Tx},
};

use super::{notice::NoticeState, webhooks};
use crate::schema::{notices, notification_settings, notification_webhooks, webhook_deliveries};

/// What one transaction deletes.
const PORTION: i64 = 500;

/// Deletes notices that were told and deliveries that have ended `notifications.keep_days` ago, and of each webhook all
/// but the newest deliveries. In portions, so that no transaction is long.
///
/// # Errors
/// The database refused; the rest is for the next time.
pub(crate) async fn forget_old(app: &App) -> Result<(), StoreError> {
    let age = Duration::from_hours(24 * u64::from(app.config().notifications.keep_days));
    let before = app.clock().now() - age;
    loop {
        let deleted = app.store().write("forget_notices", move |tx| {
            let old: Vec<Id<super::notice::NoticeKind>> = notices::table
                .filter(notices::created.lt(before))
                .filter(notices::state.eq(NoticeState::Told))
                .limit(PORTION)
                .select(notices::id)
                .load(tx.conn())?;
            diesel::delete(notices::table.filter(notices::id.eq_any(&old))).execute(tx.conn())?;
            let told = old.len();
            let old: Vec<Id<webhooks::DeliveryKind>> = webhook_deliveries::table
                .filter(webhook_deliveries::created.lt(before))
                .limit(PORTION)
                .select(webhook_deliveries::id)
                .load(tx.conn())?;
            forget_deliveries(tx, &old)?;
            let ended = tasks::table
                .filter(tasks::kind.eq("send_digest"))
                .filter(tasks::completed_at.lt(before));
            diesel::delete(ended).execute(tx.conn())?;
            Ok::<_, StoreError>(told.max(old.len()))
        });
        if i64::try_from(deleted.await?).unwrap_or(0) < PORTION {
            break;
        }
    }
    while app.store().write("trim_deliveries", webhooks::trim).await? > 0 {}
    Ok(())
}

/// Deletes deliveries with the tasks that sent them.
pub(super) fn forget_deliveries(
    tx: &mut Tx<'_>,
    ids: &[Id<webhooks::DeliveryKind>],
) -> Result<(), StoreError> {
    let resources: Vec<Id<Any>> = ids.iter().map(|id| id.cast()).collect();
    let ended = tasks::table
        .filter(tasks::resource_id.eq_any(resources))
        .filter(tasks::completed_at.is_not_null());
    diesel::delete(ended).execute(tx.conn())?;
    diesel::delete(webhook_deliveries::table.filter(webhook_deliveries::id.eq_any(ids)))
        .execute(tx.conn())?;
    Ok(())
}

/// Deletes all that is kept for an organization: it is emptied for good.
pub(crate) fn erase(tx: &mut Tx<'_>, organization: Id<Organization>) -> Result<(), StoreError> {
    diesel::delete(webhook_deliveries::table.filter(webhook_deliveries::organization_id.eq(organization)))
        .execute(tx.conn())?;
    diesel::delete(
        notification_webhooks::table.filter(notification_webhooks::organization_id.eq(organization)),
    )
    .execute(tx.conn())?;
    diesel::delete(notices::table.filter(notices::organization_id.eq(organization))).execute(tx.conn())?;
    diesel::delete(notification_settings::table.find(organization)).execute(tx.conn())?;
    Ok(())
}
