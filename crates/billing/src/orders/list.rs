//! `list_orders` and `get_order`.

use axum::{Json, extract::State};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl, SelectableHelper};
use kernel::{
    access::{OrganizationScope, Permission},
    http::{ApiError, ApiResult, Page, PageOf, PathId, Query, Versioned},
};

use super::{
    api::{Order, show},
    rows::{self, OrderKind, OrderRow, OrderStatus},
};
use crate::{Billing, BillingRead, schema::orders};

type OrderPage = PageOf<Order>;

/// [Billing] List orders
///
/// Orders, newest first. Orders are made by the order endpoints of the products.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/billing/orders",
    tag = "Organizations", operation_id = "list_orders",
    params(
        ("status" = Option<String>, Query, description = "Only orders of this status."),
        ("page" = Option<i64>, Query, description = "Page number, starting at 1.", minimum = 1),
        ("page_size" = Option<i64>, Query, description = "Items on a page.", minimum = 1, maximum = 100),
        ("organization_id" = String, Path),
    ),
    responses(
        (status = 200, description = "Page of orders", body = OrderPage),
        (status = 400, description = "A filter that can't be read"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BillingRead::NAME)), ("x-minimum-role" = json!(BillingRead::ROLE.as_str())),
        ("x-scope" = json!(BillingRead::SCOPE))),
)]
pub(crate) async fn list_orders(
    scope: OrganizationScope<BillingRead>,
    State(billing): State<Billing>,
    mut query: Query,
    page: Page,
) -> ApiResult<Json<PageOf<Order>>> {
    let status = query.choice("status", OrderStatus::from_word);
    query.check()?;
    let filtered = move || {
        let mut found = orders::table
            .filter(orders::organization_id.eq(scope.organization))
            .into_boxed();
        if let Some(status) = status {
            found = found.filter(orders::status.eq(status));
        }
        found
    };
    let read = billing.app().store().read("list_orders", move |conn| {
        let count = filtered().count().get_result(conn)?;
        let (skip, take) = page.window(count)?;
        let found: Vec<OrderRow> = filtered()
            .order((orders::created.desc(), orders::id.desc()))
            .offset(skip)
            .limit(take)
            .select(OrderRow::as_select())
            .load(conn)?;
        page.of(count, show(conn, found)?).map(Json)
    });
    read.await
}

/// [Billing] Get an order
///
/// One order with its items.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/billing/orders/{id}",
    tag = "Organizations", operation_id = "get_order",
    params(("id" = uuid::Uuid, Path), ("organization_id" = String, Path)),
    responses((status = 200, body = Order, description = "Order details"), kernel::http::Refusals),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BillingRead::NAME)), ("x-minimum-role" = json!(BillingRead::ROLE.as_str())),
        ("x-scope" = json!(BillingRead::SCOPE))),
)]
pub(crate) async fn get_order(
    scope: OrganizationScope<BillingRead>,
    PathId(id): PathId<OrderKind>,
    State(billing): State<Billing>,
) -> ApiResult<Versioned<Order>> {
    let read = billing.app().store().read("get_order", move |conn| {
        let row = rows::find(conn, scope.organization, id)?.ok_or_else(ApiError::not_found)?;
        let version = row.modified.micros();
        let body = show(conn, vec![row])?.pop().ok_or_else(ApiError::not_found)?;
        Ok(Versioned { version, body })
    });
    read.await
}
