//! `list_instance_volumes`.

use axum::{Json, extract::State};
use kernel::{
    access::{Permission, ProjectScope},
    http::{ApiError, ApiResult},
};

use super::{InstancesRead, api::VolumeSummary, rows, views};
use crate::{Compute, tasks::InstancePath};

/// [Volumes] List volumes of an instance
///
/// Disks of the instance in the order of their disk names.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{instance_id}/volumes",
    tag = "Compute", operation_id = "list_instance_volumes",
    params(
        ("instance_id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 200, description = "Plain array, not paginated", body = Vec<VolumeSummary>),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesRead::NAME)), ("x-minimum-role" = json!(InstancesRead::ROLE.as_str())),
        ("x-scope" = json!(InstancesRead::SCOPE))),
)]
pub(crate) async fn list_instance_volumes(
    scope: ProjectScope<InstancesRead>,
    InstancePath(id): InstancePath,
    State(compute): State<Compute>,
) -> ApiResult<Json<Vec<VolumeSummary>>> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let read = compute.app.store().read("list_instance_volumes", move |conn| {
        rows::find(conn, scope.project, id)?.ok_or_else(ApiError::not_found)?;
        let (_, volumes) = rows::parts_of(conn, id)?;
        let volumes: ApiResult<Vec<VolumeSummary>> = volumes
            .into_iter()
            .map(|row| views::volume(row, &catalogue))
            .collect();
        volumes.map(Json)
    });
    read.await
}
