//! The clock of an open invoice: reminded, overdue, reminded again, cancelled.

use kernel::{
    access::Organization,
    id::Id,
    store::{StoreError, Tx},
};

use crate::{
    Billing,
    accounts::{self, AccountRow},
    invoices::{
        self, InvoiceId, InvoiceRow, InvoiceStatus, InvoiceType,
        rules::{self, OVER, OVERDUE, REMINDED, REMINDED_AGAIN},
    },
    letters::{self, Occasion},
    orders::{self, OrderStatus},
    payments,
    services::{self, ServiceStatus},
    trip,
};

pub(super) fn tick(
    tx: &mut Tx<'_>,
    billing: &Billing,
    organization: Id<Organization>,
    id: InvoiceId,
) -> Result<(), StoreError> {
    let settings = billing.settings();
    let account = accounts::lock_account(tx, organization, &settings.currency)?;
    let mut invoice = invoices::get(tx.conn(), organization, id)?;
    let now = tx.now();
    if !invoice.is_open() || invoice.wake_at.is_none_or(|at| at > now) {
        return Ok(());
    }
    let stage = rules::due_stage(&invoice, settings, now);
    let was = invoice.stage;
    invoice.stage = stage.unwrap_or(was);
    invoice.wake_at = rules::next_stage(&invoice, settings, now).map(|(_, at)| at);
    if invoice.stage >= OVERDUE {
        invoice.status = InvoiceStatus::Overdue;
    }
    invoices::save(tx, &mut invoice)?;
    trip("billing.invoice_staged")?;
    match stage {
        Some(REMINDED) => letters::send(tx, billing, &account, Occasion::Reminder, &invoice)?,
        Some(OVERDUE | REMINDED_AGAIN) => {
            letters::send(tx, billing, &account, Occasion::Overdue, &invoice)?;
            if was < OVERDUE {
                suspend_unpaid(tx, billing, &account, &invoice)?;
            }
        }
        Some(OVER) => return give_up(tx, billing, &account, invoice),
        Some(_) | None => return Ok(()),
    }
    if account.auto_pay {
        payments::charge_default(tx, billing, &account, &invoice, None)?;
    }
    Ok(())
}

/// Suspends what an overdue invoice is for and runs: hours used, changes of a running service. A renewal suspends at the
/// end of the paid period, by the service's own clock; an order has nothing running yet.
fn suspend_unpaid(
    tx: &mut Tx<'_>,
    billing: &Billing,
    account: &AccountRow,
    invoice: &InvoiceRow,
) -> Result<(), StoreError> {
    if matches!(invoice.kind, InvoiceType::Renewal | InvoiceType::TopUp) {
        return Ok(());
    }
    for mut service in services::on_invoice(tx, invoice.id)? {
        if service.status == ServiceStatus::Active {
            services::suspend(tx, billing, account, &mut service)?;
        }
    }
    Ok(())
}

/// An invoice was not paid as long as it could be: it is cancelled, and what waited for it ends.
fn give_up(
    tx: &mut Tx<'_>,
    billing: &Billing,
    account: &AccountRow,
    mut invoice: InvoiceRow,
) -> Result<(), StoreError> {
    if let Some(order) = invoice.order_id {
        let mut order = orders::get(tx.conn(), account.organization_id, order)?;
        if order.status == OrderStatus::Pending {
            let reason = (OrderStatus::Cancelled, "Not paid in time");
            return orders::unwind(tx, billing, account, &mut order, reason, None);
        }
    }
    let waiting = services::on_invoice(tx, invoice.id)?;
    invoices::void(tx, billing, account, &mut invoice, None)?;
    letters::send(tx, billing, account, Occasion::InvoiceCancelled, &invoice)?;
    for service in waiting {
        // Read again: the cancelled invoice may have been its renewal.
        let mut service = services::get(tx.conn(), service.id)?;
        if service.status == ServiceStatus::Suspended {
            services::end(tx, billing, account, &mut service, ServiceStatus::Terminated)?;
            letters::send(tx, billing, account, Occasion::Terminated, &invoice)?;
        }
    }
    Ok(())
}
