//! Whether the books are right: what `onetd ledger verify` and the tests ask.

use std::collections::{BTreeMap, HashMap};

use diesel::{ExpressionMethods, JoinOnDsl, QueryDsl, RunQueryDsl};
use kernel::{
    access::Organization,
    id::Id,
    money::Amount,
    store::{Conn, StoreError},
};

use super::Account;
use crate::{
    invoices::{InvoiceKind, InvoiceStatus, InvoiceType},
    schema::{
        billing_accounts, invoice_lines, invoices, ledger_balances, ledger_entries, ledger_transactions,
        payments,
    },
};

/// A rule that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Whose books.
    pub organization: Id<Organization>,
    /// What is wrong with them.
    pub text: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "organization {}: {}", self.organization, self.text)
    }
}

/// Organizations looked at in one reading.
const BATCH: i64 = 50;

/// Compares, for the organizations after `after` in the order of their ids, the kept balances with the entries, the
/// entries with the invoices, and the invoices with their lines. Gives the faults, and where to go on; `None` at the
/// end.
///
/// # Errors
/// The database refused.
pub fn verify(
    conn: &mut Conn,
    after: Option<Id<Organization>>,
) -> Result<(Vec<Fault>, Option<Id<Organization>>), StoreError> {
    let mut query = billing_accounts::table
        .select(billing_accounts::organization_id)
        .order(billing_accounts::organization_id)
        .limit(BATCH)
        .into_boxed();
    if let Some(after) = after {
        query = query.filter(billing_accounts::organization_id.gt(after));
    }
    let organizations: Vec<Id<Organization>> = query.load(conn)?;
    let mut faults = Vec::new();
    for organization in &organizations {
        let texts = verify_one(conn, *organization)?;
        faults.extend(texts.into_iter().map(|text| Fault {
            organization: *organization,
            text,
        }));
    }
    let next = (organizations.len() == 50)
        .then(|| organizations.last().copied())
        .flatten();
    Ok((faults, next))
}

type InvoiceSums = (
    Id<InvoiceKind>,
    String,
    InvoiceType,
    InvoiceStatus,
    Amount,
    Amount,
    Amount,
    Amount,
    Amount,
    Amount,
);

fn verify_one(conn: &mut Conn, organization: Id<Organization>) -> Result<Vec<String>, StoreError> {
    let mut faults = Vec::new();
    let kept: Vec<(String, Amount)> = ledger_balances::table
        .filter(ledger_balances::organization_id.eq(organization))
        .select((ledger_balances::account, ledger_balances::balance))
        .load(conn)?;
    let kept: BTreeMap<String, Amount> = kept.into_iter().collect();
    let entries: Vec<(String, String, Amount)> = ledger_entries::table
        .filter(ledger_entries::organization_id.eq(organization))
        .select((
            ledger_entries::debit,
            ledger_entries::credit,
            ledger_entries::amount,
        ))
        .load(conn)?;
    let mut derived: BTreeMap<String, Amount> = BTreeMap::new();
    for (debit, credit, amount) in entries {
        *derived.entry(debit).or_default() += amount;
        *derived.entry(credit).or_default() -= amount;
    }
    let of =
        |balances: &BTreeMap<String, Amount>, name: &str| balances.get(name).copied().unwrap_or_default();
    for account in kept
        .keys()
        .chain(derived.keys())
        .collect::<std::collections::BTreeSet<_>>()
    {
        let (kept, derived) = (of(&kept, account), of(&derived, account));
        if kept != derived {
            faults.push(format!(
                "the balance of {account} is kept as {} and derived as {}",
                kept.fixed::<2>(),
                derived.fixed::<2>()
            ));
        }
    }
    let sum: Amount = kept.values().copied().sum();
    if !sum.is_zero() {
        faults.push(format!("the balances sum to {}", sum.fixed::<4>()));
    }
    if of(&kept, &Account::Credit.key()).is_positive() {
        faults.push("more credit was spent than there was".to_owned());
    }
    let movements: Amount = ledger_transactions::table
        .filter(ledger_transactions::organization_id.eq(organization))
        .select(ledger_transactions::credit_change)
        .load::<Amount>(conn)?
        .into_iter()
        .sum();
    if movements != -of(&kept, &Account::Credit.key()) {
        faults.push("the movements of the credit don't sum to its balance".to_owned());
    }
    verify_invoices(
        conn,
        organization,
        of(&kept, &Account::Receivable.key()),
        &mut faults,
    )?;
    let taken: Vec<(String, Amount)> = payments::table
        .filter(payments::organization_id.eq(organization))
        .filter(payments::status.eq("succeeded"))
        .select((payments::driver, payments::amount))
        .load(conn)?;
    let mut by_driver: BTreeMap<String, Amount> = BTreeMap::new();
    for (driver, amount) in taken {
        *by_driver.entry(driver).or_default() += amount;
    }
    for (driver, amount) in by_driver {
        let clearing = of(&kept, &Account::Clearing(&driver).key());
        if clearing != amount {
            faults.push(format!(
                "payments by {driver} sum to {}, their account to {}",
                amount.fixed::<2>(),
                clearing.fixed::<2>()
            ));
        }
    }
    Ok(faults)
}

fn verify_invoices(
    conn: &mut Conn,
    organization: Id<Organization>,
    receivable: Amount,
    faults: &mut Vec<String>,
) -> Result<(), StoreError> {
    let rows: Vec<InvoiceSums> = invoices::table
        .filter(invoices::organization_id.eq(organization))
        .select((
            invoices::id,
            invoices::number,
            invoices::type_,
            invoices::status,
            invoices::subtotal,
            invoices::tax_total,
            invoices::total,
            invoices::credit_applied,
            invoices::amount_paid,
            invoices::credited,
        ))
        .load(conn)?;
    let lines: Vec<(Id<InvoiceKind>, Amount, Amount)> = invoice_lines::table
        .inner_join(invoices::table.on(invoices::id.eq(invoice_lines::invoice_id)))
        .filter(invoices::organization_id.eq(organization))
        .select((
            invoice_lines::invoice_id,
            invoice_lines::total,
            invoice_lines::tax,
        ))
        .load(conn)?;
    let mut sums: HashMap<Id<InvoiceKind>, (Amount, Amount)> = HashMap::new();
    for (invoice, total, tax) in lines {
        let sum = sums.entry(invoice).or_default();
        sum.0 += total;
        sum.1 += tax;
    }
    let mut open = Amount::ZERO;
    for (id, number, kind, status, subtotal, tax_total, total, credit_applied, amount_paid, credited) in rows
    {
        let (lines, taxes) = sums.get(&id).copied().unwrap_or_default();
        if (lines, taxes) != (subtotal, tax_total) || subtotal + tax_total != total {
            faults.push(format!("the lines of {number} don't sum to its total"));
        }
        let due = total - credit_applied - amount_paid;
        let is_right = match status {
            InvoiceStatus::Draft => false,
            InvoiceStatus::Unpaid | InvoiceStatus::Overdue => due.is_positive(),
            InvoiceStatus::Paid => {
                due.is_zero() && (kind == InvoiceType::CreditNote || credited < total || total.is_zero())
            }
            InvoiceStatus::Cancelled => credit_applied.is_zero() && amount_paid.is_zero(),
            InvoiceStatus::Refunded => due.is_zero() && credited == total,
        };
        if !is_right {
            faults.push(format!(
                "{number} is {} with {} due",
                status.as_str(),
                due.fixed::<2>()
            ));
        }
        if matches!(status, InvoiceStatus::Unpaid | InvoiceStatus::Overdue) {
            open += due;
        }
    }
    if open != receivable {
        faults.push(format!(
            "open invoices sum to {}, the receivable to {}",
            open.fixed::<2>(),
            receivable.fixed::<2>()
        ));
    }
    Ok(())
}
