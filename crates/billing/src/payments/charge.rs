//! The task that charges a stored method.

use std::{sync::Arc, time::Duration};

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use kernel::{
    store::{StoreError, Tx},
    tasks::{Done, Kind, Outcome, Step, StepError, TaskRow, Work},
};

use super::{
    driver::{Charge, Charged, DriverError, PaymentDriver},
    rows::{self, PaymentId, PaymentStatus},
    settle,
};
use crate::{
    Billing,
    invoices::InvoiceStatus,
    payment_methods::MethodType,
    schema::{invoices, payment_methods},
    trip,
};

/// Charges a payment that was decided in a transaction before.
pub struct ChargePayment {
    billing: Billing,
    steps: [Arc<dyn Step>; 2],
}

impl std::fmt::Debug for ChargePayment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(Self::NAME)
    }
}

impl ChargePayment {
    /// As tasks name it.
    pub const NAME: &'static str = "charge_payment";

    pub(crate) fn new(billing: &Billing) -> Self {
        Self {
            billing: billing.clone(),
            steps: [
                Arc::new(Prepare(Caller(billing.clone()))),
                Arc::new(Settle(Caller(billing.clone()))),
            ],
        }
    }
}

impl Kind for ChargePayment {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn steps(&self) -> &[Arc<dyn Step>] {
        &self.steps
    }

    fn ended(&self, tx: &mut Tx<'_>, task: &TaskRow, outcome: Outcome) -> Result<(), StoreError> {
        match outcome {
            Outcome::Completed => Ok(()),
            // The provider could not be asked in all that time.
            Outcome::Failed => {
                let payment: PaymentId = task.resource_id.cast();
                let row = rows::get(tx.conn(), payment)?;
                if !row.is_open() {
                    return Ok(());
                }
                // It knows of the payment: the money may have moved, so it is asked for as long as it takes.
                if let Some(reference) = row.reference {
                    return settle(tx, &self.billing, payment, &Charged::Pending { reference });
                }
                let reason = "The payment provider could not be reached.".to_owned();
                settle(tx, &self.billing, payment, &Charged::Declined { reason })
            }
        }
    }
}

/// A payment that waits for its payer is given up after so long: another method can be charged then.
const PATIENCE: Duration = Duration::from_hours(24);

/// Who calls the drivers.
struct Caller(Billing);

/// An open payment and what a driver needs of it.
struct Open<'a> {
    driver: &'a Arc<dyn PaymentDriver>,
    charge: Charge,
    /// Nobody will pay it any more.
    is_given_up: bool,
}

impl Caller {
    /// `None`: it is settled.
    async fn find(&self, payment: PaymentId) -> Result<Option<Open<'_>>, StepError> {
        let store = self.0.app().store();
        let ask = store.read("charge_payment", move |conn| {
            let row = rows::get(conn, payment)?;
            let invoice: (String, InvoiceStatus) = invoices::table
                .find(row.invoice_id)
                .select((invoices::number, invoices::status))
                .first(conn)?;
            let method: Option<(String, MethodType)> = match row.payment_method_id {
                Some(method) => Some(
                    payment_methods::table
                        .filter(payment_methods::id.eq(method))
                        .select((payment_methods::reference, payment_methods::type_))
                        .first(conn)?,
                ),
                None => None,
            };
            Ok::<_, StoreError>((row, invoice, method))
        });
        let (row, (number, status), method) = ask.await?;
        if !row.is_open() {
            return Ok(None);
        }
        let (Some(driver), Some((method, kind))) = (self.0.driver(&row.driver), method) else {
            let detail = format!("no driver `{}`", row.driver);
            return Err(StepError::fatal(
                "This payment method can't be charged any more.",
                detail,
            ));
        };
        let age = self.0.app().clock().now().since(row.created);
        let is_open = matches!(status, InvoiceStatus::Unpaid | InvoiceStatus::Overdue);
        let charge = Charge {
            payment,
            organization: row.organization_id,
            amount: row.amount,
            currency: row.currency,
            method,
            kind,
            description: number,
            return_url: row.return_url,
            payer_is_here: row.created_by.is_some(),
            reference: row.reference,
        };
        Ok(Some(Open {
            driver,
            charge,
            is_given_up: row.status == PaymentStatus::RequiresAction && (!is_open || age > PATIENCE),
        }))
    }

    /// Makes the payment known to the provider, and records under which name.
    async fn prepare(&self, payment: PaymentId) -> Result<(), StepError> {
        let Some(open) = self.find(payment).await? else {
            return Ok(());
        };
        if open.charge.reference.is_some() {
            return Ok(());
        }
        match open.driver.prepare(&open.charge).await {
            Ok(None) => Ok(()),
            Ok(Some(reference)) => {
                trip("billing.prepared")?;
                let store = self.0.app().store();
                let write = store.write("prepare_payment", move |tx| {
                    let mut row = rows::get(tx.conn(), payment)?;
                    if row.is_open() && row.reference.is_none() {
                        row.reference = Some(reference.clone());
                        rows::save(tx, &mut row)?;
                    }
                    Ok::<_, StoreError>(())
                });
                Ok(write.await?)
            }
            Err(DriverError::Refused(reason)) => self.settle(payment, Charged::Declined { reason }).await,
            Err(DriverError::Unreachable(detail)) => Err(unreachable(detail)),
        }
    }

    /// Has the payment charged, or asks what has become of it.
    async fn charge(&self, payment: PaymentId) -> Result<(), StepError> {
        let Some(open) = self.find(payment).await? else {
            return Ok(());
        };
        let answer = match &open.charge.reference {
            Some(reference) if open.is_given_up => open.driver.abandon(reference).await,
            Some(_) | None => open.driver.charge(&open.charge).await,
        };
        let outcome = match answer {
            Ok(outcome) => outcome,
            Err(DriverError::Refused(reason)) => Charged::Declined { reason },
            Err(DriverError::Unreachable(detail)) => return Err(unreachable(detail)),
        };
        trip("billing.charged")?;
        self.settle(payment, outcome).await
    }

    async fn settle(&self, payment: PaymentId, outcome: Charged) -> Result<(), StepError> {
        let billing = self.0.clone();
        let store = self.0.app().store();
        let write = store.write("settle_payment", move |tx| {
            settle(tx, &billing, payment, &outcome)
        });
        Ok(write.await?)
    }
}

fn unreachable(detail: String) -> StepError {
    StepError::passing("The payment provider can't be reached.", detail)
}

struct Prepare(Caller);

impl Step for Prepare {
    fn name(&self) -> &'static str {
        "prepare"
    }

    fn run<'a>(&'a self, work: &'a mut Work) -> Done<'a> {
        Box::pin(self.0.prepare(work.resource.cast()))
    }

    /// No money has moved.
    fn undo<'a>(&'a self, _work: &'a mut Work) -> Done<'a> {
        Box::pin(async { Ok(()) })
    }
}

struct Settle(Caller);

impl Step for Settle {
    fn name(&self) -> &'static str {
        "charge"
    }

    fn run<'a>(&'a self, work: &'a mut Work) -> Done<'a> {
        Box::pin(self.0.charge(work.resource.cast()))
    }

    /// A charge is not taken back here: what is open is asked about again, what never began is declined.
    fn undo<'a>(&'a self, _work: &'a mut Work) -> Done<'a> {
        Box::pin(async { Ok(()) })
    }
}
