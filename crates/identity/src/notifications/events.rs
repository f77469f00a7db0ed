//! What can be told: data, which areas declare and hand over, and which users' wishes, organizations' settings, mails and
//! webhooks all read.

use std::sync::Arc;

use kernel::{access::Role, language::Language, mail::wording};
use serde_json::Value;

kernel::words! {
    /// What an event is about
    pub enum Category {
        /// Account
        Account = "account",
        /// Security
        Security = "security",
        /// Billing
        Billing = "billing",
        /// Compute
        Compute = "compute",
        /// Domains
        Domains = "domains",
        /// Web Hosting
        WebHosting = "web_hosting",
        /// Organization
        Organization = "organization",
        /// Product News
        ProductNews = "product_news",
    }
}

kernel::words! {
    /// The switches of an organization's notification settings.
    pub enum Switch {
        /// Invoices, payments, failed charges.
        Billing = "notify_billing",
        /// Renewal invoices and expiry reminders.
        Renewals = "notify_renewals",
        /// New API keys, tokens, member and MFA changes.
        Security = "notify_security",
        /// Invitations and membership changes.
        Members = "notify_members",
        /// Instance life cycle and failed tasks.
        Instances = "notify_instances",
        /// Failed backups and snapshots.
        Backups = "notify_backups",
        /// Uptime monitor alerts.
        Uptime = "notify_uptime",
        /// Domain transfers, expiry and DNS zone changes.
        Domains = "notify_domains",
        /// Hosting quotas and certificates.
        WebHosting = "notify_web_hosting",
        /// Planned maintenance.
        Maintenance = "notify_maintenance",
    }
}

/// A kind of news.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// How the API and other areas call it.
    pub slug: &'static str,
    /// What it is about.
    pub category: Category,
    /// In few words.
    pub name: &'static str,
    /// When it comes.
    pub description: &'static str,
    /// Mails can't be switched off: duties of security and billing.
    pub is_mandatory: bool,
    /// Whether it is mailed to who has said nothing.
    pub email: bool,
    /// Whether it is shown in the console to who has said nothing.
    pub in_app: bool,
    /// How organizations are told. Without: it is about one user, and told to that user only.
    pub news: Option<News>,
}

/// How an organization is told of an event.
#[derive(Clone, Copy, Debug)]
pub struct News {
    /// The switch that decides on its mails; none: only `email_enabled` does.
    pub switch: Option<Switch>,
    /// The event's name in French.
    pub name_fr: &'static str,
    /// One sentence, with facts in braces: `{member} has joined as {role}.`
    pub en: &'static str,
    /// The same in French.
    pub fr: &'static str,
    /// A letter of the area's own, instead of the one that all events share.
    pub letter: Option<&'static str>,
}

impl Event {
    /// One that is mailed and shown unless the user does not want it.
    pub const fn optional(
        slug: &'static str,
        category: Category,
        name: &'static str,
        description: &'static str,
    ) -> Self {
        Self {
            slug,
            category,
            name,
            description,
            is_mandatory: false,
            email: true,
            in_app: true,
            news: None,
        }
    }

    /// One whose mails can't be switched off.
    pub const fn mandatory(
        slug: &'static str,
        category: Category,
        name: &'static str,
        description: &'static str,
    ) -> Self {
        Self {
            is_mandatory: true,
            ..Self::optional(slug, category, name, description)
        }
    }

    /// One that is shown in the console only, unless the user asks for mails.
    pub const fn quiet(
        slug: &'static str,
        category: Category,
        name: &'static str,
        description: &'static str,
    ) -> Self {
        Self {
            email: false,
            ..Self::optional(slug, category, name, description)
        }
    }

    /// The same, told to organizations: the switch, its name in French, the sentence in English and in French.
    #[must_use]
    pub const fn told(
        self,
        switch: Option<Switch>,
        name_fr: &'static str,
        en: &'static str,
        fr: &'static str,
    ) -> Self {
        Self {
            news: Some(News {
                switch,
                name_fr,
                en,
                fr,
                letter: None,
            }),
            ..self
        }
    }

    /// The same, mailed by a letter of its own.
    #[must_use]
    pub const fn by_letter(mut self, letter: &'static str) -> Self {
        if let Some(news) = &mut self.news {
            news.letter = Some(letter);
        }
        self
    }

    /// The event's name in a language.
    pub fn name_in(&self, language: Language) -> &'static str {
        match (language, &self.news) {
            (Language::Fr, Some(news)) => news.name_fr,
            _ => self.name,
        }
    }

    /// What has happened, in one sentence.
    pub fn sentence(&self, facts: &Value, language: Language) -> String {
        let pattern = match (language, &self.news) {
            (Language::En, Some(news)) => news.en,
            (Language::Fr, Some(news)) => news.fr,
            (_, None) => self.description,
        };
        fill(pattern, facts, language)
    }
}

/// Puts facts into the braces of a sentence. A fact that is missing leaves nothing.
fn fill(pattern: &str, facts: &Value, language: Language) -> String {
    let mut said = String::with_capacity(pattern.len() + 32);
    let mut rest = pattern;
    while let Some((before, behind)) = rest.split_once('{') {
        let (name, after) = behind.split_once('}').unwrap_or((behind, ""));
        said.push_str(before);
        said.push_str(&spoken(name, &facts[name], language));
        rest = after;
    }
    said.push_str(rest);
    said
}

/// A fact as people say it.
fn spoken(name: &str, fact: &Value, language: Language) -> String {
    let text = match fact {
        Value::Null => return String::new(),
        Value::String(text) => text.as_str(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => return fact.to_string(),
    };
    match (name, text, language) {
        ("role", word, _) => Role::from_word(word).map_or(word, |role| wording::role(role, language)),
        ("switched", "on", Language::Fr) => "activé",
        ("switched", "off", Language::Fr) => "désactivé",
        _ => text,
    }
    .to_owned()
}

/// The events of all areas. Clones share them.
#[derive(Clone, Debug)]
pub struct Events(Arc<[Event]>);

impl Events {
    /// The events that areas declare, by category and then in the order in which they were declared.
    ///
    /// # Panics
    /// Two events have the same slug: a fault of ours, found by the first test.
    pub fn new(areas: &[&[Event]]) -> Self {
        let mut all: Vec<Event> = areas.iter().copied().flatten().copied().collect();
        let place = |category: Category| Category::ALL.iter().position(|other| *other == category);
        all.sort_by_key(|event| place(event.category));
        for (index, event) in all.iter().enumerate() {
            let is_new = all[..index].iter().all(|other| other.slug != event.slug);
            assert!(is_new, "two events are called {}", event.slug);
        }
        Self(all.into())
    }

    /// Every event.
    pub fn all(&self) -> &[Event] {
        &self.0
    }

    /// The event with this slug.
    pub fn find(&self, slug: &str) -> Option<&Event> {
        self.0.iter().find(|event| event.slug == slug)
    }

    /// Those that organizations are told of.
    pub fn of_organizations(&self) -> impl Iterator<Item = (&Event, &News)> {
        self.0
            .iter()
            .filter_map(|event| event.news.as_ref().map(|news| (event, news)))
    }

    /// The table for `docs/notifications.md`.
    pub fn table(&self) -> String {
        let mut table =
            "| event | what happened | switch | mailed unasked | can't be switched off |\n|---|---|---|---|---|\n"
                .to_owned();
        for (event, news) in self.of_organizations() {
            let mark = |holds: bool| if holds { "✓" } else { "" };
            let switch = news
                .switch
                .map_or_else(String::new, |switch| format!("`{}`", switch.as_str()));
            table.push_str(&format!(
                "| `{}` | {} | {switch} | {} | {} |\n",
                event.slug,
                event.description,
                mark(event.email),
                mark(event.is_mandatory)
            ));
        }
        table
    }
}

/// Somebody has accepted an invitation.
pub const MEMBER_JOINED: Event = Event::optional(
    "organization.member_joined",
    Category::Organization,
    "Member joined",
    "Somebody has accepted an invitation to an organization of yours.",
)
.told(
    Some(Switch::Members),
    "Nouveau membre",
    "{member} has joined {organization} as {role}.",
    "{member} a rejoint {organization} en tant que {role}.",
);
/// Somebody was invited.
pub const MEMBER_INVITED: Event = Event::optional(
    "organization.member_invited",
    Category::Organization,
    "Member invited",
    "Somebody was invited to an organization of yours.",
)
.told(
    Some(Switch::Members),
    "Nouvelle invitation",
    "{email} was invited to {organization} as {role}.",
    "{email} a été invité dans {organization} en tant que {role}.",
);
/// A member has another role.
pub const ROLE_CHANGED: Event = Event::optional(
    "organization.role_changed",
    Category::Organization,
    "Role changed",
    "Your role, or that of another member, was changed in an organization of yours.",
)
.told(
    Some(Switch::Members),
    "Rôle modifié",
    "{member} is now {role} in {organization}.",
    "{member} est désormais {role} dans {organization}.",
);
/// A member was removed or has left.
pub const MEMBER_REMOVED: Event = Event::optional(
    "organization.member_removed",
    Category::Organization,
    "Member removed",
    "You or another member was removed from an organization, or has left it.",
)
.told(
    Some(Switch::Members),
    "Membre parti",
    "{member} is no longer a member of {organization}.",
    "{member} ne fait plus partie de {organization}.",
);
/// A module was switched on or off.
pub const MODULE_SWITCHED: Event = Event::optional(
    "organization.module_switched",
    Category::Organization,
    "Module switched",
    "A module of an organization was switched on or off.",
)
.told(
    None,
    "Module activé ou désactivé",
    "The module {module} of {organization} was switched {switched}.",
    "Le module {module} de {organization} est maintenant : {switched}.",
);
/// onet has switched a webhook off.
pub const WEBHOOK_DISABLED: Event = Event::mandatory(
    "organization.webhook_disabled",
    Category::Organization,
    "Webhook switched off",
    "A webhook of an organization was switched off, since its endpoint has taken nothing for days.",
)
.told(
    None,
    "Webhook désactivé",
    "The webhook to {host} of {organization} was switched off: {reason}",
    "Le webhook vers {host} de {organization} a été désactivé : {reason}",
);
/// There is a new key that reaches the organization only.
pub const KEY_CREATED: Event = Event::optional(
    "organization.key_created",
    Category::Security,
    "Key created",
    "An API key or project token that reaches this organization only was created.",
)
.told(
    Some(Switch::Security),
    "Nouvelle clé",
    "{member} has created the {kind} {name} ({prefix}…) in {organization}.",
    "{member} a créé la clé {name} ({prefix}…) dans {organization}.",
);
/// Such a key was revoked.
pub const KEY_REVOKED: Event = Event::optional(
    "organization.key_revoked",
    Category::Security,
    "Key revoked",
    "An API key or project token that reached this organization only was revoked.",
)
.told(
    Some(Switch::Security),
    "Clé révoquée",
    "{member} has revoked the {kind} {name} ({prefix}…) in {organization}.",
    "{member} a révoqué la clé {name} ({prefix}…) dans {organization}.",
);
/// A member has or has no second factor any more.
pub const MEMBER_MFA_CHANGED: Event = Event::optional(
    "organization.member_mfa_changed",
    Category::Security,
    "Second factor of a member changed",
    "A member has switched a second factor on or off.",
)
.told(
    Some(Switch::Security),
    "Second facteur d’un membre modifié",
    "{member}, a member of {organization}, has switched a second factor {switched}.",
    "Second facteur de {member}, membre de {organization} : {switched}.",
);

/// The events of this area.
pub const EVENTS: &[Event] = &[
    Event::mandatory(
        "account.email_changed",
        Category::Account,
        "E-mail address changed",
        "The address of your account is about to change or has changed.",
    ),
    Event::mandatory(
        "account.deletion",
        Category::Account,
        "Account deletion",
        "Your account will be deleted, was kept or was deleted.",
    ),
    Event::mandatory(
        "security.new_device",
        Category::Security,
        "Login from a new device",
        "Somebody logged in with a device that was not seen before.",
    ),
    Event::mandatory(
        "security.credentials_changed",
        Category::Security,
        "Credentials changed",
        "A password, second factor, passkey, connected account, API key or project token was added, changed or removed.",
    ),
    Event::mandatory(
        "security.account_locked",
        Category::Security,
        "Account locked",
        "Too many failed logins, or an operator has locked the account.",
    ),
    KEY_CREATED,
    KEY_REVOKED,
    MEMBER_MFA_CHANGED,
    MEMBER_INVITED,
    MEMBER_JOINED,
    ROLE_CHANGED,
    MEMBER_REMOVED,
    MODULE_SWITCHED,
    WEBHOOK_DISABLED,
    Event {
        email: false,
        in_app: false,
        ..Event::optional(
            "product_news.updates",
            Category::ProductNews,
            "Product news",
            "New features and offers.",
        )
    },
];

/// Events of areas that are still to come. Users can already say what they want; nothing tells them yet.
pub const AWAITED: &[Event] = &[
    Event::mandatory(
        "domain.expiring",
        Category::Domains,
        "Domain expires soon",
        "A domain must be renewed.",
    ),
    Event::optional(
        "domain.renewed",
        Category::Domains,
        "Domain renewed",
        "A domain was renewed.",
    ),
    Event::optional(
        "domain.transfer",
        Category::Domains,
        "Domain transfer",
        "A transfer of a domain has begun, ended or failed.",
    ),
    Event::mandatory(
        "web_hosting.suspended",
        Category::WebHosting,
        "Hosting suspended",
        "A hosting account was suspended.",
    ),
    Event::optional(
        "web_hosting.quota",
        Category::WebHosting,
        "Hosting quota",
        "A hosting account has nearly used its space or traffic.",
    ),
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_can_be_kept_and_mandatory_ones_are_mailed() {
        for event in Events::new(&[EVENTS, AWAITED]).all() {
            assert!(event.slug.len() <= 100 && (event.email || !event.is_mandatory));
        }
    }

    #[test]
    #[should_panic(expected = "two events are called")]
    fn an_event_is_declared_once() {
        Events::new(&[EVENTS, &[MEMBER_JOINED]]);
    }

    #[test]
    fn sentences_name_the_same_facts_in_both_languages() {
        let named = |pattern: &str| {
            let mut names: Vec<String> = pattern
                .split('{')
                .skip(1)
                .filter_map(|part| part.split_once('}').map(|(name, _)| name.to_owned()))
                // French says of both kinds of keys that they are keys.
                .filter(|name| name != "kind")
                .collect();
            names.sort();
            names
        };
        for (event, news) in Events::new(&[EVENTS]).of_organizations() {
            assert_eq!(named(news.en), named(news.fr), "{}", event.slug);
        }
    }

    #[test]
    fn facts_are_put_where_they_belong() {
        let facts = json!({"member": "Ada {role}", "organization": "Engines", "role": "owner", "count": 2});
        assert_eq!(
            MEMBER_JOINED.sentence(&facts, Language::En),
            "Ada {role} has joined Engines as owner."
        );
        assert_eq!(
            MEMBER_JOINED.sentence(&facts, Language::Fr),
            "Ada {role} a rejoint Engines en tant que propriétaire."
        );
        assert_eq!(fill("{count} of {nothing}{", &facts, Language::En), "2 of ");
    }
}
