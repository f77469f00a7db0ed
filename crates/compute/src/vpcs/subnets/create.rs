//! `create_vpc_subnet`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    audit::Changes,
    http::{self, Answer, ApiError, ApiResult, Faults, NestedId},
    id::Id,
    json::JsonText,
    store::Tx,
};

use super::{
    api::{NewSubnet, VPCSubnet},
    list,
    rows::{self, SubnetRow},
    rules,
};
use crate::{
    Compute,
    vpcs::{VpcsManage, api::VpcKind, change::own, record},
};

/// Subnets of a VPC.
const MOST: usize = 50;

/// [VPCs] Create a subnet
///
/// Cut a range out of the VPC; overlap gives 400. The first subnet of a VPC has its whole block: delete it first.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/vpcs/{vpc_id}/subnets",
    tag = "Compute", operation_id = "create_vpc_subnet",
    params(
        ("vpc_id" = uuid::Uuid, Path, description = "UUID of the VPC."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = VPCSubnet),
    responses(
        (status = 201, description = "Created", body = VPCSubnet),
        (status = 400, description = "Invalid request parameters"),
        (status = 409, description = "The VPC has too many subnets"),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(VpcsManage::NAME)), ("x-minimum-role" = json!(VpcsManage::ROLE.as_str())),
        ("x-scope" = json!(VpcsManage::SCOPE))),
)]
pub(crate) async fn create_vpc_subnet(
    scope: ProjectScope<VpcsManage>,
    NestedId(vpc): NestedId<VpcKind>,
    State(compute): State<Compute>,
    change: http::Change<NewSubnet>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &http::Change<NewSubnet>| -> ApiResult<Answer<VPCSubnet>> {
        // Locked: of two ranges that overlap, the second sees the first.
        let vpc = own(tx, &scope, vpc)?;
        let body = change.body()?;
        let siblings = rows::of_vpc(tx.conn(), vpc.id)?;
        let row = SubnetRow {
            id: Id::new(),
            organization_id: vpc.organization_id,
            vpc_id: vpc.id,
            name: body.name.clone(),
            cidr_block: body.cidr_block.clone(),
            gateway: body.gateway.clone(),
            dhcp_enabled: body.dhcp_enabled,
            dns_servers: JsonText::of(&body.dns_servers),
            is_active: body.is_active,
            created: tx.now(),
            modified: tx.now(),
        };
        let mut faults = Faults::default();
        match rules::parse_range(&body.cidr_block, &vpc.cidr_block, &siblings) {
            Ok(_) => rules::check(&row, &body.dns_servers, &mut faults),
            Err(why) => faults.add("cidr_block", why),
        }
        faults.into_result()?;
        if siblings.len() >= MOST {
            return Err(ApiError::conflict(format!("A VPC has at most {MOST} subnets.")));
        }
        rows::insert(tx, &row)?;
        let mut changes = Changes::default();
        changes.note("subnet_id", &None, &Some(row.id));
        changes.note("cidr_block", &None, &Some(&row.cidr_block));
        let text = format!("Created subnet {} in VPC {}", row.name, vpc.name);
        record(tx, &scope, &vpc, "vpc.subnet_created", text, changes)?;
        let path = format!(
            "/v1/organizations/{}/projects/{}/compute/vpcs/{}/subnets/{}",
            scope.organization, scope.project, vpc.id, row.id
        );
        let version = row.modified.micros();
        Ok(Answer::created(list::one(tx.conn(), row)?, Some(version), path))
    };
    change.run(&compute.app, &caller, "create_vpc_subnet", work).await
}
