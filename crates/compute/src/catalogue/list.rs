//! The catalogue's operations. All answer from memory; see [`super::Catalogues`].

use std::sync::Arc;

use axum::{Json, extract::State};
use kernel::{
    access::{Permission, ProjectScope},
    http::{ApiError, ApiResult, Page, PageOf, PathId, Query, Versioned},
};

use super::{
    CatalogueRead,
    api::{
        Addon, BillingType, CpuModel, DatacenterLocation, Image, InstanceImage, InstanceSize, Location,
        Shown, Size, Visibility,
    },
};
use crate::Compute;

type SizePage = PageOf<InstanceSize>;
type LocationPage = PageOf<DatacenterLocation>;
type ImagePage = PageOf<InstanceImage>;
type AddonPage = PageOf<Addon>;

/// Whether any of the texts contains `needle`, without regard to case.
fn matches(needle: Option<&String>, texts: &[&str]) -> bool {
    needle.is_none_or(|needle| {
        let needle = needle.to_lowercase();
        texts.iter().any(|text| text.to_lowercase().contains(&needle))
    })
}

/// How two items of a list compare.
type Compare<T> = fn(&T, &T) -> std::cmp::Ordering;

/// Sorts by what `ordering` names.
fn sort<T>(items: &mut [T], ordering: Option<(Compare<T>, bool)>) {
    if let Some((compare, descending)) = ordering {
        items.sort_by(|a, b| if descending { compare(b, a) } else { compare(a, b) });
    }
}

/// [Sizes] List instance sizes
///
/// Sizes on offer with volumes, prices and addons.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/sizes",
    tag = "Compute", operation_id = "list_instance_sizes",
    params(
        ("page" = Option<i64>, Query, description = "Page number, starting at 1.", minimum = 1),
        ("page_size" = Option<i64>, Query, description = "Items on a page.", minimum = 1, maximum = 100),
        ("search" = Option<String>, Query, description = "Matches name, slug or description."),
        ("ordering" = Option<String>, Query, description = "One of `name`, `vcpu`, `ram_mb`; prefix `-` for descending."),
        ("is_active" = Option<bool>, Query, description = "On offer; true unless stated."),
        ("cpu_model" = Option<CpuModel>, Query, description = "Only sizes with this CPU."),
        ("location_id" = Option<uuid::Uuid>, Query, description = "Only sizes that this location offers."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 200, description = "Sizes", body = SizePage),
        (status = 400, description = "A filter that can't be read"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(CatalogueRead::NAME)), ("x-minimum-role" = json!(CatalogueRead::ROLE.as_str())),
        ("x-scope" = json!(CatalogueRead::SCOPE))),
)]
pub(crate) async fn list_instance_sizes(
    _scope: ProjectScope<CatalogueRead>,
    State(compute): State<Compute>,
    mut query: Query,
    page: Page,
) -> ApiResult<Json<PageOf<Shown<InstanceSize>>>> {
    let search = query.text("search");
    let active = query.flag("is_active").unwrap_or(true);
    let cpu = query.choice("cpu_model", CpuModel::from_word);
    let location = query.id::<Location>("location_id");
    let ordering = query.ordering::<Compare<Shown<InstanceSize>>>(&[
        ("name", |a, b| a.name.cmp(&b.name)),
        ("vcpu", |a, b| a.vcpu.cmp(&b.vcpu)),
        ("ram_mb", |a, b| a.ram_mb.cmp(&b.ram_mb)),
    ]);
    query.check()?;
    let catalogue = compute.catalogues.current(&compute.app).await?;
    // Every size can be had in every location until hosts have capacities of their own.
    let offered = location.is_none_or(|id| catalogue.location(id).is_some_and(|location| location.is_active));
    let mut sizes: Vec<_> = catalogue
        .sizes
        .iter()
        .filter(|size| offered && size.is_active == active && cpu.is_none_or(|cpu| size.cpu_model == cpu))
        .filter(|size| matches(search.as_ref(), &[&size.name, &size.slug, &size.description]))
        .cloned()
        .collect();
    sort(&mut sizes, ordering);
    page.cut(sizes).map(Json)
}

/// [Sizes] Get instance size
///
/// Read one size with volumes, prices and addons.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/sizes/{id}",
    tag = "Compute", operation_id = "get_instance_size",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the size."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses((status = 200, description = "The size", body = InstanceSize), kernel::http::Refusals),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(CatalogueRead::NAME)), ("x-minimum-role" = json!(CatalogueRead::ROLE.as_str())),
        ("x-scope" = json!(CatalogueRead::SCOPE))),
)]
pub(crate) async fn get_instance_size(
    _scope: ProjectScope<CatalogueRead>,
    PathId(id): PathId<Size>,
    State(compute): State<Compute>,
) -> ApiResult<Versioned<Shown<InstanceSize>>> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let size = catalogue.size(id).cloned().ok_or_else(ApiError::not_found)?;
    Ok(Versioned {
        version: size.modified.micros(),
        body: size,
    })
}

/// [Locations] List datacenter locations
///
/// Locations that can be ordered.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/locations",
    tag = "Compute", operation_id = "list_datacenter_locations",
    params(
        ("page" = Option<i64>, Query, description = "Page number, starting at 1.", minimum = 1),
        ("page_size" = Option<i64>, Query, description = "Items on a page.", minimum = 1, maximum = 100),
        ("search" = Option<String>, Query, description = "Matches name or slug."),
        ("is_active" = Option<bool>, Query, description = "In use; true unless stated."),
        ("country_code" = Option<String>, Query, description = "Only locations in this country."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 200, description = "Locations", body = LocationPage),
        (status = 400, description = "A filter that can't be read"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(CatalogueRead::NAME)), ("x-minimum-role" = json!(CatalogueRead::ROLE.as_str())),
        ("x-scope" = json!(CatalogueRead::SCOPE))),
)]
pub(crate) async fn list_datacenter_locations(
    _scope: ProjectScope<CatalogueRead>,
    State(compute): State<Compute>,
    mut query: Query,
    page: Page,
) -> ApiResult<Json<PageOf<Shown<DatacenterLocation>>>> {
    let search = query.text("search");
    let active = query.flag("is_active").unwrap_or(true);
    let country = query.text("country_code");
    query.check()?;
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let locations = catalogue
        .locations
        .iter()
        .filter(|location| location.is_active == active)
        .filter(|location| {
            country
                .as_ref()
                .is_none_or(|code| location.country_code.eq_ignore_ascii_case(code))
        })
        .filter(|location| matches(search.as_ref(), &[&location.name, &location.slug]));
    page.cut(locations.cloned().collect()).map(Json)
}

/// [Locations] Get datacenter location
///
/// Read one location.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/locations/{id}",
    tag = "Compute", operation_id = "get_datacenter_location",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the location."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses((status = 200, description = "The location", body = DatacenterLocation), kernel::http::Refusals),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(CatalogueRead::NAME)), ("x-minimum-role" = json!(CatalogueRead::ROLE.as_str())),
        ("x-scope" = json!(CatalogueRead::SCOPE))),
)]
pub(crate) async fn get_datacenter_location(
    _scope: ProjectScope<CatalogueRead>,
    PathId(id): PathId<Location>,
    State(compute): State<Compute>,
) -> ApiResult<Versioned<Shown<DatacenterLocation>>> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let location = catalogue.location(id).cloned().ok_or_else(ApiError::not_found)?;
    Ok(Versioned {
        version: location.modified.micros(),
        body: location,
    })
}

/// [Images] List instance images
///
/// Public images, and the organization's own.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/images",
    tag = "Compute", operation_id = "list_instance_images",
    params(
        ("page" = Option<i64>, Query, description = "Page number, starting at 1.", minimum = 1),
        ("page_size" = Option<i64>, Query, description = "Items on a page.", minimum = 1, maximum = 100),
        ("search" = Option<String>, Query, description = "Matches name, slug or operating system."),
        ("ordering" = Option<String>, Query, description = "One of `name`, `os_name`, `created`; prefix `-` for descending."),
        ("visibility" = Option<Visibility>, Query, description = "Only public or only private images."),
        ("os_name" = Option<String>, Query, description = "Only images of this operating system."),
        ("is_featured" = Option<bool>, Query, description = "Only featured images, or only others."),
        ("is_windows" = Option<bool>, Query, description = "Only Windows images, or only others."),
        ("language" = Option<String>, Query, description = "Only images in this language."),
        ("size_id" = Option<uuid::Uuid>, Query, description = "Only images that fit this size's memory and disks."),
        ("is_active" = Option<bool>, Query, description = "On offer; true unless stated."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 200, description = "Images", body = ImagePage),
        (status = 400, description = "A filter that can't be read"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(CatalogueRead::NAME)), ("x-minimum-role" = json!(CatalogueRead::ROLE.as_str())),
        ("x-scope" = json!(CatalogueRead::SCOPE))),
)]
pub(crate) async fn list_instance_images(
    scope: ProjectScope<CatalogueRead>,
    State(compute): State<Compute>,
    mut query: Query,
    page: Page,
) -> ApiResult<Json<PageOf<Shown<InstanceImage>>>> {
    let search = query.text("search");
    let visibility = query.choice("visibility", Visibility::from_word);
    let os_name = query.text("os_name");
    let featured = query.flag("is_featured");
    let windows = query.flag("is_windows");
    let language = query.text("language");
    let size = query.id::<Size>("size_id");
    let active = query.flag("is_active").unwrap_or(true);
    let ordering = query.ordering::<Compare<Shown<InstanceImage>>>(&[
        ("name", |a, b| a.name.cmp(&b.name)),
        ("os_name", |a, b| a.os_name.cmp(&b.os_name)),
        ("created", |a, b| a.created.cmp(&b.created)),
    ]);
    query.check()?;
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let mut images: Vec<_> = catalogue
        .images
        .iter()
        .filter(|image| catalogue.may_know(scope.organization, image) && image.is_active == active)
        .filter(|image| visibility.is_none_or(|visibility| image.visibility == visibility))
        .filter(|image| {
            os_name
                .as_ref()
                .is_none_or(|name| image.os_name.eq_ignore_ascii_case(name))
        })
        .filter(|image| featured.is_none_or(|featured| image.is_featured == featured))
        .filter(|image| {
            language
                .as_ref()
                .is_none_or(|language| image.language.eq_ignore_ascii_case(language))
        })
        .filter(|image| size.is_none_or(|id| catalogue.size(id).is_some_and(|size| fits(image, size))))
        .filter(|image| windows.is_none_or(|windows| image.is_windows == windows))
        .filter(|image| matches(search.as_ref(), &[&image.name, &image.slug, &image.os_name]))
        .cloned()
        .collect();
    sort(&mut images, ordering);
    page.cut(images).map(Json)
}

/// Whether a size has the memory, and a disk of the size, that an image needs.
fn fits(image: &InstanceImage, size: &InstanceSize) -> bool {
    let disk = size
        .available_volumes
        .iter()
        .any(|volume| volume.is_active && volume.disk_gb >= image.min_disk_gb);
    disk && size.ram_mb >= image.min_ram_mb
}

/// [Images] Get instance image
///
/// Read one image.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/images/{id}",
    tag = "Compute", operation_id = "get_instance_image",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the image."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses((status = 200, description = "The image", body = InstanceImage), kernel::http::Refusals),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(CatalogueRead::NAME)), ("x-minimum-role" = json!(CatalogueRead::ROLE.as_str())),
        ("x-scope" = json!(CatalogueRead::SCOPE))),
)]
pub(crate) async fn get_instance_image(
    scope: ProjectScope<CatalogueRead>,
    PathId(id): PathId<Image>,
    State(compute): State<Compute>,
) -> ApiResult<Versioned<Shown<InstanceImage>>> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let image = catalogue
        .image_for(scope.organization, id)
        .cloned()
        .ok_or_else(ApiError::not_found)?;
    Ok(Versioned {
        version: image.modified.micros(),
        body: image,
    })
}

/// [Addons] List compute addons
///
/// Addons on offer.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/addons",
    tag = "Compute", operation_id = "list_compute_addons",
    params(
        ("page" = Option<i64>, Query, description = "Page number, starting at 1.", minimum = 1),
        ("page_size" = Option<i64>, Query, description = "Items on a page.", minimum = 1, maximum = 100),
        ("billing_type" = Option<BillingType>, Query, description = "Only recurring or only one-time addons."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 200, description = "Addons", body = AddonPage),
        (status = 400, description = "A filter that can't be read"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(CatalogueRead::NAME)), ("x-minimum-role" = json!(CatalogueRead::ROLE.as_str())),
        ("x-scope" = json!(CatalogueRead::SCOPE))),
)]
pub(crate) async fn list_compute_addons(
    _scope: ProjectScope<CatalogueRead>,
    State(compute): State<Compute>,
    mut query: Query,
    page: Page,
) -> ApiResult<Json<PageOf<Arc<Addon>>>> {
    let billing_type = query.choice("billing_type", BillingType::from_word);
    query.check()?;
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let addons = catalogue
        .addons
        .iter()
        .filter(|addon| addon.is_active && billing_type.is_none_or(|kind| addon.billing_type == kind));
    page.cut(addons.cloned().collect()).map(Json)
}
