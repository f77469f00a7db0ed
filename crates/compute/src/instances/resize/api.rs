//! The bodies and answers of changes of size.
#![allow(
    missing_docs,
    reason = "the fields are the published API's; comments repeat its words where it has some"
)]

use kernel::{http::Body, money::Fixed};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::catalogue::api::{InstanceSize, PriceCycle, Shown, SizeId, SizePartId};

/// What `resize_instance` takes.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct InstanceResize {
    pub(crate) size_id: SizeId,
    /// One of the `available_volumes` of the size. Default: its default one, or the smallest that holds the present disk.
    #[schema(required = false, nullable)]
    pub(crate) size_volume_id: Option<SizePartId>,
    /// Another billing cycle from the next billing date on.
    #[schema(required = false, nullable = false)]
    pub(crate) billing_cycle: Option<PriceCycle>,
}

impl Body for InstanceResize {
    type Wire = Self;
}

/// A size that an instance can move to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InstanceResizeOption {
    #[schema(value_type = InstanceSize)]
    pub(crate) size: Shown<InstanceSize>,
    /// Each period, may be negative.
    #[schema(value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    pub(crate) price_difference: Fixed<2>,
    /// With tax, for the rest of the paid period; what comes back as credit is negative.
    #[schema(value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    pub(crate) amount_due_now: Fixed<2>,
    pub(crate) billing_cycle: PriceCycle,
    pub(crate) requires_restart: bool,
    /// Whether the instance's host has room for it now.
    pub(crate) is_available: bool,
}
