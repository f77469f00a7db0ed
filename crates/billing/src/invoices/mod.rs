//! Invoices and credit notes: numbered without gaps, taxed, paid or taken back.

mod api;
mod download;
mod get;
mod issue;
mod list;
mod pay;
mod pdf;
mod rows;
pub(crate) mod rules;
mod settle;
mod undo;
pub mod view;

use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::{
    api::PaymentResult,
    issue::{Draft, Line, Sums, issue, parties},
    pay::result,
    rows::{get, lines_of, save},
    settle::{apply_credit, receive, use_new_credit},
    undo::{credit_note, free_credit_note, void},
};
pub use self::{
    rows::{
        InvoiceId, InvoiceKind, InvoiceRow, InvoiceStatus, InvoiceType, LineId, LineKind, LineRow, Parties,
    },
    undo::Portion,
};
use crate::Billing;

pub(crate) fn routes() -> OpenApiRouter<Billing> {
    OpenApiRouter::new()
        .routes(routes!(list::list_invoices))
        .routes(routes!(get::get_invoice))
        .routes(routes!(download::download_invoice))
        .routes(routes!(pay::pay_invoice))
}
