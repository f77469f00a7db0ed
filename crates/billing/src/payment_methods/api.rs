//! Payment methods as the API shows and takes them.
#![allow(
    missing_docs,
    reason = "the fields are the published API's; comments repeat its words where it has some"
)]

use kernel::{
    http::Body,
    openapi::{Patched, Whole, WriteOnly},
    time::Time,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rows::{MethodId, MethodRow, MethodType};

/// A stored way to pay.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PaymentMethod {
    #[schema(read_only)]
    id: MethodId,
    r#type: MethodType,
    #[schema(required = false, max_length = 100, extensions(("x-allow-blank" = json!(true))))]
    label: String,
    #[schema(read_only)]
    brand: Option<String>,
    #[schema(read_only, max_length = 4)]
    last4: Option<String>,
    #[schema(read_only, nullable, value_type = Option<Whole>)]
    exp_month: Option<i32>,
    #[schema(read_only, nullable, value_type = Option<Whole>)]
    exp_year: Option<i32>,
    #[schema(read_only, format = "email")]
    paypal_email: Option<String>,
    is_default: bool,
    #[schema(read_only)]
    is_expired: bool,
    /// Token obtained from the payment provider in the browser; card numbers never reach this API
    #[schema(required = false, write_only, value_type = String)]
    #[serde(skip_serializing_if = "WriteOnly::hidden")]
    provider_token: WriteOnly<String>,
    #[schema(read_only)]
    created: Time,
    #[schema(read_only)]
    modified: Time,
}

impl PaymentMethod {
    pub(crate) fn at(now: Time, row: MethodRow) -> Self {
        let is_expired = row.is_expired(now);
        let MethodRow {
            id,
            organization_id: _,
            driver: _,
            kind,
            label,
            brand,
            last4,
            exp_month,
            exp_year,
            paypal_email,
            is_default,
            reference: _,
            removed_at: _,
            created,
            modified,
        } = row;
        Self {
            id,
            r#type: kind,
            label,
            brand,
            last4,
            exp_month,
            exp_year,
            paypal_email,
            is_default,
            is_expired,
            provider_token: WriteOnly::new(),
            created,
            modified,
        }
    }
}

/// The body of `create_payment_method`.
#[derive(Debug, Deserialize)]
pub(super) struct NewMethod {
    pub(super) r#type: MethodType,
    #[serde(default)]
    pub(super) label: String,
    #[serde(default)]
    pub(super) is_default: bool,
    #[serde(default)]
    pub(super) provider_token: String,
}

impl Body for NewMethod {
    type Wire = PaymentMethod;
}

/// The body of `update_payment_method`.
#[derive(Debug, Deserialize)]
#[serde(default)]
#[derive(Default)]
pub(super) struct MethodUpdate {
    pub(super) r#type: Option<MethodType>,
    pub(super) label: Option<String>,
    pub(super) is_default: Option<bool>,
    pub(super) provider_token: Option<String>,
}

impl Body for MethodUpdate {
    type Wire = Patched<PaymentMethod>;
    const PARTIAL: bool = true;
}
