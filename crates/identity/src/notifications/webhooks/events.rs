//! Which events a webhook wants: slugs, and groups of them.

use kernel::http::Faults;

use super::rows::WebhookRow;
use crate::notifications::events::Events;

/// Whether an entry of a webhook's list means an event.
fn means(entry: &str, slug: &str) -> bool {
    match entry.strip_suffix('*') {
        Some(group) => slug.starts_with(group),
        None => entry == slug,
    }
}

impl WebhookRow {
    /// Whether an event is posted there. An empty list means all.
    pub(in crate::notifications) fn wants(&self, slug: &str) -> bool {
        let entries: Vec<String> = self.events.read().unwrap_or_default();
        entries.is_empty() || entries.iter().any(|entry| means(entry, slug))
    }
}

/// Names every entry that means no event of organizations.
pub(super) fn check(entries: &[String], events: &Events, faults: &mut Faults) {
    for entry in entries {
        let is_group = entry.ends_with(".*") || !entry.contains('*');
        let is_known = events
            .of_organizations()
            .any(|(event, _)| means(entry, event.slug));
        faults.check(
            "events",
            is_group && is_known,
            format!("\"{entry}\" is not a valid choice."),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notifications::events::EVENTS;

    #[test]
    fn entries_mean_events_or_groups_of_them() {
        assert!(means("invoice.*", "invoice.paid") && means("invoice.paid", "invoice.paid"));
        assert!(!means("invoice.*", "invoices.paid") && !means("invoice", "invoice.paid"));
        let events = Events::new(&[EVENTS]);
        let faults = |entry: &str| {
            let mut faults = Faults::default();
            check(&[entry.to_owned()], &events, &mut faults);
            !faults.is_empty()
        };
        assert!(!faults("organization.*") && !faults("organization.member_joined"));
        for bad in [
            "*",
            "org*",
            "organization.*.x",
            "nonsense",
            "account.deletion",
            "security.*",
            "",
        ] {
            assert!(faults(bad), "{bad}");
        }
    }
}
