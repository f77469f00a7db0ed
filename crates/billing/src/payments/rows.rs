//! How payments are stored.

use diesel::{
    AsChangeset, ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, RunQueryDsl,
    Selectable, SelectableHelper,
};
use kernel::{
    access::{Organization, User},
    id::Id,
    money::Amount,
    store::{Conn, StoreError, Tx},
    time::Time,
    words,
};

use crate::{invoices::InvoiceKind, payment_methods::MethodKind, schema::payments};

/// Names the ids of payments.
#[derive(Debug)]
pub enum PaymentKind {}
/// The id of a payment.
pub type PaymentId = Id<PaymentKind>;

words! {
    /// Where a payment stands
    pub enum PaymentStatus {
        /// Pending
        Pending = "pending",
        /// Requires Action
        RequiresAction = "requires_action",
        /// Succeeded
        Succeeded = "succeeded",
        /// Failed
        Failed = "failed",
    }
}

/// A row of `payments`; the migration documents the columns.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = payments, treat_none_as_null = true)]
#[expect(missing_docs, reason = "the migration documents the columns")]
pub struct PaymentRow {
    pub id: PaymentId,
    pub organization_id: Id<Organization>,
    pub invoice_id: Id<InvoiceKind>,
    pub payment_method_id: Option<Id<MethodKind>>,
    pub driver: String,
    pub amount: Amount,
    pub currency: String,
    pub status: PaymentStatus,
    pub reference: Option<String>,
    pub return_url: Option<String>,
    pub redirect_url: Option<String>,
    pub failure_reason: Option<String>,
    pub created_by: Option<Id<User>>,
    pub created: Time,
    pub modified: Time,
    pub wake_at: Option<Time>,
}

impl PaymentRow {
    /// Whether it may still succeed.
    pub const fn is_open(&self) -> bool {
        matches!(
            self.status,
            PaymentStatus::Pending | PaymentStatus::RequiresAction
        )
    }
}

pub(super) fn get(conn: &mut Conn, id: PaymentId) -> Result<PaymentRow, StoreError> {
    Ok(payments::table
        .find(id)
        .select(PaymentRow::as_select())
        .first(conn)?)
}

/// The payment of an invoice that may still succeed.
pub(super) fn open_of(conn: &mut Conn, invoice: Id<InvoiceKind>) -> Result<Option<PaymentRow>, StoreError> {
    let open = [PaymentStatus::Pending, PaymentStatus::RequiresAction];
    let query = payments::table
        .filter(payments::invoice_id.eq(invoice))
        .filter(payments::status.eq_any(open))
        .order(payments::created.desc())
        .select(PaymentRow::as_select());
    Ok(query.first(conn).optional()?)
}

pub(super) fn insert(tx: &mut Tx<'_>, row: &PaymentRow) -> Result<(), StoreError> {
    diesel::insert_into(payments::table)
        .values(row)
        .execute(tx.conn())?;
    Ok(())
}

pub(super) fn save(tx: &mut Tx<'_>, row: &mut PaymentRow) -> Result<(), StoreError> {
    row.modified = tx.now();
    diesel::update(payments::table.find(row.id))
        .set(&*row)
        .execute(tx.conn())?;
    Ok(())
}
