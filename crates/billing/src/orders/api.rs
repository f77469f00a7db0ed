//! Orders as the API shows them.
#![allow(
    missing_docs,
    reason = "the fields are the published API's; comments repeat its words where it has some"
)]

use std::collections::HashMap;

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl, SelectableHelper};
use kernel::{
    access::{OrganizationId, ProjectId},
    id::AnyId,
    money::Fixed,
    openapi::Whole,
    store::{Conn, StoreError},
    time::Time,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    place::number,
    rows::{self, ItemId, ItemRow, OrderId, OrderRow, OrderStatus},
};
use crate::{
    invoices::{InvoiceId, InvoiceRow},
    payments,
    people::{self, UserSummary},
    schema::invoices,
    services::Cycle,
};

/// What was bought together.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Order {
    /// Given as local_order_id by order responses
    #[schema(read_only)]
    id: OrderId,
    /// Given as order_id by order responses
    #[schema(read_only, value_type = Whole)]
    legacy_id: i64,
    #[schema(read_only)]
    order_number: String,
    #[schema(read_only)]
    organization_id: OrganizationId,
    #[schema(read_only)]
    status: OrderStatus,
    #[schema(read_only)]
    items: Vec<OrderItem>,
    /// ISO 4217 code
    #[schema(read_only, max_length = 3)]
    currency: String,
    #[schema(read_only, value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    total: Fixed<2>,
    #[schema(read_only, value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    credit_applied: Fixed<2>,
    #[schema(read_only, value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    amount_due: Fixed<2>,
    /// legacy_id of the invoice
    #[schema(required, read_only, nullable, value_type = Option<Whole>)]
    invoice_id: Option<i64>,
    #[schema(read_only, format = "uri")]
    invoice_payment_url: Option<String>,
    #[schema(read_only)]
    created_by: Option<UserSummary>,
    #[schema(read_only)]
    created: Time,
    #[schema(read_only)]
    modified: Time,
}

/// One thing of an order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrderItem {
    #[schema(read_only)]
    id: ItemId,
    #[schema(read_only)]
    description: String,
    #[schema(read_only)]
    service_type: String,
    #[schema(read_only)]
    service_id: Option<AnyId>,
    #[schema(read_only)]
    project_id: Option<ProjectId>,
    #[schema(read_only)]
    billing_cycle: Cycle,
    #[schema(required = false, read_only, value_type = Whole)]
    quantity: i64,
    #[schema(required = false, read_only, value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    setup_fee: Fixed<2>,
    #[schema(read_only, value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    price: Fixed<2>,
}

impl OrderItem {
    fn of(row: ItemRow) -> Self {
        let ItemRow {
            id,
            order_id: _,
            position: _,
            service_id: _,
            description,
            kind,
            resource_id,
            project_id,
            billing_cycle,
            quantity,
            setup_fee,
            price,
        } = row;
        Self {
            id,
            description,
            service_type: kind,
            service_id: Some(resource_id),
            project_id: Some(project_id),
            billing_cycle,
            quantity,
            setup_fee: setup_fee.fixed(),
            price: price.fixed(),
        }
    }
}

/// These orders with their items, invoices and people, in four queries.
pub(super) fn show(conn: &mut Conn, found: Vec<OrderRow>) -> Result<Vec<Order>, StoreError> {
    let ids: Vec<OrderId> = found.iter().map(|row| row.id).collect();
    let mut items: HashMap<OrderId, Vec<OrderItem>> = HashMap::new();
    for item in rows::items_of(conn, &ids)? {
        items.entry(item.order_id).or_default().push(OrderItem::of(item));
    }
    let ids: Vec<InvoiceId> = found.iter().filter_map(|row| row.invoice_id).collect();
    let invoiced: Vec<InvoiceRow> = invoices::table
        .filter(invoices::id.eq_any(&ids))
        .select(InvoiceRow::as_select())
        .load(conn)?;
    let invoiced: HashMap<InvoiceId, InvoiceRow> = invoiced.into_iter().map(|row| (row.id, row)).collect();
    let urls: HashMap<InvoiceId, Option<String>> = payments::redirects(conn, &ids)?.into_iter().collect();
    let people = people::summaries(conn, found.iter().map(|row| row.created_by))?;
    let shown = found.into_iter().map(|row| {
        let OrderRow {
            id,
            legacy_id,
            organization_id,
            status,
            currency,
            total,
            invoice_id,
            reason: _,
            created_by,
            created,
            modified,
        } = row;
        let invoice = invoice_id.and_then(|invoice| invoiced.get(&invoice));
        Order {
            id,
            legacy_id,
            order_number: number(legacy_id),
            organization_id,
            status,
            items: items.remove(&id).unwrap_or_default(),
            currency,
            total: total.fixed(),
            credit_applied: invoice
                .map(|invoice| invoice.credit_applied)
                .unwrap_or_default()
                .fixed(),
            amount_due: invoice.map(InvoiceRow::amount_due).unwrap_or_default().fixed(),
            invoice_id: invoice.map(|invoice| invoice.legacy_id),
            invoice_payment_url: invoice_id.and_then(|invoice| urls.get(&invoice).cloned().flatten()),
            created_by: created_by.and_then(|user| people.get(&user).cloned()),
            created,
            modified,
        }
    });
    Ok(shown.collect())
}
