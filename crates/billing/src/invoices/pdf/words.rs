//! The words of a printed invoice, and how each language writes dates and amounts.

use kernel::{language::Language, money::Amount};

use crate::calendar::Day;

/// All that is written on an invoice besides its facts.
pub(super) struct Words {
    pub(super) invoice: &'static str,
    pub(super) credit_note: &'static str,
    pub(super) seller: &'static str,
    pub(super) customer: &'static str,
    pub(super) issued: &'static str,
    pub(super) due: &'static str,
    pub(super) payable_until: &'static str,
    pub(super) paid_on: &'static str,
    pub(super) takes_back: &'static str,
    pub(super) purchase_order: &'static str,
    pub(super) vat_number: &'static str,
    pub(super) description: &'static str,
    pub(super) quantity: &'static str,
    pub(super) unit_price: &'static str,
    pub(super) discount: &'static str,
    pub(super) tax_rate: &'static str,
    pub(super) net: &'static str,
    pub(super) subtotal: &'static str,
    /// Before a rate, and between it and what it is taken of.
    pub(super) tax: (&'static str, &'static str),
    pub(super) total: &'static str,
    pub(super) credit_applied: &'static str,
    pub(super) paid: &'static str,
    pub(super) amount_due: &'static str,
    pub(super) credited: &'static str,
    /// Between the first and the last day of a period.
    pub(super) until: &'static str,
    pub(super) continued: &'static str,
    pub(super) page: (&'static str, &'static str),
    pub(super) stamps: Stamps,
    months: [&'static str; 12],
    language: Language,
}

/// What stands across an invoice that is not simply open.
pub(super) struct Stamps {
    pub(super) paid: &'static str,
    pub(super) overdue: &'static str,
    pub(super) cancelled: &'static str,
    pub(super) refunded: &'static str,
}

const ENGLISH: Words = Words {
    invoice: "Invoice",
    credit_note: "Credit note",
    seller: "From",
    customer: "Billed to",
    issued: "Date of issue",
    due: "Due date",
    payable_until: "Payable until",
    paid_on: "Paid on",
    takes_back: "Original invoice",
    purchase_order: "Purchase order",
    vat_number: "VAT number",
    description: "Description",
    quantity: "Quantity",
    unit_price: "Unit price",
    discount: "Discount",
    tax_rate: "VAT",
    net: "Net amount",
    subtotal: "Total excluding VAT",
    tax: ("VAT", "of"),
    total: "Total including VAT",
    credit_applied: "Paid from credit",
    paid: "Paid",
    amount_due: "Amount due",
    credited: "This amount has been added to the credit of the account.",
    until: "to",
    continued: "Continued on the next page",
    page: ("Page", "of"),
    stamps: Stamps {
        paid: "Paid",
        overdue: "Overdue",
        cancelled: "Cancelled",
        refunded: "Refunded",
    },
    months: [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
    language: Language::En,
};

const FRENCH: Words = Words {
    invoice: "Facture",
    credit_note: "Avoir",
    seller: "Émetteur",
    customer: "Facturé à",
    issued: "Date d'émission",
    due: "Date d'échéance",
    payable_until: "Payable jusqu'au",
    paid_on: "Payée le",
    takes_back: "Facture d'origine",
    purchase_order: "Bon de commande",
    vat_number: "N° de TVA",
    description: "Désignation",
    quantity: "Quantité",
    unit_price: "Prix unitaire",
    discount: "Remise",
    tax_rate: "TVA",
    net: "Montant HT",
    subtotal: "Total HT",
    tax: ("TVA", "sur"),
    total: "Total TTC",
    credit_applied: "Payé par crédit",
    paid: "Payé",
    amount_due: "Reste à payer",
    credited: "Ce montant a été ajouté au crédit du compte.",
    until: "au",
    continued: "Suite page suivante",
    page: ("Page", "sur"),
    stamps: Stamps {
        paid: "Payée",
        overdue: "En retard",
        cancelled: "Annulée",
        refunded: "Remboursée",
    },
    months: [
        "janvier",
        "février",
        "mars",
        "avril",
        "mai",
        "juin",
        "juillet",
        "août",
        "septembre",
        "octobre",
        "novembre",
        "décembre",
    ],
    language: Language::Fr,
};

/// Keeps a number and its unit on one line.
const NO_BREAK: char = '\u{a0}';

impl Words {
    pub(super) const fn of(language: Language) -> &'static Self {
        match language {
            Language::En => &ENGLISH,
            Language::Fr => &FRENCH,
        }
    }

    pub(super) const fn language(&self) -> Language {
        self.language
    }

    /// `24 November 2026`.
    pub(super) fn day(&self, day: Day) -> String {
        let (year, month, day) = day.parts();
        let month = usize::try_from(month)
            .ok()
            .and_then(|month| self.months.get(month.checked_sub(1)?))
            .copied()
            .unwrap_or_default();
        let first = if day == 1 && matches!(self.language, Language::Fr) {
            "er"
        } else {
            ""
        };
        format!("{day}{first} {month} {year}")
    }

    /// `€1,234.50`, `1 234,50 €`; other currencies by their code.
    pub(super) fn money(&self, amount: Amount, currency: &str) -> String {
        self.price(amount, currency, 2)
    }

    /// An amount with as many places as it needs, two at least.
    pub(super) fn unit_price(&self, amount: Amount, currency: &str) -> String {
        let digits = amount.fixed::<4>().to_string();
        let needed = digits
            .trim_end_matches('0')
            .rsplit('.')
            .next()
            .map_or(0, str::len);
        self.price(amount, currency, needed.max(2))
    }

    fn price(&self, amount: Amount, currency: &str, places: usize) -> String {
        let number = self.decimal(amount, places);
        let sign = match currency {
            "EUR" => "€",
            "GBP" => "£",
            "USD" => "$",
            code => return format!("{number}{NO_BREAK}{code}"),
        };
        match (self.language, number.strip_prefix('-')) {
            (Language::Fr, _) => format!("{number}{NO_BREAK}{sign}"),
            (Language::En, Some(number)) => format!("-{sign}{number}"),
            (Language::En, None) => format!("{sign}{number}"),
        }
    }

    /// A number without places that are zero: `1`, `12.5`.
    pub(super) fn number(&self, number: Amount) -> String {
        let digits = number.fixed::<4>().to_string();
        let places = digits
            .trim_end_matches('0')
            .rsplit('.')
            .next()
            .map_or(0, str::len);
        self.decimal(number, places)
    }

    /// `20%`, `5,5 %`.
    pub(super) fn percent(&self, rate: Amount) -> String {
        match self.language {
            Language::En => format!("{}%", self.number(rate)),
            Language::Fr => format!("{}{NO_BREAK}%", self.number(rate)),
        }
    }

    fn decimal(&self, amount: Amount, places: usize) -> String {
        let text = match places {
            0..=2 => amount.fixed::<2>().to_string(),
            _ => amount.fixed::<4>().to_string(),
        };
        let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
        let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
        let (group, point) = match self.language {
            Language::En => (',', '.'),
            Language::Fr => (NO_BREAK, ','),
        };
        let mut number = sign.to_owned();
        for (place, digit) in whole.chars().enumerate() {
            if place > 0 && (whole.len() - place).is_multiple_of(3) {
                number.push(group);
            }
            number.push(digit);
        }
        if places > 0 {
            number.push(point);
            number.extend(rest.chars().take(places));
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(text: &str) -> Amount {
        Amount::parse(text).unwrap()
    }

    #[test]
    fn each_language_has_its_way() {
        let (english, french) = (Words::of(Language::En), Words::of(Language::Fr));
        assert_eq!(english.money(amount("-1234567.5"), "EUR"), "-€1,234,567.50");
        assert_eq!(
            french.money(amount("-1234567.5"), "EUR"),
            "-1\u{a0}234\u{a0}567,50\u{a0}€"
        );
        assert_eq!(english.money(amount("12"), "CHF"), "12.00\u{a0}CHF");
        assert_eq!(english.unit_price(amount("0.0075"), "USD"), "$0.0075");
        assert_eq!(english.unit_price(amount("5"), "GBP"), "£5.00");
        assert_eq!(english.number(amount("730.5")), "730.5");
        assert_eq!(french.number(amount("1")), "1");
        assert_eq!(french.percent(amount("25.5")), "25,5\u{a0}%");
        assert_eq!(french.day(Day::parse("2026-08-01").unwrap()), "1er août 2026");
        assert_eq!(english.day(Day::parse("2026-12-24").unwrap()), "24 December 2026");
    }
}
