//! `list_vpc_members` and `get_vpc_member`.

use std::collections::HashMap;

use axum::{Json, extract::State};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, JoinOnDsl, NullableExpressionMethods, QueryDsl, RunQueryDsl,
    SelectableHelper,
};
use kernel::{
    access::{Permission, ProjectScope},
    http::{ApiError, ApiResult, NestedId, Page, PathId, Versioned},
    id::{Any, Id},
    openapi::WriteOnly,
    schema::tasks,
    store::{Conn, StoreError},
    tasks::{TaskId, TaskStatus},
    time::Time,
};

use super::api::{MemberStatus, VPCMember, VPCMemberPage};
use crate::{
    Compute,
    instances::{
        api::{InstanceKind, InstanceReference, InstanceStatus},
        steps::AttachVpc,
    },
    schema::{instances, machines, network_attachments, private_addresses},
    vpcs::{VpcsRead, api::VpcKind, private::PrivateRow, rows as vpcs},
};

/// The interface in a VPC, counted from 0.
const INTERFACE: i64 = 1;

/// What is read of a member: its instance, what is written of its machine, where its interface is, its address.
type Found = (
    Id<InstanceKind>,
    String,
    Time,
    Time,
    Option<String>,
    Option<Id<VpcKind>>,
    Option<PrivateRow>,
);

/// The instances that are to be in a VPC, with what is shown of them.
macro_rules! members {
    ($vpc:expr) => {
        instances::table
            .left_join(machines::table.on(machines::instance_id.eq(instances::id)))
            .left_join(network_attachments::table.on(network_attachments::instance_id.eq(instances::id)))
            .left_join(
                private_addresses::table.on(private_addresses::instance_id
                    .eq(instances::id)
                    .and(private_addresses::vpc_id.eq(instances::vpc_id))),
            )
            .filter(instances::vpc_id.eq($vpc))
            .filter(instances::status.ne_all(InstanceStatus::OVER))
            .select((
                instances::id,
                instances::name,
                instances::created,
                instances::modified,
                machines::private_mac_address.nullable(),
                network_attachments::vpc_id.nullable(),
                Option::<PrivateRow>::as_select(),
            ))
    };
}

/// [VPCs] List members of a VPC
///
/// Instances attached, or on their way, with their private addresses, oldest first. Of a VPC that projects of the
/// organization share, those of this project.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/vpcs/{vpc_id}/members",
    tag = "Compute", operation_id = "list_vpc_members",
    params(
        ("page" = Option<i64>, Query, description = "Page number, starting at 1.", minimum = 1),
        ("page_size" = Option<i64>, Query, description = "Items on a page.", minimum = 1, maximum = 100),
        ("vpc_id" = uuid::Uuid, Path, description = "UUID of the VPC."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses((status = 200, description = "Members", body = VPCMemberPage), kernel::http::Refusals),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(VpcsRead::NAME)), ("x-minimum-role" = json!(VpcsRead::ROLE.as_str())),
        ("x-scope" = json!(VpcsRead::SCOPE))),
)]
pub(crate) async fn list_vpc_members(
    scope: ProjectScope<VpcsRead>,
    NestedId(vpc): NestedId<VpcKind>,
    State(compute): State<Compute>,
    page: Page,
) -> ApiResult<Json<VPCMemberPage>> {
    let read = compute.app.store().read("list_vpc_members", move |conn| {
        vpcs::find(conn, scope.organization, scope.project, vpc)?.ok_or_else(ApiError::not_found)?;
        let count: i64 = instances::table
            .filter(instances::vpc_id.eq(vpc))
            .filter(instances::project_id.eq(scope.project))
            .filter(instances::status.ne_all(InstanceStatus::OVER))
            .count()
            .get_result(conn)?;
        let (skip, take) = page.window(count)?;
        let found: Vec<Found> = members!(vpc)
            .filter(instances::project_id.eq(scope.project))
            .order((instances::created, instances::id))
            .offset(skip)
            .limit(take)
            .load(conn)?;
        page.of(count, shown(conn, vpc, found)?).map(Json)
    });
    read.await
}

/// [VPCs] Get a VPC member
///
/// Read one attachment.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/vpcs/{vpc_id}/members/{id}",
    tag = "Compute", operation_id = "get_vpc_member",
    params(
        ("vpc_id" = uuid::Uuid, Path, description = "UUID of the VPC."),
        ("id" = uuid::Uuid, Path, description = "UUID of the member."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses((status = 200, description = "Done", body = VPCMember), kernel::http::Refusals),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(VpcsRead::NAME)), ("x-minimum-role" = json!(VpcsRead::ROLE.as_str())),
        ("x-scope" = json!(VpcsRead::SCOPE))),
)]
pub(crate) async fn get_vpc_member(
    scope: ProjectScope<VpcsRead>,
    NestedId(vpc): NestedId<VpcKind>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
) -> ApiResult<Versioned<VPCMember>> {
    let read = compute.app.store().read("get_vpc_member", move |conn| {
        vpcs::find(conn, scope.organization, scope.project, vpc)?.ok_or_else(ApiError::not_found)?;
        let found: Vec<Found> = members!(vpc)
            .filter(instances::project_id.eq(scope.project))
            .filter(instances::id.eq(id))
            .load(conn)?;
        let body = shown(conn, vpc, found)?.pop().ok_or_else(ApiError::not_found)?;
        Ok(Versioned {
            version: body.modified.micros(),
            body,
        })
    });
    read.await
}

/// One member, for the answer that has made it.
pub(super) fn one(conn: &mut Conn, vpc: Id<VpcKind>, id: Id<InstanceKind>) -> ApiResult<VPCMember> {
    let found: Vec<Found> = members!(vpc).filter(instances::id.eq(id)).load(conn)?;
    shown(conn, vpc, found)?.pop().ok_or_else(ApiError::not_found)
}

/// Members with the tasks that move them: one query.
fn shown(conn: &mut Conn, vpc: Id<VpcKind>, found: Vec<Found>) -> Result<Vec<VPCMember>, StoreError> {
    let ids: Vec<Id<Any>> = found.iter().map(|(id, ..)| id.cast()).collect();
    let moving: Vec<(Id<Any>, TaskId, TaskStatus)> = tasks::table
        .filter(tasks::resource_id.eq_any(ids))
        .filter(tasks::kind.eq_any([AttachVpc::NAME, AttachVpc::DETACH]))
        .filter(tasks::status.eq_any([TaskStatus::Pending, TaskStatus::Running]))
        .order((tasks::created, tasks::id))
        .select((tasks::resource_id, tasks::id, tasks::status))
        .load(conn)?;
    // The last one that was asked for.
    let moving: HashMap<Id<Any>, (TaskId, TaskStatus)> = moving
        .into_iter()
        .map(|(instance, task, status)| (instance, (task, status)))
        .collect();
    let members = found.into_iter().map(|found| {
        let (id, name, created, modified, mac, present, address) = found;
        let task = moving.get(&id.cast()).copied();
        let status = match task {
            Some((_, TaskStatus::Running)) => MemberStatus::Attaching,
            Some(_) => MemberStatus::Pending,
            None if present == Some(vpc) => MemberStatus::Attached,
            None => MemberStatus::Error,
        };
        VPCMember {
            id,
            instance: InstanceReference { id, name },
            instance_id: WriteOnly::new(),
            subnet_id: address.as_ref().map(|address| address.subnet_id),
            ip_address: address.map(|address| address.address),
            mac_address: mac.unwrap_or_default(),
            interface: INTERFACE,
            status,
            task_id: task.map(|(task, _)| task),
            created,
            modified,
        }
    });
    Ok(members.collect())
}
