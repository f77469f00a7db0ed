//! The letters that billing sends: to the addresses for invoices, or to the owners of the organization.

use diesel::{ExpressionMethods, JoinOnDsl, QueryDsl, RunQueryDsl};
use identity::schema::{memberships, users};
use kernel::{
    access::Role,
    language::Language,
    mail::Letter,
    money::Amount,
    store::{StoreError, Tx},
};
use serde_json::json;

use crate::{Billing, accounts::AccountRow, calendar::Day, invoices::InvoiceRow};

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

/// Owners that get a letter, at most.
const MOST_RECIPIENTS: i64 = 10;

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
    const fn template(self) -> &'static str {
        match self {
            Self::InvoiceIssued => INVOICE_ISSUED,
            Self::PaymentReceived => PAYMENT_RECEIVED,
            Self::PaymentFailed => PAYMENT_FAILED,
            Self::Reminder => REMINDER,
            Self::Overdue => OVERDUE,
            Self::Suspended => SUSPENDED,
            Self::Terminated => TERMINATED,
            Self::InvoiceCancelled => INVOICE_CANCELLED,
            Self::Refunded => REFUNDED,
        }
    }
}

/// Writes a letter about an invoice, in the transaction of what it tells.
pub(crate) fn send(
    tx: &mut Tx<'_>,
    billing: &Billing,
    account: &AccountRow,
    occasion: Occasion,
    invoice: &InvoiceRow,
) -> Result<(), StoreError> {
    let money = |amount: Amount| {
        // A credit note's sums are negative; a letter tells what is given back.
        let amount = if amount < Amount::ZERO { -amount } else { amount };
        format!("{} {}", amount.fixed::<2>(), invoice.currency)
    };
    let language = Language::from_word(&account.invoice_language).unwrap_or(Language::En);
    let parties = invoice.parties();
    for (to, name) in recipients(tx, account)? {
        let letter = Letter {
            to,
            language,
            template: occasion.template(),
            values: json!({
                "name": name,
                "organization": parties.customer_name,
                "number": invoice.number,
                "total": money(invoice.total),
                "due": money(invoice.amount_due()),
                "due_date": Day::of(invoice.due_at).to_string(),
                "until": Day::of(invoice.payable_until).to_string(),
                "days": billing.settings().grace_days,
            }),
        };
        billing.app().mailer().post(tx, &letter)?;
    }
    Ok(())
}

/// Addresses and names: those that were given for invoices, else the owners of the organization.
fn recipients(tx: &mut Tx<'_>, account: &AccountRow) -> Result<Vec<(String, String)>, StoreError> {
    let given: Vec<String> = account.invoice_emails.read().unwrap_or_default();
    if !given.is_empty() {
        return Ok(given
            .into_iter()
            .map(|address| (address, String::new()))
            .collect());
    }
    let query = memberships::table
        .inner_join(users::table.on(users::id.eq(memberships::user_id)))
        .filter(memberships::organization_id.eq(account.organization_id))
        .filter(memberships::role.eq(Role::Owner))
        .filter(users::is_active.eq(true))
        .order(memberships::created)
        .limit(MOST_RECIPIENTS)
        .select((users::email, users::first_name));
    Ok(query.load(tx.conn())?)
}
