//! Add-ons of an instance as the API shows them and takes them.
#![allow(
    missing_docs,
    reason = "the fields are the published API's; comments repeat its words where it has some"
)]

use std::{collections::HashMap, sync::Arc};

use billing::services::ServiceRow;
use kernel::{http::Body, id::AnyId, money::Fixed, time::Time, words};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rows::{AddonState, InstanceAddonRow};
use crate::catalogue::api::{Addon, AddonId, InstanceSizeAddon, InstanceSizeAddonPricing, PriceCycle};

words! {
    /// Where an add-on stands on an instance
    pub(crate) enum InstanceAddonStatus {
        /// Can be ordered.
        Available = "available",
        /// Ordered, not paid.
        Pending = "pending",
        /// In force.
        Active = "active",
        /// In force until its paid time is over.
        Cancelling = "cancelling",
        /// Part of the size.
        Included = "included",
    }
}

words! {
    /// How often an add-on that is ordered by itself is billed
    #[derive(Default)]
    pub(crate) enum AddonCycle {
        /// monthly
        #[default]
        Monthly = "monthly",
        /// quarterly
        Quarterly = "quarterly",
        /// semi_annually
        SemiAnnually = "semi_annually",
        /// annually
        Annually = "annually",
        /// biennially
        Biennially = "biennially",
        /// triennially
        Triennially = "triennially",
    }
}

/// An add-on that the instance's size offers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InstanceAddon {
    pub(crate) addon: Arc<Addon>,
    pub(crate) status: InstanceAddonStatus,
    #[schema(required = false, nullable)]
    pub(crate) billing_cycle: Option<PriceCycle>,
    #[schema(required = false, nullable, value_type = Option<String>, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    pub(crate) price: Option<Fixed<2>>,
    #[schema(required = false, nullable)]
    pub(crate) next_billing_date: Option<Time>,
    #[schema(required = false, nullable)]
    pub(crate) activated_at: Option<Time>,
    pub(crate) pricing_options: Vec<InstanceSizeAddonPricing>,
}

impl InstanceAddon {
    /// What a size offers, with what was ordered of it.
    pub(super) fn of(
        offer: &InstanceSizeAddon,
        live: Option<&InstanceAddonRow>,
        services: &HashMap<AnyId, ServiceRow>,
    ) -> Self {
        let status = match live.map(|row| row.status) {
            Some(AddonState::Pending) => InstanceAddonStatus::Pending,
            Some(AddonState::Active) => InstanceAddonStatus::Active,
            Some(AddonState::Cancelling) => InstanceAddonStatus::Cancelling,
            _ if offer.is_included => InstanceAddonStatus::Included,
            _ => InstanceAddonStatus::Available,
        };
        let service = live.and_then(|row| services.get(&row.id.cast()));
        Self {
            addon: Arc::clone(&offer.addon),
            status,
            billing_cycle: live.map(|row| row.billing_cycle),
            price: live.map(|row| row.price.fixed()),
            next_billing_date: service
                .filter(|_| status == InstanceAddonStatus::Active)
                .and_then(|service| service.next_billing_date),
            activated_at: live.and_then(|row| row.activated_at),
            pricing_options: offer
                .pricing_options
                .iter()
                .map(InstanceSizeAddonPricing::clone)
                .collect(),
        }
    }
}

/// What `activate_instance_addon` takes.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct InstanceAddonActivate {
    pub(crate) addon_id: AddonId,
    #[serde(default)]
    #[schema(required = false, default = "monthly")]
    pub(crate) billing_cycle: AddonCycle,
}

impl Body for InstanceAddonActivate {
    type Wire = Self;
}

/// What `deactivate_instance_addon` takes.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct InstanceAddonDeactivate {
    pub(crate) addon_id: AddonId,
    #[serde(default)]
    #[schema(required = false, default = false)]
    pub(crate) immediate: bool,
    #[serde(default)]
    #[schema(required = false, max_length = 2000, extensions(("x-allow-blank" = json!(true))))]
    pub(crate) reason: String,
}

impl Body for InstanceAddonDeactivate {
    type Wire = Self;
}
