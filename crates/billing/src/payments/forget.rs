//! The task that lets the provider forget a method that was removed.

use std::sync::Arc;

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use kernel::{
    store::{StoreError, Tx},
    tasks::{Done, Kind, NewTask, Outcome, Step, StepError, TaskRow, Work},
};
use serde_json::json;

use super::{DriverError, home};
use crate::{
    Billing,
    payment_methods::{MethodId, MethodRow},
    schema::payment_methods,
};

/// Has the provider forget a removed method: onet charges it no more, and neither should anybody else.
pub struct ForgetMethod {
    steps: [Arc<dyn Step>; 1],
}

impl std::fmt::Debug for ForgetMethod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(Self::NAME)
    }
}

impl ForgetMethod {
    /// As tasks name it.
    pub const NAME: &'static str = "forget_payment_method";

    pub(crate) fn new(billing: &Billing) -> Self {
        Self {
            steps: [Arc::new(Detach(billing.clone()))],
        }
    }
}

impl Kind for ForgetMethod {
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

/// Enqueues it, in the transaction that removes the method.
pub(crate) fn forget(tx: &mut Tx<'_>, method: &MethodRow) -> Result<(), StoreError> {
    let project = home(tx, method.organization_id)?;
    tx.enqueue(&NewTask {
        kind: ForgetMethod::NAME,
        organization: method.organization_id,
        project,
        resource_type: "payment_method",
        resource: method.id.cast(),
        parameters: json!({}),
        max_retries: super::RETRIES,
        created_by: None,
        request: None,
    })?;
    Ok(())
}

struct Detach(Billing);

impl Detach {
    async fn detach(&self, method: MethodId) -> Result<(), StepError> {
        let read = self.0.app().store().read("forget_payment_method", move |conn| {
            let query = payment_methods::table
                .filter(payment_methods::id.eq(method))
                .select((payment_methods::driver, payment_methods::reference));
            Ok::<(String, String), StoreError>(query.first(conn)?)
        });
        let (driver, reference) = read.await?;
        let Some(driver) = self.0.driver(&driver) else {
            return Ok(());
        };
        match driver.detach(&reference).await {
            Ok(()) => Ok(()),
            Err(DriverError::Refused(detail)) => Err(StepError::fatal(
                "The payment provider refused to forget the method.",
                detail,
            )),
            Err(DriverError::Unreachable(detail)) => Err(StepError::passing(
                "The payment provider can't be reached.",
                detail,
            )),
        }
    }
}

impl Step for Detach {
    fn name(&self) -> &'static str {
        "detach"
    }

    fn run<'a>(&'a self, work: &'a mut Work) -> Done<'a> {
        Box::pin(self.detach(work.resource.cast()))
    }

    /// What is forgotten stays forgotten.
    fn undo<'a>(&'a self, _work: &'a mut Work) -> Done<'a> {
        Box::pin(async { Ok(()) })
    }
}
