//! `list_compute_availability`: which sizes can be ordered where now.

use axum::{Json, extract::State};
use kernel::{
    access::{Permission, ProjectScope},
    http::{ApiResult, Query},
    openapi::Whole,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Share, places_left};
use crate::{
    Compute,
    catalogue::{
        CatalogueRead,
        api::{InstanceSize, Location, LocationId, Size, SizeId},
    },
};

/// How many places are few enough to be counted for customers.
const FEW: i64 = 5;

/// Whether a size can be ordered in a location.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SizeAvailability {
    pub(crate) size_id: SizeId,
    pub(crate) location_id: LocationId,
    pub(crate) is_available: bool,
    /// Shown only when few are left
    #[schema(required, value_type = Option<Whole>)]
    pub(crate) remaining: Option<i64>,
}

/// [Sizes] List size availability by location
///
/// Which sizes can be ordered where now, each with its default disk.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/availability",
    tag = "Compute", operation_id = "list_compute_availability",
    params(
        ("size_id" = Option<uuid::Uuid>, Query, description = "Only this size."),
        ("location_id" = Option<uuid::Uuid>, Query, description = "Only this location."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 200, description = "Availability: an entry for each size in each location", body = Vec<SizeAvailability>),
        (status = 400, description = "A filter that can't be read"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(CatalogueRead::NAME)), ("x-minimum-role" = json!(CatalogueRead::ROLE.as_str())),
        ("x-scope" = json!(CatalogueRead::SCOPE))),
)]
pub(crate) async fn list_compute_availability(
    _scope: ProjectScope<CatalogueRead>,
    State(compute): State<Compute>,
    mut query: Query,
) -> ApiResult<Json<Vec<SizeAvailability>>> {
    let size = query.id::<Size>("size_id");
    let location = query.id::<Location>("location_id");
    query.check()?;
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let sizes: Vec<(SizeId, Share)> = catalogue
        .sizes()
        .iter()
        .filter(|offered| offered.is_active && size.is_none_or(|id| offered.id == id))
        .filter_map(|offered| Some((offered.id, share(offered)?)))
        .collect();
    let locations: Vec<LocationId> = catalogue
        .locations()
        .filter(|place| place.is_active && location.is_none_or(|id| place.id == id))
        .map(|place| place.id)
        .collect();
    let shares: Vec<Share> = sizes.iter().map(|(_, share)| *share).collect();
    let left = compute
        .app
        .store()
        .read("list_compute_availability", move |conn| {
            Ok::<_, kernel::http::ApiError>(places_left(conn, &shares)?)
        })
        .await?;
    let mut answer = Vec::with_capacity(sizes.len() * locations.len());
    for location_id in locations {
        for (at, (size_id, _)) in sizes.iter().enumerate() {
            // A location without hosts has no places.
            let places = left
                .get(&location_id)
                .and_then(|places| places.get(at))
                .copied()
                .unwrap_or(0);
            answer.push(SizeAvailability {
                size_id: *size_id,
                location_id,
                is_available: places > 0,
                remaining: (places <= FEW).then_some(places),
            });
        }
    }
    Ok(Json(answer))
}

/// What a machine of this size takes, with the disk that an order without one gets. `None`: it has no disk to offer.
fn share(size: &InstanceSize) -> Option<Share> {
    let offered = || size.available_volumes.iter().filter(|volume| volume.is_active);
    let volume = offered()
        .find(|volume| volume.is_default)
        .or_else(|| offered().next())?;
    Some(Share {
        cpus: size.vcpu,
        memory_mb: size.ram_mb,
        disk_gb: volume.disk_gb,
    })
}
