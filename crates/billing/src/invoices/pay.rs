//! `pay_invoice`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{OrganizationScope, Permission},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Change, Faults, PathId},
    store::Tx,
};

use super::{
    api::{Invoice, Pay, PaymentResult, ResultStatus},
    rows::{self, InvoiceKind, InvoiceRow, InvoiceStatus},
    settle,
};
use crate::{
    Billing, BillingManage,
    accounts::{self, AccountRow},
    payment_methods::{self, MethodRow},
    payments::{self, PaymentRow, PaymentStatus},
};

/// [Billing] Pay an invoice
///
/// Uses the credit balance first unless told otherwise, then charges a payment method. A charge runs in the
/// background: `pending` means that the invoice is to be read again; its `payment_url` is set when the payer must
/// confirm.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/billing/invoices/{id}/pay",
    tag = "Organizations", operation_id = "pay_invoice",
    params(("id" = uuid::Uuid, Path), ("organization_id" = String, Path)),
    request_body(content = super::api::InvoicePayRequest),
    responses(
        (status = 200, body = PaymentResult, description = "Payment started or done"),
        (status = 400, description = "The invoice is not open, or there is nothing to pay it with"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BillingManage::NAME)), ("x-minimum-role" = json!(BillingManage::ROLE.as_str())),
        ("x-scope" = json!(BillingManage::SCOPE))),
)]
pub(crate) async fn pay_invoice(
    scope: OrganizationScope<BillingManage>,
    PathId(id): PathId<InvoiceKind>,
    State(billing): State<Billing>,
    change: Change<Pay>,
) -> ApiResult<Response> {
    let origin = Origin::caller(&scope.caller, &scope.request);
    let caller = scope.caller.clone();
    let shared = billing.clone();
    let work = move |tx: &mut Tx<'_>, change: &Change<Pay>| {
        let organization = scope.organization;
        rows::find(tx.conn(), organization, id)?.ok_or_else(ApiError::not_found)?;
        let account = accounts::lock_account(tx, organization, &shared.settings().currency)?;
        let mut invoice = rows::get(tx.conn(), organization, id)?;
        change.check_version(invoice.modified.micros())?;
        let wanted = change.body()?;
        if !invoice.is_open() {
            let detail = format!("The invoice is {} and can't be paid.", invoice.status.as_str());
            return Err(ApiError::refused(detail));
        }
        let user = Some(scope.caller.user);
        if wanted.use_credit {
            settle::apply_credit(tx, &shared, &account, &mut invoice, user)?;
        }
        let mut payment = None;
        if invoice.is_open() {
            let method = choose(tx, &shared, &account, wanted)?;
            let extras = (wanted.return_url.as_deref(), user);
            payment = payments::charge(tx, &account, &invoice, &method, extras)?;
        }
        tx.audit(&origin, Some(organization), None, &event(&invoice))?;
        Ok(Answer::plain(result(tx, invoice, payment.as_ref())?))
    };
    change.run(billing.app(), &caller, "pay_invoice", work).await
}

/// The method to charge: the one named, or the default one.
fn choose(tx: &mut Tx<'_>, billing: &Billing, account: &AccountRow, wanted: &Pay) -> ApiResult<MethodRow> {
    let now = tx.now();
    let organization = account.organization_id;
    let method = match wanted.payment_method_id {
        Some(id) => payment_methods::find(tx.conn(), organization, id)?.ok_or_else(|| {
            Faults::one(
                "payment_method_id",
                format!("Invalid pk \"{id}\" - object does not exist."),
            )
        })?,
        None => payment_methods::default_of(tx.conn(), organization, now)?.ok_or_else(|| {
            ApiError::refused(
                "The credit does not cover the invoice, and there is no payment method to charge.",
            )
        })?,
    };
    if method.is_expired(now) || billing.driver(&method.driver).is_none() {
        return Err(Faults::one(
            "payment_method_id",
            "This payment method can't be charged any more.",
        )
        .into());
    }
    Ok(method)
}

/// What a payment has come to so far.
pub(crate) fn result(
    tx: &mut Tx<'_>,
    invoice: InvoiceRow,
    payment: Option<&PaymentRow>,
) -> ApiResult<PaymentResult> {
    let status = match payment.map(|payment| payment.status) {
        _ if invoice.status == InvoiceStatus::Paid => ResultStatus::Succeeded,
        Some(PaymentStatus::RequiresAction) => ResultStatus::RequiresAction,
        // Without a payment it waits for one that an operator records.
        Some(PaymentStatus::Pending | PaymentStatus::Succeeded) | None => ResultStatus::Pending,
        Some(PaymentStatus::Failed) => ResultStatus::Failed,
    };
    let redirect_url = payment.and_then(|payment| payment.redirect_url.clone());
    let lines = rows::lines_of(tx.conn(), &[invoice.id])?;
    Ok(PaymentResult {
        status,
        amount_paid: invoice.amount_paid.fixed(),
        credit_applied: invoice.credit_applied.fixed(),
        invoice: Invoice::of(invoice, lines, redirect_url.clone()),
        redirect_url,
        failure_reason: payment.and_then(|payment| payment.failure_reason.clone()),
    })
}

fn event(invoice: &InvoiceRow) -> Event {
    let mut changes = Changes::default();
    changes.note("status", &None, &Some(invoice.status.as_str()));
    Event {
        action: "invoice.payment_started",
        resource_type: "invoice",
        resource_id: invoice.id.cast(),
        resource_name: invoice.number.clone(),
        description: format!("Payment of invoice {} asked for", invoice.number),
        changes,
        status: AuditStatus::Success,
    }
}
