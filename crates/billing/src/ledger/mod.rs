//! The ledger: double entry, only ever appended to.
//!
//! Each entry moves an amount from one account to another, so that no entry can be out of balance by itself. [`post`]
//! is the one place that writes entries; it keeps each account's balance in the same transaction. What the entries
//! of each event are is in `docs/billing.md`; why it is built so, in `docs/decisions/0024-double-entry.md`.

mod verify;

use std::{borrow::Cow, collections::BTreeMap};

use diesel::{
    ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, RunQueryDsl, Selectable,
};
use identity::notifications::{Notice, low_balance_threshold, notify};
use kernel::{
    access::{Organization, User},
    id::Id,
    money::Amount,
    store::{Conn, StoreError, Tx},
    time::Time,
    words,
};
use serde_json::json;

pub use self::verify::{Fault, verify};
use crate::{
    accounts::AccountRow,
    broken, events,
    invoices::InvoiceKind,
    payments::PaymentKind,
    schema::{ledger_balances, ledger_entries, ledger_transactions},
    trip,
};

/// Names the ids of transactions.
#[derive(Debug)]
pub enum LedgerTransaction {}
/// The id of a transaction.
pub type TransactionId = Id<LedgerTransaction>;

/// Where money is. Every organization has its own of each, so that organizations don't wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Account<'a> {
    /// What the customer has paid ahead or was given back: we owe it (a liability).
    Credit,
    /// What the customer owes us for invoices (an asset).
    Receivable,
    /// What was sold, without tax (income).
    Revenue,
    /// Tax that we owe to the state (a liability).
    Tax,
    /// Invoiced credit that is not paid yet, and can't be spent (a liability).
    Prepayment,
    /// Used and never paid (an expense).
    WriteOff,
    /// Credit given by the operator (an expense).
    Adjustment,
    /// What a payment driver has taken in (an asset).
    Clearing(&'a str),
}

impl Account<'_> {
    fn key(self) -> Cow<'static, str> {
        match self {
            Self::Credit => "credit".into(),
            Self::Receivable => "receivable".into(),
            Self::Revenue => "revenue".into(),
            Self::Tax => "tax".into(),
            Self::Prepayment => "prepayment".into(),
            Self::WriteOff => "write_off".into(),
            Self::Adjustment => "adjustment".into(),
            Self::Clearing(driver) => format!("clearing:{driver}").into(),
        }
    }
}

words! {
    /// Why the credit balance moved
    pub enum Movement {
        /// Top Up
        TopUp = "top_up",
        /// Payment
        Payment = "payment",
        /// Credit Applied
        CreditApplied = "credit_applied",
        /// Refund
        Refund = "refund",
        /// Adjustment
        Adjustment = "adjustment",
        /// Voucher
        Voucher = "voucher",
    }
}

/// An event that moves money.
#[derive(Clone, Debug)]
pub(crate) struct Event<'a> {
    /// What happened, for whoever reads the ledger: `invoice_issued`.
    pub(crate) kind: &'static str,
    /// What customers call it if their credit moves by it.
    pub(crate) movement: Movement,
    pub(crate) invoice: Option<Id<InvoiceKind>>,
    pub(crate) payment: Option<Id<PaymentKind>>,
    pub(crate) description: String,
    pub(crate) user: Option<Id<User>>,
    /// Debited account, credited account, amount. Entries of nothing are left out.
    pub(crate) entries: &'a [(Account<'a>, Account<'a>, Amount)],
}

/// A row of `ledger_transactions`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = ledger_transactions)]
pub(crate) struct TransactionRow {
    pub(crate) id: Id<LedgerTransaction>,
    pub(crate) organization_id: Id<Organization>,
    pub(crate) kind: String,
    pub(crate) movement: Option<Movement>,
    pub(crate) credit_change: Amount,
    pub(crate) credit_after: Amount,
    pub(crate) currency: String,
    pub(crate) invoice_id: Option<Id<InvoiceKind>>,
    pub(crate) payment_id: Option<Id<PaymentKind>>,
    pub(crate) description: String,
    pub(crate) created_by: Option<Id<User>>,
    pub(crate) created: Time,
}

/// Records an event and keeps the balances. The locked account is the proof that nobody else moves the
/// organization's money meanwhile.
///
/// # Errors
/// The database refused, or an amount is negative: a fault of the caller's.
pub(crate) fn post(tx: &mut Tx<'_>, account: &AccountRow, event: Event<'_>) -> Result<(), StoreError> {
    let entries: Vec<_> = event
        .entries
        .iter()
        .filter(|(.., amount)| !amount.is_zero())
        .collect();
    if entries.is_empty() {
        return Ok(());
    }
    if entries.iter().any(|(.., amount)| !amount.is_positive()) {
        return Err(broken(format!(
            "the ledger was given a negative amount by `{}`",
            event.kind
        )));
    }
    let mut moved: BTreeMap<Account<'_>, Amount> = BTreeMap::new();
    for (debit, credit, amount) in entries.iter().copied() {
        *moved.entry(*debit).or_default() += *amount;
        *moved.entry(*credit).or_default() -= *amount;
    }
    if moved.values().copied().sum::<Amount>() != Amount::ZERO {
        return Err(broken(format!(
            "the entries of `{}` don't sum to zero",
            event.kind
        )));
    }
    // A liability: more credit is a lower balance.
    let credit_change = -moved.get(&Account::Credit).copied().unwrap_or_default();
    let credit_after = credit(tx.conn(), account.organization_id)? + credit_change;
    if credit_after < Amount::ZERO {
        return Err(broken(format!(
            "`{}` spends more credit than there is",
            event.kind
        )));
    }
    let row = TransactionRow {
        id: Id::new(),
        organization_id: account.organization_id,
        kind: event.kind.to_owned(),
        movement: (!credit_change.is_zero()).then_some(event.movement),
        credit_change,
        credit_after,
        currency: account.currency.clone(),
        invoice_id: event.invoice,
        payment_id: event.payment,
        description: event.description,
        created_by: event.user,
        created: tx.now(),
    };
    diesel::insert_into(ledger_transactions::table)
        .values(&row)
        .execute(tx.conn())?;
    for (position, (debit, credit, amount)) in (0_i32..).zip(entries.iter().copied()) {
        let entry = (
            ledger_entries::transaction_id.eq(row.id),
            ledger_entries::position.eq(position),
            ledger_entries::organization_id.eq(account.organization_id),
            ledger_entries::debit.eq(debit.key()),
            ledger_entries::credit.eq(credit.key()),
            ledger_entries::amount.eq(*amount),
        );
        diesel::insert_into(ledger_entries::table)
            .values(entry)
            .execute(tx.conn())?;
    }
    trip("billing.entries")?;
    for (moved_account, change) in moved {
        keep(tx, account.organization_id, &moved_account.key(), change)?;
    }
    trip("billing.balances")?;
    if credit_change < Amount::ZERO {
        warn_of_low_credit(tx, account, credit_after - credit_change, credit_after)?;
    }
    Ok(())
}

/// Tells the organization if its credit has just fallen below the threshold that it has set.
fn warn_of_low_credit(
    tx: &mut Tx<'_>,
    account: &AccountRow,
    before: Amount,
    after: Amount,
) -> Result<(), StoreError> {
    let threshold = low_balance_threshold(tx.conn(), account.organization_id)?;
    let Some(threshold) = threshold.filter(|threshold| before >= *threshold && after < *threshold) else {
        return Ok(());
    };
    let facts = json!({
        "balance": after.fixed::<2>().to_string(),
        "threshold": threshold.fixed::<2>().to_string(),
        "currency": account.currency,
    });
    notify(
        tx,
        Notice::new(account.organization_id, &events::CREDIT_LOW, facts),
    )
}

fn keep(
    tx: &mut Tx<'_>,
    organization: Id<Organization>,
    key: &str,
    change: Amount,
) -> Result<(), StoreError> {
    if change.is_zero() {
        return Ok(());
    }
    let change = change.ten_thousandths();
    let updated = diesel::update(ledger_balances::table.find((organization, key)))
        .set(ledger_balances::balance.eq(ledger_balances::balance + change))
        .execute(tx.conn())?;
    if updated == 0 {
        let first = (
            ledger_balances::organization_id.eq(organization),
            ledger_balances::account.eq(key),
            ledger_balances::balance.eq(change),
        );
        diesel::insert_into(ledger_balances::table)
            .values(first)
            .execute(tx.conn())?;
    }
    Ok(())
}

/// The balance of an account of an organization: debits minus credits.
///
/// # Errors
/// The database refused.
pub fn balance(
    conn: &mut Conn,
    organization: Id<Organization>,
    account: Account<'_>,
) -> Result<Amount, StoreError> {
    let query = ledger_balances::table
        .find((organization, account.key()))
        .select(ledger_balances::balance);
    let found: Option<Amount> = query.first(conn).optional()?;
    Ok(found.unwrap_or_default())
}

/// What an organization has left of its credit.
///
/// # Errors
/// The database refused.
pub fn credit(conn: &mut Conn, organization: Id<Organization>) -> Result<Amount, StoreError> {
    Ok(-balance(conn, organization, Account::Credit)?)
}
