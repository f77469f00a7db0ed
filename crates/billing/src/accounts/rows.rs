//! How an organization's way of paying is stored, and the lock behind which its money moves.

use diesel::{
    AsChangeset, ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, RunQueryDsl,
    Selectable, SelectableHelper,
};
use kernel::{
    access::Organization,
    id::Id,
    json::JsonText,
    money::Amount,
    store::{Conn, StoreError, Tx, lock},
    time::Time,
};

use crate::schema::billing_accounts;

/// A row of `billing_accounts`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = billing_accounts, treat_none_as_null = true)]
pub(crate) struct AccountRow {
    pub(crate) organization_id: Id<Organization>,
    pub(crate) currency: String,
    pub(crate) auto_pay: bool,
    pub(crate) use_credit_first: bool,
    pub(crate) auto_top_up_enabled: bool,
    pub(crate) auto_top_up_threshold: Option<Amount>,
    pub(crate) auto_top_up_amount: Option<Amount>,
    pub(crate) invoice_emails: JsonText,
    pub(crate) purchase_order_reference: String,
    pub(crate) invoice_language: String,
    pub(crate) wake_at: Option<Time>,
    pub(crate) created: Time,
    pub(crate) modified: Time,
}

impl AccountRow {
    /// How an organization begins that has never bought anything.
    pub(crate) fn new(organization: Id<Organization>, currency: &str, now: Time) -> Self {
        Self {
            organization_id: organization,
            currency: currency.to_owned(),
            auto_pay: true,
            use_credit_first: true,
            auto_top_up_enabled: false,
            auto_top_up_threshold: None,
            auto_top_up_amount: None,
            invoice_emails: JsonText::of::<[&str]>(&[]),
            purchase_order_reference: String::new(),
            invoice_language: "en".to_owned(),
            wake_at: None,
            created: now,
            modified: now,
        }
    }
}

/// The account, if anything has been set or bought.
pub(crate) fn find(
    conn: &mut Conn,
    organization: Id<Organization>,
) -> Result<Option<AccountRow>, StoreError> {
    let query = billing_accounts::table
        .find(organization)
        .select(AccountRow::as_select());
    Ok(query.first(conn).optional()?)
}

/// Locks the organization's account, which begins here if there is none: one transaction at a time moves the
/// organization's money, and everything below may rely on what it has read.
pub(crate) fn lock_account(
    tx: &mut Tx<'_>,
    organization: Id<Organization>,
    currency: &str,
) -> Result<AccountRow, StoreError> {
    let query = billing_accounts::table
        .filter(billing_accounts::organization_id.eq(organization))
        .select(AccountRow::as_select());
    let found = lock("billing_accounts", query).get_result(tx.conn()).optional()?;
    if let Some(row) = found {
        return Ok(row);
    }
    let row = AccountRow::new(organization, currency, tx.now());
    let begun = diesel::insert_into(billing_accounts::table)
        .values(&row)
        .execute(tx.conn());
    match begun.map_err(StoreError::from) {
        Ok(_) => Ok(row),
        // Another transaction has begun it: try again, and wait for that one.
        Err(StoreError::Duplicate(text)) => Err(StoreError::Contended(text)),
        Err(error) => Err(error),
    }
}

pub(crate) fn save(tx: &mut Tx<'_>, row: &AccountRow) -> Result<(), StoreError> {
    diesel::update(billing_accounts::table.find(row.organization_id))
        .set(row)
        .execute(tx.conn())?;
    Ok(())
}
