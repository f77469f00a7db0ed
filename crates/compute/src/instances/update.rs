//! Changes some of an instance's metadata.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    http::{self, ApiResult, PathId},
    store::Tx,
};

use super::{
    InstancesUpdate,
    api::{Instance, InstanceKind, InstanceUpdate, PatchedInstance},
    replace::change_metadata,
};
use crate::Compute;

/// [Instances] Update compute instance metadata
///
/// Change some of name, hostname, description, os_name, tags, VPC and billing cycle. The same limits as for
/// replacing hold.
#[utoipa::path(
    patch, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}",
    tag = "Compute", operation_id = "update_instance",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = Option<PatchedInstance>),
    responses(
        (status = 200, description = "Instance updated successfully", body = Instance),
        (status = 400, description = "The request does not validate"),
        (status = 409, description = "A request with the same Idempotency-Key is still running"),
        (status = 412, description = "If-Match names another version"),
        (status = 413, description = "The body is too large"),
        (status = 415, description = "The body is no JSON"),
        (status = 422, description = "The Idempotency-Key was used for another request"),
        http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesUpdate::NAME)), ("x-minimum-role" = json!(InstancesUpdate::ROLE.as_str())),
        ("x-scope" = json!(InstancesUpdate::SCOPE))),
)]
pub(crate) async fn update_instance(
    scope: ProjectScope<InstancesUpdate>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
    change: http::Change<InstanceUpdate>,
) -> ApiResult<Response> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let (app, caller) = (compute.app.clone(), scope.caller.clone());
    let work = move |tx: &mut Tx<'_>, change: &http::Change<InstanceUpdate>| {
        change_metadata(tx, (&scope, &compute.billing), &catalogue, id, change, |body| {
            &body.0
        })
    };
    change.run(&app, &caller, "update_instance", work).await
}
