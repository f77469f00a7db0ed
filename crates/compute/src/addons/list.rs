//! `list_instance_addons`.

use std::collections::HashMap;

use axum::{Json, extract::State};
use billing::services::{self, ServiceRow};
use kernel::{
    access::{Organization, Permission, ProjectScope},
    http::{ApiError, ApiResult, PathId},
    id::{AnyId, Id},
    store::{Conn, StoreError},
};

use super::{
    KIND,
    api::InstanceAddon,
    rows::{self, InstanceAddonRow},
};
use crate::{
    Compute,
    catalogue::api::InstanceSizeAddon,
    instances::{InstancesRead, api::InstanceKind, rows as instances},
};

/// [Instances] List addons of a compute instance
///
/// Every addon its size offers, with its state on this instance.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/addons",
    tag = "Compute", operation_id = "list_instance_addons",
    params(
        ("id" = uuid::Uuid, Path, description = "A UUID string identifying this Instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 200, description = "Plain array, not paginated", body = Vec<InstanceAddon>),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesRead::NAME)), ("x-minimum-role" = json!(InstancesRead::ROLE.as_str())),
        ("x-scope" = json!(InstancesRead::SCOPE))),
)]
pub(crate) async fn list_instance_addons(
    scope: ProjectScope<InstancesRead>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
) -> ApiResult<Json<Vec<InstanceAddon>>> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    compute
        .app
        .store()
        .read("list_instance_addons", move |conn| {
            let (row, ..) = instances::find(conn, scope.project, id)?.ok_or_else(ApiError::not_found)?;
            let size = catalogue.size(row.size_id).cloned();
            let size = size.ok_or_else(|| ApiError::unavailable("The catalogue is being refreshed."))?;
            let live = rows::live(conn, id)?;
            let services = services_of(conn, scope.organization, &live)?;
            let find = |offer: &InstanceSizeAddon| live.iter().find(|row| row.addon_id == offer.addon.id);
            let shown = size
                .available_addons
                .iter()
                // What is not sold any more is still there for who has it.
                .filter(|offer| (offer.is_active && offer.addon.is_active) || find(offer).is_some())
                .map(|offer| InstanceAddon::of(offer, find(offer), &services))
                .collect();
            Ok(Json(shown))
        })
        .await
}

/// What add-ons are billed by: one query.
pub(super) fn services_of(
    conn: &mut Conn,
    organization: Id<Organization>,
    live: &[InstanceAddonRow],
) -> Result<HashMap<AnyId, ServiceRow>, StoreError> {
    let ids: Vec<AnyId> = live.iter().map(|row| row.id.cast()).collect();
    let found = services::of_resources(conn, organization, KIND, &ids)?;
    Ok(found
        .into_iter()
        .map(|service| (service.resource_id, service))
        .collect())
}
