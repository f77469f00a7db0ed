//! What users can be told of: data, not code.

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
}

/// The event with this slug.
pub fn find(slug: &str) -> Option<&'static Event> {
    ALL.iter().find(|event| event.slug == slug)
}

const fn optional(
    slug: &'static str,
    category: Category,
    name: &'static str,
    description: &'static str,
) -> Event {
    Event {
        slug,
        category,
        name,
        description,
        is_mandatory: false,
        email: true,
        in_app: true,
    }
}

const fn mandatory(
    slug: &'static str,
    category: Category,
    name: &'static str,
    description: &'static str,
) -> Event {
    Event {
        is_mandatory: true,
        ..optional(slug, category, name, description)
    }
}

/// Shown in the console only, unless the user asks for mails.
const fn quiet(
    slug: &'static str,
    category: Category,
    name: &'static str,
    description: &'static str,
) -> Event {
    Event {
        email: false,
        ..optional(slug, category, name, description)
    }
}

/// Every event, by category.
pub const ALL: &[Event] = &[
    mandatory(
        "account.email_changed",
        Category::Account,
        "E-mail address changed",
        "The address of your account is about to change or has changed.",
    ),
    mandatory(
        "account.deletion",
        Category::Account,
        "Account deletion",
        "Your account will be deleted, was kept or was deleted.",
    ),
    mandatory(
        "security.new_device",
        Category::Security,
        "Login from a new device",
        "Somebody logged in with a device that was not seen before.",
    ),
    mandatory(
        "security.credentials_changed",
        Category::Security,
        "Credentials changed",
        "A password, second factor, passkey, connected account, API key or project token was added, changed or removed.",
    ),
    mandatory(
        "security.account_locked",
        Category::Security,
        "Account locked",
        "Too many failed logins, or an operator has locked the account.",
    ),
    mandatory(
        "invoice.created",
        Category::Billing,
        "New invoice",
        "There is a new invoice.",
    ),
    optional(
        "invoice.paid",
        Category::Billing,
        "Invoice paid",
        "An invoice was paid.",
    ),
    mandatory(
        "invoice.overdue",
        Category::Billing,
        "Invoice overdue",
        "An invoice was not paid in time.",
    ),
    mandatory(
        "payment.failed",
        Category::Billing,
        "Payment failed",
        "A payment was refused.",
    ),
    optional(
        "credit.low",
        Category::Billing,
        "Low credit",
        "The credit balance will not last for the next renewals.",
    ),
    quiet(
        "instance.created",
        Category::Compute,
        "Instance created",
        "A new instance is ready.",
    ),
    optional(
        "instance.failed",
        Category::Compute,
        "Instance task failed",
        "Something that was asked of an instance could not be done.",
    ),
    mandatory(
        "instance.suspended",
        Category::Compute,
        "Instance suspended",
        "An instance was suspended.",
    ),
    mandatory(
        "instance.terminated",
        Category::Compute,
        "Instance terminated",
        "An instance was terminated with its data.",
    ),
    optional(
        "backup.failed",
        Category::Compute,
        "Backup failed",
        "A backup could not be made.",
    ),
    mandatory(
        "domain.expiring",
        Category::Domains,
        "Domain expires soon",
        "A domain must be renewed.",
    ),
    optional(
        "domain.renewed",
        Category::Domains,
        "Domain renewed",
        "A domain was renewed.",
    ),
    optional(
        "domain.transfer",
        Category::Domains,
        "Domain transfer",
        "A transfer of a domain has begun, ended or failed.",
    ),
    mandatory(
        "web_hosting.suspended",
        Category::WebHosting,
        "Hosting suspended",
        "A hosting account was suspended.",
    ),
    optional(
        "web_hosting.quota",
        Category::WebHosting,
        "Hosting quota",
        "A hosting account has nearly used its space or traffic.",
    ),
    optional(
        "organization.member_joined",
        Category::Organization,
        "Member joined",
        "Somebody has accepted an invitation to an organization of yours.",
    ),
    optional(
        "organization.role_changed",
        Category::Organization,
        "Role changed",
        "Your role in an organization was changed.",
    ),
    optional(
        "organization.member_removed",
        Category::Organization,
        "Member removed",
        "You or another member was removed from an organization.",
    ),
    Event {
        email: false,
        in_app: false,
        ..optional(
            "product_news.updates",
            Category::ProductNews,
            "Product news",
            "New features and offers.",
        )
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn slugs_are_unique_and_every_category_has_some() {
        let slugs: BTreeSet<&str> = ALL.iter().map(|event| event.slug).collect();
        assert_eq!(slugs.len(), ALL.len());
        for category in Category::ALL {
            assert!(ALL.iter().any(|event| event.category == *category));
        }
        for event in ALL {
            assert!(event.slug.len() <= 100 && (event.email || !event.is_mandatory));
        }
    }
}
