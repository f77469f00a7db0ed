//! `get_invoice`.

use axum::extract::State;
use kernel::{
    access::{OrganizationScope, Permission},
    http::{ApiError, ApiResult, PathId, Versioned},
};

use super::{
    api::Invoice,
    rows::{self, InvoiceKind},
};
use crate::{Billing, BillingRead, payments};

/// [Billing] Get an invoice
///
/// One invoice with its lines.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/billing/invoices/{id}",
    tag = "Organizations", operation_id = "get_invoice",
    params(("id" = uuid::Uuid, Path), ("organization_id" = String, Path)),
    responses((status = 200, body = Invoice, description = "Invoice details"), kernel::http::Refusals),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BillingRead::NAME)), ("x-minimum-role" = json!(BillingRead::ROLE.as_str())),
        ("x-scope" = json!(BillingRead::SCOPE))),
)]
pub(crate) async fn get_invoice(
    scope: OrganizationScope<BillingRead>,
    PathId(id): PathId<InvoiceKind>,
    State(billing): State<Billing>,
) -> ApiResult<Versioned<Invoice>> {
    let read = billing.app().store().read("get_invoice", move |conn| {
        let row = rows::find(conn, scope.organization, id)?.ok_or_else(ApiError::not_found)?;
        let lines = rows::lines_of(conn, &[id])?;
        let url = payments::redirects(conn, &[id])?.pop().and_then(|(_, url)| url);
        Ok(Versioned {
            version: row.modified.micros(),
            body: Invoice::of(row, lines, url),
        })
    });
    read.await
}
