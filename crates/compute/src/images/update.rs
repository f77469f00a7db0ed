//! `update_instance_image`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope, Role},
    audit::{AuditStatus, Changes, Origin},
    http::{Answer, ApiError, ApiResult, Change, Faults, PathId},
    id::Id,
    store::Tx,
};

use super::{
    ImagesManage,
    api::InstanceImageUpdate,
    files,
    rows::{self, FileStatus, ImageFileRow},
};
use crate::{
    Compute,
    catalogue::{
        api::{Image, InstanceImage},
        rows::ImageRow,
    },
};

/// [Images] Update a private image
///
/// Change name, slug, description or activity of a private image.
#[utoipa::path(
    patch, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/images/{id}",
    tag = "Compute", operation_id = "update_instance_image",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the image."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = InstanceImageUpdate),
    responses(
        (status = 200, description = "Image", body = InstanceImage),
        (status = 400, description = "The request does not validate"),
        (status = 403, description = "Public images cannot be changed"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(ImagesManage::NAME)), ("x-minimum-role" = json!(ImagesManage::ROLE.as_str())),
        ("x-scope" = json!(ImagesManage::SCOPE))),
)]
pub(crate) async fn update_instance_image(
    scope: ProjectScope<ImagesManage>,
    PathId(id): PathId<Image>,
    State(compute): State<Compute>,
    change: Change<InstanceImageUpdate>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &Change<InstanceImageUpdate>| update(tx, &scope, id, change);
    let answer = change
        .run(&compute.app, &caller, "update_instance_image", work)
        .await;
    compute.catalogues.look_again();
    answer
}

fn update(
    tx: &mut Tx<'_>,
    scope: &ProjectScope<ImagesManage>,
    id: Id<Image>,
    change: &Change<InstanceImageUpdate>,
) -> ApiResult<Answer<InstanceImage>> {
    let (mut image, file) = own(tx, scope, id)?;
    change.check_version(image.modified.micros())?;
    let wanted = change.body()?;
    let mut faults = Faults::default();
    if let Some(slug) = &wanted.slug {
        let taken = rows::slugs(tx.conn(), scope.organization)?;
        let is_free = taken.iter().all(|(other, known)| *other == id || known != slug);
        faults.check("slug", is_free, "An image with this slug already exists.");
    }
    let is_there = file.is_none_or(|file| file.status == FileStatus::Available);
    faults.check(
        "is_active",
        is_there || wanted.is_active != Some(true),
        "The image has no file: it can't be used.",
    );
    faults.into_result()?;
    let changes = merge(&mut image, wanted);
    if !changes.is_empty() {
        rows::update(tx, &mut image)?;
        let fields: Vec<&str> = changes.fields().collect();
        let what = format!("changed ({})", fields.join(", "));
        let event = files::event(&image, "image.updated", &what, changes, AuditStatus::Success);
        let origin = Origin::caller(&scope.caller, &scope.request);
        tx.audit(&origin, Some(scope.organization), Some(scope.project), &event)?;
    }
    let version = image.modified.micros();
    Ok(Answer::ok(InstanceImage::from(image), version))
}

/// The organization's own image with its file, locked. It is changed where it was made, or by who is a member of the
/// whole organization: a guest of one project has no say about what another has made.
pub(super) fn own(
    tx: &mut Tx<'_>,
    scope: &ProjectScope<ImagesManage>,
    id: Id<Image>,
) -> ApiResult<(ImageRow, Option<ImageFileRow>)> {
    let found = rows::find_locked(tx, scope.organization, id)?;
    let (image, file) = found.ok_or_else(ApiError::not_found)?;
    let made_here = file
        .as_ref()
        .is_some_and(|file| file.project_id == Some(scope.project));
    let is_member = scope.organization_role >= Role::Editor;
    if image.organization_id.is_none() || !(made_here || is_member) {
        return Err(ApiError::forbidden());
    }
    Ok((image, file))
}

fn merge(image: &mut ImageRow, wanted: &InstanceImageUpdate) -> Changes {
    let InstanceImageUpdate {
        name,
        slug,
        description,
        is_active,
    } = wanted.clone();
    let mut changes = Changes::default();
    let texts = [
        ("name", &mut image.name, name),
        ("slug", &mut image.slug, slug),
        ("description", &mut image.description, description),
    ];
    for (field, own, wanted) in texts {
        if let Some(wanted) = wanted {
            changes.note(field, own, &wanted);
            *own = wanted;
        }
    }
    if let Some(wanted) = is_active {
        changes.note("is_active", &image.is_active, &wanted);
        image.is_active = wanted;
    }
    changes
}
