//! Whatever an offer is, its text is read as the same offer, and changes nothing. Whatever is wrong is told at once.

use kernel::money::Amount;
use proptest::{collection, prelude::*, sample::select};

use super::{Addon, CatalogueFile, Fault, Image, Location, Plan, Price, Size, SizeAddon, Volume};
use crate::catalogue::api::{BillingType, CpuModel, PriceCycle, Visibility, VolumeType};

fn text() -> impl Strategy<Value = String> {
    // Quotes, backslashes, line ends, other scripts: all that a text may have but NUL.
    "[ -~é\\n\\t\"\\\\\u{7f}☃]{1,12}".prop_filter("blank", |text| !text.trim().is_empty())
}

fn slug() -> impl Strategy<Value = String> {
    "[-a-zA-Z0-9_]{1,8}"
}

fn location() -> impl Strategy<Value = Location> {
    (text(), "[A-Z]{2}", any::<bool>()).prop_map(|(name, country_code, active)| Location {
        name,
        country_code,
        active,
    })
}

fn addon() -> impl Strategy<Value = Addon> {
    let billing_type = select(BillingType::ALL);
    (
        text(),
        "[ -~é]{0,9}",
        "[ -~\\n]{0,9}",
        billing_type,
        any::<bool>(),
    )
        .prop_map(|(name, name_fr, description, billing_type, active)| Addon {
            name,
            description_fr: name_fr.clone(),
            name_fr,
            description,
            billing_type,
            active,
        })
}

fn image() -> impl Strategy<Value = Image> {
    let flags = any::<[bool; 4]>();
    let visibility = select(Visibility::ALL);
    (text(), text(), visibility, flags, 0..4_294_967_296_i64, 0..9_i64).prop_map(
        |(
            name,
            os_name,
            visibility,
            [featured, windows, requires_license_addon, active],
            min_disk_gb,
            min_ram_mb,
        )| {
            Image {
                description: name.clone(),
                name,
                visibility,
                os_version: os_name.clone(),
                os_name,
                os_architecture: "aarch64".to_owned(),
                language: "fr".to_owned(),
                featured,
                windows,
                requires_license_addon,
                min_disk_gb,
                min_ram_mb,
                active,
            }
        },
    )
}

fn prices(of_size: bool) -> impl Strategy<Value = Vec<Price>> {
    let one = (0..9_999_999_999_i64, 0..=10_000_i64, any::<bool>());
    collection::btree_map(0..PriceCycle::ALL.len(), one, 1..4).prop_map(move |prices| {
        let prices = prices.into_iter().enumerate();
        prices
            .map(|(number, (cycle, (price, discount, active)))| Price {
                cycle: PriceCycle::ALL[cycle],
                price: Amount::from_ten_thousandths(price),
                discount_percent: if of_size {
                    Amount::from_cents(discount)
                } else {
                    Amount::ZERO
                },
                default: of_size && number == 0,
                // One at least is on offer.
                active: active || number == 0,
            })
            .collect()
    })
}

fn volumes() -> impl Strategy<Value = Vec<Volume>> {
    collection::btree_map((0..2_usize, 1..5_i64), any::<bool>(), 1..4).prop_map(|volumes| {
        let volumes = volumes.into_iter().enumerate();
        volumes
            .map(|(number, ((kind, disk_gb), active))| Volume {
                kind: VolumeType::ALL[kind],
                disk_gb,
                default: number == 0,
                active: active || number == 0,
            })
            .collect()
    })
}

fn size(addons: Vec<String>) -> impl Strategy<Value = Size> {
    let parts = collection::vec((prices(false), any::<[bool; 3]>()), addons.len());
    let cpu = select(CpuModel::ALL);
    (
        text(),
        cpu,
        1..100_i64,
        any::<bool>(),
        volumes(),
        prices(true),
        parts,
    )
        .prop_map(move |(name, cpu_model, vcpu, active, volumes, prices, parts)| {
            let mut size = Size {
                description: name.clone(),
                name,
                cpu_model,
                vcpu,
                ram_mb: vcpu * 1024,
                bandwidth_mbps: 0,
                active,
                volumes,
                prices,
                addons: addons
                    .iter()
                    .cloned()
                    .zip(parts)
                    .map(|(slug, (prices, [included, default, active]))| {
                        let addon = SizeAddon {
                            included,
                            default,
                            active,
                            prices,
                        };
                        (slug, addon)
                    })
                    .collect(),
            };
            size.sort();
            size
        })
}

fn file() -> impl Strategy<Value = CatalogueFile> {
    let some = 0..3;
    (
        collection::btree_map(slug(), location(), some.clone()),
        collection::btree_map(slug(), addon(), some.clone()),
        collection::btree_map(slug(), image(), some.clone()),
    )
        .prop_flat_map(move |(locations, addons, images)| {
            let named: Vec<String> = addons.keys().cloned().collect();
            collection::btree_map(slug(), size(named), 0..3).prop_map(move |sizes| CatalogueFile {
                locations: locations.clone(),
                addons: addons.clone(),
                images: images.clone(),
                sizes,
            })
        })
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_the_same(file in file()) {
        let text = file.to_string();
        prop_assert_eq!(CatalogueFile::parse(&text), Ok(file), "{}", text);
    }

    #[test]
    fn an_export_changes_nothing_and_a_plan_leads_to_its_target(present in file(), wanted in file()) {
        prop_assert!(Plan::between(&present, &present).is_empty());
        let plan = Plan::between(&present, &wanted);
        prop_assert!(Plan::between(&plan.target, &wanted).is_empty(), "applying twice is applying once: {}", plan);
        prop_assert!(Plan::between(&plan.target, &plan.target).is_empty());
        for slug in present.sizes.keys().filter(|slug| !wanted.sizes.contains_key(*slug)) {
            prop_assert!(!plan.target.sizes[slug].active);
        }
        for (slug, size) in &wanted.sizes {
            let on_offer = |size: &Size| size.prices.iter().filter(|price| price.active).copied().collect::<Vec<_>>();
            prop_assert_eq!(on_offer(&plan.target.sizes[slug]), on_offer(size));
        }
    }

    #[test]
    fn no_text_makes_it_fail_otherwise_than_with_faults(text in "[\\[\\]a-z0-9=\"{}., \\n]{0,80}") {
        let _ = CatalogueFile::parse(&text);
    }
}

#[test]
fn every_fault_is_told_with_its_line() {
    let text = r#"
[[location]]
slug = "par1"
name = "Paris"
country_code = "fr"
colour = "blue"

[[location]]
slug = "par1"
name = ""
country_code = "FR"

[[image]]
slug = "de bian"
name = "Debian"
os_name = 12
min_disk_gb = -1

[[size]]
slug = "s"
name = "S"
cpu_model = "386"
vcpu = 1.5
ram_mb = 1024
volumes = [{ type = "ssd", disk_gb = 20 }, { type = "ssd", disk_gb = 20, default = 1 }]
prices.monthly = 3.99
prices.hourly = "0.00001"
prices.weekly = "1"

[size.addons.backup]
prices = { monthly = { price = "-1", discount_percent = "5" } }

[[sizes]]
slug = "m"
"#;
    let faults = CatalogueFile::parse(text).unwrap_err();
    let told: Vec<(usize, String)> = faults
        .iter()
        .map(|fault| (fault.line, fault.to_string()))
        .collect();
    for (line, words) in [
        (5, "location par1: country_code: must be a code"),
        (6, "location par1: colour: is not known"),
        (9, "location par1: slug: is another's already"),
        (10, "location par1: name: may not be blank"),
        (14, "image de bian: slug: may have letters"),
        (16, "image de bian: os_name: must be a text"),
        (17, "image de bian: min_disk_gb: must be a whole number from 0"),
        (19, "size s: bandwidth_mbps: is missing"),
        (22, "size s: cpu_model: must be one of: e5-2680-v4"),
        (23, "size s: vcpu: must be a whole number"),
        (25, "size s: volumes: has two of the same"),
        (25, "size s: volumes[1].default: must be true or false"),
        (26, "size s: prices.monthly: must be a decimal in quotes"),
        (27, "size s: prices.hourly: \"0.00001\" is no decimal"),
        (28, "size s: prices.weekly: is not known"),
        (30, "size s: addons.backup: there is no such add-on"),
        (31, "size s: addons.backup.prices.monthly.price: \"-1\""),
        (
            31,
            "size s: addons.backup.prices.monthly.discount_percent: is not known",
        ),
        (33, "sizes: is not known; known are: location, addon, image, size"),
    ] {
        assert!(
            told.iter().any(|(at, said)| *at == line && said.contains(words)),
            "line {line}: {words}\n{}",
            told.iter()
                .map(|(_, said)| said.as_str())
                .collect::<Vec<_>>()
                .join("\n")
        );
    }
    assert!(faults.is_sorted_by_key(|fault| fault.line));
    let broken = CatalogueFile::parse("[[size]]\nslug = \n").unwrap_err();
    assert_eq!((broken.len(), broken[0].line), (1, 2), "{broken:?}");
}

#[test]
fn a_size_on_offer_can_be_bought() {
    let text = |size: &str| {
        format!(
            "[[size]]\nslug = \"s\"\nname = \"S\"\ncpu_model = \"epyc-9554\"\nvcpu = 1\nram_mb = 1\nbandwidth_mbps = 1\n{size}"
        )
    };
    let said = |size: &str| {
        let faults = CatalogueFile::parse(&text(size)).err().unwrap_or_default();
        faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(said("active = false"), "");
    let none = said("");
    assert!(
        none.contains("needs an active volume") && none.contains("needs an active price"),
        "{none}"
    );
    let two = said(
        "volumes = [{ type = \"ssd\", disk_gb = 1 }]\nprices = { monthly = { price = \"1\", default = true }, annually = { price = \"1\", default = true } }",
    );
    assert_eq!(two, "line 9: size s: prices: has more than one default");
}

#[test]
fn the_readable_diff_names_fields_and_parts() {
    let before = "[[location]]\nslug = \"par1\"\nname = \"Paris\"\ncountry_code = \"FR\"\n[[location]]\nslug = \"fra2\"\nname = \"Frankfurt\"\ncountry_code = \"DE\"\n";
    let after = "[[location]]\nslug = \"par1\"\nname = \"Paris DC1\"\ncountry_code = \"FR\"\n[[location]]\nslug = \"zrh1\"\nname = \"Zurich\"\ncountry_code = \"CH\"\n";
    let [before, after] = [before, after].map(|text| CatalogueFile::parse(text).unwrap());
    let plan = Plan::between(&before, &after);
    assert_eq!(
        plan.to_string(),
        "- location fra2 (taken off offer)\n    active: yes -> no\n~ location par1\n    name: Paris -> Paris DC1\n\
         + location zrh1\n    name: Zurich\n    country_code: CH\n    active: yes\n"
    );
    assert_eq!(plan.summary(), "1 new, 1 changed, 1 taken off offer");
}
