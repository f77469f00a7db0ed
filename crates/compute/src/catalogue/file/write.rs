//! From a catalogue file to text that [`CatalogueFile::parse`] reads as the same. What has its usual value is left out.

use std::fmt::{self, Display, Write as _};

use kernel::money::Amount;

use super::model::{Addon, CatalogueFile, Image, Location, Price, Size, SizeAddon, decimal};
use crate::catalogue::api::{BillingType, Visibility};

impl Display for CatalogueFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("# The catalogue: see docs/catalogue.md. `onetd catalogue apply FILE` makes it true.\n")?;
        for (slug, location) in &self.locations {
            f.write_str(&self::location(slug, location))?;
        }
        for (slug, addon) in &self.addons {
            f.write_str(&self::addon(slug, addon))?;
        }
        for (slug, image) in &self.images {
            f.write_str(&self::image(slug, image))?;
        }
        let mut sizes: Vec<_> = self.sizes.iter().collect();
        sizes.sort_by_key(|(slug, size)| (size.vcpu, size.ram_mb, *slug));
        for (slug, size) in sizes {
            f.write_str(&self::size(slug, size))?;
        }
        Ok(())
    }
}

fn location(slug: &str, location: &Location) -> String {
    let Location {
        name,
        country_code,
        active,
    } = location;
    let mut lines = Lines::item("location", slug);
    lines.text("name", name);
    lines.text("country_code", country_code);
    lines.flag("active", *active, true);
    lines.0
}

fn addon(slug: &str, addon: &Addon) -> String {
    let Addon {
        name,
        name_fr,
        description,
        description_fr,
        billing_type,
        active,
    } = addon;
    let mut lines = Lines::item("addon", slug);
    lines.text("name", name);
    lines.text_unless("name_fr", name_fr, "");
    lines.text_unless("description", description, "");
    lines.text_unless("description_fr", description_fr, "");
    lines.text_unless(
        "billing_type",
        billing_type.as_str(),
        BillingType::Recurring.as_str(),
    );
    lines.flag("active", *active, true);
    lines.0
}

fn image(slug: &str, image: &Image) -> String {
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
    } = image;
    let mut lines = Lines::item("image", slug);
    lines.text("name", name);
    lines.text_unless("description", description, "");
    lines.text_unless("visibility", visibility.as_str(), Visibility::Public.as_str());
    lines.text("os_name", os_name);
    lines.text_unless("os_version", os_version, "");
    lines.text_unless("os_architecture", os_architecture, "x86_64");
    lines.text_unless("language", language, "en");
    lines.flag("featured", *featured, false);
    lines.flag("windows", *windows, false);
    lines.flag("requires_license_addon", *requires_license_addon, false);
    lines.whole_unless_zero("min_disk_gb", *min_disk_gb);
    lines.whole_unless_zero("min_ram_mb", *min_ram_mb);
    lines.flag("active", *active, true);
    lines.0
}

fn size(slug: &str, size: &Size) -> String {
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
    } = size;
    let mut lines = Lines::item("size", slug);
    lines.text("name", name);
    lines.text_unless("description", description, "");
    lines.text("cpu_model", cpu_model.as_str());
    lines.plain("vcpu", vcpu);
    lines.plain("ram_mb", ram_mb);
    lines.plain("bandwidth_mbps", bandwidth_mbps);
    lines.flag("active", *active, true);
    lines.line("volumes = [");
    for volume in volumes {
        let mut inner = Inline::default();
        inner.add("type", quoted(volume.kind.as_str()));
        inner.add("disk_gb", volume.disk_gb);
        inner.add_if(volume.default, "default", true);
        inner.add_if(!volume.active, "active", false);
        lines.line(&format!("    {inner},"));
    }
    lines.line("]");
    lines.line("\n[size.prices]");
    for price in prices {
        lines.plain(price.cycle.as_str(), self::price(price));
    }
    for (slug, addon) in addons {
        lines.size_addon(slug, addon);
    }
    lines.0
}

/// The amount alone, if there is no more to say.
fn price(price: &Price) -> String {
    let Price {
        cycle: _,
        price,
        discount_percent,
        default,
        active,
    } = *price;
    let amount = quoted(&decimal(price));
    if discount_percent == Amount::ZERO && !default && active {
        return amount;
    }
    let mut inner = Inline::default();
    inner.add("price", amount);
    inner.add_if(
        discount_percent != Amount::ZERO,
        "discount_percent",
        quoted(&decimal(discount_percent)),
    );
    inner.add_if(default, "default", true);
    inner.add_if(!active, "active", false);
    inner.to_string()
}

/// A text as TOML.
fn quoted(text: &str) -> String {
    toml_edit::Value::from(text).to_string()
}

/// The lines of an item.
struct Lines(String);

impl Lines {
    fn item(noun: &str, slug: &str) -> Self {
        let mut lines = Self(format!("\n[[{noun}]]\n"));
        lines.text("slug", slug);
        lines
    }

    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn plain(&mut self, name: &str, value: impl Display) {
        self.line(&format!("{name} = {value}"));
    }

    fn text(&mut self, name: &str, text: &str) {
        self.plain(name, quoted(text));
    }

    fn text_unless(&mut self, name: &str, text: &str, usual: &str) {
        if text != usual {
            self.text(name, text);
        }
    }

    fn flag(&mut self, name: &str, value: bool, usual: bool) {
        if value != usual {
            self.plain(name, value);
        }
    }

    fn whole_unless_zero(&mut self, name: &str, value: i64) {
        if value != 0 {
            self.plain(name, value);
        }
    }

    fn size_addon(&mut self, slug: &str, addon: &SizeAddon) {
        let SizeAddon {
            included,
            default,
            active,
            prices,
        } = addon;
        // Slugs are letters, digits, - and _, which a bare key may have; one from elsewhere is quoted.
        self.line(&format!("\n[size.addons.{}]", toml_edit::Key::new(slug)));
        self.flag("included", *included, false);
        self.flag("default", *default, false);
        self.flag("active", *active, true);
        if !prices.is_empty() {
            let mut inner = Inline::default();
            for price in prices {
                inner.add(price.cycle.as_str(), self::price(price));
            }
            self.plain("prices", inner);
        }
    }
}

/// `{ price = "3.99", default = true }`
#[derive(Default)]
struct Inline(String);

impl Inline {
    fn add(&mut self, name: &str, value: impl Display) {
        let before = if self.0.is_empty() { "" } else { ", " };
        // Writing to a text can't fail.
        let _ = write!(self.0, "{before}{name} = {value}");
    }

    fn add_if(&mut self, said: bool, name: &str, value: impl Display) {
        if said {
            self.add(name, value);
        }
    }
}

impl Display for Inline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{ {} }}", self.0)
    }
}
