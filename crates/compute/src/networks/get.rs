//! `get_network`.

use axum::extract::State;
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl, SelectableHelper};
use kernel::{
    access::{Permission, ProjectScope},
    http::{ApiError, ApiResult, PathId, Versioned},
};

use super::{NetworksRead, api::Network};
use crate::{
    Compute,
    addresses::pools::{self, Pool, PoolRow},
    schema::address_pools,
};

/// [Networks] Get a network
///
/// Read one network.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/networks/{id}",
    tag = "Compute", operation_id = "get_network",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the network."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses((status = 200, description = "Network", body = Network), kernel::http::Refusals),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(NetworksRead::NAME)), ("x-minimum-role" = json!(NetworksRead::ROLE.as_str())),
        ("x-scope" = json!(NetworksRead::SCOPE))),
)]
pub(crate) async fn get_network(
    scope: ProjectScope<NetworksRead>,
    PathId(id): PathId<Pool>,
    State(compute): State<Compute>,
) -> ApiResult<Versioned<Network>> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let now = compute.app.clock().now();
    let read = compute.app.store().read("get_network", move |conn| {
        let found = pools::of_project(scope.project)
            .filter(address_pools::id.eq(id))
            .select(PoolRow::as_select())
            .load(conn)?;
        let fill = pools::fills(conn, found, now)?
            .pop()
            .ok_or_else(ApiError::not_found)?;
        let version = fill.pool.modified.micros();
        let body = Network::of(fill, &catalogue)?;
        Ok(Versioned { version, body })
    });
    read.await
}
