//! Reads one VPC.

use axum::extract::State;
use kernel::{
    access::{Permission, ProjectScope},
    http::{ApiError, ApiResult, PathId, Versioned},
};

use super::{
    VpcsRead,
    api::{Vpc, VpcKind},
    rows,
};
use crate::Compute;

/// [VPCs] Get a VPC
///
/// Read one VPC.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/vpcs/{id}",
    tag = "Compute", operation_id = "get_vpc",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the VPC."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses((status = 200, description = "The VPC", body = Vpc), kernel::http::Refusals),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(VpcsRead::NAME)), ("x-minimum-role" = json!(VpcsRead::ROLE.as_str())),
        ("x-scope" = json!(VpcsRead::SCOPE))),
)]
pub(crate) async fn get_vpc(
    scope: ProjectScope<VpcsRead>,
    PathId(id): PathId<VpcKind>,
    State(compute): State<Compute>,
) -> ApiResult<Versioned<Vpc>> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    compute
        .app
        .store()
        .read("get_vpc", move |conn| {
            let row =
                rows::find(conn, scope.organization, scope.project, id)?.ok_or_else(ApiError::not_found)?;
            Ok(Versioned {
                version: row.version,
                body: Vpc::of(row, &catalogue)?,
            })
        })
        .await
}
