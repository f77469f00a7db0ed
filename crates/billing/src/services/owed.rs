//! Paying what a suspended service owes.

use diesel::{ExpressionMethods, JoinOnDsl, QueryDsl, RunQueryDsl};
use kernel::{
    access::User,
    id::Id,
    money::Amount,
    store::{StoreError, Tx},
    time::Time,
};

use super::{
    life,
    rows::{self, ServiceId, ServiceRow, ServiceStatus},
};
use crate::{
    Billing,
    invoices::{self, InvoiceKind, InvoiceStatus},
    schema::{invoice_lines, invoices as invoice_rows},
};

/// The invoices for which a service is suspended: the overdue ones that name it, the oldest first, and that of a period
/// which has begun.
pub(super) fn owed(
    tx: &mut Tx<'_>,
    service: &ServiceRow,
    now: Time,
) -> Result<Vec<Id<InvoiceKind>>, StoreError> {
    let mut owed: Vec<Id<InvoiceKind>> = invoice_lines::table
        .inner_join(invoice_rows::table.on(invoice_rows::id.eq(invoice_lines::invoice_id)))
        .filter(invoice_lines::service_id.eq(service.id))
        .filter(invoice_rows::status.eq(InvoiceStatus::Overdue))
        .order((invoice_rows::due_at, invoice_rows::id))
        .select(invoice_rows::id)
        .load(tx.conn())?;
    // Several lines of an invoice may name it.
    owed.dedup();
    let has_begun = service.next_billing_date.is_some_and(|date| date <= now);
    if let Some(renewal) = service.renewal_invoice_id
        && has_begun
        && !service.renewal_paid
        && !owed.contains(&renewal)
    {
        owed.push(renewal);
    }
    Ok(owed)
}

/// Pays what a suspended service owes from the organization's credit; it runs again when nothing is left. Gives what is
/// missing: a caller that wants all or nothing refuses then, and nothing has happened. `None`: it is not suspended.
///
/// # Errors
/// The database refused.
pub fn pay_owed(
    tx: &mut Tx<'_>,
    billing: &Billing,
    id: ServiceId,
    user: Option<Id<User>>,
) -> Result<Option<Amount>, StoreError> {
    let (mut account, service) = life::lock(tx, billing, id)?;
    if service.status != ServiceStatus::Suspended {
        return Ok(None);
    }
    let now = tx.now();
    let mut missing = Amount::ZERO;
    for invoice in owed(tx, &service, now)? {
        let mut invoice = invoices::get(tx.conn(), account.organization_id, invoice)?;
        invoices::apply_credit(tx, billing, &account, &mut invoice, user)?;
        if invoice.is_open() {
            missing += invoice.amount_due();
        }
    }
    // The last invoice that was paid has let it run again, unless it owed nothing any more.
    let mut service = rows::get(tx.conn(), id)?;
    if service.status == ServiceStatus::Suspended && owed(tx, &service, now)?.is_empty() {
        life::resume(tx, billing, &mut account, &mut service)?;
    }
    Ok(Some(missing))
}
