//! Movements of the credit, and the order for more, on the wire.
#![allow(
    missing_docs,
    reason = "the fields are the published API's; comments repeat its words where it has some"
)]

use kernel::{money::Fixed, time::Time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    invoices::InvoiceId,
    ledger::{Movement, TransactionId},
    payment_methods::MethodId,
    people::UserSummary,
};

/// A movement of the credit balance.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BillingTransaction {
    #[schema(read_only)]
    pub(super) id: TransactionId,
    #[schema(read_only)]
    pub(super) r#type: Movement,
    /// Positive adds credit, negative uses it
    #[schema(read_only, value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    pub(super) amount: Fixed<2>,
    #[schema(read_only, value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    pub(super) balance_after: Fixed<2>,
    /// ISO 4217 code
    #[schema(read_only, max_length = 3)]
    pub(super) currency: String,
    #[schema(read_only)]
    pub(super) description: String,
    #[schema(required, read_only)]
    pub(super) invoice_id: Option<InvoiceId>,
    #[schema(read_only)]
    pub(super) payment_method_id: Option<MethodId>,
    #[schema(read_only)]
    pub(super) created_by: Option<UserSummary>,
    #[schema(read_only)]
    pub(super) created: Time,
}

/// How much credit is to be bought.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "documents the body; `TopUp` reads it")]
pub(crate) struct TopUpRequest {
    /// Amount to add, taxes excluded
    #[schema(pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    amount: String,
    /// Default payment method when left out
    #[schema(nullable = false)]
    payment_method_id: Option<MethodId>,
    /// Where an off-site payment page sends the user back
    #[schema(nullable = false, format = "uri")]
    return_url: Option<String>,
}

/// The body of `top_up_credit`.
#[derive(Debug, Deserialize)]
pub(super) struct TopUp {
    pub(super) amount: String,
    #[serde(default)]
    pub(super) payment_method_id: Option<MethodId>,
    #[serde(default)]
    pub(super) return_url: Option<String>,
}

impl kernel::http::Body for TopUp {
    type Wire = TopUpRequest;
}
