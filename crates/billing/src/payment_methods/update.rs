//! `update_payment_method`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{OrganizationScope, Permission},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Change, Faults, PathId},
    openapi::Patched,
    store::Tx,
};

use super::{
    api::{MethodUpdate, PaymentMethod},
    rows::{self, MethodKind, MethodRow},
};
use crate::{Billing, BillingManage, accounts};

type PatchedPaymentMethod = Patched<PaymentMethod>;

/// [Billing] Update a payment method
///
/// Rename it or make it the default; the former default is unset.
#[utoipa::path(
    patch, path = "/v1/organizations/{organization_id}/billing/payment-methods/{id}",
    tag = "Organizations", operation_id = "update_payment_method",
    params(("id" = uuid::Uuid, Path), ("organization_id" = String, Path)),
    request_body(content = PatchedPaymentMethod),
    responses(
        (status = 200, body = PaymentMethod, description = "Payment method updated"),
        (status = 400, description = "Invalid request parameters"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BillingManage::NAME)), ("x-minimum-role" = json!(BillingManage::ROLE.as_str())),
        ("x-scope" = json!(BillingManage::SCOPE))),
)]
pub(crate) async fn update_payment_method(
    scope: OrganizationScope<BillingManage>,
    PathId(id): PathId<MethodKind>,
    State(billing): State<Billing>,
    change: Change<MethodUpdate>,
) -> ApiResult<Response> {
    let origin = Origin::caller(&scope.caller, &scope.request);
    let caller = scope.caller.clone();
    let (organization, currency) = (scope.organization, billing.settings().currency.clone());
    let work = move |tx: &mut Tx<'_>, change: &Change<MethodUpdate>| {
        accounts::lock_account(tx, organization, &currency)?;
        let mut row = rows::find(tx.conn(), organization, id)?.ok_or_else(ApiError::not_found)?;
        change.check_version(row.modified.micros())?;
        let wanted = change.body()?;
        check(&row, wanted)?;
        let mut changes = Changes::default();
        if let Some(label) = &wanted.label {
            changes.note("label", &row.label, label);
            label.clone_into(&mut row.label);
        }
        if wanted.is_default == Some(true) && !row.is_default {
            changes.note("is_default", &false, &true);
            rows::clear_default(tx, organization)?;
            row.is_default = true;
        }
        if !changes.is_empty() {
            rows::save(tx, &mut row)?;
            tx.audit(&origin, Some(organization), None, &event(&row, changes))?;
        }
        let version = row.modified.micros();
        Ok(Answer::ok(PaymentMethod::at(tx.now(), row), version))
    };
    change
        .run(billing.app(), &caller, "update_payment_method", work)
        .await
}

/// What can't be changed, and what must be changed elsewhere.
fn check(row: &MethodRow, wanted: &MethodUpdate) -> Result<(), Faults> {
    let mut faults = Faults::default();
    let same_type = wanted.r#type.is_none_or(|kind| kind == row.kind);
    faults.check(
        "type",
        same_type,
        "The type of a payment method can't be changed: add another one.",
    );
    let keeps_token = wanted.provider_token.is_none();
    faults.check(
        "provider_token",
        keeps_token,
        "A new token makes a new payment method: add it.",
    );
    let unset = row.is_default && wanted.is_default == Some(false);
    faults.check(
        "is_default",
        !unset,
        "Make another payment method the default one instead.",
    );
    faults.into_result()
}

fn event(row: &MethodRow, changes: Changes) -> Event {
    Event {
        action: "payment_method.updated",
        resource_type: "payment_method",
        resource_id: row.id.cast(),
        resource_name: row.label.clone(),
        description: "Payment method changed".to_owned(),
        changes,
        status: AuditStatus::Success,
    }
}
