//! `top_up_credit`, and the top-up that onet makes by itself.

use axum::{extract::State, response::Response};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use kernel::{
    access::{OrganizationScope, Permission, User},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Change, Faults},
    id::Id,
    money::Amount,
    store::{StoreError, Tx},
};

use super::api::{TopUp, TopUpRequest};
use crate::{
    Billing, BillingManage,
    accounts::{self, AccountRow},
    calendar::days_after,
    invoices::{self, Draft, InvoiceRow, InvoiceStatus, InvoiceType, Line, PaymentResult},
    ledger, payment_methods, payments,
    schema::invoices as invoice_rows,
};

/// The most that can be bought at once.
const MOST: Amount = Amount::from_cents(10_000_000);

/// [Billing] Add credit
///
/// Make a top-up invoice and try to pay it. Credit is added when the payment is confirmed. Without a payment method
/// the invoice stays open, to be paid as the operator says. Credit is paid for without tax: what is bought with it is
/// taxed.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/billing/top-up",
    tag = "Organizations", operation_id = "top_up_credit",
    params(("organization_id" = String, Path)),
    request_body(content = TopUpRequest),
    responses(
        (status = 201, body = PaymentResult, description = "Payment started or done"),
        (status = 400, description = "Invalid amount, no payment method, or payment failed"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BillingManage::NAME)), ("x-minimum-role" = json!(BillingManage::ROLE.as_str())),
        ("x-scope" = json!(BillingManage::SCOPE))),
)]
pub(crate) async fn top_up_credit(
    scope: OrganizationScope<BillingManage>,
    State(billing): State<Billing>,
    change: Change<TopUp>,
) -> ApiResult<Response> {
    let origin = Origin::caller(&scope.caller, &scope.request);
    let caller = scope.caller.clone();
    let shared = billing.clone();
    let work = move |tx: &mut Tx<'_>, change: &Change<TopUp>| {
        let organization = scope.organization;
        let user = scope.caller.user;
        let wanted = change.body()?;
        let amount = Amount::parse(&wanted.amount).filter(|amount| amount.is_positive() && *amount <= MOST);
        let range = format!("Ensure this value is between 0.01 and {}.", MOST.fixed::<2>());
        let amount = amount.ok_or_else(|| Faults::one("amount", range))?;
        let account = accounts::lock_account(tx, organization, &shared.settings().currency)?;
        let now = tx.now();
        let method = match wanted.payment_method_id {
            Some(id) => Some(
                payment_methods::find(tx.conn(), organization, id)?.ok_or_else(|| {
                    Faults::one(
                        "payment_method_id",
                        format!("Invalid pk \"{id}\" - object does not exist."),
                    )
                })?,
            ),
            None => payment_methods::default_of(tx.conn(), organization, now)?,
        };
        if method.as_ref().is_some_and(|method| method.is_expired(now)) {
            return Err(Faults::one("payment_method_id", "This payment method has expired.").into());
        }
        let invoice = issue(tx, &shared, &account, amount, Some(user))?;
        let payment = match method {
            Some(method) => payments::charge(
                tx,
                &account,
                &invoice,
                &method,
                (wanted.return_url.as_deref(), Some(user)),
            )?,
            None => None,
        };
        tx.audit(&origin, Some(organization), None, &event(&invoice))?;
        let path = format!("/v1/organizations/{organization}/billing/invoices/{}", invoice.id);
        let result = invoices::result(tx, invoice, payment.as_ref())?;
        Ok::<_, ApiError>(Answer::created(result, None, path))
    };
    change.run(billing.app(), &caller, "top_up_credit", work).await
}

fn issue(
    tx: &mut Tx<'_>,
    billing: &Billing,
    account: &AccountRow,
    amount: Amount,
    user: Option<Id<User>>,
) -> Result<InvoiceRow, StoreError> {
    let line = Line {
        description: "Credit".to_owned(),
        description_fr: "Crédit".to_owned(),
        service_type: "credit".to_owned(),
        service: None,
        resource: None,
        project: None,
        cycle: None,
        period: None,
        quantity: Amount::from_ten_thousandths(10_000),
        unit_price: amount,
        net: amount,
    };
    let draft = Draft {
        kind: InvoiceType::TopUp,
        lines: vec![line],
        due_at: days_after(tx.now(), billing.settings().due_days),
        order: None,
        user,
    };
    invoices::issue(tx, billing, account, draft)
}

/// Buys credit for an organization that wants that when it runs low: one top-up at a time.
pub(crate) fn top_up_if_low(
    tx: &mut Tx<'_>,
    billing: &Billing,
    account: &AccountRow,
) -> Result<(), StoreError> {
    let (true, Some(threshold), Some(amount)) = (
        account.auto_top_up_enabled,
        account.auto_top_up_threshold,
        account.auto_top_up_amount,
    ) else {
        return Ok(());
    };
    let now = tx.now();
    if ledger::credit(tx.conn(), account.organization_id)? >= threshold {
        return Ok(());
    }
    let Some(method) = payment_methods::default_of(tx.conn(), account.organization_id, now)? else {
        return Ok(());
    };
    let open: i64 = invoice_rows::table
        .filter(invoice_rows::organization_id.eq(account.organization_id))
        .filter(invoice_rows::type_.eq(InvoiceType::TopUp))
        .filter(invoice_rows::status.eq_any([InvoiceStatus::Unpaid, InvoiceStatus::Overdue]))
        .count()
        .get_result(tx.conn())?;
    if open > 0 {
        return Ok(());
    }
    let invoice = issue(tx, billing, account, amount, None)?;
    payments::charge(tx, account, &invoice, &method, (None, None)).map(|_| ())
}

fn event(invoice: &InvoiceRow) -> Event {
    let mut changes = Changes::default();
    changes.note("amount", &None, &Some(invoice.total.fixed::<2>().to_string()));
    Event {
        action: "credit.top_up_started",
        resource_type: "invoice",
        resource_id: invoice.id.cast(),
        resource_name: invoice.number.clone(),
        description: format!(
            "Credit of {} {} ordered",
            invoice.total.fixed::<2>(),
            invoice.currency
        ),
        changes,
        status: AuditStatus::Success,
    }
}
