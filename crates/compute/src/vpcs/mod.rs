//! VPCs: private networks of a project, or of its whole organization, in one location.
//!
//! An instance is always in one. A project gets a default VPC in a location when it first needs it. Its members get
//! addresses from its [`subnets`] ([`private`]) and are told them by their seeds; between VPCs there is no way.

pub mod api;
pub(crate) mod change;
mod create;
mod delete;
mod get;
mod list;
pub mod members;
pub(crate) mod private;
pub mod rows;
pub mod subnets;

use kernel::{
    access::ProjectScope,
    audit::{AuditStatus, Changes, Event, Origin},
    permissions,
    store::{StoreError, Tx},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::rows::VpcRow;
use crate::Compute;

permissions! {
    /// Reads VPCs, their subnets and members.
    VpcsRead = "compute.vpcs.read", Viewer, "compute:read";
    /// Makes, changes and deletes VPCs and their subnets, and moves instances into them.
    VpcsManage = "compute.vpcs.manage", Editor, "compute:write";
}

pub(crate) fn routes() -> OpenApiRouter<Compute> {
    OpenApiRouter::new()
        .routes(routes!(list::list_vpcs, create::create_vpc))
        .routes(routes!(
            get::get_vpc,
            change::replace_vpc,
            change::update_vpc,
            delete::delete_vpc
        ))
        .merge(subnets::routes())
        .merge(members::routes())
}

/// Writes an audit record of a VPC.
fn record(
    tx: &mut Tx<'_>,
    scope: &ProjectScope<VpcsManage>,
    row: &VpcRow,
    action: &'static str,
    description: String,
    changes: Changes,
) -> Result<(), StoreError> {
    let event = Event {
        action,
        resource_type: "vpc",
        resource_id: row.id.cast(),
        resource_name: row.name.clone(),
        description,
        changes,
        status: AuditStatus::Success,
    };
    let origin = Origin::caller(&scope.caller, &scope.request);
    tx.audit(&origin, Some(scope.organization), Some(scope.project), &event)
}
