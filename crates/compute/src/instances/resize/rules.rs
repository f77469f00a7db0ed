//! What an instance can become, without I/O, clock or randomness.

use billing::services::{Change, ServiceRow};
use kernel::{http::Faults, money::Amount};

use crate::{
    catalogue::{
        api::{InstanceImage, InstanceSize, InstanceSizeVolume, PriceCycle, SizeId, SizePartId},
        prices::price_of,
    },
    hosts::Share,
    instances::rows::InstanceRow,
};

/// What an instance is now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Present<'a> {
    pub(super) size: SizeId,
    pub(super) share: Share,
    pub(super) image: Option<&'a InstanceImage>,
    /// The cycle that its paid time is counted in, if it is billed by one that sizes have prices for.
    pub(super) cycle: Option<PriceCycle>,
    /// The cycle from the next billing date on.
    pub(super) coming: Option<PriceCycle>,
}

impl<'a> Present<'a> {
    /// By what billing knows of it.
    pub(super) fn of(
        instance: &InstanceRow,
        share: Share,
        image: Option<&'a InstanceImage>,
        service: Option<&ServiceRow>,
    ) -> Self {
        let coming = PriceCycle::of(instance.billing_cycle);
        let cycle = service.map_or(coming, |service| PriceCycle::of(service.billing_cycle.into()));
        Self {
            size: instance.size_id,
            share,
            image,
            cycle,
            coming,
        }
    }
}

/// What an instance becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) share: Share,
    pub(super) price: Amount,
    pub(super) monthly_cap: Option<Amount>,
    /// Another cycle from the next period on, with its price and cap.
    pub(super) next: Option<(PriceCycle, Amount, Option<Amount>)>,
}

impl Target {
    /// What billing is told.
    pub(super) fn change(&self, description: &str) -> Change {
        Change {
            description: description.to_owned(),
            description_fr: description.to_owned(),
            price: self.price,
            monthly_cap: self.monthly_cap,
            quantity: 1,
            options: None,
        }
    }
}

/// What is asked for besides the size.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    pub(super) volume: Option<SizePartId>,
    pub(super) cycle: Option<PriceCycle>,
}

/// Judges a size. `None` with at least one fault.
pub(super) fn judge(
    size: &InstanceSize,
    present: &Present<'_>,
    wanted: Wanted,
    faults: &mut Faults,
) -> Option<Target> {
    // A size that is not sold any more can still get a larger disk.
    let is_offered = size.is_active || size.id == present.size;
    faults.check("size_id", is_offered, "This size is not on offer.");
    if let Some(image) = present.image {
        let needs = format!(
            "The instance's image needs {} MB of memory at least.",
            image.min_ram_mb
        );
        faults.check("size_id", image.min_ram_mb <= size.ram_mb, needs);
    }
    let disk_gb = disk(size, present.share.disk_gb, wanted.volume, faults);
    let priced = prices(size, present, wanted.cycle, faults);
    let share = Share {
        cpus: size.vcpu,
        memory_mb: size.ram_mb,
        disk_gb: disk_gb?,
    };
    let (price, monthly_cap, next) = priced?;
    faults.is_empty().then_some(Target {
        share,
        price,
        monthly_cap,
        next,
    })
}

fn disk(
    size: &InstanceSize,
    present_gb: i64,
    wanted: Option<SizePartId>,
    faults: &mut Faults,
) -> Option<i64> {
    let too_small = |largest: i64| {
        format!("The disk can only grow: it has {present_gb} GB, and this would have {largest} GB.")
    };
    let offered = size.available_volumes.iter().filter(|volume| volume.is_active);
    let Some(id) = wanted else {
        let fits = |volume: &&InstanceSizeVolume| volume.disk_gb >= present_gb;
        let default = offered.clone().filter(fits).find(|volume| volume.is_default);
        let smallest = || offered.clone().filter(fits).min_by_key(|volume| volume.disk_gb);
        let chosen = default.or_else(smallest).map(|volume| volume.disk_gb);
        if chosen.is_none() {
            match offered.map(|volume| volume.disk_gb).max() {
                Some(largest) => faults.add("size_id", too_small(largest)),
                None => faults.add("size_id", "This size has no volume on offer."),
            }
        }
        return chosen;
    };
    let Some(volume) = size.available_volumes.iter().find(|volume| volume.id == id) else {
        faults.add(
            "size_volume_id",
            format!("Invalid pk \"{id}\" - object does not exist."),
        );
        return None;
    };
    faults.check("size_volume_id", volume.is_active, "This volume is not on offer.");
    faults.check(
        "size_volume_id",
        volume.disk_gb >= present_gb,
        too_small(volume.disk_gb),
    );
    Some(volume.disk_gb)
}

type Prices = (
    Amount,
    Option<Amount>,
    Option<(PriceCycle, Amount, Option<Amount>)>,
);

fn prices(
    size: &InstanceSize,
    present: &Present<'_>,
    wanted: Option<PriceCycle>,
    faults: &mut Faults,
) -> Option<Prices> {
    let Some(cycle) = present.cycle else {
        faults.add(
            "billing_cycle",
            "The instance is billed by no cycle that sizes have prices for: an operator must change its size.",
        );
        return None;
    };
    let mut price = |cycle: PriceCycle| {
        let found = price_of(size, cycle);
        let text = format!(
            "This size has no active price for the billing cycle \"{}\".",
            cycle.as_str()
        );
        faults.check("billing_cycle", found.is_some(), text);
        found
    };
    let (now, cap) = price(cycle)?;
    let coming = wanted.or(present.coming).unwrap_or(cycle);
    let next = if coming == cycle {
        None
    } else {
        let (price, cap) = price(coming)?;
        Some((coming, price, cap))
    };
    Some((now, cap, next))
}

/// What is taken of the host besides, and what can be given back once the machine is smaller.
pub(super) fn grown_and_shrunk(old: Share, new: Share) -> (Share, Share) {
    let more = |old: Share, new: Share| Share {
        cpus: (new.cpus - old.cpus).max(0),
        memory_mb: (new.memory_mb - old.memory_mb).max(0),
        disk_gb: (new.disk_gb - old.disk_gb).max(0),
    };
    (more(old, new), more(new, old))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_is_taken_and_what_shrinks_is_given_back() {
        let share = |cpus, memory_mb, disk_gb| Share {
            cpus,
            memory_mb,
            disk_gb,
        };
        let (grown, shrunk) = grown_and_shrunk(share(4, 2048, 20), share(2, 4096, 40));
        assert_eq!(grown, share(0, 2048, 20));
        assert_eq!(shrunk, share(2, 0, 0));
    }
}
