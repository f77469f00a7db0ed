//! `unsuspend_instance`.

use axum::{extract::State, http::StatusCode, response::Response};
use billing::services;
use kernel::{
    access::{Permission, ProjectScope},
    audit::Changes,
    http::{self, Answer, ApiError, ApiResult, NoBody, PathId},
    money::Amount,
    store::Tx,
};

use super::{
    InstancesOrder,
    actions::{self, Action},
    api::{InstanceKind, InstanceStatus},
};
use crate::{
    Compute, product,
    tasks::{self, api::InstanceTask},
};

/// [Instances] Reactivate a suspended compute instance
///
/// Pays what is due from the account credit and reactivates a suspended instance, which starts by itself. All of it is paid,
/// or nothing: 402 tells how much is missing.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/unsuspend",
    tag = "Compute", operation_id = "unsuspend_instance",
    params(
        ("id" = uuid::Uuid, Path, description = "A UUID string identifying this Instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 202, description = actions::ACCEPTED, body = InstanceTask),
        (status = 400, description = "The request does not validate"),
        (status = 402, description = "The credit does not cover what is due"),
        (status = 409, description = actions::CONFLICT),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesOrder::NAME)), ("x-minimum-role" = json!(InstancesOrder::ROLE.as_str())),
        ("x-scope" = json!(InstancesOrder::SCOPE))),
)]
pub(crate) async fn unsuspend_instance(
    scope: ProjectScope<InstancesOrder>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
    change: http::Change<NoBody>,
) -> ApiResult<Response> {
    let (app, caller) = (compute.app.clone(), scope.caller.clone());
    let work = move |tx: &mut Tx<'_>, change: &http::Change<NoBody>| -> ApiResult<Answer<InstanceTask>> {
        let billing = &compute.billing;
        let service = product::lock_service(tx, billing, scope.organization, id)?;
        let action = Action::begin(tx, &scope, id)?;
        change.check_version(action.row.version)?;
        if action.row.status != InstanceStatus::Suspended {
            let is = action.row.status.as_str();
            return Err(ApiError::conflict(format!(
                "The instance is {is}; only a suspended one can be reactivated."
            )));
        }
        action.machine()?;
        let service = service.ok_or_else(|| ApiError::conflict("The instance is not billed."))?;
        let missing = services::pay_owed(tx, billing, service.id, Some(scope.caller.user))?;
        if let Some(missing) = missing.filter(|missing| missing.is_positive()) {
            return Err(uncovered(missing, &compute.app.config().billing.currency));
        }
        let text = format!("Paid what was due for instance {}", action.row.name);
        action.audit(tx, "instance.reactivated", text, Changes::default())?;
        // Billing has told the instance's product, which starts the machine.
        let task = tasks::newest_of(tx.conn(), scope.project, id)?.ok_or_else(ApiError::not_found)?;
        let path = action.path_of(task.id);
        Ok(Answer::accepted(task, path))
    };
    change.run(&app, &caller, "unsuspend_instance", work).await
}

fn uncovered(missing: Amount, currency: &str) -> ApiError {
    let detail = format!(
        "The organization's credit does not cover what is due: {} {currency} are missing. Add credit, or pay the invoice.",
        missing.fixed::<2>()
    );
    ApiError::new(StatusCode::PAYMENT_REQUIRED, "payment_required", detail)
}
