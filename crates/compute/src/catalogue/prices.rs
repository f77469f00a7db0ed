//! What something of the catalogue costs for a cycle, and the cycles themselves: prices, instances and services have a
//! type of their own each, since not every word is allowed everywhere.

use billing::services::Cycle;
use kernel::money::Amount;

use super::api::{InstanceSize, InstanceSizeAddon, PriceCycle};
use crate::instances::api::BillingCycle;

/// What a size costs for a cycle, and what hourly use costs at most in a month. `None`: it is not on offer so.
pub(crate) fn price_of(size: &InstanceSize, cycle: PriceCycle) -> Option<(Amount, Option<Amount>)> {
    let find = |cycle: PriceCycle| {
        let mut active = size.pricing_options.iter().filter(|price| price.is_active);
        active
            .find(|price| price.billing_cycle == cycle)
            .map(|price| price.price.0)
    };
    let cap = find(PriceCycle::Monthly).filter(|_| cycle == PriceCycle::Hourly);
    find(cycle).map(|price| (price, cap))
}

/// What an add-on costs on a size for a cycle. `None`: it is not on offer so.
pub(crate) fn addon_price(offer: &InstanceSizeAddon, cycle: PriceCycle) -> Option<Amount> {
    let mut active = offer.pricing_options.iter().filter(|price| price.is_active);
    active
        .find(|price| price.billing_cycle == cycle)
        .map(|price| price.price.0)
}

/// Writes the conversions of words that stand on both sides.
macro_rules! same_words {
    ($($word:ident)+) => {
        impl From<PriceCycle> for BillingCycle {
            fn from(cycle: PriceCycle) -> Self {
                match cycle { $(PriceCycle::$word => Self::$word,)+ }
            }
        }

        impl From<PriceCycle> for Cycle {
            fn from(cycle: PriceCycle) -> Self {
                match cycle { $(PriceCycle::$word => Self::$word,)+ }
            }
        }

        impl From<BillingCycle> for Cycle {
            fn from(cycle: BillingCycle) -> Self {
                match cycle {
                    BillingCycle::Free => Self::Free,
                    BillingCycle::OneTime => Self::OneTime,
                    $(BillingCycle::$word => Self::$word,)+
                }
            }
        }

        impl From<Cycle> for BillingCycle {
            fn from(cycle: Cycle) -> Self {
                match cycle {
                    Cycle::Free => Self::Free,
                    Cycle::OneTime => Self::OneTime,
                    $(Cycle::$word => Self::$word,)+
                }
            }
        }

        impl PriceCycle {
            /// The cycle that prices have for it. `free` and `one_time` have none: an operator gives them.
            pub fn of(cycle: BillingCycle) -> Option<Self> {
                match cycle {
                    BillingCycle::Free | BillingCycle::OneTime => None,
                    $(BillingCycle::$word => Some(Self::$word),)+
                }
            }
        }
    };
}

same_words! { Hourly Monthly Quarterly SemiAnnually Annually Biennially Triennially }
