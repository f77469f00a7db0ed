//! From what is kept and what is wanted to what will be kept: decisions without I/O.

use kernel::{audit::Changes, http::Faults, json::JsonText, outbound::Outbound};
use url::Url;

use super::{api::Wanted, events, rows::WebhookRow};
use crate::notifications::events::Events;

/// The host of an address, for people: the rest of it may be as good as a password.
pub(super) fn host(url: &str) -> String {
    let url = Url::parse(url).ok();
    url.and_then(|url| url.host_str().map(str::to_owned))
        .unwrap_or_default()
}

/// The webhook with what is wanted made of it, and what changes.
///
/// # Errors
/// Every faulty field.
pub(super) fn change(
    row: &WebhookRow,
    wanted: &Wanted,
    known: &Events,
    outbound: &Outbound,
) -> Result<(WebhookRow, Changes), Faults> {
    let Wanted {
        url,
        description,
        events: wanted_events,
        is_enabled,
    } = wanted;
    let mut new = row.clone();
    let mut faults = Faults::default();
    if let Some(url) = url {
        if let Err(fault) = outbound.judge(url) {
            faults.add("url", fault.to_string());
        }
        new.url.clone_from(url);
    }
    if let Some(entries) = wanted_events {
        events::check(entries, known, &mut faults);
        let mut entries = entries.clone();
        entries.sort();
        entries.dedup();
        new.events = JsonText::of(&entries);
    }
    if let Some(text) = description {
        new.description.clone_from(text);
    }
    new.is_enabled = is_enabled.unwrap_or(row.is_enabled);
    faults.into_result()?;
    if new.is_enabled && !row.is_enabled || new.url != row.url {
        // Another try, from the beginning.
        new.failing_since = None;
        new.disabled_reason.clear();
    }
    let mut changes = Changes::default();
    if new.url != row.url {
        let before = (!row.url.is_empty()).then(|| host(&row.url));
        let after = format!("{} (another address)", host(&new.url));
        changes.note(
            "url",
            &before,
            &Some(if before.is_some() { after } else { host(&new.url) }),
        );
    }
    changes.note("description", &row.description, &new.description);
    changes.note("events", &row.events, &new.events);
    changes.note("is_enabled", &row.is_enabled, &new.is_enabled);
    Ok((new, changes))
}
