//! What a key may be set to: decisions without I/O.

use kernel::{audit::Changes, config::Network, http::Faults, json::JsonText, time::Time};

use super::{api::Edits, rows::KeyRow};
use crate::credentials::Scope;

/// What is wrong with what a client wants of a key, at `now`.
pub(super) fn faults(edits: &Edits, now: Time) -> Faults {
    let mut faults = Faults::default();
    if let Some(scopes) = &edits.scopes {
        faults.check("scopes", !scopes.is_empty(), "This list may not be empty.");
    }
    for source in edits.allowed_ips.iter().flatten() {
        if let Err(message) = network(source) {
            faults.add("allowed_ips", message);
        }
    }
    if let Some(Some(end)) = edits.expires_at {
        faults.check("expires_at", end > now, "Ensure this time is in the future.");
    }
    faults
}

/// An address or a network, as it is stored: written in one way, and without bits that mean nothing.
fn network(text: &str) -> Result<String, String> {
    let network: Network = text.parse()?;
    if network.is_mapped_ipv4() {
        return Err(format!(
            "`{text}` is an IPv4 address in the form of an IPv6 one: write it as IPv4."
        ));
    }
    let whole = network.whole();
    if whole != network {
        return Err(format!(
            "`{text}` is an address inside a network: write `{whole}` for the network."
        ));
    }
    Ok(whole.to_string())
}

/// Scopes in the documented order, each once.
fn in_order(scopes: &[Scope]) -> JsonText {
    let held: Vec<Scope> = Scope::ALL
        .iter()
        .filter(|scope| scopes.contains(scope))
        .copied()
        .collect();
    JsonText::of(&held)
}

/// Sources in the order given, each once. Those that can't be read have been refused before.
fn in_one_form(sources: &[String]) -> JsonText {
    let mut kept: Vec<String> = Vec::new();
    for source in sources.iter().filter_map(|source| network(source).ok()) {
        if !kept.contains(&source) {
            kept.push(source);
        }
    }
    JsonText::of(&kept)
}

/// The row with the edits, which have no faults, made to it.
pub(super) fn edited(row: &KeyRow, edits: &Edits) -> KeyRow {
    let mut new = row.clone();
    if let Some(name) = &edits.name {
        new.name.clone_from(name);
    }
    if let Some(scopes) = &edits.scopes {
        new.scopes = in_order(scopes);
    }
    if let Some(sources) = &edits.allowed_ips {
        new.allowed_ips = in_one_form(sources);
    }
    if let Some(end) = edits.expires_at {
        new.expires_at = end;
    }
    new
}

/// What differs between two states of a key, for the audit log.
pub(super) fn changes(old: &KeyRow, new: &KeyRow) -> Changes {
    let list = |text: &JsonText| text.read::<Vec<String>>().unwrap_or_default();
    let mut changes = Changes::default();
    changes.note("name", &old.name, &new.name);
    changes.note("scopes", &list(&old.scopes), &list(&new.scopes));
    changes.note("allowed_ips", &list(&old.allowed_ips), &list(&new.allowed_ips));
    changes.note("expires_at", &old.expires_at, &new.expires_at);
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_addresses_and_whole_networks() {
        for (given, kept) in [
            ("203.0.113.7", "203.0.113.7"),
            ("203.0.113.7/32", "203.0.113.7"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:DB8:0::1", "2001:db8::1"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(network(given).as_deref(), Ok(kept), "{given}");
        }
        for (given, said) in [
            ("10.0.0.5/8", "write `10.0.0.0/8`"),
            ("2001:db8::1/64", "write `2001:db8::/64`"),
            ("::ffff:10.0.0.1", "write it as IPv4"),
            ("10.0.0.0/33", "no address"),
            ("10.0.0/8", "no address"),
            ("010.0.0.1", "no address"),
            ("example.org", "no address"),
            ("10.0.0.1 ", "no address"),
            ("fe80::1%eth0", "no address"),
            ("10.0.0.0/+8", "no address"),
            ("10.0.0.0/", "no address"),
        ] {
            let message = network(given).unwrap_err();
            assert!(
                message.contains(said) && message.contains(given.trim()),
                "{given}: {message}"
            );
        }
    }

    #[test]
    fn every_bad_source_is_named() {
        let edits = Edits {
            scopes: Some(Vec::new()),
            allowed_ips: Some(vec!["x".to_owned(), "10.0.0.1".to_owned(), "y".to_owned()]),
            expires_at: Some(Some(Time::from_micros(5))),
            ..Edits::default()
        };
        let found = faults(&edits, Time::from_micros(5)).to_value();
        assert_eq!(found["allowed_ips"].as_array().unwrap().len(), 2, "{found}");
        assert_eq!(found["scopes"][0], "This list may not be empty.");
        assert_eq!(found["expires_at"][0], "Ensure this time is in the future.");
        assert!(faults(&Edits::default(), Time::from_micros(5)).is_empty());
    }

    #[test]
    fn lists_are_kept_once_and_in_order() {
        let scopes = in_order(&[Scope::ComputeWrite, Scope::ProjectsRead, Scope::ComputeWrite]);
        assert_eq!(scopes.as_str(), r#"["projects:read","compute:write"]"#);
        let sources = ["10.0.0.1/32", "::1", "10.0.0.1"].map(str::to_owned);
        assert_eq!(in_one_form(&sources).as_str(), r#"["10.0.0.1","::1"]"#);
    }
}
