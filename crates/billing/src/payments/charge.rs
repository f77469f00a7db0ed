//! The task that charges a stored method.

use std::sync::Arc;

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use kernel::{
    store::{StoreError, Tx},
    tasks::{Done, Kind, Outcome, Step, StepError, TaskRow, Work},
};

use super::{
    driver::{Charge, Charged, DriverError},
    rows::{self, PaymentId, PaymentStatus},
    settle,
};
use crate::{
    Billing,
    schema::{invoices, payment_methods},
};

/// Charges a payment that was decided in a transaction before.
pub struct ChargePayment {
    billing: Billing,
    steps: [Arc<dyn Step>; 1],
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
            steps: [Arc::new(CallDriver(billing.clone()))],
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
                if rows::get(tx.conn(), payment)?.status != PaymentStatus::Pending {
                    return Ok(());
                }
                let reason = "The payment provider could not be reached.".to_owned();
                settle(tx, &self.billing, payment, &Charged::Declined { reason })
            }
        }
    }
}

struct CallDriver(Billing);

impl CallDriver {
    async fn charge(&self, payment: PaymentId) -> Result<(), StepError> {
        let store = self.0.app().store();
        let ask = store.read("charge_payment", move |conn| {
            let row = rows::get(conn, payment)?;
            let number: String = invoices::table
                .find(row.invoice_id)
                .select(invoices::number)
                .first(conn)?;
            let method: Option<String> = match row.payment_method_id {
                Some(method) => Some(
                    payment_methods::table
                        .filter(payment_methods::id.eq(method))
                        .select(payment_methods::reference)
                        .first(conn)?,
                ),
                None => None,
            };
            Ok::<_, StoreError>((row, number, method))
        });
        let (row, number, method) = ask.await?;
        if row.status != PaymentStatus::Pending || row.reference.is_some() {
            return Ok(());
        }
        let (Some(driver), Some(method)) = (self.0.driver(&row.driver), method) else {
            let detail = format!("no driver `{}`", row.driver);
            return Err(StepError::fatal(
                "This payment method can't be charged any more.",
                detail,
            ));
        };
        let charge = Charge {
            payment,
            organization: row.organization_id,
            amount: row.amount,
            currency: row.currency,
            method,
            description: number,
            return_url: row.return_url,
        };
        let outcome = match driver.charge(charge).await {
            Ok(outcome) => outcome,
            Err(DriverError::Refused(reason)) => Charged::Declined { reason },
            Err(DriverError::Unreachable(detail)) => {
                return Err(StepError::passing(
                    "The payment provider can't be reached.",
                    detail,
                ));
            }
        };
        if kernel::crash::point("billing.charged") {
            return Err(StepError::passing(
                "The payment provider can't be reached.",
                "a test",
            ));
        }
        let billing = self.0.clone();
        store
            .write("settle_payment", move |tx| {
                settle(tx, &billing, payment, &outcome)
            })
            .await?;
        Ok(())
    }
}

impl Step for CallDriver {
    fn name(&self) -> &'static str {
        "charge"
    }

    fn run<'a>(&'a self, work: &'a mut Work) -> Done<'a> {
        Box::pin(self.charge(work.resource.cast()))
    }

    /// A charge is not taken back here: what was settled is settled, what was not is declined at the task's end.
    fn undo<'a>(&'a self, _work: &'a mut Work) -> Done<'a> {
        Box::pin(async { Ok(()) })
    }
}
