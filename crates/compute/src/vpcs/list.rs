//! Lists VPCs.

use axum::{Json, extract::State};
use diesel::{
    EscapeExpressionMethods, ExpressionMethods, QueryDsl, RunQueryDsl, SelectableHelper,
    TextExpressionMethods,
};
use kernel::{
    access::{Permission, ProjectScope},
    http::{ApiError, ApiResult, Page, PageOf, Query, contains_pattern},
};

use super::{
    VpcsRead,
    api::Vpc,
    rows::{VpcRow, of_project},
};
diesel::define_sql_function! {
    /// Lower case: of ASCII letters on SQLite, of all on PostgreSQL.
    fn lower(text: diesel::sql_types::Text) -> diesel::sql_types::Text;
}

use crate::{Compute, catalogue::api::Location, schema::vpcs};

type VpcPage = PageOf<Vpc>;

#[derive(Clone, Copy)]
enum Order {
    Name,
    Created,
}

/// [VPCs] List VPCs
///
/// All VPCs the caller may see here.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/vpcs",
    tag = "Compute", operation_id = "list_vpcs",
    params(
        ("page" = Option<i64>, Query, description = "Page number, starting at 1.", minimum = 1),
        ("page_size" = Option<i64>, Query, description = "Items on a page.", minimum = 1, maximum = 100),
        ("location_id" = Option<uuid::Uuid>, Query, description = "Only VPCs at this location."),
        ("search" = Option<String>, Query, description = "Matches the name."),
        ("ordering" = Option<String>, Query, description = "One of `name`, `created`; prefix `-` for descending."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 200, description = "VPCs", body = VpcPage),
        (status = 400, description = "A filter that can't be read"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(VpcsRead::NAME)), ("x-minimum-role" = json!(VpcsRead::ROLE.as_str())),
        ("x-scope" = json!(VpcsRead::SCOPE))),
)]
pub(crate) async fn list_vpcs(
    scope: ProjectScope<VpcsRead>,
    State(compute): State<Compute>,
    mut query: Query,
    page: Page,
) -> ApiResult<Json<PageOf<Vpc>>> {
    let location = query.id::<Location>("location_id");
    let search = query.text("search").map(|text| contains_pattern(&text));
    let order = query.ordering(&[("name", Order::Name), ("created", Order::Created)]);
    query.check()?;
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let filtered = move || {
        let mut vpcs = of_project(scope.organization, scope.project);
        if let Some(location) = location {
            vpcs = vpcs.filter(vpcs::location_id.eq(location));
        }
        if let Some(pattern) = search.clone() {
            vpcs = vpcs.filter(lower(vpcs::name).like(pattern).escape('\\'));
        }
        vpcs
    };
    compute
        .app
        .store()
        .read("list_vpcs", move |conn| {
            let count = filtered().count().get_result(conn)?;
            let (skip, take) = page.window(count)?;
            let ordered = match order {
                Some((Order::Name, false)) => filtered().order(vpcs::name.asc()),
                Some((Order::Name, true)) => filtered().order(vpcs::name.desc()),
                Some((Order::Created, false)) => filtered().order(vpcs::created.asc()),
                Some((Order::Created, true)) | None => filtered().order(vpcs::created.desc()),
            };
            let rows: Vec<VpcRow> = ordered
                .then_order_by(vpcs::id.desc())
                .select(VpcRow::as_select())
                .offset(skip)
                .limit(take)
                .load(conn)?;
            let vpcs: Result<Vec<Vpc>, ApiError> =
                rows.into_iter().map(|row| Vpc::of(row, &catalogue)).collect();
            page.of(count, vpcs?).map(Json)
        })
        .await
}
