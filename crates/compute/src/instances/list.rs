//! Lists instances: filters, search, order, one page. Six statements, whatever the page holds.

use axum::{Json, extract::State};
use diesel::{
    BoolExpressionMethods, EscapeExpressionMethods, ExpressionMethods, NullableExpressionMethods, QueryDsl,
    RunQueryDsl, TextExpressionMethods, dsl::exists,
};
use kernel::{
    access::{Permission, Project, ProjectScope},
    http::{ApiResult, Page, PageOf, Query, contains_pattern},
    id::Id,
    store::sql::MultiBackend,
};

use super::{
    InstancesRead,
    api::{Instance, InstanceKind, InstancePage, InstanceStatus},
    views,
};
use crate::{
    Compute,
    catalogue::api::{Image, Location, Size},
    schema::{instance_states, instance_tags, instances, ip_addresses},
    vpcs::api::VpcKind,
};

#[derive(Clone, Copy)]
enum Order {
    Name,
    Created,
    Status,
    NextBillingDate,
}

/// What a page is asked to hold.
struct Filters {
    status: Option<InstanceStatus>,
    vm_status: Option<String>,
    location: Option<Id<Location>>,
    size: Option<Id<Size>>,
    image: Option<Id<Image>>,
    vpc: Option<Id<VpcKind>>,
    /// A key, and the value that it must have if one was given.
    tag: Option<(String, Option<String>)>,
    /// A pattern for `LIKE`.
    search: Option<String>,
}

impl Filters {
    fn read(query: &mut Query) -> Self {
        Self {
            status: query.choice("status", InstanceStatus::from_word),
            vm_status: query.text("vm_status"),
            location: query.id("location_id"),
            size: query.id("size_id"),
            image: query.id("image_id"),
            vpc: query.id("vpc_id"),
            tag: query.text("tag").map(|tag| match tag.split_once(':') {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                None => (tag, None),
            }),
            search: query.text("search").map(|text| contains_pattern(&text)),
        }
    }

    /// The project's instances that pass.
    fn apply(&self, project: Id<Project>) -> instances::BoxedQuery<'static, MultiBackend> {
        let mut query = instances::table
            .filter(instances::project_id.eq(project))
            .into_boxed();
        query = match self.status {
            Some(status) => query.filter(instances::status.eq(status)),
            // Those that are gone are shown only to who asks for them.
            None => query.filter(instances::status.ne(InstanceStatus::Terminated)),
        };
        if let Some(location) = self.location {
            query = query.filter(instances::location_id.eq(location));
        }
        if let Some(size) = self.size {
            query = query.filter(instances::size_id.eq(size));
        }
        if let Some(image) = self.image {
            query = query.filter(instances::image_id.eq(image));
        }
        if let Some(vpc) = self.vpc {
            query = query.filter(instances::vpc_id.eq(vpc));
        }
        if let Some(vm_status) = self.vm_status.clone() {
            let states = instance_states::table
                .filter(instance_states::instance_id.eq(instances::id))
                .filter(instance_states::vm_status.eq(vm_status));
            query = query.filter(exists(states));
        }
        if let Some((key, value)) = self.tag.clone() {
            let tagged = instance_tags::table
                .filter(instance_tags::instance_id.eq(instances::id))
                .filter(instance_tags::tag_key.eq(key));
            query = match value {
                Some(value) => query.filter(exists(tagged.filter(instance_tags::tag_value.eq(value)))),
                None => query.filter(exists(tagged)),
            };
        }
        if let Some(pattern) = self.search.clone() {
            let addresses = ip_addresses::table
                .filter(ip_addresses::instance_id.eq(instances::id.nullable()))
                .filter(ip_addresses::address.like(pattern.clone()).escape('\\'));
            query = query.filter(instances::search.like(pattern).escape('\\').or(exists(addresses)));
        }
        query
    }
}

/// [Instances] List compute instances
///
/// List the instances of the project, newest first. Terminated instances are left out unless `status` asks for them.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances",
    tag = "Compute", operation_id = "list_instances",
    params(
        ("page" = Option<i64>, Query, description = "Page number, starting at 1.", minimum = 1),
        ("page_size" = Option<i64>, Query, description = "Items on a page.", minimum = 1, maximum = 100),
        ("search" = Option<String>, Query, description = "Matches name, hostname or an IP address."),
        ("ordering" = Option<String>, Query, description = "One of `name`, `created`, `status`, `next_billing_date`; prefix `-` for descending. Default `-created`."),
        ("status" = Option<InstanceStatus>, Query, description = "Billing status."),
        ("vm_status" = Option<String>, Query, description = "Power state as last synchronised, for example `running` or `stopped`."),
        ("location_id" = Option<uuid::Uuid>, Query, description = "Only instances at this location."),
        ("size_id" = Option<uuid::Uuid>, Query, description = "Only instances of this size."),
        ("image_id" = Option<uuid::Uuid>, Query, description = "Only instances made from this image."),
        ("vpc_id" = Option<uuid::Uuid>, Query, description = "Only instances attached to this VPC."),
        ("tag" = Option<String>, Query, description = "Only instances carrying this tag: `key` or `key:value`."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 200, description = "Instances of the project", body = InstancePage),
        (status = 400, description = "A filter that can't be read"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesRead::NAME)), ("x-minimum-role" = json!(InstancesRead::ROLE.as_str())),
        ("x-scope" = json!(InstancesRead::SCOPE))),
)]
pub(crate) async fn list_instances(
    scope: ProjectScope<InstancesRead>,
    State(compute): State<Compute>,
    mut query: Query,
    page: Page,
) -> ApiResult<Json<PageOf<Instance>>> {
    let filters = Filters::read(&mut query);
    let order = query.ordering(&[
        ("name", Order::Name),
        ("created", Order::Created),
        ("status", Order::Status),
        ("next_billing_date", Order::NextBillingDate),
    ]);
    query.check()?;
    let catalogue = compute.catalogues.current(&compute.app).await?;
    compute
        .app
        .store()
        .read("list_instances", move |conn| {
            let count = filters.apply(scope.project).count().get_result(conn)?;
            let (skip, take) = page.window(count)?;
            let passing = filters.apply(scope.project);
            let ordered = match order {
                Some((Order::Name, false)) => passing.order(instances::name.asc()),
                Some((Order::Name, true)) => passing.order(instances::name.desc()),
                Some((Order::Status, false)) => passing.order(instances::status.asc()),
                Some((Order::Status, true)) => passing.order(instances::status.desc()),
                Some((Order::NextBillingDate, false)) => passing.order(instances::next_billing_date.asc()),
                Some((Order::NextBillingDate, true)) => passing.order(instances::next_billing_date.desc()),
                Some((Order::Created, false)) => passing.order(instances::created.asc()),
                Some((Order::Created, true)) | None => passing.order(instances::created.desc()),
            };
            let ids: Vec<Id<InstanceKind>> = ordered
                .then_order_by(instances::id.desc())
                .select(instances::id)
                .offset(skip)
                .limit(take)
                .load(conn)?;
            let instances = views::many(conn, &catalogue, scope.project, &ids)?;
            page.of(count, instances).map(Json)
        })
        .await
}
