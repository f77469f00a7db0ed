//! How payment methods are stored. Every finder takes the organization.

use diesel::{
    AsChangeset, ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, RunQueryDsl,
    Selectable, SelectableHelper,
};
use kernel::{
    access::Organization,
    id::Id,
    store::{Conn, StoreError, Tx},
    time::Time,
    words,
};

use crate::{
    calendar::{Day, months_after},
    schema::payment_methods,
};

/// Names the ids of payment methods.
#[derive(Debug)]
pub enum MethodKind {}
/// The id of a payment method.
pub type MethodId = Id<MethodKind>;

words! {
    /// Kind of payment method
    pub enum MethodType {
        /// Card
        Card = "card",
        /// Paypal
        Paypal = "paypal",
        /// Sepa Debit
        SepaDebit = "sepa_debit",
    }
}

/// A row of `payment_methods`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = payment_methods, treat_none_as_null = true)]
pub(crate) struct MethodRow {
    pub(crate) id: MethodId,
    pub(crate) organization_id: Id<Organization>,
    pub(crate) driver: String,
    #[diesel(column_name = type_)]
    pub(crate) kind: MethodType,
    pub(crate) label: String,
    pub(crate) brand: Option<String>,
    pub(crate) last4: Option<String>,
    pub(crate) exp_month: Option<i32>,
    pub(crate) exp_year: Option<i32>,
    pub(crate) paypal_email: Option<String>,
    pub(crate) is_default: bool,
    pub(crate) reference: String,
    pub(crate) removed_at: Option<Time>,
    pub(crate) created: Time,
    pub(crate) modified: Time,
}

impl MethodRow {
    /// Whether a card's last month is over.
    pub(crate) fn is_expired(&self, now: Time) -> bool {
        let (Some(month), Some(year)) = (self.exp_month, self.exp_year) else {
            return false;
        };
        Day::parse(&format!("{year:04}-{month:02}-01"))
            .is_some_and(|first| months_after(first.start(), 1) <= now)
    }
}

/// The methods of an organization, the default one first.
pub(crate) fn all(conn: &mut Conn, organization: Id<Organization>) -> Result<Vec<MethodRow>, StoreError> {
    let query = payment_methods::table
        .filter(payment_methods::organization_id.eq(organization))
        .filter(payment_methods::removed_at.is_null())
        .order((
            payment_methods::is_default.desc(),
            payment_methods::created,
            payment_methods::id,
        ))
        .select(MethodRow::as_select());
    Ok(query.load(conn)?)
}

/// The method `id` of an organization.
pub(crate) fn find(
    conn: &mut Conn,
    organization: Id<Organization>,
    id: MethodId,
) -> Result<Option<MethodRow>, StoreError> {
    let query = payment_methods::table
        .filter(payment_methods::id.eq(id))
        .filter(payment_methods::organization_id.eq(organization))
        .filter(payment_methods::removed_at.is_null())
        .select(MethodRow::as_select());
    Ok(query.first(conn).optional()?)
}

/// The default method of an organization, if it can still be charged.
pub(crate) fn default_of(
    conn: &mut Conn,
    organization: Id<Organization>,
    now: Time,
) -> Result<Option<MethodRow>, StoreError> {
    let query = payment_methods::table
        .filter(payment_methods::organization_id.eq(organization))
        .filter(payment_methods::removed_at.is_null())
        .filter(payment_methods::is_default.eq(true))
        .select(MethodRow::as_select());
    Ok(query
        .first(conn)
        .optional()?
        .filter(|method| !method.is_expired(now)))
}

/// The driver's name for the newest method that the organization has, or has had, with it.
pub(crate) fn newest_reference(
    conn: &mut Conn,
    organization: Id<Organization>,
    driver: &str,
) -> Result<Option<String>, StoreError> {
    let query = payment_methods::table
        .filter(payment_methods::organization_id.eq(organization))
        .filter(payment_methods::driver.eq(driver))
        .order((payment_methods::created.desc(), payment_methods::id.desc()))
        .select(payment_methods::reference);
    Ok(query.first(conn).optional()?)
}

pub(crate) fn insert(tx: &mut Tx<'_>, row: &MethodRow) -> Result<(), StoreError> {
    diesel::insert_into(payment_methods::table)
        .values(row)
        .execute(tx.conn())?;
    Ok(())
}

pub(crate) fn save(tx: &mut Tx<'_>, row: &mut MethodRow) -> Result<(), StoreError> {
    row.modified = tx.now();
    diesel::update(payment_methods::table.find(row.id))
        .set(&*row)
        .execute(tx.conn())?;
    Ok(())
}

/// Lets no method of the organization be the default one.
pub(crate) fn clear_default(tx: &mut Tx<'_>, organization: Id<Organization>) -> Result<(), StoreError> {
    let now = tx.now();
    diesel::update(
        payment_methods::table
            .filter(payment_methods::organization_id.eq(organization))
            .filter(payment_methods::is_default.eq(true)),
    )
    .set((
        payment_methods::is_default.eq(false),
        payment_methods::modified.eq(now),
    ))
    .execute(tx.conn())?;
    Ok(())
}
