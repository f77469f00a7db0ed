//! `list_ip_addresses`, `get_ip_address`, `list_instance_ip_addresses` and `get_instance_ip_address`.

use axum::{Json, extract::State};
use diesel::{
    BoolExpressionMethods, EscapeExpressionMethods, ExpressionMethods, QueryDsl, RunQueryDsl,
    SelectableHelper, TextExpressionMethods,
};
use kernel::{
    access::{Permission, Project, ProjectScope},
    http::{ApiError, ApiResult, NestedId, Page, PageOf, PathId, Query, Versioned, contains_pattern},
    id::Id,
};

use super::{AddressesRead, rows};
use crate::{
    Compute,
    instances::{
        api::{Address, IPAddress, InstanceKind, IpType},
        rows::AddressRow,
    },
    schema::ip_addresses,
};

diesel::define_sql_function! {
    /// Lower case: of ASCII letters on SQLite, of all on PostgreSQL.
    fn lower(text: diesel::sql_types::Text) -> diesel::sql_types::Text;
}

type IPAddressPage = PageOf<IPAddress>;

/// [IP Addresses] List IP addresses
///
/// Every address of the instances of the project, the newest first.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/ip-addresses",
    tag = "Compute", operation_id = "list_ip_addresses",
    params(
        ("page" = Option<i64>, Query, description = "Page number, starting at 1.", minimum = 1),
        ("page_size" = Option<i64>, Query, description = "Items on a page.", minimum = 1, maximum = 100),
        ("ip_type" = Option<IpType>, Query, description = "Only addresses of this family."),
        ("instance_id" = Option<uuid::Uuid>, Query, description = "Only addresses of this instance."),
        ("search" = Option<String>, Query, description = "Matches the address and its reverse DNS name."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 200, description = "Addresses", body = IPAddressPage),
        (status = 400, description = "A filter that can't be read"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(AddressesRead::NAME)), ("x-minimum-role" = json!(AddressesRead::ROLE.as_str())),
        ("x-scope" = json!(AddressesRead::SCOPE))),
)]
pub(crate) async fn list_ip_addresses(
    scope: ProjectScope<AddressesRead>,
    State(compute): State<Compute>,
    mut query: Query,
    page: Page,
) -> ApiResult<Json<PageOf<IPAddress>>> {
    let family = query.choice("ip_type", IpType::from_word);
    let instance = query.id::<InstanceKind>("instance_id");
    let search = query.text("search").map(|text| contains_pattern(&text));
    query.check()?;
    let filtered = move || {
        let mut addresses = rows::of_project(scope.project);
        if let Some(family) = family {
            addresses = addresses.filter(ip_addresses::ip_type.eq(family));
        }
        if let Some(instance) = instance {
            addresses = addresses.filter(ip_addresses::instance_id.eq(instance));
        }
        if let Some(pattern) = search.clone() {
            let named = lower(ip_addresses::reverse_dns)
                .like(pattern.clone())
                .escape('\\');
            addresses = addresses.filter(ip_addresses::address.like(pattern).escape('\\').or(named));
        }
        addresses
    };
    let read = compute.app.store().read("list_ip_addresses", move |conn| {
        let count = filtered().count().get_result(conn)?;
        let (skip, take) = page.window(count)?;
        let rows: Vec<AddressRow> = filtered()
            .order((ip_addresses::created.desc(), ip_addresses::id.desc()))
            .select(AddressRow::as_select())
            .offset(skip)
            .limit(take)
            .load(conn)?;
        page.of(count, rows.into_iter().map(IPAddress::from).collect())
            .map(Json)
    });
    read.await
}

/// [IP Addresses] Get an IP address
///
/// Read one address of the project, whichever instance holds it.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/ip-addresses/{id}",
    tag = "Compute", operation_id = "get_ip_address",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the address."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses((status = 200, description = "Address", body = IPAddress), kernel::http::Refusals),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(AddressesRead::NAME)), ("x-minimum-role" = json!(AddressesRead::ROLE.as_str())),
        ("x-scope" = json!(AddressesRead::SCOPE))),
)]
pub(crate) async fn get_ip_address(
    scope: ProjectScope<AddressesRead>,
    PathId(id): PathId<Address>,
    State(compute): State<Compute>,
) -> ApiResult<Versioned<IPAddress>> {
    one(&compute, "get_ip_address", scope.project, None, id).await
}

/// [Instances] List IP addresses of a compute instance
///
/// Addresses of the instance, by interface.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/ip-addresses",
    tag = "Compute", operation_id = "list_instance_ip_addresses",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 200, description = "Plain array, not paginated", body = Vec<IPAddress>),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(AddressesRead::NAME)), ("x-minimum-role" = json!(AddressesRead::ROLE.as_str())),
        ("x-scope" = json!(AddressesRead::SCOPE))),
)]
pub(crate) async fn list_instance_ip_addresses(
    scope: ProjectScope<AddressesRead>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
) -> ApiResult<Json<Vec<IPAddress>>> {
    let read = compute
        .app
        .store()
        .read("list_instance_ip_addresses", move |conn| {
            if !rows::has_instance(conn, scope.project, id)? {
                return Err(ApiError::not_found());
            }
            let rows = rows::of_instance(conn, scope.project, id)?;
            Ok(Json(rows.into_iter().map(IPAddress::from).collect()))
        });
    read.await
}

/// [Instances] Get IP address of a compute instance
///
/// Read one address.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/ip-addresses/{ip_id}",
    tag = "Compute", operation_id = "get_instance_ip_address",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("ip_id" = uuid::Uuid, Path, description = "UUID of the address."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses((status = 200, description = "Address", body = IPAddress), kernel::http::Refusals),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(AddressesRead::NAME)), ("x-minimum-role" = json!(AddressesRead::ROLE.as_str())),
        ("x-scope" = json!(AddressesRead::SCOPE))),
)]
pub(crate) async fn get_instance_ip_address(
    scope: ProjectScope<AddressesRead>,
    PathId(instance): PathId<InstanceKind>,
    NestedId(id): NestedId<Address>,
    State(compute): State<Compute>,
) -> ApiResult<Versioned<IPAddress>> {
    one(
        &compute,
        "get_instance_ip_address",
        scope.project,
        Some(instance),
        id,
    )
    .await
}

async fn one(
    compute: &Compute,
    operation: &'static str,
    project: Id<Project>,
    instance: Option<Id<InstanceKind>>,
    id: Id<Address>,
) -> ApiResult<Versioned<IPAddress>> {
    let read = compute.app.store().read(operation, move |conn| {
        let row = rows::find(conn, project, instance, id)?.ok_or_else(ApiError::not_found)?;
        Ok(Versioned {
            version: row.modified.micros(),
            body: row.into(),
        })
    });
    read.await
}
