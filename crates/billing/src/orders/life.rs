//! What becomes of an order: paid, completed, cancelled, failed.

use kernel::{
    access::User,
    id::Id,
    store::{StoreError, Tx},
};

use super::rows::{self, OrderId, OrderRow, OrderStatus};
use crate::{
    Billing,
    accounts::AccountRow,
    invoices::{self, Portion},
    services::{self, ServiceStatus},
    trip,
};

/// An order is paid: its products provision.
pub(crate) fn paid(
    tx: &mut Tx<'_>,
    billing: &Billing,
    account: &AccountRow,
    id: OrderId,
) -> Result<(), StoreError> {
    let mut order = rows::get(tx.conn(), account.organization_id, id)?;
    // An invoice for a change of a running service belongs to an order that is done.
    if order.status != OrderStatus::Pending {
        return Ok(());
    }
    order.status = OrderStatus::Processing;
    rows::save(tx, &mut order)?;
    for mut service in services::of_order(tx.conn(), id)? {
        service.status = ServiceStatus::Provisioning;
        services::save(tx, &mut service, billing.settings().renewal_days)?;
        billing.product(&service.kind)?.paid(tx, billing, &service)?;
    }
    trip("billing.order_paid")
}

/// Looks whether all of an order runs.
pub(crate) fn look_whether_complete(
    tx: &mut Tx<'_>,
    account: &AccountRow,
    id: OrderId,
) -> Result<(), StoreError> {
    let mut order = rows::get(tx.conn(), account.organization_id, id)?;
    let services = services::of_order(tx.conn(), id)?;
    let waiting = services.iter().any(|service| {
        matches!(
            service.status,
            ServiceStatus::Pending | ServiceStatus::Provisioning
        )
    });
    if order.status == OrderStatus::Processing && !waiting {
        order.status = OrderStatus::Active;
        rows::save(tx, &mut order)?;
    }
    Ok(())
}

/// Unwinds a whole order: what is there of it is taken down, what was paid for it comes back as credit.
pub(crate) fn unwind(
    tx: &mut Tx<'_>,
    billing: &Billing,
    account: &AccountRow,
    order: &mut OrderRow,
    (status, reason): (OrderStatus, &str),
    user: Option<Id<User>>,
) -> Result<(), StoreError> {
    order.status = status;
    reason.clone_into(&mut order.reason);
    rows::save(tx, order)?;
    if let Some(invoice) = order.invoice_id {
        let mut invoice = invoices::get(tx.conn(), account.organization_id, invoice)?;
        if invoice.is_open() {
            invoices::void(tx, billing, account, &mut invoice, user)?;
        } else if invoice.status == invoices::InvoiceStatus::Paid {
            invoices::credit_note(tx, billing, account, &mut invoice, Portion::Whole, (reason, user))?;
        }
    }
    for mut service in services::of_order(tx.conn(), order.id)? {
        if service.status.is_over() {
            continue;
        }
        services::stop(
            tx,
            billing,
            account,
            &mut service,
            ServiceStatus::Cancelled,
            false,
        )?;
        billing.product(&service.kind)?.dropped(tx, billing, &service)?;
    }
    trip("billing.unwound")
}
