//! What a file changes: compared with what the tables have, and worded for who must agree to it.

use std::{collections::BTreeMap, fmt};

use kernel::store::{Conn, StoreError};

use super::{
    model::{Addon, CatalogueFile, Image, Location, Price, Size, Volume, decimal},
    present::present,
};

/// All that applying a file would change; empty if it says what is true already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order of the file's kinds, then of slugs.
    pub changes: Vec<Change>,
    /// What the catalogue will be.
    pub(super) target: CatalogueFile,
}

/// A kind of item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noun {
    /// A location.
    Location,
    /// An add-on.
    Addon,
    /// An image.
    Image,
    /// A size.
    Size,
}

impl fmt::Display for Noun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Location => "location",
            Self::Addon => "add-on",
            Self::Image => "image",
            Self::Size => "size",
        })
    }
}

/// What becomes of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it is.
    pub noun: Noun,
    /// Which one.
    pub slug: String,
    /// Whether it is new.
    pub is_new: bool,
    /// Its fields and parts that change.
    pub differences: Vec<Difference>,
}

/// A field or part, as it was and as it will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// `vcpu`, `price monthly`.
    pub field: String,
    /// None: it is new.
    pub old: Option<String>,
    /// As it will be: nothing is deleted.
    pub new: String,
}

/// Compares a file with the tables.
///
/// # Errors
/// The database refused.
pub fn plan(conn: &mut Conn, file: &CatalogueFile) -> Result<Plan, StoreError> {
    Ok(Plan::between(&present(conn)?, file))
}

impl Plan {
    /// What leads from one offer to another.
    pub fn between(present: &CatalogueFile, file: &CatalogueFile) -> Self {
        let target = target(present, file);
        Self {
            changes: changes(present, &target),
            target,
        }
    }

    /// Whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// `2 new, 1 changed, 1 taken off offer`
    pub fn summary(&self) -> String {
        let count = |test: fn(&Change) -> bool| self.changes.iter().filter(|change| test(change)).count();
        let [new, gone, changed] = [
            count(|change| change.is_new),
            count(Change::is_withdrawal),
            count(|change| !change.is_new && !change.is_withdrawal()),
        ];
        format!("{new} new, {changed} changed, {gone} taken off offer")
    }
}

impl Change {
    /// Whether the item is taken off offer.
    pub fn is_withdrawal(&self) -> bool {
        let withdrawn = |difference: &Difference| difference.field == ACTIVE && difference.new == "no";
        !self.is_new && self.differences.iter().any(withdrawn)
    }
}

/// The readable diff.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for change in &self.changes {
            let (sign, remark) = match (change.is_new, change.is_withdrawal()) {
                (true, _) => ('+', ""),
                (false, true) => ('-', " (taken off offer)"),
                (false, false) => ('~', ""),
            };
            writeln!(f, "{sign} {} {}{remark}", change.noun, change.slug)?;
            for Difference { field, old, new } in &change.differences {
                match old {
                    // What a new item leaves empty is not worth a line.
                    None if new.is_empty() => {}
                    None => writeln!(f, "    {field}: {new}")?,
                    Some(old) => writeln!(f, "    {field}: {old} -> {new}")?,
                }
            }
        }
        Ok(())
    }
}

const ACTIVE: &str = "active";

/// What will be: the file, and what it does not name, inactive.
fn target(present: &CatalogueFile, file: &CatalogueFile) -> CatalogueFile {
    let mut target = file.clone();
    keep(&mut target.locations, &present.locations, |item| {
        item.active = false
    });
    keep(&mut target.addons, &present.addons, |item| item.active = false);
    keep(&mut target.images, &present.images, |item| item.active = false);
    for (slug, size) in &mut target.sizes {
        let Some(known) = present.sizes.get(slug) else {
            continue;
        };
        keep_parts(
            &mut size.volumes,
            &known.volumes,
            |a, b| (a.kind, a.disk_gb) == (b.kind, b.disk_gb),
            |volume| (volume.default, volume.active) = (false, false),
        );
        keep_prices(&mut size.prices, &known.prices);
        for (slug, addon) in &mut size.addons {
            let known = known.addons.get(slug);
            keep_prices(&mut addon.prices, known.map_or(&[][..], |known| &known.prices));
        }
        keep(&mut size.addons, &known.addons, |addon| {
            (addon.default, addon.active) = (false, false);
        });
        size.sort();
    }
    keep(&mut target.sizes, &present.sizes, |item| item.active = false);
    target
}

fn keep<T: Clone>(target: &mut BTreeMap<String, T>, present: &BTreeMap<String, T>, withdraw: fn(&mut T)) {
    for (slug, item) in present {
        target.entry(slug.clone()).or_insert_with(|| {
            let mut item = item.clone();
            withdraw(&mut item);
            item
        });
    }
}

fn keep_parts<T: Copy>(target: &mut Vec<T>, present: &[T], same: fn(&T, &T) -> bool, withdraw: fn(&mut T)) {
    for part in present {
        if !target.iter().any(|known| same(known, part)) {
            let mut part = *part;
            withdraw(&mut part);
            target.push(part);
        }
    }
}

fn keep_prices(target: &mut Vec<Price>, present: &[Price]) {
    keep_parts(
        target,
        present,
        |a, b| a.cycle == b.cycle,
        |price| (price.default, price.active) = (false, false),
    );
}

/// An item's fields and parts, worded.
type Facts = Vec<(String, String)>;

fn changes(present: &CatalogueFile, target: &CatalogueFile) -> Vec<Change> {
    let mut all = Vec::new();
    compare(
        &mut all,
        Noun::Location,
        &present.locations,
        &target.locations,
        location,
    );
    compare(&mut all, Noun::Addon, &present.addons, &target.addons, addon);
    compare(&mut all, Noun::Image, &present.images, &target.images, image);
    compare(&mut all, Noun::Size, &present.sizes, &target.sizes, size);
    all
}

fn compare<T: PartialEq>(
    all: &mut Vec<Change>,
    noun: Noun,
    present: &BTreeMap<String, T>,
    target: &BTreeMap<String, T>,
    facts: fn(&T) -> Facts,
) {
    for (slug, wanted) in target {
        let known = present.get(slug);
        if known == Some(wanted) {
            continue;
        }
        let old: BTreeMap<_, _> = known.map(facts).unwrap_or_default().into_iter().collect();
        let differences = facts(wanted)
            .into_iter()
            .filter(|(field, new)| old.get(field) != Some(new))
            .map(|(field, new)| Difference {
                old: old.get(&field).cloned(),
                new,
                field,
            })
            .collect();
        all.push(Change {
            noun,
            slug: slug.clone(),
            is_new: known.is_none(),
            differences,
        });
    }
}

fn fact(name: &str, value: impl fmt::Display) -> (String, String) {
    (name.to_owned(), value.to_string())
}

const fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

fn location(item: &Location) -> Facts {
    let Location {
        name,
        country_code,
        active,
    } = item;
    vec![
        fact("name", name),
        fact("country_code", country_code),
        fact(ACTIVE, yes(*active)),
    ]
}

fn addon(item: &Addon) -> Facts {
    let Addon {
        name,
        name_fr,
        description,
        description_fr,
        billing_type,
        active,
    } = item;
    vec![
        fact("name", name),
        fact("name_fr", name_fr),
        fact("description", description),
        fact("description_fr", description_fr),
        fact("billing_type", billing_type.as_str()),
        fact(ACTIVE, yes(*active)),
    ]
}

fn image(item: &Image) -> Facts {
    let Image {
        name,
        description,
        visibility,
        os_name,
        os_version,
        os_architecture,
        language,
        featured,
        windows,
        requires_license_addon,
        min_disk_gb,
        min_ram_mb,
        active,
    } = item;
    vec![
        fact("name", name),
        fact("description", description),
        fact("visibility", visibility.as_str()),
        fact("os_name", os_name),
        fact("os_version", os_version),
        fact("os_architecture", os_architecture),
        fact("language", language),
        fact("featured", yes(*featured)),
        fact("windows", yes(*windows)),
        fact("requires_license_addon", yes(*requires_license_addon)),
        fact("min_disk_gb", min_disk_gb),
        fact("min_ram_mb", min_ram_mb),
        fact(ACTIVE, yes(*active)),
    ]
}

fn size(item: &Size) -> Facts {
    let Size {
        name,
        description,
        cpu_model,
        vcpu,
        ram_mb,
        bandwidth_mbps,
        active,
        volumes,
        prices,
        addons,
    } = item;
    let mut facts = vec![
        fact("name", name),
        fact("description", description),
        fact("cpu_model", cpu_model.as_str()),
        fact("vcpu", vcpu),
        fact("ram_mb", ram_mb),
        fact("bandwidth_mbps", bandwidth_mbps),
        fact(ACTIVE, yes(*active)),
    ];
    for volume in volumes {
        let Volume {
            kind,
            disk_gb,
            default,
            active,
        } = volume;
        let words = offer("on offer".to_owned(), *default, *active);
        facts.push((format!("volume {} {disk_gb} GB", kind.as_str()), words));
    }
    for price in prices {
        facts.push((format!("price {}", price.cycle.as_str()), cost(price)));
    }
    for (slug, addon) in addons {
        let kind = if addon.included { "included" } else { "optional" };
        let words = offer(kind.to_owned(), addon.default, addon.active);
        facts.push((format!("add-on {slug}"), words));
        for price in &addon.prices {
            facts.push((format!("add-on {slug} {}", price.cycle.as_str()), cost(price)));
        }
    }
    facts
}

fn cost(price: &Price) -> String {
    let mut words = decimal(price.price);
    if !price.discount_percent.is_zero() {
        words = format!("{words} ({} % off)", decimal(price.discount_percent));
    }
    offer(words, price.default, price.active)
}

fn offer(mut words: String, default: bool, active: bool) -> String {
    if default {
        words.push_str(", default");
    }
    if !active {
        words.push_str(", not on offer");
    }
    words
}
