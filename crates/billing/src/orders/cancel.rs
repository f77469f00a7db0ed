//! `cancel_order`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{OrganizationScope, Permission},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Change, NoBody, PathId},
    store::Tx,
};

use super::{
    api::{Order, show},
    life,
    place::number,
    rows::{self, OrderKind, OrderRow, OrderStatus},
};
use crate::{Billing, BillingManage, accounts, payments};

/// [Billing] Cancel an order
///
/// Cancel an order that is still pending; its unpaid invoice is cancelled and credit used for it comes back.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/billing/orders/{id}/cancel",
    tag = "Organizations", operation_id = "cancel_order",
    params(("id" = uuid::Uuid, Path), ("organization_id" = String, Path)),
    responses(
        (status = 200, body = Order, description = "Order cancelled"),
        (status = 400, description = "The order is not pending"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BillingManage::NAME)), ("x-minimum-role" = json!(BillingManage::ROLE.as_str())),
        ("x-scope" = json!(BillingManage::SCOPE))),
)]
pub(crate) async fn cancel_order(
    scope: OrganizationScope<BillingManage>,
    PathId(id): PathId<OrderKind>,
    State(billing): State<Billing>,
    change: Change<NoBody>,
) -> ApiResult<Response> {
    let origin = Origin::caller(&scope.caller, &scope.request);
    let caller = scope.caller.clone();
    let shared = billing.clone();
    let work = move |tx: &mut Tx<'_>, change: &Change<NoBody>| {
        let organization = scope.organization;
        rows::find(tx.conn(), organization, id)?.ok_or_else(ApiError::not_found)?;
        let account = accounts::lock_account(tx, organization, &shared.settings().currency)?;
        let mut order = rows::get(tx.conn(), organization, id)?;
        change.check_version(order.modified.micros())?;
        if order.status != OrderStatus::Pending {
            let detail = format!(
                "The order is {}: only a pending one can be cancelled.",
                order.status.as_str()
            );
            return Err(ApiError::refused(detail));
        }
        // A charge on its way could still come in: it would become credit.
        if let Some(invoice) = order.invoice_id
            && payments::open_of(tx, invoice)?.is_some()
        {
            return Err(ApiError::refused(
                "A payment of this order is under way: try again when it has ended.",
            ));
        }
        let why = (OrderStatus::Cancelled, "Cancelled by the customer");
        life::unwind(tx, &shared, &account, &mut order, why, Some(scope.caller.user))?;
        tx.audit(&origin, Some(organization), None, &event(&order))?;
        let version = order.modified.micros();
        let body = show(tx.conn(), vec![order])?
            .pop()
            .ok_or_else(ApiError::not_found)?;
        Ok(Answer::ok(body, version))
    };
    change.run(billing.app(), &caller, "cancel_order", work).await
}

fn event(order: &OrderRow) -> Event {
    let mut changes = Changes::default();
    changes.note("status", &"pending", &order.status.as_str());
    Event {
        action: "order.cancelled",
        resource_type: "order",
        resource_id: order.id.cast(),
        resource_name: number(order.legacy_id),
        description: format!("Order {} cancelled", number(order.legacy_id)),
        changes,
        status: AuditStatus::Success,
    }
}
