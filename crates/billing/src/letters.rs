//! The letters of billing's events: to the addresses for invoices, or to the owners of the organization.

use identity::notifications::{Event, Notice, Switch, notify};
use kernel::{
    language::Language,
    money::Amount,
    store::{StoreError, Tx},
};
use serde_json::json;

use crate::{
    Billing,
    accounts::AccountRow,
    calendar::Day,
    events,
    invoices::{InvoiceRow, InvoiceType},
};

kernel::letters! {
    /// An invoice has been issued.
    INVOICE_ISSUED = "invoice_issued" { "name": "Ada", "organization": "Example Ltd", "number": "INV-2026-000001", "total": "12.00 EUR", "due": "12.00 EUR", "due_date": "2026-11-24", "until": "2026-12-14", "days": 14 }
    /// An invoice is paid in full.
    PAYMENT_RECEIVED = "payment_received" { "name": "Ada", "organization": "Example Ltd", "number": "INV-2026-000001", "total": "12.00 EUR", "due": "12.00 EUR", "due_date": "2026-11-24", "until": "2026-12-14", "days": 14 }
    /// A payment method could not be charged.
    PAYMENT_FAILED = "payment_failed" { "name": "Ada", "organization": "Example Ltd", "number": "INV-2026-000001", "total": "12.00 EUR", "due": "12.00 EUR", "due_date": "2026-11-24", "until": "2026-12-14", "days": 14 }
    /// An invoice is due soon.
    REMINDER = "reminder" { "name": "Ada", "organization": "Example Ltd", "number": "INV-2026-000001", "total": "12.00 EUR", "due": "12.00 EUR", "due_date": "2026-11-24", "until": "2026-12-14", "days": 14 }
    /// An invoice was not paid in time.
    OVERDUE = "overdue" { "name": "Ada", "organization": "Example Ltd", "number": "INV-2026-000001", "total": "12.00 EUR", "due": "12.00 EUR", "due_date": "2026-11-24", "until": "2026-12-14", "days": 14 }
    /// A service was suspended for an unpaid invoice.
    SUSPENDED = "suspended" { "name": "Ada", "organization": "Example Ltd", "number": "INV-2026-000001", "total": "12.00 EUR", "due": "12.00 EUR", "due_date": "2026-11-24", "until": "2026-12-14", "days": 14 }
    /// A service was terminated for an unpaid invoice.
    TERMINATED = "terminated" { "name": "Ada", "organization": "Example Ltd", "number": "INV-2026-000001", "total": "12.00 EUR", "due": "12.00 EUR", "due_date": "2026-11-24", "until": "2026-12-14", "days": 14 }
    /// An open invoice was cancelled.
    INVOICE_CANCELLED = "invoice_cancelled" { "name": "Ada", "organization": "Example Ltd", "number": "INV-2026-000001", "total": "12.00 EUR", "due": "12.00 EUR", "due_date": "2026-11-24", "until": "2026-12-14", "days": 14 }
    /// A credit note has been issued.
    REFUNDED = "refunded" { "name": "Ada", "organization": "Example Ltd", "number": "INV-2026-000001", "total": "12.00 EUR", "due": "12.00 EUR", "due_date": "2026-11-24", "until": "2026-12-14", "days": 14 }
}

/// What a letter is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    InvoiceIssued,
    PaymentReceived,
    PaymentFailed,
    Reminder,
    Overdue,
    Suspended,
    Terminated,
    InvoiceCancelled,
    Refunded,
}

impl Occasion {
    const fn event(self) -> &'static Event {
        match self {
            Self::InvoiceIssued => &events::INVOICE_CREATED,
            Self::PaymentReceived => &events::INVOICE_PAID,
            Self::PaymentFailed => &events::PAYMENT_FAILED,
            Self::Reminder => &events::INVOICE_DUE_SOON,
            Self::Overdue => &events::INVOICE_OVERDUE,
            Self::Suspended => &events::SERVICE_SUSPENDED,
            Self::Terminated => &events::SERVICE_TERMINATED,
            Self::InvoiceCancelled => &events::INVOICE_CANCELLED,
            Self::Refunded => &events::INVOICE_REFUNDED,
        }
    }
}

/// Tells of an invoice, in the transaction of what has become of it: by the event's own letter, to the addresses for
/// invoices or else to the owners, in the language of the invoices.
pub(crate) fn send(
    tx: &mut Tx<'_>,
    billing: &Billing,
    account: &AccountRow,
    occasion: Occasion,
    invoice: &InvoiceRow,
) -> Result<(), StoreError> {
    // A credit note's sums are negative; what is told is what is given back.
    let positive = |amount: Amount| if amount < Amount::ZERO { -amount } else { amount };
    let number = |amount: Amount| positive(amount).fixed::<2>().to_string();
    let money = |amount: Amount| format!("{} {}", positive(amount).fixed::<2>(), invoice.currency);
    let language = Language::from_word(&account.invoice_language).unwrap_or(Language::En);
    let organization = invoice.parties().customer_name;
    let due_date = Day::of(invoice.due_at).to_string();
    let until = Day::of(invoice.payable_until).to_string();
    let facts = json!({
        "organization": organization,
        "invoice_id": invoice.id,
        "number": invoice.number,
        "type": invoice.kind,
        "total": number(invoice.total),
        "amount_due": number(invoice.amount_due()),
        "currency": invoice.currency,
        "due_date": due_date,
    });
    let letter = json!({
        "organization": organization,
        "number": invoice.number,
        "total": money(invoice.total),
        "due": money(invoice.amount_due()),
        "due_date": due_date,
        "until": until,
        "days": billing.settings().grace_days,
    });
    let mut notice = Notice::new(account.organization_id, occasion.event(), facts)
        .letter(letter)
        .readers(account.invoice_emails.read().unwrap_or_default(), language);
    if invoice.kind == InvoiceType::Renewal {
        notice = notice.switch(Switch::Renewals);
    }
    notify(tx, notice)
}
