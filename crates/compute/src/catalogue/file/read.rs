//! From text to a catalogue file, or to all that is wrong with it at once, each fault with its line.

use std::{collections::BTreeMap, fmt};

use kernel::money::Amount;
use toml_edit::{ImDocument, Item, TableLike};

use super::model::{Addon, CatalogueFile, Image, Location, Price, Size, SizeAddon, Volume};
use crate::catalogue::api::{BillingType, CpuModel, PriceCycle, Visibility, VolumeType};

/// Something wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Counted from 1.
    pub line: usize,
    /// Where it is: `size vps-s: prices.monthly`. Empty if the text is no TOML at all.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

const LONGEST_SLUG: usize = 50;
const LONGEST_DESCRIPTION: usize = 10_000;
/// The bound of the API's numbers.
const LARGEST: i64 = 4_294_967_295;
/// The API shows six digits before the point.
const HIGHEST_PRICE: Amount = Amount::from_ten_thousandths(9_999_999_999);

impl CatalogueFile {
    /// Reads a file.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of lines.
    pub fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        let document = ImDocument::parse(text).map_err(|error| {
            vec![Fault {
                line: error.span().map_or(1, |span| line_at(text, span.start)),
                path: String::new(),
                message: error.message().to_owned(),
            }]
        })?;
        let mut root = Fields::root(text, document.as_table());
        let file = Self {
            locations: root.items("location", location),
            addons: root.items("addon", addon),
            images: root.items("image", image),
            sizes: root.items("size", size),
        };
        let mut faults = root.finish();
        unknown_addons(text, document.as_table(), &file, &mut faults);
        if faults.is_empty() {
            return Ok(file);
        }
        faults.sort_by_key(|fault| fault.line);
        Err(faults)
    }
}

fn location(fields: &mut Fields<'_>) -> Location {
    let location = Location {
        name: fields.text("name", 100),
        country_code: fields.text("country_code", 2),
        active: fields.flag("active", true),
    };
    let code = &location.country_code;
    let is_code = code.is_empty() || (code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase()));
    fields.check("country_code", is_code, "must be a code of ISO 3166 such as FR");
    location
}

fn addon(fields: &mut Fields<'_>) -> Addon {
    Addon {
        name: fields.text("name", 100),
        name_fr: fields.text_or("name_fr", "", 100),
        description: fields.text_or("description", "", LONGEST_DESCRIPTION),
        description_fr: fields.text_or("description_fr", "", LONGEST_DESCRIPTION),
        billing_type: fields.word_or(
            "billing_type",
            BillingType::Recurring,
            BillingType::from_word,
            &words(BillingType::ALL.iter().map(|word| word.as_str())),
        ),
        active: fields.flag("active", true),
    }
}

fn image(fields: &mut Fields<'_>) -> Image {
    Image {
        name: fields.text("name", 255),
        description: fields.text_or("description", "", LONGEST_DESCRIPTION),
        visibility: fields.word_or(
            "visibility",
            Visibility::Public,
            Visibility::from_word,
            &words(Visibility::ALL.iter().map(|word| word.as_str())),
        ),
        os_name: fields.text("os_name", 100),
        os_version: fields.text_or("os_version", "", 50),
        os_architecture: fields.text_or("os_architecture", "x86_64", 20),
        language: fields.text_or("language", "en", 10),
        featured: fields.flag("featured", false),
        windows: fields.flag("windows", false),
        requires_license_addon: fields.flag("requires_license_addon", false),
        min_disk_gb: fields.whole_or("min_disk_gb", 0, 0),
        min_ram_mb: fields.whole_or("min_ram_mb", 0, 0),
        active: fields.flag("active", true),
    }
}

fn size(fields: &mut Fields<'_>) -> Size {
    let mut size = Size {
        name: fields.text("name", 100),
        description: fields.text_or("description", "", LONGEST_DESCRIPTION),
        cpu_model: fields.word(
            "cpu_model",
            CpuModel::E52680V4,
            CpuModel::from_word,
            &words(CpuModel::ALL.iter().map(|word| word.as_str())),
        ),
        vcpu: fields.whole("vcpu", 1),
        ram_mb: fields.whole("ram_mb", 1),
        bandwidth_mbps: fields.whole("bandwidth_mbps", 0),
        active: fields.flag("active", true),
        volumes: fields.list("volumes", volume),
        prices: prices(fields, true),
        addons: fields.named("addons", size_addon),
    };
    size.sort();
    let twins = |pair: &[Volume]| (pair[0].kind, pair[0].disk_gb) == (pair[1].kind, pair[1].disk_gb);
    fields.check(
        "volumes",
        !size.volumes.windows(2).any(twins),
        "has two of the same type and size",
    );
    let defaults = |count: usize| count < 2;
    let volumes = size.volumes.iter().filter(|volume| volume.default).count();
    fields.check("volumes", defaults(volumes), "has more than one default");
    let prices = size.prices.iter().filter(|price| price.default).count();
    fields.check("prices", defaults(prices), "has more than one default");
    if size.active {
        let has_volume = size.volumes.iter().any(|volume| volume.active);
        fields.check("volumes", has_volume, "an active size needs an active volume");
        let has_price = size.prices.iter().any(|price| price.active);
        fields.check("prices", has_price, "an active size needs an active price");
    }
    size
}

fn volume(fields: &mut Fields<'_>) -> Volume {
    let volume = Volume {
        kind: fields.word(
            "type",
            VolumeType::Ssd,
            VolumeType::from_word,
            &words(VolumeType::ALL.iter().map(|word| word.as_str())),
        ),
        disk_gb: fields.whole("disk_gb", 1),
        default: fields.flag("default", false),
        active: fields.flag("active", true),
    };
    fields.check(
        "default",
        volume.active || !volume.default,
        "what is not on offer can't be the default",
    );
    volume
}

fn size_addon(fields: &mut Fields<'_>) -> SizeAddon {
    let addon = SizeAddon {
        included: fields.flag("included", false),
        default: fields.flag("default", false),
        active: fields.flag("active", true),
        prices: prices(fields, false),
    };
    let has_price = addon.prices.iter().any(|price| price.active);
    let can_be_had = addon.included || !addon.active || has_price;
    fields.check(
        "prices",
        can_be_had,
        "an add-on that is not included needs an active price",
    );
    addon
}

/// A table of prices by cycle: `monthly = "3.99"`, or a table with what else is to be said of it.
fn prices(fields: &mut Fields<'_>, of_size: bool) -> Vec<Price> {
    let Some(mut table) = fields.table("prices") else {
        return Vec::new();
    };
    let mut prices = Vec::new();
    for cycle in PriceCycle::ALL {
        let name = cycle.as_str();
        let Some(item) = table.take(name) else {
            continue;
        };
        let plain = |price| Price::of_addon(*cycle, price, true);
        if item.as_table_like().is_none() {
            prices.push(plain(table.amount(name, item, HIGHEST_PRICE, 4)));
            continue;
        }
        let Some(mut inner) = table.child(name, item) else {
            continue;
        };
        let mut price = plain(inner.price());
        price.active = inner.flag("active", true);
        if of_size {
            price.default = inner.flag("default", false);
            price.discount_percent = inner.discount();
            inner.check(
                "default",
                price.active || !price.default,
                "what is not on offer can't be the default",
            );
        }
        prices.push(price);
        table.end(inner);
    }
    fields.end(table);
    prices
}

/// Sizes name add-ons that must be in the file.
fn unknown_addons(text: &str, root: &dyn TableLike, file: &CatalogueFile, faults: &mut Vec<Fault>) {
    let sizes = root.get("size").and_then(Item::as_array_of_tables);
    for table in sizes.into_iter().flatten() {
        let slug = table.get("slug").and_then(Item::as_str).unwrap_or("?");
        let named = table.get("addons").and_then(Item::as_table_like);
        for (name, item) in named.into_iter().flat_map(TableLike::iter) {
            if !file.addons.contains_key(name) {
                faults.push(Fault {
                    line: line_of(text, named, name, item).unwrap_or(1),
                    path: format!("size {slug}: addons.{name}"),
                    message: "there is no such add-on in the file".to_owned(),
                });
            }
        }
    }
}

fn words(words: impl Iterator<Item = &'static str>) -> String {
    words.collect::<Vec<_>>().join(", ")
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

fn line_of(text: &str, table: Option<&dyn TableLike>, name: &str, item: &Item) -> Option<usize> {
    let key = table
        .and_then(|table| table.key(name))
        .and_then(toml_edit::Key::span);
    let span = key.or_else(|| item.span())?;
    Some(line_at(text, span.start))
}

/// The fields of a table while they are read: which are known, and what was wrong with them.
struct Fields<'t> {
    text: &'t str,
    table: &'t dyn TableLike,
    /// `size vps-s: `, or nothing for the whole file.
    owner: String,
    /// `prices.`, below the owner.
    prefix: String,
    line: usize,
    known: Vec<&'t str>,
    faults: Vec<Fault>,
}

impl<'t> Fields<'t> {
    fn root(text: &'t str, table: &'t dyn TableLike) -> Self {
        Self {
            text,
            table,
            owner: String::new(),
            prefix: String::new(),
            line: 1,
            known: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// The fields of an item.
    fn below(&self, table: &'t dyn TableLike, line: usize, owner: String, prefix: String) -> Self {
        Self {
            line,
            owner,
            prefix,
            ..Self::root(self.text, table)
        }
    }

    /// An item by its name, which is known from now on.
    fn take(&mut self, name: &'t str) -> Option<&'t Item> {
        self.known.push(name);
        self.table.get(name).filter(|item| !item.is_none())
    }

    fn fault(&mut self, name: &str, message: impl Into<String>) {
        let item = self.table.get(name);
        let line = item.and_then(|item| line_of(self.text, Some(self.table), name, item));
        self.faults.push(Fault {
            line: line.unwrap_or(self.line),
            path: format!("{}{}{name}", self.owner, self.prefix),
            message: message.into(),
        });
    }

    fn check(&mut self, name: &str, holds: bool, message: &str) {
        if !holds {
            self.fault(name, message);
        }
    }

    fn required(&mut self, name: &'t str) -> Option<&'t Item> {
        let item = self.take(name);
        self.check(name, item.is_some(), "is missing");
        item
    }

    fn text(&mut self, name: &'t str, longest: usize) -> String {
        let item = self.required(name);
        let text = item
            .map(|item| self.read_text(name, item, longest))
            .unwrap_or_default();
        let blank = item.is_some_and(|item| item.as_str().is_some_and(|text| text.trim().is_empty()));
        self.check(name, !blank, "may not be blank");
        text
    }

    fn text_or(&mut self, name: &'t str, otherwise: &str, longest: usize) -> String {
        match self.take(name) {
            Some(item) => self.read_text(name, item, longest),
            None => otherwise.to_owned(),
        }
    }

    fn read_text(&mut self, name: &str, item: &Item, longest: usize) -> String {
        let Some(text) = item.as_str() else {
            self.fault(
                name,
                format!("must be a text in quotes, not {}", item.type_name()),
            );
            return String::new();
        };
        let long = text.chars().count() > longest;
        self.check(name, !long, &format!("has more than {longest} characters"));
        self.check(
            name,
            !text.contains('\0'),
            "has a character that can't be kept (NUL)",
        );
        text.to_owned()
    }

    fn flag(&mut self, name: &'t str, otherwise: bool) -> bool {
        let Some(item) = self.take(name) else {
            return otherwise;
        };
        item.as_bool().unwrap_or_else(|| {
            self.fault(name, format!("must be true or false, not {}", item.type_name()));
            otherwise
        })
    }

    fn whole(&mut self, name: &'t str, least: i64) -> i64 {
        let item = self.required(name);
        item.map_or(least, |item| self.read_whole(name, item, least))
    }

    fn whole_or(&mut self, name: &'t str, otherwise: i64, least: i64) -> i64 {
        let item = self.take(name);
        item.map_or(otherwise, |item| self.read_whole(name, item, least))
    }

    fn read_whole(&mut self, name: &str, item: &Item, least: i64) -> i64 {
        let value = item
            .as_integer()
            .filter(|value| (least..=LARGEST).contains(value));
        value.unwrap_or_else(|| {
            self.fault(name, format!("must be a whole number from {least} to {LARGEST}"));
            least
        })
    }

    fn word<T>(&mut self, name: &'t str, otherwise: T, read: fn(&str) -> Option<T>, all: &str) -> T {
        self.check(name, self.table.contains_key(name), "is missing");
        self.word_or(name, otherwise, read, all)
    }

    fn word_or<T>(&mut self, name: &'t str, otherwise: T, read: fn(&str) -> Option<T>, all: &str) -> T {
        let Some(item) = self.take(name) else {
            return otherwise;
        };
        item.as_str().and_then(read).unwrap_or_else(|| {
            self.fault(name, format!("must be one of: {all}"));
            otherwise
        })
    }

    fn price(&mut self) -> Amount {
        let item = self.required("price");
        item.map_or(Amount::ZERO, |item| self.amount("price", item, HIGHEST_PRICE, 4))
    }

    fn discount(&mut self) -> Amount {
        let item = self.take("discount_percent");
        item.map_or(Amount::ZERO, |item| {
            self.amount("discount_percent", item, Amount::from_cents(10_000), 2)
        })
    }

    /// An exact decimal: a text, since the numbers of TOML are binary.
    fn amount(&mut self, name: &str, item: &Item, most: Amount, places: usize) -> Amount {
        let Some(text) = item.as_str() else {
            self.fault(name, "must be a decimal in quotes such as \"3.99\"");
            return Amount::ZERO;
        };
        let short = text
            .split_once('.')
            .is_none_or(|(_, after)| after.len() <= places);
        match Amount::parse(text).filter(|amount| short && *amount >= Amount::ZERO && *amount <= most) {
            Some(amount) => amount,
            None => {
                self.fault(
                    name,
                    format!(
                        "\"{text}\" is no decimal from 0 to {} with at most {places} places",
                        super::model::decimal(most)
                    ),
                );
                Amount::ZERO
            }
        }
    }

    /// A table below this one.
    fn table(&mut self, name: &'t str) -> Option<Self> {
        let item = self.take(name)?;
        self.child(name, item)
    }

    fn child(&mut self, name: &str, item: &'t Item) -> Option<Self> {
        let Some(table) = item.as_table_like() else {
            self.fault(name, format!("must be a table, not {}", item.type_name()));
            return None;
        };
        let line = line_of(self.text, Some(self.table), name, item).unwrap_or(self.line);
        let prefix = format!("{}{name}.", self.prefix);
        Some(self.below(table, line, self.owner.clone(), prefix))
    }

    /// Tables below this one by their names, which are anyone's choice.
    fn named<T>(&mut self, name: &'t str, read: fn(&mut Self) -> T) -> BTreeMap<String, T> {
        let mut all = BTreeMap::new();
        let Some(mut table) = self.table(name) else {
            return all;
        };
        let entries = table.table;
        for (key, item) in entries.iter() {
            table.known.push(key);
            if let Some(mut inner) = table.child(key, item) {
                all.insert(key.to_owned(), read(&mut inner));
                table.end(inner);
            }
        }
        self.end(table);
        all
    }

    /// A list of small tables.
    fn list<T>(&mut self, name: &'t str, read: fn(&mut Self) -> T) -> Vec<T> {
        let Some(item) = self.take(name) else {
            return Vec::new();
        };
        let mut tables: Vec<(&'t dyn TableLike, Option<usize>)> = Vec::new();
        if let Some(array) = item.as_array_of_tables() {
            tables.extend(
                array
                    .iter()
                    .map(|table| (table as &dyn TableLike, table.span().map(|span| span.start))),
            );
        } else if let Some(array) = item.as_array()
            && array.iter().all(toml_edit::Value::is_inline_table)
        {
            let inline = array.iter().filter_map(|value| value.as_inline_table());
            tables.extend(inline.map(|table| (table as &dyn TableLike, table.span().map(|span| span.start))));
        } else {
            self.fault(name, "must be a list of tables");
        }
        let mut all = Vec::new();
        for (number, (table, start)) in tables.into_iter().enumerate() {
            let line = start.map_or(self.line, |start| line_at(self.text, start));
            let prefix = format!("{}{name}[{number}].", self.prefix);
            let mut inner = self.below(table, line, self.owner.clone(), prefix);
            all.push(read(&mut inner));
            self.end(inner);
        }
        all
    }

    /// The items of the file of one kind: `[[size]]` and so on, each with its slug.
    fn items<T>(&mut self, noun: &'t str, read: fn(&mut Self) -> T) -> BTreeMap<String, T> {
        let mut all = BTreeMap::new();
        let Some(item) = self.take(noun) else {
            return all;
        };
        let Some(tables) = item.as_array_of_tables() else {
            self.fault(noun, format!("must be written as [[{noun}]], a table each"));
            return all;
        };
        for table in tables {
            let line = table.span().map_or(1, |span| line_at(self.text, span.start));
            let given = table.get("slug").and_then(Item::as_str);
            let slug = given.unwrap_or("?").to_owned();
            let mut inner = self.below(table, line, format!("{noun} {slug}: "), String::new());
            inner.text("slug", LONGEST_SLUG);
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            let is_plain = given.is_none_or(|slug| slug.bytes().all(plain));
            inner.check("slug", is_plain, "may have letters, digits, - and _ only");
            let is_new = given.is_none() || !all.contains_key(&slug);
            inner.check("slug", is_new, "is another's already");
            let value = read(&mut inner);
            all.insert(slug, value);
            self.end(inner);
        }
        all
    }

    /// Takes over what was wrong with a table below.
    fn end(&mut self, inner: Self) {
        self.faults.extend(inner.finish());
    }

    /// All that was wrong, with the names that nobody knows.
    fn finish(mut self) -> Vec<Fault> {
        let unknown: Vec<&str> = self
            .table
            .iter()
            .map(|(name, _)| name)
            .filter(|name| !self.known.contains(name))
            .collect();
        for name in unknown {
            let known = self.known.join(", ");
            self.fault(name, format!("is not known; known are: {known}"));
        }
        self.faults
    }
}
