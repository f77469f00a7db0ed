//! VPCs as the API shows them.
#![allow(
    missing_docs,
    reason = "the fields are the published API's; comments repeat its words where it has some"
)]

use kernel::{
    http::{ApiError, Body, NamedInPaths},
    id::Id,
    openapi::WriteOnly,
    time::Time,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rows::VpcRow;
use crate::catalogue::{
    Catalogue,
    api::{DatacenterLocation, LocationId, Shown},
};

/// Names the ids of VPCs.
#[derive(Debug)]
pub enum VpcKind {}
/// The id of a VPC.
pub type VpcId = Id<VpcKind>;

impl NamedInPaths for VpcKind {
    const NAME: &'static str = "vpc_id";
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = VPC)]
pub struct Vpc {
    #[schema(read_only)]
    pub id: VpcId,
    #[schema(max_length = 255)]
    pub name: String,
    /// Ex: 10.0.0.0/16
    #[schema(max_length = 50)]
    pub cidr_block: String,
    #[schema(read_only, value_type = DatacenterLocation)]
    pub location: Shown<DatacenterLocation>,
    #[serde(skip_serializing_if = "WriteOnly::hidden")]
    #[schema(write_only, required = false, value_type = LocationId)]
    pub location_id: WriteOnly<LocationId>,
    #[schema(required = false)]
    pub is_active: bool,
    #[schema(read_only)]
    pub created: Time,
    #[schema(read_only)]
    pub modified: Time,
}

impl Vpc {
    /// A row with its location from the catalogue.
    ///
    /// # Errors
    /// The location was added a moment ago and this node does not know it yet: temporarily unavailable.
    pub fn of(row: VpcRow, catalogue: &Catalogue) -> Result<Self, ApiError> {
        let VpcRow {
            id,
            name,
            cidr_block,
            location_id,
            is_active,
            created,
            modified,
            ..
        } = row;
        let location = catalogue.location(location_id).cloned();
        let location = location.ok_or_else(|| ApiError::unavailable("The catalogue is being refreshed."))?;
        Ok(Self {
            id,
            name,
            cidr_block,
            location,
            location_id: WriteOnly::new(),
            is_active,
            created,
            modified,
        })
    }
}

/// The body of `create_vpc` and `replace_vpc`.
#[derive(Debug, Deserialize)]
pub(crate) struct NewVpc {
    pub(super) name: String,
    pub(super) cidr_block: String,
    #[serde(default)]
    pub(super) location_id: Option<LocationId>,
    #[serde(default = "yes")]
    pub(super) is_active: bool,
}

const fn yes() -> bool {
    true
}

impl Body for NewVpc {
    type Wire = Vpc;
}

/// The block and the location stay as created.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct PatchedVPC {
    #[schema(value_type = String, required = false, max_length = 255)]
    pub(super) name: Option<String>,
    #[schema(value_type = bool, required = false)]
    pub(super) is_active: Option<bool>,
}

impl Body for PatchedVPC {
    type Wire = Self;
    const PARTIAL: bool = true;
}
