//! Invoices as the API shows them and takes what is to be paid.
#![allow(
    missing_docs,
    reason = "the fields are the published API's; comments repeat its words where it has some"
)]

use kernel::{
    access::{OrganizationId, ProjectId},
    http::Body,
    id::AnyId,
    money::Fixed,
    openapi::Whole,
    time::Time,
    words,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rows::{InvoiceId, InvoiceRow, InvoiceStatus, InvoiceType, LineId, LineRow, Parties};
use crate::{calendar::Day, payment_methods::MethodId, services::Cycle};

/// An invoice or credit note.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Invoice {
    #[schema(read_only)]
    id: InvoiceId,
    /// Integer given as invoice_id by order responses
    #[schema(read_only, value_type = Whole)]
    legacy_id: i64,
    #[schema(read_only)]
    organization_id: OrganizationId,
    /// Null while draft
    #[schema(required, read_only)]
    number: Option<String>,
    #[schema(read_only)]
    r#type: InvoiceType,
    #[schema(read_only)]
    status: InvoiceStatus,
    /// ISO 4217 code
    #[schema(read_only, max_length = 3)]
    currency: String,
    #[schema(read_only, value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    subtotal: Fixed<2>,
    #[schema(read_only, value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    tax_total: Fixed<2>,
    #[schema(read_only, value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    total: Fixed<2>,
    #[schema(read_only, value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    credit_applied: Fixed<2>,
    #[schema(read_only, value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    amount_paid: Fixed<2>,
    #[schema(read_only, value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    amount_due: Fixed<2>,
    #[schema(read_only)]
    items: Vec<InvoiceItem>,
    #[schema(read_only)]
    issued_at: Option<Time>,
    #[schema(required, read_only)]
    due_date: Option<Day>,
    /// Last day an unpaid invoice can be paid (35 days after issue)
    #[schema(read_only)]
    available_until: Option<Day>,
    #[schema(required, read_only)]
    paid_at: Option<Time>,
    /// Hosted payment page of an open invoice
    #[schema(read_only, format = "uri")]
    payment_url: Option<String>,
    #[schema(read_only)]
    billing_address: BillingAddress,
    #[schema(read_only)]
    created: Time,
    #[schema(read_only)]
    modified: Time,
}

/// A line of an invoice.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct InvoiceItem {
    #[schema(read_only)]
    id: LineId,
    #[schema(read_only)]
    description: String,
    /// Ex: instance, volume, domain, hosting, addon, credit
    #[schema(read_only)]
    service_type: String,
    #[schema(read_only)]
    service_id: Option<AnyId>,
    #[schema(read_only)]
    project_id: Option<ProjectId>,
    #[schema(read_only)]
    billing_cycle: Cycle,
    #[schema(read_only)]
    period_start: Option<Day>,
    #[schema(read_only)]
    period_end: Option<Day>,
    #[schema(read_only, value_type = String, pattern = r"^-?\d{0,10}(?:\.\d{0,4})?$")]
    quantity: Fixed<4>,
    #[schema(read_only, value_type = String, pattern = r"^-?\d{0,6}(?:\.\d{0,4})?$")]
    unit_price: Fixed<4>,
    #[schema(read_only, value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    discount: Fixed<2>,
    #[schema(read_only, value_type = String, pattern = r"^-?\d{0,3}(?:\.\d{0,2})?$")]
    tax_rate: Fixed<2>,
    /// Taxes excluded
    #[schema(read_only, value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    total: Fixed<2>,
}

/// Copy of the organization address frozen when the invoice was issued
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct BillingAddress {
    #[schema(required = false, read_only)]
    company_name: String,
    #[schema(required = false, read_only)]
    address_1: String,
    #[schema(required = false, read_only)]
    address_2: String,
    #[schema(required = false, read_only)]
    city: String,
    #[schema(required = false, read_only)]
    state: String,
    #[schema(required = false, read_only)]
    postcode: String,
    #[schema(required = false, read_only)]
    country: String,
    #[schema(required = false, read_only)]
    vat_number: String,
}

impl Invoice {
    /// An invoice with its lines, in the language that it was issued in.
    pub(crate) fn of(row: InvoiceRow, lines: Vec<LineRow>, payment_url: Option<String>) -> Self {
        let parties = row.parties();
        let french = parties.language == "fr";
        let amount_due = row.amount_due();
        let InvoiceRow {
            id,
            legacy_id,
            organization_id,
            number,
            kind,
            status,
            currency,
            subtotal,
            tax_total,
            total,
            credit_applied,
            amount_paid,
            credited: _,
            order_id: _,
            credit_of: _,
            parties: _,
            issued_at,
            due_at,
            payable_until,
            paid_at,
            stage: _,
            wake_at: _,
            created,
            modified,
        } = row;
        Self {
            id,
            legacy_id,
            organization_id,
            number: Some(number),
            r#type: kind,
            status,
            currency,
            subtotal: subtotal.fixed(),
            tax_total: tax_total.fixed(),
            total: total.fixed(),
            credit_applied: credit_applied.fixed(),
            amount_paid: amount_paid.fixed(),
            amount_due: amount_due.fixed(),
            items: lines
                .into_iter()
                .map(|line| InvoiceItem::of(line, french))
                .collect(),
            issued_at: Some(issued_at),
            due_date: Some(Day::of(due_at)),
            available_until: Some(Day::of(payable_until)),
            paid_at,
            payment_url,
            billing_address: BillingAddress::of(parties),
            created,
            modified,
        }
    }
}

impl InvoiceItem {
    fn of(line: LineRow, french: bool) -> Self {
        let LineRow {
            id,
            invoice_id: _,
            position: _,
            description,
            description_fr,
            service_type,
            service_id: _,
            resource_id,
            project_id,
            billing_cycle,
            period_start,
            period_end,
            quantity,
            unit_price,
            discount,
            tax_rate,
            tax: _,
            total,
        } = line;
        Self {
            id,
            description: if french { description_fr } else { description },
            service_type,
            service_id: resource_id,
            project_id,
            billing_cycle: billing_cycle.unwrap_or(Cycle::OneTime),
            period_start: period_start.map(Day::of),
            period_end: period_end.map(Day::of),
            quantity: quantity.fixed(),
            unit_price: unit_price.fixed(),
            discount: discount.fixed(),
            tax_rate: tax_rate.fixed(),
            total: total.fixed(),
        }
    }
}

impl BillingAddress {
    fn of(parties: Parties) -> Self {
        Self {
            company_name: parties.company_name,
            address_1: parties.address_1,
            address_2: parties.address_2,
            city: parties.city,
            state: parties.state,
            postcode: parties.postcode,
            country: parties.country,
            vat_number: parties.vat_number,
        }
    }
}

words! {
    /// How far the payment is
    pub(crate) enum ResultStatus {
        /// Succeeded
        Succeeded = "succeeded",
        /// Pending
        Pending = "pending",
        /// Requires Action
        RequiresAction = "requires_action",
        /// Failed
        Failed = "failed",
    }
}

/// What a payment has come to so far.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PaymentResult {
    #[schema(read_only)]
    pub(crate) status: ResultStatus,
    #[schema(read_only)]
    pub(crate) invoice: Invoice,
    #[schema(read_only, value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    pub(crate) amount_paid: Fixed<2>,
    #[schema(read_only, value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    pub(crate) credit_applied: Fixed<2>,
    /// Page to open when status is requires_action
    #[schema(read_only, format = "uri")]
    pub(crate) redirect_url: Option<String>,
    #[schema(read_only)]
    pub(crate) failure_reason: Option<String>,
}

/// How an invoice is to be paid.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "documents the body; `Pay` reads it")]
pub(crate) struct InvoicePayRequest {
    /// Default payment method when left out
    #[schema(nullable = false)]
    payment_method_id: Option<MethodId>,
    #[schema(required = false, default = true)]
    use_credit: bool,
    /// Where an off-site payment page sends the user back
    #[schema(nullable = false, format = "uri")]
    return_url: Option<String>,
}

/// The body of `pay_invoice`.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub(super) struct Pay {
    pub(super) payment_method_id: Option<MethodId>,
    pub(super) use_credit: bool,
    pub(super) return_url: Option<String>,
}

impl Default for Pay {
    fn default() -> Self {
        Self {
            payment_method_id: None,
            use_credit: true,
            return_url: None,
        }
    }
}

impl Body for Pay {
    type Wire = InvoicePayRequest;
}
