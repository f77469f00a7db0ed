//! `delete_payment_method`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{OrganizationScope, Permission},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Change, NoBody, PathId},
    store::Tx,
};

use super::rows::{self, MethodKind, MethodRow};
use crate::{Billing, BillingManage, accounts, payments};

/// [Billing] Remove a payment method
///
/// The next oldest becomes the default if it was that. The only one can't be removed while automatic payment is on.
#[utoipa::path(
    delete, path = "/v1/organizations/{organization_id}/billing/payment-methods/{id}",
    tag = "Organizations", operation_id = "delete_payment_method",
    params(("id" = uuid::Uuid, Path), ("organization_id" = String, Path)),
    responses(
        (status = 204, description = "Payment method removed"),
        (status = 400, description = "It is the only method and automatic payment is on"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BillingManage::NAME)), ("x-minimum-role" = json!(BillingManage::ROLE.as_str())),
        ("x-scope" = json!(BillingManage::SCOPE))),
)]
pub(crate) async fn delete_payment_method(
    scope: OrganizationScope<BillingManage>,
    PathId(id): PathId<MethodKind>,
    State(billing): State<Billing>,
    change: Change<NoBody>,
) -> ApiResult<Response> {
    let origin = Origin::caller(&scope.caller, &scope.request);
    let caller = scope.caller.clone();
    let (organization, currency) = (scope.organization, billing.settings().currency.clone());
    let work = move |tx: &mut Tx<'_>, change: &Change<NoBody>| {
        let account = accounts::lock_account(tx, organization, &currency)?;
        let mut row = rows::find(tx.conn(), organization, id)?.ok_or_else(ApiError::not_found)?;
        change.check_version(row.modified.micros())?;
        let others: Vec<MethodRow> = rows::all(tx.conn(), organization)?
            .into_iter()
            .filter(|other| other.id != id)
            .collect();
        if others.is_empty() && account.auto_pay {
            return Err(ApiError::refused(
                "It is the only payment method and automatic payment is on: add another one, or turn that off, first.",
            ));
        }
        if let (true, Some(next)) = (row.is_default, others.first()) {
            let mut next = next.clone();
            rows::clear_default(tx, organization)?;
            next.is_default = true;
            rows::save(tx, &mut next)?;
        }
        row.is_default = false;
        row.removed_at = Some(tx.now());
        rows::save(tx, &mut row)?;
        payments::forget(tx, &row)?;
        tx.audit(&origin, Some(organization), None, &event(&row))?;
        Ok(Answer::empty())
    };
    change
        .run(billing.app(), &caller, "delete_payment_method", work)
        .await
}

fn event(row: &MethodRow) -> Event {
    Event {
        action: "payment_method.removed",
        resource_type: "payment_method",
        resource_id: row.id.cast(),
        resource_name: row.label.clone(),
        description: "Payment method removed".to_owned(),
        changes: Changes::default(),
        status: AuditStatus::Success,
    }
}
