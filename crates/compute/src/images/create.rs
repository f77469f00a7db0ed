//! `create_instance_image`: notes the image, and has its file brought or made.

use axum::{extract::State, response::Response};
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, RunQueryDsl, SelectableHelper};
use identity::{Module, organizations};
use kernel::{
    access::{Permission, Project, ProjectScope},
    audit::{AuditStatus, Changes, Origin},
    http::{Answer, ApiError, ApiResult, Change, Faults, NON_FIELD},
    id::{Any, Id},
    schema::tasks as task_rows,
    store::{Conn, StoreError, Tx, lock},
    tasks::{NewTask, TaskStatus},
};

use super::{
    Checksum, ImagesManage,
    api::{InstanceImageCreate, InstanceImageCreated},
    capture::CreateImage,
    files,
    import::ImportImage,
    rows::{self, ImageFileRow},
};
use crate::{
    Compute,
    catalogue::{
        Catalogue,
        api::{InstanceImage, Visibility},
        rows::{ImageRow, bump_version},
    },
    instances::{
        api::{InstanceKind, InstanceStatus},
        rows::InstanceRow,
    },
    schema::{instance_states, instances},
    tasks,
};

/// [Images] Create a private image
///
/// Make a private image from the root volume of an instance, or import a disk image from a URL. It can be used once its
/// file is there: `get_instance_image_file` tells.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/images",
    tag = "Compute", operation_id = "create_instance_image",
    params(
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = InstanceImageCreate),
    responses(
        (status = 202, description = "Accepted", body = InstanceImageCreated),
        (status = 400, description = "The request does not validate"),
        (status = 409, description = "The instance is in a state, or has a running task, that forbids this action"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(ImagesManage::NAME)), ("x-minimum-role" = json!(ImagesManage::ROLE.as_str())),
        ("x-scope" = json!(ImagesManage::SCOPE))),
)]
pub(crate) async fn create_instance_image(
    scope: ProjectScope<ImagesManage>,
    State(compute): State<Compute>,
    change: Change<InstanceImageCreate>,
) -> ApiResult<Response> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let (of_work, caller) = (compute.clone(), scope.caller.clone());
    let work = move |tx: &mut Tx<'_>, change: &Change<InstanceImageCreate>| {
        create(tx, &of_work, &scope, &catalogue, change.body()?)
    };
    let answer = change
        .run(&compute.app, &caller, "create_instance_image", work)
        .await;
    compute.catalogues.look_again();
    answer
}

/// Where an image comes from.
enum Source {
    Instance(Box<InstanceRow>),
    Url(String, Option<Checksum>),
}

fn create(
    tx: &mut Tx<'_>,
    compute: &Compute,
    scope: &ProjectScope<ImagesManage>,
    catalogue: &Catalogue,
    wanted: &InstanceImageCreate,
) -> ApiResult<Answer<InstanceImageCreated>> {
    organizations::enter(tx, scope.organization, scope.project, Module::Compute)?;
    let taken = rows::slugs(tx.conn(), scope.organization)?;
    let most = compute.app.config().images.most_per_organization;
    let taken: Vec<String> = taken.into_iter().map(|(_, slug)| slug).collect();
    let (slug, source) = check(tx, compute, scope, wanted, &taken)?;
    if taken.len() >= usize::try_from(most).unwrap_or(usize::MAX) {
        let detail = format!("An organization has at most {most} private images: delete one first.");
        return Err(ApiError::refused(detail));
    }
    if let Source::Instance(instance) = &source {
        must_rest(tx, instance)?;
    }
    let image = image(tx, scope, catalogue, wanted, slug, &source);
    let mut file = ImageFileRow::expected(image.id, Some(scope.project), image.created);
    let task = match source {
        Source::Instance(instance) => CreateImage::task(&instance, &image),
        Source::Url(url, checksum) => {
            file.source_url = Some(url);
            file.expected_checksum = checksum.map(|checksum| checksum.to_string());
            ImportImage::task(&image, scope.organization, scope.project)
        }
    };
    rows::insert(tx, &image)?;
    rows::insert_file(tx, &file)?;
    bump_version(tx)?;
    let mut changes = Changes::default();
    changes.note("name", &None, &Some(&image.name));
    changes.note("source_url", &None, &file.source_url);
    changes.note("instance_id", &None, &wanted.instance_id);
    let event = files::event(&image, "image.created", "created", changes, AuditStatus::Success);
    let origin = Origin::caller(&scope.caller, &scope.request);
    tx.audit(&origin, Some(scope.organization), Some(scope.project), &event)?;
    let task = tx.enqueue(&NewTask {
        created_by: Some(scope.caller.user),
        request: Some(scope.request.id),
        ..task
    })?;
    let path = format!(
        "/v1/organizations/{}/projects/{}/compute/images/{}",
        scope.organization, scope.project, image.id
    );
    let body = InstanceImageCreated {
        task: tasks::find(tx.conn(), scope.project, task)?,
        image: InstanceImage::from(image),
    };
    Ok(Answer::accepted(body, path))
}

/// All that is wrong with a request, or the image's slug and source.
fn check(
    tx: &mut Tx<'_>,
    compute: &Compute,
    scope: &ProjectScope<ImagesManage>,
    wanted: &InstanceImageCreate,
    taken: &[String],
) -> ApiResult<(String, Source)> {
    let mut faults = Faults::default();
    let slug = match &wanted.slug {
        Some(slug) => {
            faults.check(
                "slug",
                !taken.contains(slug),
                "An image with this slug already exists.",
            );
            slug.clone()
        }
        None => free_slug(&wanted.name, taken),
    };
    let checksum = wanted.checksum.as_deref().map(str::parse::<Checksum>).transpose();
    let checksum = checksum.unwrap_or_else(|why| {
        faults.add("checksum", why);
        None
    });
    let source = match (wanted.instance_id, &wanted.source_url) {
        (Some(id), None) => {
            faults.check(
                "checksum",
                wanted.checksum.is_none(),
                "Only a file from source_url can be compared with a checksum.",
            );
            let instance = instance(tx, scope.project, id)?;
            if instance.is_none() {
                faults.add(
                    "instance_id",
                    format!("Invalid pk \"{id}\" - object does not exist."),
                );
            }
            instance.map(|instance| Source::Instance(Box::new(instance)))
        }
        (None, Some(url)) => {
            if let Err(why) = compute.app.outbound().judge(url) {
                faults.add("source_url", why.to_string());
            }
            Some(Source::Url(url.clone(), checksum))
        }
        (None, None) | (Some(_), Some(_)) => {
            faults.add(
                NON_FIELD,
                "Exactly one of instance_id and source_url is required.",
            );
            None
        }
    };
    match source {
        Some(source) if faults.is_empty() => Ok((slug, source)),
        _ => Err(faults.into()),
    }
}

/// The project's instance, locked, unless it is gone for good.
fn instance(
    tx: &mut Tx<'_>,
    project: Id<Project>,
    id: Id<InstanceKind>,
) -> Result<Option<InstanceRow>, StoreError> {
    let query = instances::table
        .filter(instances::id.eq(id))
        .filter(instances::project_id.eq(project))
        .filter(instances::status.ne(InstanceStatus::Terminated))
        .select(InstanceRow::as_select());
    Ok(lock("instances", query).get_result(tx.conn()).optional()?)
}

/// A disk is copied while nobody writes to it.
fn must_rest(tx: &mut Tx<'_>, instance: &InstanceRow) -> ApiResult<()> {
    let refused = |why: &str| Err(ApiError::conflict(why));
    match instance.status {
        InstanceStatus::Active | InstanceStatus::Cancelled if instance.is_installed => {}
        InstanceStatus::Suspended => return refused("The instance is suspended."),
        InstanceStatus::Active
        | InstanceStatus::Cancelled
        | InstanceStatus::Pending
        | InstanceStatus::Provisioning
        | InstanceStatus::Terminated => return refused("The instance is not installed yet."),
    }
    let unfinished: i64 = task_rows::table
        .filter(task_rows::resource_id.eq(instance.id.cast::<Any>()))
        .filter(task_rows::status.eq_any([TaskStatus::Pending, TaskStatus::Running]))
        .count()
        .get_result(tx.conn())?;
    if unfinished > 0 {
        return refused("The instance has a running task: wait for its end.");
    }
    if vm_status(tx.conn(), instance.id)?.is_some_and(|status| status != "stopped") {
        return refused("The instance must be stopped first.");
    }
    Ok(())
}

/// What its host last said. An instance of which no host has said anything is left to the host's own judgement.
fn vm_status(conn: &mut Conn, id: Id<InstanceKind>) -> Result<Option<String>, StoreError> {
    let query = instance_states::table
        .filter(instance_states::instance_id.eq(id))
        .select(instance_states::vm_status);
    Ok(query.first(conn).optional()?)
}

/// What the request leaves out is as with the instance's own image, or as with most images.
fn image(
    tx: &Tx<'_>,
    scope: &ProjectScope<ImagesManage>,
    catalogue: &Catalogue,
    wanted: &InstanceImageCreate,
    slug: String,
    source: &Source,
) -> ImageRow {
    let parent = match source {
        Source::Instance(instance) => catalogue.image(instance.image_id),
        Source::Url(..) => None,
    };
    let or = |given: &Option<String>, own: fn(&InstanceImage) -> &String, usual: &str| {
        let own = || parent.map_or_else(|| usual.to_owned(), |image| own(image).clone());
        given.clone().unwrap_or_else(own)
    };
    ImageRow {
        id: Id::new(),
        organization_id: Some(scope.organization),
        name: wanted.name.clone(),
        slug,
        description: wanted.description.clone(),
        visibility: Visibility::Private,
        os_name: or(&wanted.os_name, |image| &image.os_name, "Linux"),
        os_version: or(&wanted.os_version, |image| &image.os_version, ""),
        os_architecture: or(&wanted.os_architecture, |image| &image.os_architecture, "x86_64"),
        language: or(&None, |image| &image.language, "en"),
        // Until the file is there.
        is_active: false,
        is_featured: false,
        is_windows: parent.is_some_and(|image| image.is_windows),
        requires_license_addon: parent.is_some_and(|image| image.requires_license_addon),
        min_disk_gb: 0,
        min_ram_mb: parent.map_or(0, |image| image.min_ram_mb),
        created: tx.now(),
        modified: tx.now(),
    }
}

/// A slug made of a name: `My image, 2nd try` becomes `my-image-2nd-try`, with a number if that is taken.
fn free_slug(name: &str, taken: &[String]) -> String {
    const LONGEST: usize = 44;
    let mut slug = String::new();
    for letter in name.chars() {
        if letter.is_ascii_alphanumeric() {
            slug.push(letter.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(LONGEST);
    let slug = match slug.trim_end_matches('-') {
        "" => "image",
        slug => slug,
    };
    let numbered = (2..).map(|number| format!("{slug}-{number}"));
    std::iter::once(slug.to_owned())
        .chain(numbered)
        .find(|slug| !taken.contains(slug))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_made_of_names() {
        let slug = |name: &str| free_slug(name, &["image".to_owned(), "web".to_owned(), "web-2".to_owned()]);
        assert_eq!(slug("My image, 2nd try!"), "my-image-2nd-try");
        assert_eq!(slug("Web"), "web-3");
        assert_eq!(slug("画像"), "image-2");
        assert_eq!(slug(&"a".repeat(255)).len(), 44);
        assert_eq!(slug(&format!("{} b", "a".repeat(43))), "a".repeat(43));
    }
}
