//! `list_payment_methods` and `get_payment_method`.

use axum::{Json, extract::State};
use kernel::{
    access::{OrganizationScope, Permission},
    http::{ApiError, ApiResult, PathId, Versioned},
};

use super::{
    api::PaymentMethod,
    rows::{self, MethodKind},
};
use crate::{Billing, BillingRead};

/// [Billing] List payment methods
///
/// Stored payment methods, the default one first.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/billing/payment-methods",
    tag = "Organizations", operation_id = "list_payment_methods",
    params(("organization_id" = String, Path)),
    responses(
        (status = 200, body = Vec<PaymentMethod>, description = "List of payment methods"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BillingRead::NAME)), ("x-minimum-role" = json!(BillingRead::ROLE.as_str())),
        ("x-scope" = json!(BillingRead::SCOPE))),
)]
pub(crate) async fn list_payment_methods(
    scope: OrganizationScope<BillingRead>,
    State(billing): State<Billing>,
) -> ApiResult<Json<Vec<PaymentMethod>>> {
    let now = billing.app().clock().now();
    let read = billing.app().store().read("list_payment_methods", move |conn| {
        let methods = rows::all(conn, scope.organization)?;
        Ok(Json(
            methods
                .into_iter()
                .map(|row| PaymentMethod::at(now, row))
                .collect(),
        ))
    });
    read.await
}

/// [Billing] Get a payment method
///
/// One payment method.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/billing/payment-methods/{id}",
    tag = "Organizations", operation_id = "get_payment_method",
    params(("id" = uuid::Uuid, Path), ("organization_id" = String, Path)),
    responses((status = 200, body = PaymentMethod, description = "Payment method"), kernel::http::Refusals),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BillingRead::NAME)), ("x-minimum-role" = json!(BillingRead::ROLE.as_str())),
        ("x-scope" = json!(BillingRead::SCOPE))),
)]
pub(crate) async fn get_payment_method(
    scope: OrganizationScope<BillingRead>,
    PathId(id): PathId<MethodKind>,
    State(billing): State<Billing>,
) -> ApiResult<Versioned<PaymentMethod>> {
    let now = billing.app().clock().now();
    let read = billing.app().store().read("get_payment_method", move |conn| {
        let row = rows::find(conn, scope.organization, id)?.ok_or_else(ApiError::not_found)?;
        Ok(Versioned {
            version: row.modified.micros(),
            body: PaymentMethod::at(now, row),
        })
    });
    read.await
}
