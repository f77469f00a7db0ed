//! What can be ordered, without I/O, clock or randomness.

use kernel::{access::Organization, http::Faults, id::Id, money::Amount};

use super::{
    super::{api::BillingCycle, rules::is_hostname, tags},
    api::{InstanceAddonSelection, InstanceCreate, InstanceEstimateRequest},
};
use crate::{
    catalogue::{
        Catalogue,
        api::{
            DatacenterLocation, ImageId, InstanceImage, InstanceSize, InstanceSizeAddon, LocationId,
            PriceCycle, Shown, SizeId, SizePartId,
        },
        prices::{addon_price, price_of},
    },
    hosts::Share,
    machines::passwords,
};

/// What is ordered, found in the catalogue.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub(super) size: Shown<InstanceSize>,
    pub(super) location: Shown<DatacenterLocation>,
    pub(super) image: Option<Shown<InstanceImage>>,
    pub(super) disk_gb: i64,
    pub(super) cycle: BillingCycle,
    pub(super) price: Amount,
    /// What hourly use costs at most in a month.
    pub(super) monthly_cap: Option<Amount>,
    pub(super) addons: Vec<ChosenAddon>,
}

/// An add-on with its price.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChosenAddon {
    /// Where it stands in the size's list.
    pub(super) index: usize,
    pub(super) cycle: PriceCycle,
    pub(super) price: Amount,
}

impl Choice {
    pub(super) fn share(&self) -> Share {
        Share {
            cpus: self.size.vcpu,
            memory_mb: self.size.ram_mb,
            disk_gb: self.disk_gb,
        }
    }

    pub(super) fn addon(&self, chosen: &ChosenAddon) -> Option<&InstanceSizeAddon> {
        self.size.available_addons.get(chosen.index)
    }
}

/// The ids of an order or estimate.
#[derive(Debug)]
pub(super) struct Ids<'a> {
    pub(super) size: SizeId,
    pub(super) location: LocationId,
    pub(super) image: Option<ImageId>,
    pub(super) volume: Option<SizePartId>,
    pub(super) cycle: Option<BillingCycle>,
    pub(super) addons: &'a [InstanceAddonSelection],
}

impl<'a> From<&'a InstanceCreate> for Ids<'a> {
    fn from(body: &'a InstanceCreate) -> Self {
        Self {
            size: body.size_id,
            location: body.location_id,
            image: Some(body.image_id),
            volume: body.size_volume_id,
            cycle: body.billing_cycle,
            addons: &body.addons,
        }
    }
}

impl<'a> From<&'a InstanceEstimateRequest> for Ids<'a> {
    fn from(body: &'a InstanceEstimateRequest) -> Self {
        Self {
            size: body.size_id,
            location: body.location_id,
            image: body.image_id,
            volume: body.size_volume_id,
            cycle: body.billing_cycle,
            addons: &body.addons,
        }
    }
}

/// Finds what is ordered in the catalogue. `None` with at least one fault.
pub(super) fn choose(
    catalogue: &Catalogue,
    organization: Id<Organization>,
    is_staff: bool,
    ids: &Ids<'_>,
    faults: &mut Faults,
) -> Option<Choice> {
    let no_such = |id: uuid::Uuid| format!("Invalid pk \"{id}\" - object does not exist.");
    let size = catalogue.size(ids.size);
    match size {
        None => faults.add("size_id", no_such(ids.size.uuid())),
        Some(size) => faults.check("size_id", size.is_active, "This size is not on offer."),
    }
    let location = catalogue.location(ids.location);
    match location {
        None => faults.add("location_id", no_such(ids.location.uuid())),
        Some(location) => faults.check(
            "location_id",
            location.is_active,
            "This location takes no new instances.",
        ),
    }
    let image = ids.image.map(|id| (id, catalogue.image_for(organization, id)));
    match image {
        Some((id, None)) => faults.add("image_id", no_such(id.uuid())),
        Some((_, Some(image))) => faults.check("image_id", image.is_active, "This image is not on offer."),
        None => {}
    }
    let image = image.and_then(|(_, image)| image).cloned();
    let size = size?.clone();
    let disk = volume(&size, ids.volume, faults);
    let priced = price(&size, ids.cycle, is_staff, faults);
    let addons = chosen_addons(&size, ids, priced.map(|(cycle, ..)| cycle), faults);
    let (disk_gb, (cycle, price, monthly_cap), location) = (disk?, priced?, location?.clone());
    if let Some(image) = &image {
        fit(image, &size, disk_gb, &addons, faults);
    }
    faults.is_empty().then_some(Choice {
        size,
        location,
        image,
        disk_gb,
        cycle,
        price,
        monthly_cap,
        addons,
    })
}

fn volume(size: &InstanceSize, wanted: Option<SizePartId>, faults: &mut Faults) -> Option<i64> {
    let mut offered = size.available_volumes.iter().filter(|volume| volume.is_active);
    let found = match wanted {
        Some(id) => offered.find(|volume| volume.id == id),
        None => {
            let first = offered.clone().next();
            offered.find(|volume| volume.is_default).or(first)
        }
    };
    match (found, wanted) {
        (None, Some(id)) => {
            let known = size.available_volumes.iter().any(|volume| volume.id == id);
            let text = if known {
                "This volume is not on offer.".to_owned()
            } else {
                format!("Invalid pk \"{id}\" - object does not exist.")
            };
            faults.add("size_volume_id", text);
        }
        (None, None) => faults.add("size_id", "This size has no volume on offer."),
        (Some(_), _) => {}
    }
    found.map(|volume| volume.disk_gb)
}

/// The cycle, its price, and what hourly use costs at most in a month.
fn price(
    size: &InstanceSize,
    wanted: Option<BillingCycle>,
    is_staff: bool,
    faults: &mut Faults,
) -> Option<(BillingCycle, Amount, Option<Amount>)> {
    if wanted == Some(BillingCycle::Free) && is_staff {
        return Some((BillingCycle::Free, Amount::ZERO, None));
    }
    let found = match wanted {
        Some(cycle) => PriceCycle::of(cycle),
        None => {
            let mut offered = size.pricing_options.iter().filter(|price| price.is_active);
            let first = offered.clone().next();
            let chosen = offered.find(|price| price.is_default).or(first);
            chosen.map(|price| price.billing_cycle)
        }
    };
    let Some((cycle, (price, cap))) = found.and_then(|cycle| Some((cycle, price_of(size, cycle)?))) else {
        let cycle = wanted.map_or("", BillingCycle::as_str);
        let text = format!("This size has no active price for the billing cycle \"{cycle}\".");
        faults.add("billing_cycle", text);
        return None;
    };
    Some((cycle.into(), price, cap))
}

fn chosen_addons(
    size: &InstanceSize,
    ids: &Ids<'_>,
    cycle: Option<BillingCycle>,
    faults: &mut Faults,
) -> Vec<ChosenAddon> {
    let mut chosen: Vec<ChosenAddon> = Vec::new();
    for selection in ids.addons {
        let id = selection.addon_id;
        let at = size
            .available_addons
            .iter()
            .position(|offer| offer.addon.id == id && offer.is_active && offer.addon.is_active);
        let Some(index) = at else {
            faults.add("addons", format!("The size does not offer the add-on \"{id}\"."));
            continue;
        };
        let Some(offer) = size.available_addons.get(index) else {
            continue;
        };
        if offer.is_included {
            // It is there without being ordered.
            continue;
        }
        if chosen.iter().any(|other| other.index == index) {
            faults.add(
                "addons",
                format!("The add-on \"{}\" is there twice.", offer.addon.slug),
            );
            continue;
        }
        let wanted = selection
            .billing_cycle
            .or_else(|| cycle.and_then(PriceCycle::of))
            .unwrap_or(PriceCycle::Monthly);
        match addon_price(offer, wanted) {
            Some(price) => chosen.push(ChosenAddon {
                index,
                cycle: wanted,
                price,
            }),
            None => faults.add(
                "addons",
                format!(
                    "The add-on \"{}\" has no active price for the billing cycle \"{}\".",
                    offer.addon.slug,
                    wanted.as_str()
                ),
            ),
        }
    }
    chosen
}

/// Whether the image can be booted on what was chosen.
fn fit(
    image: &InstanceImage,
    size: &InstanceSize,
    disk_gb: i64,
    addons: &[ChosenAddon],
    faults: &mut Faults,
) {
    check_room(image, disk_gb, size.ram_mb, faults);
    if image.requires_license_addon {
        let is_license = |offer: &InstanceSizeAddon| is_license(image, offer);
        let has = addons
            .iter()
            .filter_map(|chosen| size.available_addons.get(chosen.index))
            .chain(size.available_addons.iter().filter(|offer| offer.is_included))
            .any(is_license);
        faults.check("addons", has, "This image needs its licence add-on in the order.");
    }
}

/// Whether an image has room.
pub(crate) fn check_room(image: &InstanceImage, disk_gb: i64, memory_mb: i64, faults: &mut Faults) {
    let needs = format!("This image needs a disk of {} GB at least.", image.min_disk_gb);
    faults.check("image_id", image.min_disk_gb <= disk_gb, needs);
    let needs = format!("This image needs {} MB of memory at least.", image.min_ram_mb);
    faults.check("image_id", image.min_ram_mb <= memory_mb, needs);
}

/// Whether an add-on is the licence that an image needs.
pub(crate) fn is_license(image: &InstanceImage, offer: &InstanceSizeAddon) -> bool {
    image.os_name.to_lowercase().starts_with(&offer.addon.slug)
}

/// Checks what an order says besides the catalogue's ids.
pub(super) fn check_details(body: &InstanceCreate, faults: &mut Faults) {
    let is_valid = |text: &String| is_hostname(text);
    faults.check(
        "hostname",
        body.hostname.as_ref().is_none_or(is_valid),
        "Enter a valid host name (RFC 1123).",
    );
    if let Some(fault) = body.tags.as_ref().and_then(tags::fault) {
        faults.add("tags", fault);
    }
    if let Some(fault) = body.user_data.as_ref().and_then(|text| user_data_fault(&text.0)) {
        faults.add("user_data", fault);
    }
    if let Some(fault) = body.password.as_ref().and_then(|text| passwords::fault(&text.0)) {
        faults.add("password", fault);
    }
}

/// What cloud-init would not take (its documentation, "User data formats"): it would ignore it silently, at the first
/// boot, where nobody looks.
pub(crate) fn user_data_fault(text: &str) -> Option<&'static str> {
    const BEGINNINGS: [&str; 9] = [
        "#cloud-config",
        "#cloud-config-archive",
        "#!",
        "#include",
        "#cloud-boothook",
        "#part-handler",
        "## template:",
        "Content-Type:",
        "MIME-Version:",
    ];
    let begins = |beginning: &str| {
        text.get(..beginning.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(beginning))
    };
    if text.is_empty() || BEGINNINGS.into_iter().any(begins) {
        None
    } else {
        Some(
            "This is not cloud-init user data: it begins with none of #cloud-config, #!, #include, MIME-Version: and the like.",
        )
    }
}

/// A host name made from a name: what is no letter or digit becomes a hyphen.
pub(crate) fn hostname_of(name: &str) -> String {
    let mut made = String::new();
    for c in name.to_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' => made.push(c),
            '.' if !made.is_empty() && !made.ends_with(['.', '-']) => made.push('.'),
            _ if !made.is_empty() && !made.ends_with(['.', '-']) => made.push('-'),
            _ => {}
        }
    }
    let labels: Vec<String> = made
        .split('.')
        .map(|label| label.trim_matches('-').chars().take(63).collect::<String>())
        .map(|label| label.trim_end_matches('-').to_owned())
        .filter(|label| !label.is_empty())
        .collect();
    let made: String = labels.join(".").chars().take(255).collect();
    if is_hostname(&made) {
        made
    } else {
        "instance".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_become_host_names() {
        for (name, hostname) in [
            ("Web 1", "web-1"),
            ("  db.example.com ", "db.example.com"),
            ("Über Café", "ber-caf"),
            ("数据库", "instance"),
            ("-a-", "a"),
            ("a..b", "a.b"),
        ] {
            assert_eq!(hostname_of(name), hostname, "{name}");
        }
    }

    #[test]
    fn user_data_is_what_cloud_init_reads() {
        for good in [
            "",
            "#cloud-config\n{}",
            "#!/bin/sh\n",
            "#Cloud-Config",
            "Content-Type: multipart/mixed",
        ] {
            assert_eq!(user_data_fault(good), None, "{good}");
        }
        for bad in ["hello", "\u{e9}", "# cloud-config", "{}"] {
            assert!(user_data_fault(bad).is_some(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_name_gives_a_host_name(name in ".{0,300}") {
            prop_assert!(is_hostname(&hostname_of(&name)));
        }
    }
}
