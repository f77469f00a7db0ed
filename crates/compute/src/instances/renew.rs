//! `renew_instance`.

use axum::{extract::State, response::Response};
use billing::{
    orders::{self, NewItem},
    services::{self, RenewalRefused, ServiceRow},
};
use kernel::{
    access::{Permission, ProjectScope},
    audit::Changes,
    http::{self, Answer, ApiError, ApiResult, NoBody, PathId},
    json::JsonText,
    money::Amount,
    store::Tx,
};

use super::{
    InstancesOrder,
    actions::{self, Action},
    api::InstanceKind,
    order::{self, payment_required},
};
use crate::{Compute, orders::InstanceOrder, product};

/// [Instances] Renew compute instance
///
/// Pay the next period ahead of `next_billing_date`. The order that is answered is the one that the instance was bought
/// with; the invoice is the renewal's.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/renew",
    tag = "Compute", operation_id = "renew_instance",
    params(
        ("id" = uuid::Uuid, Path, description = "A UUID string identifying this Instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 200, description = "Renewal order", body = InstanceOrder),
        (status = 400, description = "The request does not validate"),
        (status = 402, description = "Payment needed or payment method refused"),
        (status = 409, description = actions::CONFLICT),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesOrder::NAME)), ("x-minimum-role" = json!(InstancesOrder::ROLE.as_str())),
        ("x-scope" = json!(InstancesOrder::SCOPE))),
)]
pub(crate) async fn renew_instance(
    scope: ProjectScope<InstancesOrder>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
    change: http::Change<NoBody>,
) -> ApiResult<Response> {
    let (app, caller) = (compute.app.clone(), scope.caller.clone());
    let work = move |tx: &mut Tx<'_>, change: &http::Change<NoBody>| -> ApiResult<Answer<InstanceOrder>> {
        let billing = &compute.billing;
        let service = product::lock_service(tx, billing, scope.organization, id)?;
        let action = Action::begin(tx, &scope, id)?;
        change.check_version(action.row.version)?;
        action.must_be_in_force()?;
        let service = service.ok_or_else(|| ApiError::conflict("The instance is not billed."))?;
        let (order, now) = (order::order(&scope, vec![item(&service)]), tx.now());
        let quote = orders::quote(tx.conn(), billing, &order, now)?;
        orders::may_order(scope.role, &quote)?;
        let renewed = services::renew_ahead(tx, billing, service.id, Some(scope.caller.user))?;
        let placed = renewed.map_err(|why| {
            ApiError::conflict(match why {
                RenewalRefused::NotRunning => "The instance is cancelled: withdraw that first.",
                RenewalRefused::NoPeriods => {
                    "The instance is not paid by periods: there is nothing to pay ahead."
                }
                RenewalRefused::PaidAlready => "The next period is paid already.",
            })
        })?;
        if placed.amount_due.is_positive() && placed.payment.is_none() {
            return Err(payment_required(placed.amount_due, &quote.currency));
        }
        let text = format!("Paid the next period of instance {}", action.row.name);
        action.audit(tx, "instance.renewed", text, Changes::default())?;
        Ok(Answer::plain(InstanceOrder::of(&placed)))
    };
    change.run(&app, &caller, "renew_instance", work).await
}

/// The next period, as an order would have it.
fn item(service: &ServiceRow) -> NewItem {
    NewItem {
        kind: product::KIND,
        resource: service.resource_id,
        project: service.project_id,
        description: service.name.clone(),
        description_fr: service.name_fr.clone(),
        cycle: service.next_cycle.unwrap_or(service.billing_cycle),
        setup: Amount::ZERO,
        price: service.next_price.unwrap_or(service.price),
        monthly_cap: None,
        quantity: service.quantity.max(1),
        options: JsonText::of(&serde_json::json!({})),
    }
}
