//! `delete_instance_image`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    audit::{AuditStatus, Changes, Origin},
    http::{Answer, ApiError, ApiResult, Change, NoBody, PathId},
    id::Id,
    store::Tx,
    tasks::NewTask,
};

use super::{
    ImagesManage,
    files::{self, RemoveFiles},
    rows::{self, ImageFileRow},
    update::own,
};
use crate::{Compute, catalogue::api::Image};

/// [Images] Delete a private image
///
/// Delete a private image. Instances made from it go on.
#[utoipa::path(
    delete, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/images/{id}",
    tag = "Compute", operation_id = "delete_instance_image",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the image."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 204, description = "Image deleted"),
        (status = 409, description = "The image is being made, or an instance is being made from it"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(ImagesManage::NAME)), ("x-minimum-role" = json!(ImagesManage::ROLE.as_str())),
        ("x-scope" = json!(ImagesManage::SCOPE))),
)]
pub(crate) async fn delete_instance_image(
    scope: ProjectScope<ImagesManage>,
    PathId(id): PathId<Image>,
    State(compute): State<Compute>,
    change: Change<NoBody>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &Change<NoBody>| delete(tx, &scope, id, change);
    let answer = change
        .run(&compute.app, &caller, "delete_instance_image", work)
        .await;
    compute.catalogues.look_again();
    answer
}

fn delete(
    tx: &mut Tx<'_>,
    scope: &ProjectScope<ImagesManage>,
    id: Id<Image>,
    change: &Change<NoBody>,
) -> ApiResult<Answer<()>> {
    let (mut image, file) = own(tx, scope, id)?;
    change.check_version(image.modified.micros())?;
    if file.as_ref().is_some_and(|file| file.status.is_coming()) {
        return Err(ApiError::conflict(
            "The image is being made: wait until its file is there or has failed.",
        ));
    }
    if rows::count_being_made(tx.conn(), id)? > 0 {
        return Err(ApiError::conflict(
            "An instance is being made from the image: wait until it is installed.",
        ));
    }
    image.is_active = false;
    // The catalogue's new version is the lock of the files' comings and goings.
    rows::update(tx, &mut image)?;
    let mut file = match file {
        Some(file) => file,
        None => {
            let row = ImageFileRow::expected(id, Some(scope.project), tx.now());
            rows::insert_file(tx, &row)?;
            row
        }
    };
    if files::delete_file(tx, &mut file)?
        && let Some(task) = RemoveFiles::task(&image, &file)
    {
        tx.enqueue(&NewTask {
            created_by: Some(scope.caller.user),
            request: Some(scope.request.id),
            ..task
        })?;
    }
    let event = files::event(
        &image,
        "image.deleted",
        "deleted",
        Changes::default(),
        AuditStatus::Success,
    );
    let origin = Origin::caller(&scope.caller, &scope.request);
    tx.audit(&origin, Some(scope.organization), Some(scope.project), &event)?;
    Ok(Answer::empty())
}
