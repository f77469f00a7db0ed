//! `list_networks`.

use axum::{Json, extract::State};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl, SelectableHelper};
use kernel::{
    access::{Permission, ProjectScope},
    http::{ApiError, ApiResult, Page, PageOf, Query},
};

use super::{NetworksRead, api::Network};
use crate::{
    Compute,
    addresses::pools::{self, PoolRow},
    catalogue::api::Location,
    schema::address_pools,
};

type NetworkPage = PageOf<Network>;

/// [Networks] List networks
///
/// Networks the addresses of the project belong to, the oldest first.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/networks",
    tag = "Compute", operation_id = "list_networks",
    params(
        ("page" = Option<i64>, Query, description = "Page number, starting at 1.", minimum = 1),
        ("page_size" = Option<i64>, Query, description = "Items on a page.", minimum = 1, maximum = 100),
        ("location_id" = Option<uuid::Uuid>, Query, description = "Only networks at this location."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 200, description = "Networks", body = NetworkPage),
        (status = 400, description = "A filter that can't be read"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(NetworksRead::NAME)), ("x-minimum-role" = json!(NetworksRead::ROLE.as_str())),
        ("x-scope" = json!(NetworksRead::SCOPE))),
)]
pub(crate) async fn list_networks(
    scope: ProjectScope<NetworksRead>,
    State(compute): State<Compute>,
    mut query: Query,
    page: Page,
) -> ApiResult<Json<PageOf<Network>>> {
    let location = query.id::<Location>("location_id");
    query.check()?;
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let now = compute.app.clock().now();
    let read = compute.app.store().read("list_networks", move |conn| {
        let filtered = || {
            let mut pools = pools::of_project(scope.project);
            if let Some(location) = location {
                pools = pools.filter(address_pools::location_id.eq(location));
            }
            pools
        };
        let count = filtered().count().get_result(conn)?;
        let (skip, take) = page.window(count)?;
        let rows: Vec<PoolRow> = filtered()
            .order((address_pools::created.asc(), address_pools::id.asc()))
            .select(PoolRow::as_select())
            .offset(skip)
            .limit(take)
            .load(conn)?;
        let fills = pools::fills(conn, rows, now)?;
        let networks: Result<Vec<Network>, ApiError> = fills
            .into_iter()
            .map(|fill| Network::of(fill, &catalogue))
            .collect();
        page.of(count, networks?).map(Json)
    });
    read.await
}
