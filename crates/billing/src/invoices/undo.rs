//! How invoices are taken back: an open one is cancelled, a paid one credited.

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use kernel::{
    access::User,
    id::Id,
    json::JsonText,
    money::Amount,
    store::{StoreError, Tx},
};

use super::{
    issue,
    rows::{self, InvoiceId, InvoiceRow, InvoiceStatus, InvoiceType, LineRow},
};
use crate::{
    Billing,
    accounts::AccountRow,
    broken,
    ledger::{self, Account, Event, Movement},
    letters::{self, Occasion},
    schema::invoices,
    services, trip,
};

/// Cancels an open invoice. What was paid of it comes back as credit; the sale is taken out of the books, or written
/// off if what was sold has been used already.
pub(crate) fn void(
    tx: &mut Tx<'_>,
    billing: &Billing,
    account: &AccountRow,
    invoice: &mut InvoiceRow,
    user: Option<Id<User>>,
) -> Result<(), StoreError> {
    if !invoice.is_open() {
        return Err(broken(format!("{} can't be cancelled", invoice.number)));
    }
    let given_back = invoice.credit_applied + invoice.amount_paid;
    let reversed: &[_] = match invoice.kind {
        InvoiceType::TopUp => &[(Account::Prepayment, Account::Receivable, invoice.total)],
        InvoiceType::Usage => &[(Account::WriteOff, Account::Receivable, invoice.total)],
        InvoiceType::Order | InvoiceType::Renewal | InvoiceType::CreditNote => &[
            (Account::Revenue, Account::Receivable, invoice.subtotal),
            (Account::Tax, Account::Receivable, invoice.tax_total),
        ],
    };
    let entries = [&[(Account::Receivable, Account::Credit, given_back)], reversed].concat();
    let event = Event {
        kind: "invoice_cancelled",
        movement: Movement::Refund,
        invoice: Some(invoice.id),
        payment: None,
        description: format!("Invoice {} cancelled", invoice.number),
        user,
        entries: &entries,
    };
    ledger::post(tx, account, event)?;
    invoice.credit_applied = Amount::ZERO;
    invoice.amount_paid = Amount::ZERO;
    invoice.status = InvoiceStatus::Cancelled;
    invoice.wake_at = None;
    rows::save(tx, invoice)?;
    trip("billing.voided")?;
    services::forget_invoice(tx, billing, invoice.id)
}

/// How much of a paid invoice is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Portion {
    /// All that has not been taken back yet.
    Whole,
    /// So much without tax; not more than is left.
    Net(Amount),
}

/// Takes back a paid invoice, or a part of it, as credit, with a credit note that has a number of its own.
///
/// `None`: nothing is left to take back.
pub(crate) fn credit_note(
    tx: &mut Tx<'_>,
    billing: &Billing,
    account: &AccountRow,
    invoice: &mut InvoiceRow,
    portion: Portion,
    (reason, user): (&str, Option<Id<User>>),
) -> Result<Option<InvoiceRow>, StoreError> {
    if invoice.status != InvoiceStatus::Paid
        || matches!(invoice.kind, InvoiceType::CreditNote | InvoiceType::TopUp)
    {
        return Err(broken(format!("{} can't be credited", invoice.number)));
    }
    let notes: Vec<(Amount, Amount)> = invoices::table
        .filter(invoices::credit_of.eq(invoice.id))
        .select((invoices::subtotal, invoices::tax_total))
        .load(tx.conn())?;
    // Credit notes have negative sums.
    let net_left = invoice.subtotal + notes.iter().map(|(net, _)| *net).sum();
    let tax_left = invoice.tax_total + notes.iter().map(|(_, tax)| *tax).sum();
    let lines = rows::lines_of(tx.conn(), &[invoice.id])?;
    let rate = lines.first().map(|line| line.tax_rate).unwrap_or_default();
    let (net, tax) = match portion {
        Portion::Net(net) if net < net_left => (net, net.percent(rate).to_cents().min(tax_left)),
        Portion::Net(_) | Portion::Whole => (net_left, tax_left),
    };
    if !(net + tax).is_positive() {
        return Ok(None);
    }
    let id = InvoiceId::new();
    let lines = if notes.is_empty() && (net, tax) == (invoice.subtotal, invoice.tax_total) {
        lines.into_iter().map(|line| negative(id, line)).collect()
    } else {
        vec![one_line(id, &invoice.number, net, tax, rate)]
    };
    invoice.credited += net + tax;
    if invoice.credited == invoice.total {
        invoice.status = InvoiceStatus::Refunded;
    }
    rows::save(tx, invoice)?;
    let about = About {
        id,
        of: Some(invoice.id),
        parties: invoice.parties.clone(),
        net,
        tax,
    };
    let note = write(tx, billing, account, about, &lines, (reason, user))?;
    if invoice.status == InvoiceStatus::Refunded {
        services::forget_invoice(tx, billing, invoice.id)?;
    }
    Ok(Some(note))
}

/// Credits an amount that belongs to no single invoice, such as the rest of a period at a higher price.
pub(crate) fn free_credit_note(
    tx: &mut Tx<'_>,
    billing: &Billing,
    account: &AccountRow,
    net: Amount,
    (reason, user): (&str, Option<Id<User>>),
) -> Result<InvoiceRow, StoreError> {
    let now = tx.now();
    let (parties, tax) = issue::parties(
        tx.conn(),
        billing.settings(),
        account.organization_id,
        Some(account),
        now,
    )?;
    let id = InvoiceId::new();
    let mut line = one_line(id, reason, net, tax.on(net), tax.rate);
    reason.clone_into(&mut line.description);
    reason.clone_into(&mut line.description_fr);
    let about = About {
        id,
        of: None,
        parties: JsonText::of(&parties),
        net,
        tax: tax.on(net),
    };
    write(tx, billing, account, about, &[line], (reason, user))
}

struct About {
    id: InvoiceId,
    of: Option<InvoiceId>,
    parties: JsonText,
    net: Amount,
    tax: Amount,
}

fn write(
    tx: &mut Tx<'_>,
    billing: &Billing,
    account: &AccountRow,
    About {
        id,
        of,
        parties,
        net,
        tax,
    }: About,
    lines: &[LineRow],
    (reason, user): (&str, Option<Id<User>>),
) -> Result<InvoiceRow, StoreError> {
    let now = tx.now();
    let (legacy_id, number) = issue::number(tx, &billing.settings().credit_note_prefix)?;
    let total = net + tax;
    let row = InvoiceRow {
        id,
        legacy_id,
        organization_id: account.organization_id,
        number,
        kind: InvoiceType::CreditNote,
        status: InvoiceStatus::Paid,
        currency: account.currency.clone(),
        subtotal: -net,
        tax_total: -tax,
        total: -total,
        credit_applied: -total,
        amount_paid: Amount::ZERO,
        credited: Amount::ZERO,
        order_id: None,
        credit_of: of,
        parties,
        issued_at: now,
        due_at: now,
        payable_until: now,
        paid_at: Some(now),
        stage: 0,
        wake_at: None,
        created: now,
        modified: now,
    };
    rows::insert(tx, &row, lines)?;
    let event = Event {
        kind: "credit_note",
        movement: Movement::Refund,
        invoice: Some(id),
        payment: None,
        description: format!("Credit note {}: {reason}", row.number),
        user,
        entries: &[
            (Account::Revenue, Account::Credit, net),
            (Account::Tax, Account::Credit, tax),
        ],
    };
    ledger::post(tx, account, event)?;
    trip("billing.credited")?;
    letters::send(tx, billing, account, Occasion::Refunded, &row)?;
    Ok(row)
}

/// A line of the invoice, taken back.
fn negative(id: InvoiceId, line: LineRow) -> LineRow {
    LineRow {
        id: Id::new(),
        invoice_id: id,
        unit_price: -line.unit_price,
        discount: -line.discount,
        tax: -line.tax,
        total: -line.total,
        ..line
    }
}

fn one_line(id: InvoiceId, number: &str, net: Amount, tax: Amount, rate: Amount) -> LineRow {
    LineRow {
        id: Id::new(),
        invoice_id: id,
        position: 0,
        description: format!("Credit for invoice {number}"),
        description_fr: format!("Avoir sur la facture {number}"),
        service_type: "credit".to_owned(),
        service_id: None,
        resource_id: None,
        project_id: None,
        billing_cycle: None,
        period_start: None,
        period_end: None,
        quantity: Amount::from_ten_thousandths(10_000),
        unit_price: -net,
        discount: Amount::ZERO,
        tax_rate: rate,
        tax: -tax,
        total: -net,
    }
}
