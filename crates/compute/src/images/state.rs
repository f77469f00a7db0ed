//! `get_instance_image_file`: how far an image's file is, and why it did not come.

use axum::extract::State;
use kernel::{
    access::{Permission, ProjectScope},
    http::{ApiError, ApiResult, PathId, Versioned},
};

use super::{
    api::InstanceImageFile,
    rows::{self, FileStatus},
};
use crate::{
    Compute,
    catalogue::{CatalogueRead, api::Image},
};

/// [Images] Get an image's file
///
/// How far the file of an image is, its checksum and sizes, and why it did not come if it failed. 404 for an image
/// without a file. An addition to the published API.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/images/{id}/file",
    tag = "Compute", operation_id = "get_instance_image_file",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the image."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses((status = 200, description = "The file", body = InstanceImageFile), kernel::http::Refusals),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(CatalogueRead::NAME)), ("x-minimum-role" = json!(CatalogueRead::ROLE.as_str())),
        ("x-scope" = json!(CatalogueRead::SCOPE)), ("x-addition" = json!(true))),
)]
pub(crate) async fn get_instance_image_file(
    scope: ProjectScope<CatalogueRead>,
    PathId(id): PathId<Image>,
    State(compute): State<Compute>,
) -> ApiResult<Versioned<InstanceImageFile>> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let image = catalogue.image_for(scope.organization, id);
    let is_own = image.ok_or_else(ApiError::not_found)?.organization_id.is_some();
    compute
        .app
        .store()
        .read("get_instance_image_file", move |conn| {
            let file = rows::file(conn, id)?.filter(|file| file.status != FileStatus::Deleted);
            let file = file.ok_or_else(ApiError::not_found)?;
            Ok(Versioned {
                version: file.modified.micros(),
                body: InstanceImageFile::of(file, is_own),
            })
        })
        .await
}
