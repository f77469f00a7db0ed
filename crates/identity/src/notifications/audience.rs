//! Who gets a mail.

use std::collections::HashSet;

use diesel::{ExpressionMethods, JoinOnDsl, QueryDsl, RunQueryDsl};
use kernel::{
    access::{Organization, Role, User},
    id::Id,
    language::Language,
    store::{Conn, StoreError},
};

use super::{events::Event, notice::Audience, settings::Settings};
use crate::{
    notification_preferences::{self, Wishes},
    schema::{memberships, users},
    users::email_key,
};

/// Owners that are told, at most.
const MOST_OWNERS: i64 = 20;

/// An owner who can be told.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) id: Id<User>,
    pub(super) address: String,
    pub(super) name: String,
    pub(super) language: Language,
    pub(super) wishes: Wishes,
}

/// Who reads a mail.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reader {
    pub(super) address: String,
    /// For the greeting; may be empty.
    pub(super) name: String,
    pub(super) language: Language,
}

/// The owners of an organization with their wishes, in two queries.
pub(super) fn owners(conn: &mut Conn, organization: Id<Organization>) -> Result<Vec<Owner>, StoreError> {
    let query = memberships::table
        .inner_join(users::table.on(users::id.eq(memberships::user_id)))
        .filter(memberships::organization_id.eq(organization))
        .filter(memberships::role.eq(Role::Owner))
        .filter(users::is_active.eq(true))
        .order((memberships::created, memberships::user_id))
        .limit(MOST_OWNERS)
        .select((users::id, users::email, users::first_name, users::language));
    let found: Vec<(Id<User>, String, String, Language)> = query.load(conn)?;
    let mut wishes = notification_preferences::of_users(conn, found.iter().map(|(id, ..)| *id).collect())?;
    Ok(found
        .into_iter()
        .map(|(id, address, name, language)| Owner {
            id,
            address,
            name,
            language,
            wishes: wishes.remove(&id).unwrap_or_default(),
        })
        .collect())
}

/// Who is mailed an event: the owners (or the addresses that the event names) unless it is optional and they or the
/// organization don't want it, and the further addresses of the settings. Each address once.
pub(super) fn readers(
    event: &Event,
    is_on: bool,
    audience: &Audience,
    settings: &Settings,
    owners: &[Owner],
) -> Vec<Reader> {
    let is_wanted = is_on && settings.email_enabled;
    let mut all = Vec::new();
    match &audience.addresses {
        Some(addresses) if is_wanted || event.is_mandatory => {
            all.extend(addresses.iter().map(|address| Reader {
                address: address.clone(),
                name: String::new(),
                language: audience.language.unwrap_or(Language::En),
            }))
        }
        Some(_) => {}
        None => {
            let told = owners.iter().filter(|owner| {
                event.is_mandatory
                    || (is_wanted && !audience.except.contains(&owner.id) && owner.wishes.wants_mail(event))
            });
            all.extend(told.map(|owner| Reader {
                address: owner.address.clone(),
                name: owner.name.clone(),
                language: audience.language.unwrap_or(owner.language),
            }));
        }
    }
    if is_wanted && event.email {
        // Nobody knows these people's language: that of the first owner is the best guess.
        let language = owners.first().map_or(Language::En, |owner| owner.language);
        all.extend(further(settings, audience.language.unwrap_or(language)));
    }
    once(all)
}

/// The addresses of the settings.
fn further(settings: &Settings, language: Language) -> impl Iterator<Item = Reader> {
    settings.recipients.iter().map(move |address| Reader {
        address: address.clone(),
        name: String::new(),
        language,
    })
}

/// Whom a test is sent to: everybody who could be told by mail.
pub(super) fn everybody(settings: &Settings, owners: &[Owner]) -> Vec<Reader> {
    let language = owners.first().map_or(Language::En, |owner| owner.language);
    let all = owners.iter().map(|owner| Reader {
        address: owner.address.clone(),
        name: owner.name.clone(),
        language: owner.language,
    });
    once(all.chain(further(settings, language)).collect())
}

fn once(mut readers: Vec<Reader>) -> Vec<Reader> {
    let mut seen = HashSet::new();
    readers.retain(|reader| seen.insert(email_key(&reader.address)));
    readers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notifications::events::{MEMBER_JOINED, WEBHOOK_DISABLED};

    fn owner(name: &str, wishes: Wishes) -> Owner {
        Owner {
            id: Id::new(),
            address: format!("{name}@example.org"),
            name: name.to_owned(),
            language: Language::Fr,
            wishes,
        }
    }

    fn told(
        event: &Event,
        is_on: bool,
        audience: &Audience,
        settings: &Settings,
        owners: &[Owner],
    ) -> Vec<String> {
        let readers = readers(event, is_on, audience, settings, owners);
        readers.into_iter().map(|reader| reader.address).collect()
    }

    #[test]
    fn optional_events_follow_switches_and_wishes() {
        let muted = Wishes {
            email_enabled: false,
            ..Wishes::default()
        };
        let owners = [owner("ada", Wishes::default()), owner("grace", muted)];
        let mut settings = Settings {
            recipients: vec!["ops@example.org".to_owned(), "ADA@example.org".to_owned()],
            ..Settings::default()
        };
        let everyone = Audience::default();
        let all = |event, is_on, settings: &Settings| told(event, is_on, &everyone, settings, &owners);
        assert_eq!(
            all(&MEMBER_JOINED, true, &settings),
            ["ada@example.org", "ops@example.org"]
        );
        assert!(all(&MEMBER_JOINED, false, &settings).is_empty());
        // Who has done it knows.
        let except = Audience {
            except: vec![owners[0].id],
            ..Audience::default()
        };
        let without = told(&MEMBER_JOINED, true, &except, &settings, &owners);
        assert_eq!(without, ["ops@example.org", "ADA@example.org"]);
        settings.email_enabled = false;
        assert!(all(&MEMBER_JOINED, true, &settings).is_empty());
        // What is mandatory reaches the owners whatever is switched off, and nobody else then.
        assert_eq!(
            all(&WEBHOOK_DISABLED, false, &settings),
            ["ada@example.org", "grace@example.org"]
        );
    }

    #[test]
    fn addresses_of_the_event_take_the_owners_place() {
        let owners = [owner("ada", Wishes::default())];
        let books = Audience {
            addresses: Some(vec!["books@example.org".to_owned()]),
            ..Audience::default()
        };
        let settings = Settings::default();
        assert_eq!(
            told(&MEMBER_JOINED, true, &books, &settings, &owners),
            ["books@example.org"]
        );
        assert!(told(&MEMBER_JOINED, false, &books, &settings, &owners).is_empty());
        assert_eq!(
            told(&WEBHOOK_DISABLED, false, &books, &settings, &owners),
            ["books@example.org"]
        );
    }
}
