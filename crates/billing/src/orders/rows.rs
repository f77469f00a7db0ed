//! How orders are stored.

use diesel::{
    AsChangeset, ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, RunQueryDsl,
    Selectable, SelectableHelper,
};
use kernel::{
    access::{Organization, Project, User},
    id::{AnyId, Id},
    money::Amount,
    store::{Conn, StoreError, Tx},
    time::Time,
    words,
};

use crate::{
    broken,
    invoices::InvoiceKind,
    schema::{order_items, orders},
    services::{Cycle, ServiceId},
};

/// Names the ids of orders.
#[derive(Debug)]
pub enum OrderKind {}
/// The id of an order.
pub type OrderId = Id<OrderKind>;
/// Names the ids of items.
#[derive(Debug)]
pub(crate) enum ItemKind {}
/// The id of an item.
pub(crate) type ItemId = Id<ItemKind>;

words! {
    /// Where the order stands
    pub enum OrderStatus {
        /// Pending
        Pending = "pending",
        /// Processing
        Processing = "processing",
        /// Active
        Active = "active",
        /// Cancelled
        Cancelled = "cancelled",
        /// Failed
        Failed = "failed",
        /// Fraud Review
        FraudReview = "fraud_review",
    }
}

/// A row of `orders`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = orders, treat_none_as_null = true)]
pub(crate) struct OrderRow {
    pub(crate) id: OrderId,
    pub(crate) legacy_id: i64,
    pub(crate) organization_id: Id<Organization>,
    pub(crate) status: OrderStatus,
    pub(crate) currency: String,
    pub(crate) total: Amount,
    pub(crate) invoice_id: Option<Id<InvoiceKind>>,
    pub(crate) reason: String,
    pub(crate) created_by: Option<Id<User>>,
    pub(crate) created: Time,
    pub(crate) modified: Time,
}

/// A row of `order_items`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = order_items)]
pub(crate) struct ItemRow {
    pub(crate) id: ItemId,
    pub(crate) order_id: OrderId,
    pub(crate) position: i32,
    pub(crate) service_id: ServiceId,
    pub(crate) description: String,
    pub(crate) kind: String,
    pub(crate) resource_id: AnyId,
    pub(crate) project_id: Id<Project>,
    pub(crate) billing_cycle: Cycle,
    pub(crate) quantity: i64,
    pub(crate) setup_fee: Amount,
    pub(crate) price: Amount,
}

pub(crate) fn find(
    conn: &mut Conn,
    organization: Id<Organization>,
    id: OrderId,
) -> Result<Option<OrderRow>, StoreError> {
    let query = orders::table
        .filter(orders::id.eq(id))
        .filter(orders::organization_id.eq(organization))
        .select(OrderRow::as_select());
    Ok(query.first(conn).optional()?)
}

pub(crate) fn get(
    conn: &mut Conn,
    organization: Id<Organization>,
    id: OrderId,
) -> Result<OrderRow, StoreError> {
    find(conn, organization, id)?.ok_or_else(|| broken(format!("there is no order {id}")))
}

pub(crate) fn items_of(conn: &mut Conn, of: &[OrderId]) -> Result<Vec<ItemRow>, StoreError> {
    let query = order_items::table
        .filter(order_items::order_id.eq_any(of))
        .order((order_items::order_id, order_items::position))
        .select(ItemRow::as_select());
    Ok(query.load(conn)?)
}

pub(crate) fn insert(tx: &mut Tx<'_>, row: &OrderRow) -> Result<(), StoreError> {
    diesel::insert_into(orders::table)
        .values(row)
        .execute(tx.conn())?;
    Ok(())
}

pub(crate) fn insert_item(tx: &mut Tx<'_>, row: &ItemRow) -> Result<(), StoreError> {
    diesel::insert_into(order_items::table)
        .values(row)
        .execute(tx.conn())?;
    Ok(())
}

pub(crate) fn save(tx: &mut Tx<'_>, row: &mut OrderRow) -> Result<(), StoreError> {
    row.modified = tx.now();
    diesel::update(orders::table.find(row.id))
        .set(&*row)
        .execute(tx.conn())?;
    Ok(())
}
