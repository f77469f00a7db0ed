//! Services as the API shows them.
#![allow(
    missing_docs,
    reason = "the fields are the published API's; comments repeat its words where it has some"
)]

use kernel::{access::ProjectId, id::AnyId, money::Fixed, time::Time, words};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    cycle::Cycle,
    rows::{ServiceRow, ServiceStatus},
};

words! {
    /// What is billed
    pub(crate) enum ServiceType {
        /// Instance
        Instance = "instance",
        /// Volume
        Volume = "volume",
        /// Addon
        Addon = "addon",
        /// Domain
        Domain = "domain",
        /// Hosting
        Hosting = "hosting",
    }
}

impl ServiceType {
    /// The word for a kind of product; none for what is sold once. Additional addresses have none of their own.
    fn of(kind: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|word| word.kinds().contains(&kind))
    }

    /// The kinds of product that the word stands for.
    pub(super) const fn kinds(self) -> &'static [&'static str] {
        match self {
            Self::Instance => &["instance"],
            Self::Volume => &["volume"],
            Self::Addon => &["addon", "ip_address"],
            Self::Domain => &["domain"],
            Self::Hosting => &["hosting"],
        }
    }
}

/// A billed service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BillingService {
    /// Identifier of the billed resource
    #[schema(read_only)]
    id: AnyId,
    #[schema(read_only)]
    service_type: ServiceType,
    #[schema(read_only)]
    name: String,
    #[schema(read_only)]
    project_id: ProjectId,
    #[schema(required = false, read_only)]
    project_name: String,
    #[schema(read_only)]
    status: ServiceStatus,
    #[schema(read_only)]
    billing_cycle: Cycle,
    #[schema(read_only, value_type = String, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    price: Fixed<2>,
    /// ISO 4217 code
    #[schema(required = false, read_only, max_length = 3)]
    currency: String,
    #[schema(required = false, read_only)]
    billing_start_date: Time,
    #[schema(read_only)]
    billing_end_date: Option<Time>,
    #[schema(required, read_only)]
    next_billing_date: Option<Time>,
    #[schema(read_only)]
    cancellation_requested_at: Option<Time>,
    #[schema(required = false, read_only)]
    auto_renew: bool,
}

impl BillingService {
    /// A service and the name of its project. Kinds that the API has no word for are left out.
    pub(super) fn of(row: &ServiceRow, project_name: String, currency: &str, french: bool) -> Option<Self> {
        Some(Self {
            id: row.resource_id,
            service_type: ServiceType::of(&row.kind)?,
            name: if french {
                row.name_fr.clone()
            } else {
                row.name.clone()
            },
            project_id: row.project_id,
            project_name,
            status: row.status,
            billing_cycle: row.billing_cycle,
            price: row
                .price
                .times(kernel::money::Amount::from_ten_thousandths(
                    row.quantity.saturating_mul(10_000),
                ))
                .fixed(),
            currency: currency.to_owned(),
            billing_start_date: row.started_at.unwrap_or(row.created),
            billing_end_date: row.billing_end_date(),
            next_billing_date: row
                .next_billing_date
                .filter(|_| row.cancellation_requested_at.is_none()),
            cancellation_requested_at: row.cancellation_requested_at,
            auto_renew: row.cancellation_requested_at.is_none() && row.billing_cycle.months().is_some(),
        })
    }
}
