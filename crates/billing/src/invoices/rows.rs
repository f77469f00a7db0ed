//! How invoices are stored.

use diesel::{
    AsChangeset, ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, RunQueryDsl,
    Selectable, SelectableHelper,
};
use kernel::{
    access::{Organization, Project},
    id::{AnyId, Id},
    json::JsonText,
    money::Amount,
    store::{Conn, StoreError, Tx},
    time::Time,
    words,
};
use serde::{Deserialize, Serialize};

use crate::{
    broken,
    orders::OrderKind,
    schema::{invoice_lines, invoices},
    services::{Cycle, ServiceId},
    tax::Treatment,
};

/// Names the ids of invoices.
#[derive(Debug)]
pub enum InvoiceKind {}
/// The id of an invoice.
pub type InvoiceId = Id<InvoiceKind>;
/// Names the ids of lines.
#[derive(Debug)]
pub enum LineKind {}
/// The id of a line.
pub type LineId = Id<LineKind>;

words! {
    /// What the invoice is for
    pub enum InvoiceType {
        /// Order
        Order = "order",
        /// Renewal
        Renewal = "renewal",
        /// Usage
        Usage = "usage",
        /// Top Up
        TopUp = "top_up",
        /// Credit Note
        CreditNote = "credit_note",
    }
}

words! {
    /// Where the invoice stands
    pub enum InvoiceStatus {
        /// Draft
        Draft = "draft",
        /// Unpaid
        Unpaid = "unpaid",
        /// Paid
        Paid = "paid",
        /// Overdue
        Overdue = "overdue",
        /// Cancelled
        Cancelled = "cancelled",
        /// Refunded
        Refunded = "refunded",
    }
}

/// A row of `invoices`; the migration documents the columns.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = invoices, treat_none_as_null = true)]
#[expect(missing_docs, reason = "the migration documents the columns")]
pub struct InvoiceRow {
    pub id: InvoiceId,
    pub legacy_id: i64,
    pub organization_id: Id<Organization>,
    pub number: String,
    #[diesel(column_name = type_)]
    pub kind: InvoiceType,
    pub status: InvoiceStatus,
    pub currency: String,
    pub subtotal: Amount,
    pub tax_total: Amount,
    pub total: Amount,
    pub credit_applied: Amount,
    pub amount_paid: Amount,
    pub credited: Amount,
    pub order_id: Option<Id<OrderKind>>,
    pub credit_of: Option<InvoiceId>,
    pub parties: JsonText,
    pub issued_at: Time,
    pub due_at: Time,
    pub payable_until: Time,
    pub paid_at: Option<Time>,
    pub stage: i32,
    pub wake_at: Option<Time>,
    pub created: Time,
    pub modified: Time,
}

impl InvoiceRow {
    /// What is still to be paid.
    pub fn amount_due(&self) -> Amount {
        if self.is_open() {
            self.total - self.credit_applied - self.amount_paid
        } else {
            Amount::ZERO
        }
    }

    /// Whether it can be paid.
    pub const fn is_open(&self) -> bool {
        matches!(self.status, InvoiceStatus::Unpaid | InvoiceStatus::Overdue)
    }

    /// Both parties as they were at issue.
    pub fn parties(&self) -> Parties {
        self.parties.read().unwrap_or_default()
    }
}

/// A row of `invoice_lines`; the migration documents the columns.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = invoice_lines)]
#[expect(missing_docs, reason = "the migration documents the columns")]
pub struct LineRow {
    pub id: LineId,
    pub invoice_id: InvoiceId,
    pub position: i32,
    pub description: String,
    pub description_fr: String,
    pub service_type: String,
    pub service_id: Option<ServiceId>,
    pub resource_id: Option<AnyId>,
    pub project_id: Option<Id<Project>>,
    pub billing_cycle: Option<Cycle>,
    pub period_start: Option<Time>,
    pub period_end: Option<Time>,
    pub quantity: Amount,
    pub unit_price: Amount,
    pub discount: Amount,
    pub tax_rate: Amount,
    pub tax: Amount,
    pub total: Amount,
}

/// Who sells and who buys, frozen when an invoice is issued.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are what an invoice shows")]
pub struct Parties {
    pub seller_name: String,
    pub seller_address: Vec<String>,
    pub seller_country: String,
    pub seller_vat_number: String,
    /// What else the seller prints: bank details, penalties. Invoices of before have none.
    #[serde(default)]
    pub seller_note: String,
    pub customer_name: String,
    pub company_name: String,
    pub address_1: String,
    pub address_2: String,
    pub city: String,
    pub state: String,
    pub postcode: String,
    pub country: String,
    pub vat_number: String,
    pub purchase_order: String,
    pub language: String,
    pub treatment: Option<Treatment>,
}

/// An invoice of an organization.
pub(crate) fn find(
    conn: &mut Conn,
    organization: Id<Organization>,
    id: InvoiceId,
) -> Result<Option<InvoiceRow>, StoreError> {
    let query = invoices::table
        .filter(invoices::id.eq(id))
        .filter(invoices::organization_id.eq(organization))
        .select(InvoiceRow::as_select());
    Ok(query.first(conn).optional()?)
}

/// An invoice that must be there.
pub(crate) fn get(
    conn: &mut Conn,
    organization: Id<Organization>,
    id: InvoiceId,
) -> Result<InvoiceRow, StoreError> {
    find(conn, organization, id)?.ok_or_else(|| broken(format!("there is no invoice {id}")))
}

/// The lines of these invoices, in order.
pub(crate) fn lines_of(conn: &mut Conn, of: &[InvoiceId]) -> Result<Vec<LineRow>, StoreError> {
    let query = invoice_lines::table
        .filter(invoice_lines::invoice_id.eq_any(of))
        .order((invoice_lines::invoice_id, invoice_lines::position))
        .select(LineRow::as_select());
    Ok(query.load(conn)?)
}

pub(crate) fn save(tx: &mut Tx<'_>, row: &mut InvoiceRow) -> Result<(), StoreError> {
    row.modified = tx.now();
    diesel::update(invoices::table.find(row.id))
        .set(&*row)
        .execute(tx.conn())?;
    Ok(())
}

pub(crate) fn insert(tx: &mut Tx<'_>, row: &InvoiceRow, lines: &[LineRow]) -> Result<(), StoreError> {
    diesel::insert_into(invoices::table)
        .values(row)
        .execute(tx.conn())?;
    for line in lines {
        diesel::insert_into(invoice_lines::table)
            .values(line)
            .execute(tx.conn())?;
    }
    Ok(())
}
