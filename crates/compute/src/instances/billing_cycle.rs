//! `change_instance_billing_cycle`, and what replacing an instance's metadata does for the same wish.

use axum::{extract::State, response::Response};
use billing::{
    Billing,
    services::{self, Cycle, ServiceRow},
};
use kernel::{
    access::{Permission, ProjectScope, User},
    audit::Changes,
    http::{self, Answer, ApiError, ApiResult, Faults, PathId},
    id::Id,
    store::{StoreError, Tx},
};

use super::{
    InstancesOrder,
    actions::{self, Action},
    api::{BillingCycle, Instance, InstanceKind, InstanceStatus},
    requests::InstanceBillingCycle,
    rows, views,
};
use crate::{
    Compute,
    catalogue::{
        api::{InstanceSize, PriceCycle},
        prices::price_of,
    },
    product,
};

/// [Instances] Change billing cycle of a compute instance
///
/// Choose another billing cycle from the pricing options of the size; holds from `next_billing_date`.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/billing-cycle",
    tag = "Compute", operation_id = "change_instance_billing_cycle",
    params(
        ("id" = uuid::Uuid, Path, description = "A UUID string identifying this Instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = InstanceBillingCycle),
    responses(
        (status = 200, description = "Cycle changed", body = Instance),
        (status = 400, description = "The request does not validate"),
        (status = 409, description = actions::CONFLICT),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesOrder::NAME)), ("x-minimum-role" = json!(InstancesOrder::ROLE.as_str())),
        ("x-scope" = json!(InstancesOrder::SCOPE))),
)]
pub(crate) async fn change_instance_billing_cycle(
    scope: ProjectScope<InstancesOrder>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
    change: http::Change<InstanceBillingCycle>,
) -> ApiResult<Response> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let (app, caller) = (compute.app.clone(), scope.caller.clone());
    let work =
        move |tx: &mut Tx<'_>, change: &http::Change<InstanceBillingCycle>| -> ApiResult<Answer<Instance>> {
            let service = product::lock_service(tx, &compute.billing, scope.organization, id)?;
            let mut action = Action::begin(tx, &scope, id)?;
            change.check_version(action.row.version)?;
            let wanted = change.body()?.billing_cycle;
            let size = catalogue.size(action.row.size_id).cloned();
            let size = size.ok_or_else(|| ApiError::unavailable("The catalogue is being refreshed."))?;
            if price_of(&size, wanted).is_none() {
                let text = format!(
                    "This size has no active price for the billing cycle \"{}\".",
                    wanted.as_str()
                );
                return Err(Faults::one("billing_cycle", text).into());
            }
            if !matches!(
                action.row.status,
                InstanceStatus::Active | InstanceStatus::Suspended
            ) {
                let text = format!(
                    "The instance is {}; it must be active for this.",
                    action.row.status.as_str()
                );
                return Err(ApiError::conflict(text));
            }
            if action.row.cancellation_requested_at.is_some() {
                return Err(ApiError::conflict(
                    "The instance is cancelled: withdraw that first.",
                ));
            }
            let cycle = BillingCycle::from(wanted);
            if cycle != action.row.billing_cycle {
                let mut changes = Changes::default();
                changes.note("billing_cycle", &action.row.billing_cycle, &cycle);
                let text = format!("Changed the billing cycle of instance {}", action.row.name);
                action.audit(tx, "instance.billing_cycle_changed", text, changes)?;
                action.row.billing_cycle = cycle;
                rows::save(tx, &mut action.row)?;
                if let Some(service) = &service {
                    bill(tx, &compute.billing, service, &size, wanted, scope.caller.user)?;
                }
            }
            let after = views::one(tx.conn(), &catalogue, scope.project, id)?;
            Ok(Answer::ok(after.body, after.version))
        };
    change
        .run(&app, &caller, "change_instance_billing_cycle", work)
        .await
}

/// Tells billing of a cycle from the next billing date on. Going back to the present one keeps its price.
///
/// # Errors
/// The database refused.
pub(super) fn bill(
    tx: &mut Tx<'_>,
    billing: &Billing,
    service: &ServiceRow,
    size: &InstanceSize,
    wanted: PriceCycle,
    user: Id<User>,
) -> Result<(), StoreError> {
    let cycle = Cycle::from(wanted);
    let (price, cap) = if cycle == service.billing_cycle {
        (service.price, service.monthly_cap)
    } else {
        price_of(size, wanted).unwrap_or((service.price, service.monthly_cap))
    };
    services::change_cycle(tx, billing, service.id, (cycle, price, cap), Some(user)).map(drop)
}
