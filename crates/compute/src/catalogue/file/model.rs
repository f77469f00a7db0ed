//! What a catalogue file says. The parts of a size are kept in one order, so that equal offers are equal values.

use std::collections::BTreeMap;

use kernel::money::Amount;

use crate::catalogue::api::{BillingType, CpuModel, PriceCycle, Visibility, VolumeType};

/// All that is on offer, by slug.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogueFile {
    /// Places where instances run.
    pub locations: BTreeMap<String, Location>,
    /// What can be had with a size.
    pub addons: BTreeMap<String, Addon>,
    /// The operator's images. Those of organizations are never in a file.
    pub images: BTreeMap<String, Image>,
    /// Sizes with volumes, prices and add-ons.
    pub sizes: BTreeMap<String, Size>,
}

/// A place where instances run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Shown to customers.
    pub name: String,
    /// ISO 3166: FR, DE.
    pub country_code: String,
    /// Whether it is on offer.
    pub active: bool,
}

/// What can be had with a size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addon {
    /// In English.
    pub name: String,
    /// In French.
    pub name_fr: String,
    /// In English.
    pub description: String,
    /// In French.
    pub description_fr: String,
    /// Whether it is paid for again and again.
    pub billing_type: BillingType,
    /// Whether it is on offer.
    pub active: bool,
}

/// An image of the operator's. Its file comes by `onetd images import`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Shown to customers.
    pub name: String,
    /// Shown to customers.
    pub description: String,
    /// Private: no customer sees it.
    pub visibility: Visibility,
    /// Debian, Ubuntu.
    pub os_name: String,
    /// 12, 24.04.
    pub os_version: String,
    /// `x86_64`, `aarch64`.
    pub os_architecture: String,
    /// en, fr.
    pub language: String,
    /// Shown first.
    pub featured: bool,
    /// Windows.
    pub windows: bool,
    /// Whether an order must have a licence among its add-ons.
    pub requires_license_addon: bool,
    /// What a root disk must have at least.
    pub min_disk_gb: i64,
    /// What an instance's memory must be at least.
    pub min_ram_mb: i64,
    /// Whether it is on offer.
    pub active: bool,
}

/// A size with all that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// Shown to customers.
    pub name: String,
    /// Shown to customers.
    pub description: String,
    /// The processor.
    pub cpu_model: CpuModel,
    /// Virtual processors.
    pub vcpu: i64,
    /// Memory, MB.
    pub ram_mb: i64,
    /// Mb/s.
    pub bandwidth_mbps: i64,
    /// Whether it is on offer.
    pub active: bool,
    /// Root disks to choose from, the smallest first; one of a kind and size.
    pub volumes: Vec<Volume>,
    /// One a cycle, the shortest first.
    pub prices: Vec<Price>,
    /// By the slug of the add-on.
    pub addons: BTreeMap<String, SizeAddon>,
}

/// A root disk to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volume {
    /// SSD, NVMe.
    pub kind: VolumeType,
    /// Its size.
    pub disk_gb: i64,
    /// Taken unless another is chosen.
    pub default: bool,
    /// Whether it is on offer.
    pub active: bool,
}

/// What something costs, paid in one cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// How often it is due.
    pub cycle: PriceCycle,
    /// Without tax, in the currency of `billing.currency`.
    pub price: Amount,
    /// What is saved compared to the monthly price, as it is shown. Add-ons have none.
    pub discount_percent: Amount,
    /// Taken unless another is chosen. Add-ons have none.
    pub default: bool,
    /// Whether it is on offer.
    pub active: bool,
}

/// An add-on with a size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SizeAddon {
    /// Part of the size's price.
    pub included: bool,
    /// Selected unless it is left out.
    pub default: bool,
    /// Whether it is on offer.
    pub active: bool,
    /// One a cycle, the shortest first.
    pub prices: Vec<Price>,
}

impl Size {
    /// Puts the parts into their order.
    pub(super) fn sort(&mut self) {
        self.volumes
            .sort_by_key(|volume| (volume.disk_gb, volume.kind as u8));
        self.prices.sort_by_key(Price::order);
        for addon in self.addons.values_mut() {
            addon.prices.sort_by_key(Price::order);
        }
    }
}

impl Price {
    /// An add-on's.
    pub(super) fn of_addon(cycle: PriceCycle, price: Amount, active: bool) -> Self {
        Self {
            cycle,
            price,
            discount_percent: Amount::ZERO,
            default: false,
            active,
        }
    }

    fn order(&self) -> u8 {
        self.cycle as u8
    }
}

/// A decimal as people write it: two places, more only where they count.
pub(super) fn decimal(amount: Amount) -> String {
    let text = amount.fixed::<4>().to_string();
    let short = text.strip_suffix("00").unwrap_or(&text);
    short.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_have_two_places_or_four() {
        let shown = |text| decimal(Amount::parse(text).unwrap());
        assert_eq!(
            [shown("3.99"), shown("0.0061"), shown("5"), shown("0.125")],
            ["3.99", "0.0061", "5.00", "0.1250"]
        );
    }
}
