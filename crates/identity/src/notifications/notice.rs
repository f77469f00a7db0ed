//! Something to be told, as areas say it and as it is kept.

use diesel::{Insertable, QueryDsl, Queryable, RunQueryDsl, Selectable};
use kernel::{
    access::{Organization, User},
    id::Id,
    json::JsonText,
    language::Language,
    store::{StoreError, Tx},
    time::Time,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    events::{Event, Switch},
    tell::TellNotices,
};
use crate::schema::{notices, organizations};

/// Names the ids of notices.
#[derive(Debug)]
pub(crate) enum NoticeKind {}

kernel::words! {
    /// Where a notice stands.
    pub(super) enum NoticeState {
        /// Nobody was told yet.
        New = "new",
        /// It waits for a digest.
        Held = "held",
        /// It was told to whom it is for.
        Told = "told",
    }
}

/// Something that has happened in an organization.
#[derive(Clone, Debug)]
pub struct Notice<'a> {
    organization: Id<Organization>,
    event: &'a Event,
    facts: Value,
    letter: Option<Value>,
    switch: Option<Switch>,
    audience: Audience,
}

/// Who is told, as far as the event decides on it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Audience {
    /// Instead of the owners.
    pub(super) addresses: Option<Vec<String>>,
    /// Instead of each reader's own.
    pub(super) language: Option<Language>,
    /// Who has done it, or is told by a letter of their own.
    pub(super) except: Vec<Id<User>>,
}

impl<'a> Notice<'a> {
    /// An event with its facts: an object, which webhooks carry and sentences quote. `organization_id`
    /// is added, and `organization`, the name, if it is missing. Never put a secret in.
    pub fn new(organization: Id<Organization>, event: &'a Event, facts: Value) -> Self {
        Self {
            organization,
            event,
            facts,
            letter: None,
            switch: event.news.and_then(|news| news.switch),
            audience: Audience::default(),
        }
    }

    /// The values of the event's own letter; `name` is added.
    #[must_use]
    pub fn letter(mut self, values: Value) -> Self {
        self.letter = Some(values);
        self
    }

    /// Another switch than the event's.
    #[must_use]
    pub const fn switch(mut self, switch: Switch) -> Self {
        self.switch = Some(switch);
        self
    }

    /// Mails go to these addresses instead of the owners, if there are any, and in this language.
    #[must_use]
    pub fn readers(mut self, addresses: Vec<String>, language: Language) -> Self {
        self.audience.addresses = (!addresses.is_empty()).then_some(addresses);
        self.audience.language = Some(language);
        self
    }

    /// No mail to these users: they have done it, or have a letter of their own. What is mandatory they get all the same.
    #[must_use]
    pub fn except(mut self, users: impl IntoIterator<Item = Id<User>>) -> Self {
        self.audience.except.extend(users);
        self
    }
}

/// A row of `notices`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = notices)]
pub(super) struct NoticeRow {
    pub(super) id: Id<NoticeKind>,
    pub(super) organization_id: Id<Organization>,
    pub(super) event: String,
    pub(super) switch: Option<Switch>,
    pub(super) facts: JsonText,
    pub(super) letter: Option<JsonText>,
    pub(super) audience: JsonText,
    pub(super) state: NoticeState,
    pub(super) created: Time,
}

/// Tells an organization what happens in this transaction, if it is committed: the row of the notice and a task, nothing
/// else. Who is told how is decided when the task runs, a moment later.
///
/// # Errors
/// The database refused.
pub fn notify(tx: &mut Tx<'_>, notice: Notice<'_>) -> Result<(), StoreError> {
    let Notice {
        organization,
        event,
        mut facts,
        letter,
        switch,
        audience,
    } = notice;
    facts["organization_id"] = organization.to_string().into();
    if facts["organization"].is_null() {
        // The name at this time.
        let name: String = organizations::table
            .find(organization)
            .select(organizations::name)
            .first(tx.conn())?;
        facts["organization"] = name.into();
    }
    let row = NoticeRow {
        id: Id::new(),
        organization_id: organization,
        event: event.slug.to_owned(),
        switch,
        facts: JsonText::of(&facts),
        letter: letter.as_ref().map(JsonText::of),
        audience: JsonText::of(&audience),
        state: NoticeState::New,
        created: tx.now(),
    };
    diesel::insert_into(notices::table)
        .values(&row)
        .execute(tx.conn())?;
    tx.enqueue(&TellNotices::task(organization))?;
    Ok(())
}
