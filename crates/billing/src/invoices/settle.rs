//! How invoices are paid, from credit and by payments, and what follows from it.

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl, SelectableHelper};
use kernel::{
    access::User,
    id::Id,
    money::Amount,
    store::{StoreError, Tx},
};

use super::rows::{self, InvoiceRow, InvoiceStatus, InvoiceType};
use crate::{
    Billing,
    accounts::AccountRow,
    ledger::{self, Account, Event, Movement},
    letters::{self, Occasion},
    orders,
    payments::PaymentKind,
    schema::invoices,
    services, trip,
};

/// Pays as much of an open invoice as there is credit. Gives what was taken.
pub(crate) fn apply_credit(
    tx: &mut Tx<'_>,
    billing: &Billing,
    account: &AccountRow,
    invoice: &mut InvoiceRow,
    user: Option<Id<User>>,
) -> Result<Amount, StoreError> {
    // Credit is not bought with credit.
    if !invoice.is_open() || invoice.kind == InvoiceType::TopUp {
        return Ok(Amount::ZERO);
    }
    let amount = ledger::credit(tx.conn(), account.organization_id)?.min(invoice.amount_due());
    if !amount.is_positive() {
        return Ok(Amount::ZERO);
    }
    let event = Event {
        kind: "credit_applied",
        movement: Movement::CreditApplied,
        invoice: Some(invoice.id),
        payment: None,
        description: format!("Applied to invoice {}", invoice.number),
        user,
        entries: &[(Account::Credit, Account::Receivable, amount)],
    };
    ledger::post(tx, account, event)?;
    invoice.credit_applied += amount;
    rows::save(tx, invoice)?;
    trip("billing.credit_applied")?;
    if invoice.amount_due().is_zero() {
        paid(tx, billing, account, invoice)?;
    }
    Ok(amount)
}

/// Credit has come in: open invoices that it covers are paid, those first that are due first, if the organization wants
/// its credit to be used before anything else. What waited for them (an order, a suspended service) goes on.
pub(crate) fn use_new_credit(
    tx: &mut Tx<'_>,
    billing: &Billing,
    account: &AccountRow,
) -> Result<(), StoreError> {
    /// So many in one transaction: the clocks of the others try again.
    const MOST: i64 = 100;
    if !account.use_credit_first {
        return Ok(());
    }
    let open: Vec<InvoiceRow> = invoices::table
        .filter(invoices::organization_id.eq(account.organization_id))
        .filter(invoices::status.eq_any([InvoiceStatus::Unpaid, InvoiceStatus::Overdue]))
        .filter(invoices::type_.ne(InvoiceType::TopUp))
        .order((invoices::due_at, invoices::id))
        .limit(MOST)
        .select(InvoiceRow::as_select())
        .load(tx.conn())?;
    for found in open {
        // What was paid before may have changed this one (a service that was taken back, say).
        let mut invoice = rows::get(tx.conn(), account.organization_id, found.id)?;
        let credit = ledger::credit(tx.conn(), account.organization_id)?;
        if invoice.is_open() && invoice.amount_due() <= credit {
            apply_credit(tx, billing, account, &mut invoice, None)?;
        }
    }
    Ok(())
}

/// Money has come in for an invoice. What the invoice does not need any more becomes credit: nothing that was paid is
/// lost.
pub(crate) fn receive(
    tx: &mut Tx<'_>,
    billing: &Billing,
    account: &AccountRow,
    invoice: &mut InvoiceRow,
    (driver, payment, amount): (&str, Id<PaymentKind>, Amount),
    user: Option<Id<User>>,
) -> Result<(), StoreError> {
    let used = amount.min(invoice.amount_due());
    let event = Event {
        kind: "payment",
        movement: Movement::Payment,
        invoice: Some(invoice.id),
        payment: Some(payment),
        description: format!("Payment of invoice {}", invoice.number),
        user,
        entries: &[
            (Account::Clearing(driver), Account::Receivable, used),
            (Account::Clearing(driver), Account::Credit, amount - used),
        ],
    };
    ledger::post(tx, account, event)?;
    if !used.is_positive() {
        return Ok(());
    }
    invoice.amount_paid += used;
    rows::save(tx, invoice)?;
    trip("billing.received")?;
    if invoice.amount_due().is_zero() {
        paid(tx, billing, account, invoice)?;
    }
    Ok(())
}

/// An invoice is paid in full: whatever waited for it goes on.
fn paid(
    tx: &mut Tx<'_>,
    billing: &Billing,
    account: &AccountRow,
    invoice: &mut InvoiceRow,
) -> Result<(), StoreError> {
    invoice.status = InvoiceStatus::Paid;
    invoice.paid_at = Some(tx.now());
    invoice.wake_at = None;
    rows::save(tx, invoice)?;
    letters::send(tx, billing, account, Occasion::PaymentReceived, invoice)?;
    if invoice.kind == InvoiceType::TopUp {
        let event = Event {
            kind: "top_up",
            movement: Movement::TopUp,
            invoice: Some(invoice.id),
            payment: None,
            description: format!("Credit bought with invoice {}", invoice.number),
            user: None,
            entries: &[(Account::Prepayment, Account::Credit, invoice.total)],
        };
        ledger::post(tx, account, event)?;
        return use_new_credit(tx, billing, account);
    }
    services::invoice_paid(tx, billing, account, invoice)?;
    if let Some(order) = invoice.order_id {
        orders::paid(tx, billing, account, order)?;
    }
    trip("billing.paid")
}
