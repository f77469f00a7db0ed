//! The bodies of actions on an instance.
#![allow(
    missing_docs,
    reason = "the fields are the published API's; comments repeat its words where it has some"
)]

use kernel::{http::Body, time::Time, words};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::order::SecretDocument;
use crate::{
    catalogue::api::{ImageId, PriceCycle},
    ssh_keys::api::SshKeyId,
    vpcs::api::VpcId,
};

/// What `change_instance_hostname` takes.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct InstanceHostname {
    #[schema(max_length = 255)]
    pub(crate) hostname: String,
}

/// What `reset_instance_password` takes.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct InstancePasswordReset {
    /// Administrator password. Required for Windows images without generation; otherwise optional.
    #[schema(value_type = String, min_length = 12, max_length = 128, required = false, nullable = false, write_only,
        extensions(("x-verbatim" = json!(true))))]
    pub(crate) password: Option<SecretDocument>,
}

/// What `reinstall_instance` takes.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct InstanceReinstall {
    pub(crate) image_id: ImageId,
    /// Default: the present one.
    #[schema(max_length = 255, required = false, nullable = false)]
    pub(crate) hostname: Option<String>,
    /// SSH keys registered in the project, to place for the administrator.
    #[serde(default)]
    #[schema(max_items = 20, required = false, write_only)]
    pub(crate) ssh_key_ids: Vec<SshKeyId>,
    /// cloud-init user data (cloud-config, script or MIME). Never returned.
    #[schema(value_type = String, max_length = 65535, required = false, nullable = false, write_only, extensions(("x-verbatim" = json!(true)), ("x-allow-blank" = json!(true))))]
    pub(crate) user_data: Option<SecretDocument>,
    /// Administrator password. Required for Windows images without generation; otherwise optional.
    #[schema(value_type = String, min_length = 12, max_length = 128, required = false, nullable = false, write_only,
        extensions(("x-verbatim" = json!(true))))]
    pub(crate) password: Option<SecretDocument>,
}

/// What `enable_instance_rescue` takes.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct InstanceRescue {
    /// Rescue image; the default of the location when absent.
    #[schema(required = false, nullable)]
    pub(crate) image_id: Option<ImageId>,
    /// SSH keys registered in the project, to place for the administrator.
    #[serde(default)]
    #[schema(max_items = 20, required = false, write_only)]
    pub(crate) ssh_key_ids: Vec<SshKeyId>,
    /// Administrator password. Required for Windows images without generation; otherwise optional.
    #[schema(value_type = String, min_length = 12, max_length = 128, required = false, nullable = false, write_only,
        extensions(("x-verbatim" = json!(true))))]
    pub(crate) password: Option<SecretDocument>,
}

/// What `attach_instance_vpc` takes.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = InstanceVPCAttach)]
pub(crate) struct InstanceVpcAttach {
    pub(crate) vpc_id: VpcId,
    /// Wanted address within the VPC; chosen when absent.
    #[schema(required = false, nullable = false)]
    pub(crate) private_ip: Option<String>,
}

words! {
    /// When a cancellation takes effect
    #[derive(Default)]
    pub(crate) enum CancellationType {
        /// When the time that is paid is over.
        #[default]
        EndOfBillingPeriod = "end_of_billing_period",
        /// At once.
        Immediate = "immediate",
    }
}

/// What `request_instance_cancellation` takes.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct InstanceCancellationRequest {
    #[serde(default, rename = "type")]
    #[schema(required = false, default = "end_of_billing_period")]
    pub(crate) kind: CancellationType,
    #[serde(default)]
    #[schema(required = false, max_length = 2000, extensions(("x-allow-blank" = json!(true))))]
    pub(crate) reason: String,
}

/// An open request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InstanceCancellation {
    #[serde(rename = "type")]
    pub(crate) kind: CancellationType,
    pub(crate) reason: String,
    pub(crate) requested_at: Time,
    #[schema(required)]
    pub(crate) effective_at: Option<Time>,
}

/// What `change_instance_billing_cycle` takes.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct InstanceBillingCycle {
    pub(crate) billing_cycle: PriceCycle,
}

/// Whether an instance is protected. An addition to the published API.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct InstanceProtection {
    /// Whether deleting and cancelling the instance are refused.
    pub(crate) delete: bool,
}

macro_rules! bodies {
    ($($name:ident),+) => {$(
        impl Body for $name {
            type Wire = Self;
        }
    )+};
}
bodies!(
    InstanceHostname,
    InstancePasswordReset,
    InstanceReinstall,
    InstanceRescue,
    InstanceVpcAttach,
    InstanceCancellationRequest,
    InstanceBillingCycle,
    InstanceProtection
);
