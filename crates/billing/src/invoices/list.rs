//! `list_invoices`.

use std::collections::HashMap;

use axum::{Json, extract::State};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl, SelectableHelper};
use kernel::{
    access::{OrganizationScope, Permission},
    http::{ApiResult, Page, PageOf, Query},
};

use super::{
    api::Invoice,
    rows::{self, InvoiceId, InvoiceRow, InvoiceStatus, LineRow},
};
use crate::{Billing, BillingRead, calendar::Day, payments, query::DayQuery, schema::invoices};

type InvoicePage = PageOf<Invoice>;

/// [Billing] List invoices
///
/// Invoices, newest first.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/billing/invoices",
    tag = "Organizations", operation_id = "list_invoices",
    params(
        ("status" = inline(Option<InvoiceStatus>), Query, description = "Only invoices of this status."),
        ("issued_after" = inline(Option<Day>), Query, description = "Issued on this day or later."),
        ("issued_before" = inline(Option<Day>), Query, description = "Issued on this day or earlier."),
        ("page" = Option<i64>, Query, description = "Page number, starting at 1.", minimum = 1),
        ("page_size" = Option<i64>, Query, description = "Items on a page.", minimum = 1, maximum = 100),
        ("organization_id" = String, Path),
    ),
    responses(
        (status = 200, description = "Page of invoices", body = InvoicePage),
        (status = 400, description = "A filter that can't be read"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BillingRead::NAME)), ("x-minimum-role" = json!(BillingRead::ROLE.as_str())),
        ("x-scope" = json!(BillingRead::SCOPE))),
)]
pub(crate) async fn list_invoices(
    scope: OrganizationScope<BillingRead>,
    State(billing): State<Billing>,
    mut query: Query,
    page: Page,
) -> ApiResult<Json<PageOf<Invoice>>> {
    let status = query.choice("status", InvoiceStatus::from_word);
    let after = query.day("issued_after");
    let before = query.day("issued_before");
    query.check()?;
    let filtered = move || {
        let mut found = invoices::table
            .filter(invoices::organization_id.eq(scope.organization))
            .into_boxed();
        if let Some(status) = status {
            found = found.filter(invoices::status.eq(status));
        }
        if let Some(day) = after {
            found = found.filter(invoices::issued_at.ge(day.start()));
        }
        if let Some(day) = before {
            found = found.filter(invoices::issued_at.lt(day.end()));
        }
        found
    };
    let read = billing.app().store().read("list_invoices", move |conn| {
        let count = filtered().count().get_result(conn)?;
        let (skip, take) = page.window(count)?;
        let found: Vec<InvoiceRow> = filtered()
            .order((invoices::created.desc(), invoices::id.desc()))
            .offset(skip)
            .limit(take)
            .select(InvoiceRow::as_select())
            .load(conn)?;
        let ids: Vec<InvoiceId> = found.iter().map(|row| row.id).collect();
        let mut lines: HashMap<InvoiceId, Vec<LineRow>> = HashMap::new();
        for line in rows::lines_of(conn, &ids)? {
            lines.entry(line.invoice_id).or_default().push(line);
        }
        let mut urls: HashMap<InvoiceId, Option<String>> =
            payments::redirects(conn, &ids)?.into_iter().collect();
        let shown = found.into_iter().map(|row| {
            let lines = lines.remove(&row.id).unwrap_or_default();
            let url = urls.remove(&row.id).flatten();
            Invoice::of(row, lines, url)
        });
        page.of(count, shown.collect()).map(Json)
    });
    read.await
}
