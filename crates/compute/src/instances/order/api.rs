//! The bodies and answers of orders.
#![allow(
    missing_docs,
    reason = "the fields are the published API's; comments repeat its words where it has some"
)]

use kernel::{http::Body, json::JsonText, money::Fixed, openapi::Whole, time::Time, words};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::api::{BillingCycle, Instance};
use crate::{
    catalogue::api::{AddonId, ImageId, LocationId, PriceCycle, SizeId, SizePartId},
    orders::InstanceOrder,
    ssh_keys::api::SshKeyId,
    tasks::api::InstanceTask,
    vpcs::api::VpcId,
};

/// An add-on to be ordered with an instance.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
pub(crate) struct InstanceAddonSelection {
    pub(crate) addon_id: AddonId,
    #[schema(required = false, nullable = false)]
    #[serde(default)]
    pub(crate) billing_cycle: Option<PriceCycle>,
}

/// What `create_instance` takes.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct InstanceCreate {
    #[schema(max_length = 255)]
    pub(crate) name: String,
    /// Default: made from the name.
    #[schema(max_length = 255, required = false, nullable = false)]
    pub(crate) hostname: Option<String>,
    /// What the instance is for. An addition to the published API.
    #[schema(max_length = 1000, required = false, nullable = false, extensions(("x-allow-blank" = json!(true)), ("x-addition" = json!(true))))]
    pub(crate) description: Option<String>,
    pub(crate) size_id: SizeId,
    pub(crate) location_id: LocationId,
    pub(crate) image_id: ImageId,
    #[schema(required = false, nullable)]
    pub(crate) vpc_id: Option<VpcId>,
    /// One of the `available_volumes` of the size; its default when absent.
    #[schema(required = false, nullable)]
    pub(crate) size_volume_id: Option<SizePartId>,
    /// Default: the one of the image.
    #[schema(max_length = 100, required = false, nullable = false)]
    pub(crate) os_name: Option<String>,
    /// Default: the default pricing option of the size. `free` and `one_time` are for operators only.
    #[schema(required = false, nullable = false)]
    pub(crate) billing_cycle: Option<BillingCycle>,
    #[serde(default)]
    #[schema(max_items = 20, required = false)]
    pub(crate) addons: Vec<InstanceAddonSelection>,
    /// SSH keys registered in the project, to place for the administrator.
    #[serde(default)]
    #[schema(max_items = 20, required = false, write_only)]
    pub(crate) ssh_key_ids: Vec<SshKeyId>,
    /// cloud-init user data (cloud-config, script or MIME). Never returned.
    #[schema(value_type = String, max_length = 65535, required = false, nullable = false, write_only)]
    pub(crate) user_data: Option<SecretDocument>,
    /// Administrator password. Required for Windows images without generation; otherwise optional.
    #[schema(value_type = String, min_length = 12, max_length = 128, required = false, nullable = false, write_only)]
    pub(crate) password: Option<SecretDocument>,
    #[serde(default = "yes")]
    #[schema(required = false, default = true)]
    pub(crate) enable_ipv6: bool,
    /// Custom tags
    #[serde(default)]
    #[schema(required = false, value_type = Value)]
    pub(crate) tags: Option<JsonText>,
}

const fn yes() -> bool {
    true
}

impl Body for InstanceCreate {
    type Wire = Self;
}

/// A text that its `Debug` hides.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String)]
pub(crate) struct SecretDocument(pub(crate) String);

impl std::fmt::Debug for SecretDocument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretDocument")
    }
}

/// What `create_instance` answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InstanceCreated {
    #[serde(flatten)]
    pub(crate) instance: Instance,
    #[schema(read_only, required = false, nullable)]
    pub(crate) order: Option<InstanceOrder>,
    /// Null until the order is paid.
    #[schema(read_only, required = false, nullable)]
    pub(crate) task: Option<InstanceTask>,
    /// Given once, and only when neither password nor SSH key was sent.
    #[schema(read_only, required = false, nullable)]
    pub(crate) initial_password: Option<String>,
}

/// What `estimate_instance` takes.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct InstanceEstimateRequest {
    pub(crate) size_id: SizeId,
    pub(crate) location_id: LocationId,
    #[schema(required = false, nullable = false)]
    pub(crate) image_id: Option<ImageId>,
    /// One of the `available_volumes` of the size; its default when absent.
    #[schema(required = false, nullable)]
    pub(crate) size_volume_id: Option<SizePartId>,
    /// Default: the default pricing option of the size. `free` and `one_time` are for operators only.
    #[schema(required = false, nullable = false)]
    pub(crate) billing_cycle: Option<BillingCycle>,
    #[serde(default)]
    #[schema(max_items = 20, required = false)]
    pub(crate) addons: Vec<InstanceAddonSelection>,
    #[serde(default = "one")]
    #[schema(required = false, value_type = Whole, minimum = 1, maximum = 50, default = 1)]
    pub(crate) quantity: i64,
}

const fn one() -> i64 {
    1
}

impl Body for InstanceEstimateRequest {
    type Wire = Self;
}

words! {
    /// What a line of an estimate is for
    pub(crate) enum EstimateKind {
        /// Size
        Size = "size",
        /// Volume
        Volume = "volume",
        /// Addon
        Addon = "addon",
        /// License
        License = "license",
        /// IP address
        IpAddress = "ip_address",
        /// Discount
        Discount = "discount",
    }
}

/// What an order would cost.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InstanceEstimate {
    #[schema(max_length = 3)]
    pub(crate) currency: String,
    pub(crate) lines: Vec<InstanceEstimateLine>,
    #[schema(value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    pub(crate) subtotal: Fixed<2>,
    #[schema(value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    pub(crate) tax: Fixed<2>,
    #[schema(value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    pub(crate) total: Fixed<2>,
    #[schema(value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    pub(crate) credit_applied: Fixed<2>,
    #[schema(value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    pub(crate) amount_due: Fixed<2>,
    #[schema(value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    pub(crate) recurring_total: Fixed<2>,
    /// When `amount_due` is due. An addition to the published API.
    #[schema(required = false, extensions(("x-addition" = json!(true))))]
    pub(crate) due_at: Time,
    /// When the instance would be billed next, were it provisioned now. An addition to the published API.
    #[schema(required = false, nullable, extensions(("x-addition" = json!(true))))]
    pub(crate) next_billing_date: Option<Time>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InstanceEstimateLine {
    pub(crate) kind: EstimateKind,
    pub(crate) description: String,
    pub(crate) billing_cycle: BillingCycle,
    #[schema(value_type = Whole)]
    pub(crate) quantity: i64,
    #[schema(value_type = String, pattern = r"^-?\d{0,6}(?:\.\d{0,4})?$")]
    pub(crate) unit_price: Fixed<4>,
    #[schema(value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    pub(crate) total: Fixed<2>,
}

/// What `create_instance` answers: the instance, or with `dry_run` what it would cost.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Ordered {
    Created(Box<InstanceCreated>),
    Estimated(InstanceEstimate),
}
