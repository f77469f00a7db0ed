//! The clocks: what is due is done, once, whatever crashes.
//!
//! Every service, open invoice and account with usage says in `wake_at` when there is something to do with it. A round
//! reads what is due in batches and gives each its own transaction, which locks the account and looks again: two nodes,
//! or a node that died halfway, do no harm. Transactions of a batch run side by side, so that SQLite commits many at
//! once. What fails is put off, and never in the way of the others.

mod invoice;

use std::{future::Future, sync::Arc, time::Duration};

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use kernel::{
    access::Organization,
    id::Id,
    store::{StoreError, Tx},
    time::Time,
};
use tokio::{sync::watch, task::JoinSet};

use crate::{
    Billing, accounts,
    invoices::InvoiceId,
    payments::{self, PaymentId},
    schema::{
        billing_accounts, invoices as invoice_rows, payments as payment_rows, services as service_rows,
    },
    services::{self, ServiceId},
    usage,
};

/// What is read at once, and what runs side by side of it.
const BATCH: i64 = 256;
const TOGETHER: usize = 64;
/// How long something that failed is left alone.
const PAUSE: Duration = Duration::from_mins(15);

/// How much a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Things that were due and have been done.
    pub done: usize,
    /// Things that failed; they have been put off.
    pub failed: usize,
}

/// Something whose clock has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Account(Id<Organization>),
    Service(ServiceId),
    Invoice(Id<Organization>, InvoiceId),
    Payment(Id<Organization>, PaymentId),
}

/// Looks at the clocks every `billing.poll_seconds` until `stop` turns true.
pub async fn run(billing: Billing, mut stop: watch::Receiver<bool>) {
    let pause = Duration::from_secs(billing.settings().poll_seconds);
    loop {
        match round(&billing).await {
            Ok(Round { done: 0, failed: 0 }) => {}
            Ok(Round { done, failed }) => {
                tracing::info!(done, failed, "the clocks of billing have been looked at")
            }
            Err(error) => tracing::warn!(%error, "the clocks of billing could not be looked at"),
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stop.changed() => return,
        }
    }
}

/// Does everything that is due, and what becomes due by that.
///
/// # Errors
/// The database can't be read, or not written to at all.
pub async fn round(billing: &Billing) -> Result<Round, StoreError> {
    let mut all = Round::default();
    loop {
        let due = read_due(billing).await?;
        if due.is_empty() {
            return Ok(all);
        }
        for some in due.chunks(TOGETHER) {
            let Round { done, failed } = together(billing, some).await?;
            all.done += done;
            all.failed += failed;
        }
    }
}

async fn read_due(billing: &Billing) -> Result<Vec<Due>, StoreError> {
    let now = billing.app().clock().now();
    let read = billing.app().store().read("billing_due", move |conn| {
        let accounts: Vec<Id<Organization>> = billing_accounts::table
            .filter(billing_accounts::wake_at.le(now))
            .order(billing_accounts::wake_at)
            .limit(BATCH)
            .select(billing_accounts::organization_id)
            .load(conn)?;
        let services: Vec<ServiceId> = service_rows::table
            .filter(service_rows::wake_at.le(now))
            .order(service_rows::wake_at)
            .limit(BATCH)
            .select(service_rows::id)
            .load(conn)?;
        let invoices: Vec<(Id<Organization>, InvoiceId)> = invoice_rows::table
            .filter(invoice_rows::wake_at.le(now))
            .order(invoice_rows::wake_at)
            .limit(BATCH)
            .select((invoice_rows::organization_id, invoice_rows::id))
            .load(conn)?;
        let payments: Vec<(Id<Organization>, PaymentId)> = payment_rows::table
            .filter(payment_rows::wake_at.le(now))
            .order(payment_rows::wake_at)
            .limit(BATCH)
            .select((payment_rows::organization_id, payment_rows::id))
            .load(conn)?;
        // Invoices before services: a last try to charge comes before the suspension.
        let mut due: Vec<Due> = accounts.into_iter().map(Due::Account).collect();
        due.extend(
            invoices
                .into_iter()
                .map(|(organization, id)| Due::Invoice(organization, id)),
        );
        due.extend(services.into_iter().map(Due::Service));
        due.extend(
            payments
                .into_iter()
                .map(|(organization, id)| Due::Payment(organization, id)),
        );
        Ok::<_, StoreError>(due)
    });
    read.await
}

/// Runs some of what is due side by side.
async fn together(billing: &Billing, due: &[Due]) -> Result<Round, StoreError> {
    let mut running = JoinSet::new();
    let shared = Arc::new(billing.clone());
    for one in due.iter().copied() {
        let billing = Arc::clone(&shared);
        running.spawn(async move { (one, act(&billing, one).await) });
    }
    let mut round = Round::default();
    while let Some(ended) = running.join_next().await {
        let Ok((one, outcome)) = ended else {
            return Err(StoreError::Panicked);
        };
        match outcome {
            Ok(()) => round.done += 1,
            Err(error) => {
                tracing::error!(%error, ?one, "something due could not be done: it is put off");
                round.failed += 1;
                put_off(billing, one).await?;
            }
        }
    }
    Ok(round)
}

fn act(billing: &Billing, due: Due) -> impl Future<Output = Result<(), StoreError>> + Send + use<> {
    let shared = billing.clone();
    let store = billing.app().store().clone();
    async move {
        store
            .write("billing_clock", move |tx| tick(tx, &shared, due))
            .await
    }
}

fn tick(tx: &mut Tx<'_>, billing: &Billing, due: Due) -> Result<(), StoreError> {
    match due {
        Due::Service(id) => services::tick(tx, billing, id).map(|_| ()),
        Due::Invoice(organization, id) => invoice::tick(tx, billing, organization, id),
        Due::Payment(organization, id) => payments::tick(tx, billing, organization, id),
        Due::Account(organization) => {
            let account = accounts::lock_account(tx, organization, &billing.settings().currency)?;
            if account.wake_at.is_some_and(|at| at <= tx.now()) {
                usage::settle(tx, billing, account)?;
            }
            Ok(())
        }
    }
}

/// Leaves something alone for a while.
async fn put_off(billing: &Billing, due: Due) -> Result<(), StoreError> {
    let write = billing.app().store().write("billing_put_off", move |tx| {
        let later: Time = tx.now() + PAUSE;
        match due {
            Due::Service(id) => diesel::update(service_rows::table.find(id))
                .set(service_rows::wake_at.eq(later))
                .execute(tx.conn())?,
            Due::Invoice(_, id) => diesel::update(invoice_rows::table.find(id))
                .set(invoice_rows::wake_at.eq(later))
                .execute(tx.conn())?,
            Due::Payment(_, id) => diesel::update(payment_rows::table.find(id))
                .set(payment_rows::wake_at.eq(later))
                .execute(tx.conn())?,
            Due::Account(id) => diesel::update(billing_accounts::table.find(id))
                .set(billing_accounts::wake_at.eq(later))
                .execute(tx.conn())?,
        };
        Ok::<_, StoreError>(())
    });
    write.await
}
