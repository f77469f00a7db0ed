//! Orders as the operations of this area answer them.
#![allow(
    missing_docs,
    reason = "the fields are the published API's; comments repeat its words where it has some"
)]

use billing::orders::{OrderId, OrderStatus, Placed};
use kernel::{
    money::{Amount, Fixed},
    openapi::Whole,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::tasks::api::InstanceTask;

/// An order that has been written.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InstanceOrder {
    #[schema(required)]
    pub(crate) order_id: Option<OrderId>,
    #[schema(value_type = Whole)]
    pub(crate) legacy_order_id: i64,
    #[schema(required, nullable, value_type = Option<Whole>)]
    pub(crate) invoice_id: Option<i64>,
    #[schema(value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    pub(crate) total: Fixed<2>,
    #[schema(value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    pub(crate) amount_due: Fixed<2>,
    #[schema(value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    pub(crate) credit_applied: Fixed<2>,
    pub(crate) status: String,
    /// Where the rest is paid when amount_due is above zero.
    #[schema(required)]
    pub(crate) invoice_payment_url: Option<String>,
}

impl InstanceOrder {
    /// A placed order.
    pub(crate) fn of(placed: &Placed) -> Self {
        let total = placed
            .invoice
            .as_ref()
            .map_or(Amount::ZERO, |invoice| invoice.total);
        Self {
            order_id: Some(placed.order),
            legacy_order_id: placed.legacy_id,
            invoice_id: placed.invoice.as_ref().map(|invoice| invoice.legacy_id),
            total: total.fixed(),
            amount_due: placed.amount_due.fixed(),
            credit_applied: placed.credit_applied.fixed(),
            // An order that is done already can have something due again: a renewal.
            status: if placed.amount_due.is_positive() {
                OrderStatus::Pending
            } else {
                placed.status
            }
            .as_str()
            .to_owned(),
            invoice_payment_url: None,
        }
    }
}

/// What was ordered, and what will be done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InstanceOrderedAction {
    /// Null when nothing is due now.
    #[schema(required)]
    pub(crate) order: Option<InstanceOrder>,
    /// Null until the order is paid.
    #[schema(required)]
    pub(crate) task: Option<InstanceTask>,
}
