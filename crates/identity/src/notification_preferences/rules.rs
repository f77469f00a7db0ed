//! From what is kept and what is wanted to what will be kept: decisions without I/O.

use std::collections::{BTreeMap, BTreeSet};

use kernel::http::Faults;
use serde::{Deserialize, Serialize};

use super::api::{Digest, NotificationPreferenceUpdate, NotificationPreferencesUpdate};
use crate::notifications::{Event, Events};

/// How a user wants to be told of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ways {
    pub(crate) email: bool,
    pub(crate) in_app: bool,
}

impl Ways {
    const fn default_of(event: &Event) -> Self {
        Self {
            email: event.email,
            in_app: event.in_app,
        }
    }
}

/// What is kept of a user's wishes: as far as they differ from the defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wishes {
    pub(crate) email_enabled: bool,
    pub(crate) digest: Digest,
    pub(crate) events: BTreeMap<String, Ways>,
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            email_enabled: true,
            digest: Digest::Immediate,
            events: BTreeMap::new(),
        }
    }
}

impl Wishes {
    /// How the user is told of an event. What is mandatory is mailed whatever is kept.
    pub(super) fn ways(&self, event: &Event) -> Ways {
        let ways = self.events.get(event.slug).copied();
        let ways = ways.unwrap_or(Ways::default_of(event));
        Ways {
            email: ways.email || event.is_mandatory,
            ..ways
        }
    }

    /// Whether an event is mailed to the user.
    pub(crate) fn wants_mail(&self, event: &Event) -> bool {
        event.is_mandatory || (self.email_enabled && self.ways(event).email)
    }

    /// These wishes with others made to them.
    ///
    /// # Errors
    /// Every event that there is not, that comes twice, or whose mails can't be switched off.
    pub(super) fn with(
        mut self,
        wanted: &NotificationPreferencesUpdate,
        events: &Events,
    ) -> Result<Self, Faults> {
        self.email_enabled = wanted.email_enabled.unwrap_or(self.email_enabled);
        self.digest = wanted.digest.unwrap_or(self.digest);
        let mut faults = Faults::default();
        let mut seen = BTreeSet::new();
        for (index, wish) in wanted.preferences.iter().enumerate() {
            let mut own = Faults::default();
            if !seen.insert(wish.event.as_str()) {
                own.add("event", format!("\"{}\" comes twice.", wish.event));
            } else if let Err((field, message)) = self.take(wish, events) {
                own.add(field, message);
            }
            if !own.is_empty() {
                faults.nest(&index.to_string(), own);
            }
        }
        if faults.is_empty() {
            return Ok(self);
        }
        let mut outer = Faults::default();
        outer.nest("preferences", faults);
        Err(outer)
    }

    fn take(
        &mut self,
        wish: &NotificationPreferenceUpdate,
        events: &Events,
    ) -> Result<(), (&'static str, String)> {
        let slug = &wish.event;
        let event = events
            .find(slug)
            .ok_or_else(|| ("event", format!("\"{slug}\" is not a valid choice.")))?;
        if event.is_mandatory && wish.email == Some(false) {
            return Err(("email", format!("Mails about \"{slug}\" can't be switched off.")));
        }
        let now = self.ways(event);
        let ways = Ways {
            email: wish.email.unwrap_or(now.email),
            in_app: wish.in_app.unwrap_or(now.in_app),
        };
        if ways == Ways::default_of(event) {
            self.events.remove(slug);
        } else {
            self.events.insert(slug.clone(), ways);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notifications::Category;

    fn events() -> Events {
        Events::new(&[&[
            Event::optional("invoice.paid", Category::Billing, "", ""),
            Event::optional("backup.failed", Category::Compute, "", ""),
            Event::mandatory("invoice.overdue", Category::Billing, "", ""),
            Event::quiet("instance.created", Category::Compute, "", ""),
        ]])
    }

    fn wish(event: &str, email: Option<bool>) -> NotificationPreferenceUpdate {
        NotificationPreferenceUpdate {
            event: event.to_owned(),
            email,
            in_app: None,
        }
    }

    fn wanted(preferences: Vec<NotificationPreferenceUpdate>) -> NotificationPreferencesUpdate {
        NotificationPreferencesUpdate {
            email_enabled: None,
            digest: None,
            preferences,
        }
    }

    #[test]
    fn only_what_differs_is_kept() {
        let changed = Wishes::default()
            .with(
                &wanted(vec![
                    wish("invoice.paid", Some(false)),
                    wish("backup.failed", Some(true)),
                ]),
                &events(),
            )
            .unwrap();
        assert_eq!(changed.events.keys().collect::<Vec<_>>(), ["invoice.paid"]);
        let back = changed
            .with(&wanted(vec![wish("invoice.paid", Some(true))]), &events())
            .unwrap();
        assert_eq!(back, Wishes::default());
    }

    #[test]
    fn faults_are_named_by_place_and_event() {
        let faults = Wishes::default()
            .with(
                &wanted(vec![
                    wish("invoice.overdue", Some(false)),
                    wish("nonsense", None),
                    wish("invoice.paid", None),
                    wish("invoice.paid", None),
                ]),
                &events(),
            )
            .unwrap_err()
            .to_value();
        assert_eq!(
            faults["preferences"]["0"]["email"][0],
            "Mails about \"invoice.overdue\" can't be switched off."
        );
        assert_eq!(
            faults["preferences"]["1"]["event"][0],
            "\"nonsense\" is not a valid choice."
        );
        assert_eq!(
            faults["preferences"]["3"]["event"][0],
            "\"invoice.paid\" comes twice."
        );
        assert!(faults["preferences"]["2"].is_null());
    }

    #[test]
    fn the_master_switch_leaves_what_is_mandatory() {
        let off = Wishes {
            email_enabled: false,
            ..Wishes::default()
        };
        for event in events().all() {
            assert_eq!(off.wants_mail(event), event.is_mandatory, "{}", event.slug);
            assert_eq!(Wishes::default().wants_mail(event), event.email, "{}", event.slug);
        }
    }
}
