//! Settings and summary on the wire.
#![allow(
    missing_docs,
    reason = "the fields are the published API's; comments repeat its words where it has some"
)]

use kernel::{
    http::Body,
    money::Fixed,
    openapi::{Patched, Whole},
    time::Time,
};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::rows::AccountRow;
use crate::{calendar::Day, payment_methods::PaymentMethod};

/// How invoices are paid and where they go.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BillingSettings {
    /// ISO 4217 code
    #[schema(required = false, max_length = 3, default = "EUR")]
    currency: String,
    /// Charge the default payment method when an invoice falls due
    #[schema(required = false, default = true)]
    auto_pay: bool,
    /// Use the credit balance before any payment method
    #[schema(required = false, default = true)]
    use_credit_first: bool,
    #[schema(required = false, default = false)]
    auto_top_up_enabled: bool,
    #[schema(required = false, nullable, value_type = Option<String>, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    auto_top_up_threshold: Option<Fixed<2>>,
    #[schema(required = false, nullable, value_type = Option<String>, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    auto_top_up_amount: Option<Fixed<2>>,
    #[schema(required = false, max_items = 10, value_type = Vec<EmailAddress>)]
    invoice_emails: Vec<String>,
    #[schema(required = false, max_length = 100, extensions(("x-allow-blank" = json!(true))))]
    purchase_order_reference: String,
    /// Ex: en, fr
    #[schema(required = false, max_length = 5, default = "en")]
    invoice_language: String,
    #[schema(read_only)]
    modified: Time,
}

/// A mail address.
#[derive(Debug, ToSchema)]
#[schema(value_type = String, format = "email")]
#[expect(dead_code, reason = "only its schema counts")]
pub(crate) struct EmailAddress(String);

impl From<AccountRow> for BillingSettings {
    fn from(row: AccountRow) -> Self {
        let AccountRow {
            organization_id: _,
            currency,
            auto_pay,
            use_credit_first,
            auto_top_up_enabled,
            auto_top_up_threshold,
            auto_top_up_amount,
            invoice_emails,
            purchase_order_reference,
            invoice_language,
            wake_at: _,
            created: _,
            modified,
        } = row;
        Self {
            currency,
            auto_pay,
            use_credit_first,
            auto_top_up_enabled,
            auto_top_up_threshold: auto_top_up_threshold.map(Fixed),
            auto_top_up_amount: auto_top_up_amount.map(Fixed),
            invoice_emails: invoice_emails.read().unwrap_or_default(),
            purchase_order_reference,
            invoice_language,
            modified,
        }
    }
}

/// The body of `update_billing_settings`: the fields that were sent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SettingsUpdate {
    pub(super) currency: Option<String>,
    pub(super) auto_pay: Option<bool>,
    pub(super) use_credit_first: Option<bool>,
    pub(super) auto_top_up_enabled: Option<bool>,
    #[serde(deserialize_with = "present")]
    pub(super) auto_top_up_threshold: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    pub(super) auto_top_up_amount: Option<Option<String>>,
    pub(super) invoice_emails: Option<Vec<String>>,
    pub(super) purchase_order_reference: Option<String>,
    pub(super) invoice_language: Option<String>,
}

/// Tells a null from a field that is absent (for which `default` answers).
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl Body for SettingsUpdate {
    type Wire = Patched<BillingSettings>;
    const PARTIAL: bool = true;
}

/// Balance, open amounts and what comes next.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BillingSummary {
    /// ISO 4217 code
    #[schema(read_only, max_length = 3)]
    pub(super) currency: String,
    /// Prepaid credit left
    #[schema(read_only, value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    pub(super) credit_balance: Fixed<2>,
    /// Sum of amount_due over open invoices
    #[schema(read_only, value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    pub(super) unpaid_total: Fixed<2>,
    #[schema(read_only, value_type = Whole)]
    pub(super) unpaid_invoice_count: i64,
    #[schema(read_only, value_type = Whole)]
    pub(super) overdue_invoice_count: i64,
    /// Usage of the current month not invoiced yet
    #[schema(read_only, value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    pub(super) month_to_date: Fixed<2>,
    /// Expected total at month end
    #[schema(required = false, read_only, value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    pub(super) month_forecast: Fixed<2>,
    #[schema(required, read_only)]
    pub(super) next_invoice_date: Option<Day>,
    #[schema(read_only)]
    pub(super) default_payment_method: Option<PaymentMethod>,
    #[schema(read_only)]
    pub(super) has_suspended_services: bool,
}
