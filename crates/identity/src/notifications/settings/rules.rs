//! From what is kept and what is wanted to what will be kept: decisions without I/O.

use std::collections::BTreeSet;

use kernel::{audit::Changes, http::Faults, money::Amount};

use super::api::Wanted;
use crate::{notifications::events::Switch, users::email_key};

/// What is kept of an organization's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::notifications) struct Settings {
    /// Whether anything optional is mailed.
    pub(in crate::notifications) email_enabled: bool,
    /// Addresses besides the owners.
    pub(in crate::notifications) recipients: Vec<String>,
    /// The words of switches that are off, in the order of their declaration.
    pub(in crate::notifications) switched_off: Vec<String>,
    /// Below which the owners are warned.
    pub(in crate::notifications) low_balance_threshold: Option<Amount>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            email_enabled: true,
            recipients: Vec::new(),
            switched_off: Vec::new(),
            low_balance_threshold: None,
        }
    }
}

impl Settings {
    /// Whether a switch is on.
    pub(in crate::notifications) fn is_on(&self, switch: Switch) -> bool {
        !self.switched_off.iter().any(|word| word == switch.as_str())
    }

    /// These settings with what is wanted made of them.
    ///
    /// # Errors
    /// Every faulty field.
    pub(super) fn with(&self, wanted: &Wanted) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let mut new = self.clone();
        new.email_enabled = wanted.email_enabled.unwrap_or(self.email_enabled);
        if let Some(recipients) = &wanted.recipients {
            let mut seen = BTreeSet::new();
            for address in recipients {
                let is_new = seen.insert(email_key(address));
                faults.check("recipients", is_new, format!("\"{address}\" comes twice."));
            }
            new.recipients.clone_from(recipients);
        }
        // Those of a later release stay as they are.
        let later = self
            .switched_off
            .iter()
            .filter(|word| Switch::from_word(word).is_none());
        let off = Switch::ALL
            .iter()
            .filter(|switch| !wanted.switch(**switch).unwrap_or(self.is_on(**switch)));
        new.switched_off = off
            .map(|switch| switch.as_str().to_owned())
            .chain(later.cloned())
            .collect();
        if let Some(threshold) = &wanted.low_balance_threshold {
            let read = threshold.as_deref().map(Amount::parse);
            let holds = read.is_none_or(|amount| amount.is_some_and(|amount| amount >= Amount::ZERO));
            faults.check(
                "low_balance_threshold",
                holds,
                "Ensure this value is greater than or equal to 0.",
            );
            new.low_balance_threshold = read.flatten();
        }
        faults.into_result()?;
        Ok(new)
    }

    /// What changes, for the audit log.
    pub(super) fn changes(&self, new: &Self) -> Changes {
        let shown = |amount: Option<Amount>| amount.map(|amount| amount.fixed::<2>().to_string());
        let mut changes = Changes::default();
        changes.note("email_enabled", &self.email_enabled, &new.email_enabled);
        changes.note("recipients", &self.recipients, &new.recipients);
        for switch in Switch::ALL {
            changes.note(switch.as_str(), &self.is_on(*switch), &new.is_on(*switch));
        }
        changes.note(
            "low_balance_threshold",
            &shown(self.low_balance_threshold),
            &shown(new.low_balance_threshold),
        );
        changes
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn wanted(body: Value) -> Wanted {
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn what_is_left_out_stays() {
        let start = Settings {
            switched_off: vec!["notify_tomorrow".to_owned()],
            ..Settings::default()
        };
        let body = json!({"notify_billing": false, "low_balance_threshold": "5.5"});
        let changed = start.with(&wanted(body)).unwrap();
        assert_eq!(changed.switched_off, ["notify_billing", "notify_tomorrow"]);
        assert_eq!(changed.low_balance_threshold, Amount::parse("5.50"));
        let fields: Vec<String> = start.changes(&changed).fields().map(str::to_owned).collect();
        assert_eq!(fields, ["notify_billing", "low_balance_threshold"]);
        assert_eq!(changed.with(&wanted(json!({}))).unwrap(), changed);
        let back = json!({"notify_billing": true, "low_balance_threshold": null});
        assert_eq!(changed.with(&wanted(back)).unwrap(), start);
    }

    #[test]
    fn every_fault_is_named() {
        let body = json!({"recipients": ["a@example.org", "A@example.org"], "low_balance_threshold": "-1"});
        let faults = Settings::default().with(&wanted(body)).unwrap_err().to_value();
        assert_eq!(faults["recipients"], json!(["\"A@example.org\" comes twice."]));
        assert!(faults["low_balance_threshold"].is_array());
        for bad in ["", "-", "."] {
            let body = json!({"low_balance_threshold": bad});
            assert!(Settings::default().with(&wanted(body)).is_err(), "{bad}");
        }
    }
}
