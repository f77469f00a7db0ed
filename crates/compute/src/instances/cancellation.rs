//! Cancelling: for the end of the paid time, or at once.
//!
//! At once means: the machine is destroyed now, nothing more is billed, a period ahead that is paid already comes back as
//! credit, and the rest of the present one does not. An instance that is not provisioned yet is always cancelled at once,
//! with its order, and what was paid comes back.

use axum::{extract::State, response::Response};
use billing::services;
use kernel::{
    access::{Permission, ProjectScope},
    audit::Changes,
    http::{self, Answer, ApiError, ApiResult, NoBody, PathId, Versioned},
    store::Tx,
};

use super::{
    InstancesDelete, InstancesRead,
    actions::{self, Action},
    api::{Instance, InstanceKind, InstanceStatus},
    requests::{CancellationType, InstanceCancellation, InstanceCancellationRequest},
    rows, views,
};
use crate::{Compute, product};

/// [Instances] Get cancellation request of a compute instance
///
/// Read the open cancellation request.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/cancellation",
    tag = "Compute", operation_id = "get_instance_cancellation",
    params(
        ("id" = uuid::Uuid, Path, description = "A UUID string identifying this Instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 200, description = "Open request", body = InstanceCancellation),
        (status = 404, description = "Instance not found, or no open request"),
        http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesRead::NAME)), ("x-minimum-role" = json!(InstancesRead::ROLE.as_str())),
        ("x-scope" = json!(InstancesRead::SCOPE))),
)]
pub(crate) async fn get_instance_cancellation(
    scope: ProjectScope<InstancesRead>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
) -> ApiResult<Versioned<InstanceCancellation>> {
    compute
        .app
        .store()
        .read("get_instance_cancellation", move |conn| {
            let (row, ..) = rows::find(conn, scope.project, id)?.ok_or_else(ApiError::not_found)?;
            let requested_at = row.cancellation_requested_at.filter(|_| !row.status.is_over());
            Ok(Versioned {
                version: row.version,
                body: InstanceCancellation {
                    // One that takes effect at once is never open.
                    kind: CancellationType::EndOfBillingPeriod,
                    requested_at: requested_at.ok_or_else(ApiError::not_found)?,
                    effective_at: row.billing_end_date,
                    reason: row.cancellation_reason,
                },
            })
        })
        .await
}

/// [Instances] Request cancellation of a compute instance
///
/// Ask to end the service at the end of the paid period (`billing_end_date`), or at once. Fills
/// `cancellation_requested_at` and `cancellation_reason`; nothing more is billed; at the due moment the instance becomes
/// `cancelled` and is deleted. At once, the rest of the paid period is not given back.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/cancellation",
    tag = "Compute", operation_id = "request_instance_cancellation",
    params(
        ("id" = uuid::Uuid, Path, description = "A UUID string identifying this Instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = InstanceCancellationRequest),
    responses(
        (status = 201, description = "Request recorded", body = Instance),
        (status = 400, description = "The request does not validate"),
        (status = 409, description = "A request is open already, or the instance is terminated"),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesDelete::NAME)), ("x-minimum-role" = json!(InstancesDelete::ROLE.as_str())),
        ("x-scope" = json!(InstancesDelete::SCOPE))),
)]
pub(crate) async fn request_instance_cancellation(
    scope: ProjectScope<InstancesDelete>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
    change: http::Change<InstanceCancellationRequest>,
) -> ApiResult<Response> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let (app, caller) = (compute.app.clone(), scope.caller.clone());
    let work = move |tx: &mut Tx<'_>,
                     change: &http::Change<InstanceCancellationRequest>|
          -> ApiResult<Answer<Instance>> {
        let billing = &compute.billing;
        let service = product::lock_service(tx, billing, scope.organization, id)?;
        let action = Action::begin(tx, &scope, id)?;
        change.check_version(action.row.version)?;
        let body = change.body()?;
        if action.row.status.is_over() {
            let text = format!("The instance is {} already.", action.row.status.as_str());
            return Err(ApiError::conflict(text));
        }
        if action.row.cancellation_requested_at.is_some() && body.kind == CancellationType::EndOfBillingPeriod
        {
            return Err(ApiError::conflict(
                "The instance's cancellation is requested already.",
            ));
        }
        if action.machine().is_ok_and(|machine| machine.is_protected) {
            return Err(ApiError::conflict("The instance is protected from deletion."));
        }
        let service =
            service.ok_or_else(|| ApiError::conflict("The instance is not billed: delete it instead."))?;
        let mut changes = Changes::default();
        changes.note("type", &None, &Some(body.kind));
        changes.note("reason", &None, &Some(&body.reason));
        let text = format!("Requested the cancellation of instance {}", action.row.name);
        action.audit(tx, "instance.cancellation_requested", text, changes)?;
        let user = Some(scope.caller.user);
        let is_there = matches!(
            action.row.status,
            InstanceStatus::Active | InstanceStatus::Suspended
        );
        if body.kind == CancellationType::EndOfBillingPeriod && is_there {
            services::cancel_at_end(tx, billing, service.id, &body.reason, user)?;
        } else {
            services::cancel_now(tx, billing, service.id, (&body.reason, false), user)?;
        }
        let after = views::one(tx.conn(), &catalogue, scope.project, id)?;
        let path = format!(
            "/v1/organizations/{}/projects/{}/compute/instances/{id}/cancellation",
            scope.organization, scope.project
        );
        Ok(Answer::created(after.body, Some(after.version), path))
    };
    change
        .run(&app, &caller, "request_instance_cancellation", work)
        .await
}

/// [Instances] Withdraw cancellation request of a compute instance
///
/// Take the request back while the instance still exists; billing goes on as before.
#[utoipa::path(
    delete, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/cancellation",
    tag = "Compute", operation_id = "withdraw_instance_cancellation",
    params(
        ("id" = uuid::Uuid, Path, description = "A UUID string identifying this Instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 200, description = "Request withdrawn", body = Instance),
        (status = 409, description = actions::CONFLICT),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesDelete::NAME)), ("x-minimum-role" = json!(InstancesDelete::ROLE.as_str())),
        ("x-scope" = json!(InstancesDelete::SCOPE))),
)]
pub(crate) async fn withdraw_instance_cancellation(
    scope: ProjectScope<InstancesDelete>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
    change: http::Change<NoBody>,
) -> ApiResult<Response> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let (app, caller) = (compute.app.clone(), scope.caller.clone());
    let work = move |tx: &mut Tx<'_>, change: &http::Change<NoBody>| -> ApiResult<Answer<Instance>> {
        let service = product::lock_service(tx, &compute.billing, scope.organization, id)?;
        let action = Action::begin(tx, &scope, id)?;
        change.check_version(action.row.version)?;
        let is_open = action.row.cancellation_requested_at.is_some() && !action.row.status.is_over();
        let Some(service) = service.filter(|_| is_open) else {
            return Err(ApiError::conflict(
                "The instance has no open cancellation request.",
            ));
        };
        let text = format!("Withdrew the cancellation of instance {}", action.row.name);
        action.audit(tx, "instance.cancellation_withdrawn", text, Changes::default())?;
        services::revoke_cancellation(tx, &compute.billing, service.id)?;
        let after = views::one(tx.conn(), &catalogue, scope.project, id)?;
        Ok(Answer::ok(after.body, after.version))
    };
    change
        .run(&app, &caller, "withdraw_instance_cancellation", work)
        .await
}
