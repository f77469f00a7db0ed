//! `download_invoice`.

use axum::extract::State;
use kernel::{
    access::{OrganizationScope, Permission},
    http::{ApiError, ApiResult, File, PathId},
};
use utoipa::ToSchema;

use super::{pdf, rows::InvoiceKind, view::InvoiceView};
use crate::{Billing, BillingRead};

/// A PDF file.
#[derive(Debug, ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "only its schema counts")]
pub(crate) struct PdfFile(Vec<u8>);

/// [Billing] Download an invoice
///
/// The invoice as PDF: in the language it was issued in, the same bytes as long as the invoice is the same.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/billing/invoices/{id}/pdf",
    tag = "Organizations", operation_id = "download_invoice",
    params(("id" = uuid::Uuid, Path), ("organization_id" = String, Path)),
    responses(
        (status = 200, body = PdfFile, content_type = "application/pdf", description = "PDF file"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BillingRead::NAME)), ("x-minimum-role" = json!(BillingRead::ROLE.as_str())),
        ("x-scope" = json!(BillingRead::SCOPE))),
)]
pub(crate) async fn download_invoice(
    scope: OrganizationScope<BillingRead>,
    PathId(id): PathId<InvoiceKind>,
    State(billing): State<Billing>,
) -> ApiResult<File> {
    let read = billing.app().store().read("download_invoice", move |conn| {
        InvoiceView::find(conn, scope.organization, id)?.ok_or_else(ApiError::not_found)
    });
    let view = read.await?;
    // Some milliseconds of work for a long invoice: not between the requests of others.
    let printed = tokio::task::spawn_blocking(move || {
        let name = format!("{}.pdf", view.invoice.number);
        let version = view.invoice.modified.micros();
        pdf::print(&view).map(|bytes| File {
            bytes,
            version,
            media_type: "application/pdf",
            name,
        })
    });
    printed
        .await
        .map_err(ApiError::internal)?
        .map_err(ApiError::internal)
}
