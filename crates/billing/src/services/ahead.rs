//! Paying the next period before it is due.

use kernel::{
    access::User,
    id::Id,
    money::Amount,
    store::{StoreError, Tx},
};

use super::{
    life,
    rows::{self, ServiceId, ServiceStatus},
    rules,
};
use crate::{
    Billing, invoices,
    orders::{self, Placed, number},
    payments,
};

/// Why there is nothing to pay ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenewalRefused {
    /// It does not run, or has been cancelled.
    NotRunning,
    /// It is free, was paid once, or is paid by the hour.
    NoPeriods,
    /// The next period is paid.
    PaidAlready,
}

/// Invoices the next period now, unless it is invoiced already, and pays it: from credit first, then by the default
/// payment method. What is answered is the order that the service was bought with, and the renewal's invoice. A caller
/// that wants it to be paid refuses if something is due and no payment has been started; then nothing has happened.
///
/// # Errors
/// The database refused.
pub fn renew_ahead(
    tx: &mut Tx<'_>,
    billing: &Billing,
    id: ServiceId,
    user: Option<Id<User>>,
) -> Result<Result<Placed, RenewalRefused>, StoreError> {
    let (account, service) = life::lock(tx, billing, id)?;
    if service.status != ServiceStatus::Active || service.cancellation_requested_at.is_some() {
        return Ok(Err(RenewalRefused::NotRunning));
    }
    if rules::coming_cycle(&service).months().is_none() || service.billing_cycle.months().is_none() {
        return Ok(Err(RenewalRefused::NoPeriods));
    }
    if service.renewal_paid {
        return Ok(Err(RenewalRefused::PaidAlready));
    }
    if service.renewal_invoice_id.is_none() {
        life::renew(tx, billing, &account, service)?;
    }
    let service = rows::get(tx.conn(), id)?;
    let order = orders::get(tx.conn(), account.organization_id, service.order_id)?;
    let mut placed = Placed {
        order: order.id,
        legacy_id: order.legacy_id,
        number: number(order.legacy_id),
        status: order.status,
        invoice: None,
        credit_applied: Amount::ZERO,
        amount_due: Amount::ZERO,
        services: vec![id],
        payment: None,
    };
    // A price of nothing makes no invoice.
    if let Some(invoice) = service.renewal_invoice_id {
        let mut invoice = invoices::get(tx.conn(), account.organization_id, invoice)?;
        invoices::apply_credit(tx, billing, &account, &mut invoice, user)?;
        if invoice.is_open() {
            placed.payment = payments::charge_default(tx, billing, &account, &invoice, user)?;
        }
        placed.credit_applied = invoice.credit_applied;
        placed.amount_due = invoice.amount_due();
        placed.invoice = Some(invoice);
    }
    Ok(Ok(placed))
}
