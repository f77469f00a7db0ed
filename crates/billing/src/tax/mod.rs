//! VAT: which rate a customer pays, and why.
//!
//! Cloud services are electronically supplied services: taxed where the customer is (Directive 2006/112/EC, articles
//! 44, 58 and 196). That a VAT number is really registered (VIES) is not asked: only its form is looked at.

mod vat_numbers;

use kernel::{money::Amount, time::Time};
use serde::{Deserialize, Serialize};

pub use self::vat_numbers::is_valid as is_valid_vat_number;
use crate::calendar::Day;

/// Countries, rates in percent and since when: see the file for its source and date.
const RATES: &str = include_str!("../../data/eu_vat_rates.csv");

/// Why a rate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Treatment {
    /// The seller charges no tax at all.
    None,
    /// Seller and customer are in the same country.
    Domestic,
    /// A consumer in another member state pays the rate of theirs (article 58).
    Destination,
    /// A business in another member state accounts for the tax itself (article 196).
    ReverseCharge,
    /// The customer is outside of the European Union (articles 44 and 59).
    Export,
}

impl Treatment {
    /// What an invoice must say about it, in English and French; empty where nothing need be said.
    pub const fn notice(self) -> (&'static str, &'static str) {
        match self {
            Self::ReverseCharge => (
                "Reverse charge: VAT to be accounted for by the recipient (article 196 of Directive 2006/112/EC).",
                "Autoliquidation : TVA due par le preneur (article 196 de la directive 2006/112/CE).",
            ),
            Self::Export => (
                "Not subject to VAT: the customer is established outside of the European Union.",
                "Non soumis à la TVA : le client est établi hors de l'Union européenne.",
            ),
            Self::None | Self::Domestic | Self::Destination => ("", ""),
        }
    }
}

/// The tax on everything that a customer buys at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tax {
    /// In percent.
    pub rate: Amount,
    /// Why.
    pub treatment: Treatment,
}

impl Tax {
    /// No tax.
    pub const NONE: Self = Self {
        rate: Amount::ZERO,
        treatment: Treatment::None,
    };

    /// The tax on a net amount of whole cents, rounded half to even to a cent.
    pub fn on(self, net: Amount) -> Amount {
        net.percent(self.rate).to_cents()
    }
}

/// Decides the tax on what `customer_country` buys on the day of `when`.
///
/// Countries are ISO 3166 codes. A customer who has not said where they are counts as one of the seller's country.
pub fn decide(seller_country: &str, customer_country: &str, vat_number: &str, when: Time) -> Tax {
    let Some(domestic) = rate(seller_country, when) else {
        return Tax::NONE;
    };
    let customer = customer_country.trim().to_uppercase();
    let customer = if customer == "EL" {
        "GR".to_owned()
    } else {
        customer
    };
    if customer.is_empty() || customer == seller_country {
        return Tax {
            rate: domestic,
            treatment: Treatment::Domestic,
        };
    }
    match rate(&customer, when) {
        None => Tax {
            rate: Amount::ZERO,
            treatment: Treatment::Export,
        },
        Some(_) if is_valid_vat_number(&customer, vat_number) => Tax {
            rate: Amount::ZERO,
            treatment: Treatment::ReverseCharge,
        },
        Some(rate) => Tax {
            rate,
            treatment: Treatment::Destination,
        },
    }
}

/// The standard rate of a member state on the day of `when`; `None` for other countries.
fn rate(country: &str, when: Time) -> Option<Amount> {
    let day = Day::of(when);
    let rows = RATES.lines().filter(|line| !line.starts_with('#')).skip(1);
    let mut newest: Option<(Day, Amount)> = None;
    let mut oldest: Option<(Day, Amount)> = None;
    for row in rows {
        let mut cells = row.split(',');
        let (Some(code), Some(percent), Some(from)) = (cells.next(), cells.next(), cells.next()) else {
            continue;
        };
        let (Some(percent), Some(from)) = (Amount::parse(percent), Day::parse(from)) else {
            continue;
        };
        if code != country {
            continue;
        }
        if oldest.is_none_or(|(known, _)| from < known) {
            oldest = Some((from, percent));
        }
        if from <= day && newest.is_none_or(|(known, _)| from > known) {
            newest = Some((from, percent));
        }
    }
    newest.or(oldest).map(|(_, percent)| percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tax(customer: &str, vat_number: &str) -> (String, Treatment) {
        let when = Time::parse("2026-11-24T12:00:00Z").unwrap();
        let tax = decide("FR", customer, vat_number, when);
        (tax.rate.fixed::<2>().to_string(), tax.treatment)
    }

    #[test]
    fn the_customers_country_decides() {
        assert_eq!(
            tax("FR", "FR40303265045"),
            ("20.00".to_owned(), Treatment::Domestic)
        );
        assert_eq!(tax("", ""), ("20.00".to_owned(), Treatment::Domestic));
        assert_eq!(tax("de", ""), ("19.00".to_owned(), Treatment::Destination));
        assert_eq!(
            tax("FI", "not a number"),
            ("25.50".to_owned(), Treatment::Destination)
        );
        assert_eq!(
            tax("DE", "DE136695976"),
            ("0.00".to_owned(), Treatment::ReverseCharge)
        );
        assert_eq!(
            tax("CH", "CHE-123.456.788"),
            ("0.00".to_owned(), Treatment::Export)
        );
        assert_eq!(decide("", "DE", "", Time::from_micros(0)), Tax::NONE);
    }

    #[test]
    fn rates_change_with_the_day() {
        let on = |day: &str| {
            rate("EE", Day::parse(day).unwrap().start())
                .unwrap()
                .fixed::<2>()
                .to_string()
        };
        assert_eq!(on("2025-06-30"), "22.00");
        assert_eq!(on("2025-07-01"), "24.00");
        let day = Day::parse("2026-11-24").unwrap().start();
        let countries: std::collections::BTreeSet<&str> = RATES
            .lines()
            .filter(|line| !line.starts_with('#'))
            .skip(1)
            .filter_map(|row| row.split(',').next())
            .collect();
        assert_eq!(countries.len(), 27, "the member states");
        assert!(
            countries
                .iter()
                .all(|country| rate(country, day).is_some_and(Amount::is_positive))
        );
    }
}
