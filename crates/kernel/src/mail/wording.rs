//! Times, addresses and roles as letters say them.

use chrono::{Datelike, Timelike};

use crate::{access::Role, language::Language, time::Time};

const ENGLISH: [&str; 12] = [
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
];
const FRENCH: [&str; 12] = [
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
];

/// A day: `1 August 2026`, `1er août 2026`.
pub fn day(time: Time, language: Language) -> String {
    let date = time.to_chrono();
    let month = usize::try_from(date.month0()).unwrap_or(0);
    let (day, year) = (date.day(), date.year());
    match language {
        Language::En => format!("{day} {} {year}", ENGLISH[month]),
        Language::Fr if day == 1 => format!("1er {} {year}", FRENCH[month]),
        Language::Fr => format!("{day} {} {year}", FRENCH[month]),
    }
}

/// A point in time: `1 August 2026, 14:05 UTC`, `1er août 2026 à 14:05 UTC`.
pub fn moment(time: Time, language: Language) -> String {
    let clock = time.to_chrono();
    let (hour, minute) = (clock.hour(), clock.minute());
    let day = day(time, language);
    match language {
        Language::En => format!("{day}, {hour:02}:{minute:02} UTC"),
        Language::Fr => format!("{day} à {hour:02}:{minute:02} UTC"),
    }
}

/// A role as people say it.
pub const fn role(role: Role, language: Language) -> &'static str {
    match (role, language) {
        (Role::Guest, Language::En) => "guest",
        (Role::Guest, Language::Fr) => "invité",
        (Role::Viewer, Language::En) => "viewer",
        (Role::Viewer, Language::Fr) => "lecteur",
        (Role::Editor, Language::En) => "editor",
        (Role::Editor, Language::Fr) => "éditeur",
        (Role::Owner, Language::En) => "owner",
        (Role::Owner, Language::Fr) => "propriétaire",
    }
}

/// An address that its owner recognises and nobody else learns: `a•••@example.org`.
pub fn masked(address: &str) -> String {
    let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    let first: String = local.chars().take(1).collect();
    format!("{first}•••@{domain}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_both_languages() {
        let first = Time::parse("2026-08-01T14:05:59Z").unwrap();
        assert_eq!(moment(first, Language::En), "1 August 2026, 14:05 UTC");
        assert_eq!(moment(first, Language::Fr), "1er août 2026 à 14:05 UTC");
        assert_eq!(
            day(Time::parse("2026-12-31T23:59:00Z").unwrap(), Language::Fr),
            "31 décembre 2026"
        );
    }

    #[test]
    fn masked_addresses_hide_the_person() {
        assert_eq!(masked("ada.lovelace@example.org"), "a•••@example.org");
        assert_eq!(masked("élise@example.org"), "é•••@example.org");
    }
}
