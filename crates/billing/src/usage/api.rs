//! Usage on the wire.
#![allow(
    missing_docs,
    reason = "the fields are the published API's; comments repeat its words where it has some"
)]

use kernel::{access::ProjectId, id::AnyId, money::Fixed};
use serde::Serialize;
use utoipa::ToSchema;

/// What was used in a month.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsageReport {
    /// YYYY-MM
    #[schema(read_only, pattern = r"^\d{4}-\d{2}$")]
    pub(super) period: String,
    /// ISO 4217 code
    #[schema(read_only, max_length = 3)]
    pub(super) currency: String,
    #[schema(read_only, value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    pub(super) total: Fixed<2>,
    /// True once the month is invoiced
    #[schema(read_only)]
    pub(super) is_final: bool,
    #[schema(read_only)]
    pub(super) lines: Vec<UsageLine>,
}

/// What was used of one service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsageLine {
    #[schema(read_only)]
    pub(super) project_id: ProjectId,
    #[schema(required = false, read_only)]
    pub(super) project_name: String,
    #[schema(read_only)]
    pub(super) service_type: String,
    #[schema(read_only)]
    pub(super) service_id: Option<AnyId>,
    #[schema(required = false, read_only)]
    pub(super) service_name: String,
    /// Ex: hour, gb_month
    #[schema(required = false, read_only)]
    pub(super) unit: String,
    #[schema(read_only, value_type = String, pattern = r"^-?\d{0,10}(?:\.\d{0,4})?$")]
    pub(super) quantity: Fixed<4>,
    #[schema(read_only, value_type = String, pattern = r"^-?\d{0,6}(?:\.\d{0,4})?$")]
    pub(super) unit_price: Fixed<4>,
    #[schema(read_only, value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    pub(super) amount: Fixed<2>,
}
