//! Members as the API shows and takes them.
#![allow(
    missing_docs,
    reason = "the fields are the published API's; comments repeat its words where it has some"
)]

use kernel::{
    http::{Body, PageOf},
    openapi::{Whole, WriteOnly},
    tasks::TaskId,
    time::Time,
    words,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    instances::api::{InstanceId, InstanceReference},
    vpcs::subnets::api::SubnetId,
};

/// One page of members.
pub(crate) type VPCMemberPage = PageOf<VPCMember>;

words! {
    /// Whether the member's interface is in the VPC
    pub enum MemberStatus {
        /// A task that brings it there waits.
        Pending = "pending",
        /// A task brings it there.
        Attaching = "attaching",
        /// It is there.
        Attached = "attached",
        /// A task takes it away: it is another VPC's member by then.
        Detaching = "detaching",
        /// It is not there, and no task brings it.
        Error = "error",
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VPCMember {
    #[schema(read_only)]
    pub(super) id: InstanceId,
    #[schema(read_only)]
    pub(super) instance: InstanceReference,
    #[serde(skip_serializing_if = "WriteOnly::hidden")]
    #[schema(write_only, required, value_type = InstanceId)]
    pub(super) instance_id: WriteOnly<InstanceId>,
    /// Subnet to join; the only one when absent
    #[schema(required = false)]
    pub(super) subnet_id: Option<SubnetId>,
    /// Private address; the next free one when absent
    #[schema(required = false, max_length = 45)]
    pub(super) ip_address: Option<String>,
    #[schema(read_only)]
    pub(super) mac_address: String,
    /// Network interface index (1=net1, etc.)
    #[schema(read_only, value_type = Whole)]
    pub(super) interface: i64,
    #[schema(read_only)]
    pub(super) status: MemberStatus,
    #[schema(read_only, required)]
    pub(super) task_id: Option<TaskId>,
    #[schema(read_only)]
    pub(super) created: Time,
    #[schema(read_only)]
    pub(super) modified: Time,
}

/// The body of `add_vpc_member`.
#[derive(Debug, Deserialize)]
pub(super) struct NewMember {
    pub(super) instance_id: InstanceId,
    #[serde(default)]
    pub(super) subnet_id: Option<SubnetId>,
    #[serde(default)]
    pub(super) ip_address: Option<String>,
}

impl Body for NewMember {
    type Wire = VPCMember;
}
