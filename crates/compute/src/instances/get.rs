//! Reads one instance.

use axum::extract::State;
use kernel::{
    access::{Permission, ProjectScope},
    http::{ApiResult, PathId, Versioned},
};

use super::{
    InstancesRead,
    api::{Instance, InstanceKind},
    views,
};
use crate::Compute;

/// [Instances] Get compute instance
///
/// Read one instance with its size, location, VPC, image, addresses, volumes and last synchronised state.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}",
    tag = "Compute", operation_id = "get_instance",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses((status = 200, description = "The instance", body = Instance), kernel::http::Refusals),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesRead::NAME)), ("x-minimum-role" = json!(InstancesRead::ROLE.as_str())),
        ("x-scope" = json!(InstancesRead::SCOPE))),
)]
pub(crate) async fn get_instance(
    scope: ProjectScope<InstancesRead>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
) -> ApiResult<Versioned<Instance>> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    compute
        .app
        .store()
        .read("get_instance", move |conn| {
            views::one(conn, &catalogue, scope.project, id)
        })
        .await
}
