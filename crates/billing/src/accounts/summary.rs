//! `get_billing_summary`.

use axum::{Json, extract::State};
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, RunQueryDsl, SelectableHelper};
use kernel::{
    access::{Organization, OrganizationScope, Permission},
    http::ApiResult,
    id::Id,
    money::Amount,
    store::{Conn, StoreError},
    time::Time,
};

use super::{api::BillingSummary, rows};
use crate::{
    Billing, BillingRead,
    calendar::{Day, days_before, month_of, next_month},
    invoices::{InvoiceRow, InvoiceStatus},
    ledger,
    payment_methods::{self, PaymentMethod},
    schema::{invoices, services},
    services::ServiceStatus,
    usage,
};

/// [Billing] Get billing summary
///
/// Balance, open amounts and what comes next.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/billing",
    tag = "Organizations", operation_id = "get_billing_summary",
    params(("organization_id" = String, Path)),
    responses((status = 200, body = BillingSummary, description = "Billing summary"), kernel::http::Refusals),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BillingRead::NAME)), ("x-minimum-role" = json!(BillingRead::ROLE.as_str())),
        ("x-scope" = json!(BillingRead::SCOPE))),
)]
pub(crate) async fn get_billing_summary(
    scope: OrganizationScope<BillingRead>,
    State(billing): State<Billing>,
) -> ApiResult<Json<BillingSummary>> {
    let now = billing.app().clock().now();
    let shared = billing.clone();
    let read = billing.app().store().read("get_billing_summary", move |conn| {
        summarize(conn, &shared, scope.organization, now).map(Json)
    });
    Ok(read.await?)
}

fn summarize(
    conn: &mut Conn,
    billing: &Billing,
    organization: Id<Organization>,
    now: Time,
) -> Result<BillingSummary, StoreError> {
    let settings = billing.settings();
    let account = rows::find(conn, organization)?;
    let open: Vec<InvoiceRow> = invoices::table
        .filter(invoices::organization_id.eq(organization))
        .filter(invoices::status.eq_any([InvoiceStatus::Unpaid, InvoiceStatus::Overdue]))
        .select(InvoiceRow::as_select())
        .load(conn)?;
    let unpaid_total: Amount = open.iter().map(InvoiceRow::amount_due).sum();
    let overdue = open
        .iter()
        .filter(|invoice| invoice.status == InvoiceStatus::Overdue)
        .count();
    let suspended: i64 = services::table
        .filter(services::organization_id.eq(organization))
        .filter(services::status.eq(ServiceStatus::Suspended))
        .count()
        .get_result(conn)?;
    let next: Option<Option<Time>> = services::table
        .filter(services::organization_id.eq(organization))
        .filter(services::status.eq(ServiceStatus::Active))
        .filter(services::renewal_invoice_id.is_null())
        .filter(services::cancellation_requested_at.is_null())
        .filter(services::billing_cycle.ne("hourly"))
        .filter(services::next_billing_date.is_not_null())
        .order(services::next_billing_date)
        .select(services::next_billing_date)
        .first(conn)
        .optional()?;
    let next = next
        .flatten()
        .map(|date| days_before(date, settings.renewal_days).max(now));
    let month = account.as_ref().and_then(|account| account.wake_at);
    let month_end = next_month(now);
    let usage = |conn: &mut Conn, until| usage::sum(conn, organization, month_of(now), until);
    let default = payment_methods::default_of(conn, organization, now)?;
    Ok(BillingSummary {
        currency: account.map_or_else(|| settings.currency.clone(), |account| account.currency),
        credit_balance: ledger::credit(conn, organization)?.fixed(),
        unpaid_total: unpaid_total.fixed(),
        unpaid_invoice_count: i64::try_from(open.len()).unwrap_or(i64::MAX),
        overdue_invoice_count: i64::try_from(overdue).unwrap_or(i64::MAX),
        month_to_date: usage(conn, now)?.fixed(),
        month_forecast: usage(conn, month_end)?.fixed(),
        next_invoice_date: [next, month].into_iter().flatten().min().map(Day::of),
        default_payment_method: default.map(|row| PaymentMethod::at(now, row)),
        has_suspended_services: suspended > 0,
    })
}
