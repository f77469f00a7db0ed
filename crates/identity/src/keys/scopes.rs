//! What scopes are called, and who may have them.

use serde::Serialize;
use utoipa::ToSchema;

use crate::credentials::Scope;

kernel::words! {
    /// What can carry a scope
    pub(crate) enum Carrier {
        /// API key
        ApiKey = "api_key",
        /// Project token
        ProjectToken = "project_token",
    }
}

kernel::words! {
    /// Where a permission counts
    pub(crate) enum Level {
        /// Organization
        Organization = "organization",
        /// Project
        Project = "project",
    }
}

/// A scope, in words.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Scope)]
pub(crate) struct ScopeFacts {
    #[schema(read_only)]
    slug: &'static str,
    #[schema(read_only)]
    name: &'static str,
    #[schema(read_only)]
    description: &'static str,
    #[schema(read_only)]
    group: &'static str,
    #[schema(read_only)]
    available_for: Vec<Carrier>,
}

/// A permission, in words.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Permission {
    /// Ex: instance:write, billing:read
    #[schema(read_only)]
    code: &'static str,
    #[schema(read_only)]
    name: &'static str,
    #[schema(read_only)]
    description: &'static str,
    #[schema(read_only)]
    scope: Level,
}

/// Every scope.
pub(crate) fn all() -> Vec<ScopeFacts> {
    let facts = |scope: &Scope| {
        let (group, name, description) = about(*scope);
        let mut available_for = vec![Carrier::ApiKey];
        if scope.is_of_project() {
            available_for.push(Carrier::ProjectToken);
        }
        ScopeFacts {
            slug: scope.as_str(),
            name,
            description,
            group,
            available_for,
        }
    };
    Scope::ALL.iter().map(facts).collect()
}

/// The scopes that a project token may have.
pub(crate) fn of_projects() -> Vec<Permission> {
    let held = Scope::ALL.iter().filter(|scope| scope.is_of_project());
    let facts = |scope: &Scope| {
        let (_, name, description) = about(*scope);
        Permission {
            code: scope.as_str(),
            name,
            description,
            scope: Level::Project,
        }
    };
    held.map(facts).collect()
}

/// Group, name and description.
const fn about(scope: Scope) -> (&'static str, &'static str, &'static str) {
    match scope {
        Scope::OrganizationsRead => (
            "Organizations",
            "Read organizations",
            "See organizations and their settings.",
        ),
        Scope::OrganizationsWrite => (
            "Organizations",
            "Manage organizations",
            "Change organizations and their settings; includes reading them.",
        ),
        Scope::MembersRead => (
            "Organizations",
            "Read members",
            "See members, roles and invitations.",
        ),
        Scope::MembersWrite => (
            "Organizations",
            "Manage members",
            "Invite, change and remove members; includes reading them.",
        ),
        Scope::AuditLogsRead => ("Organizations", "Read audit logs", "See who did what."),
        Scope::NotificationsRead => (
            "Notifications",
            "Read notifications",
            "See notifications and their settings.",
        ),
        Scope::NotificationsWrite => (
            "Notifications",
            "Manage notifications",
            "Change notifications and their settings; includes reading them.",
        ),
        Scope::ProjectsRead => ("Projects", "Read projects", "See projects."),
        Scope::ProjectsWrite => (
            "Projects",
            "Manage projects",
            "Create, change and delete projects; includes reading them.",
        ),
        Scope::ComputeRead => (
            "Compute",
            "Read compute",
            "See instances, networks and what belongs to them.",
        ),
        Scope::ComputeWrite => (
            "Compute",
            "Manage compute",
            "Create, change and delete instances, networks and what belongs to them; includes reading them.",
        ),
        Scope::DomainsRead => ("Domains", "Read domains", "See domains and their contacts."),
        Scope::DomainsWrite => (
            "Domains",
            "Manage domains",
            "Register, transfer, renew and change domains; includes reading them.",
        ),
        Scope::DnsRead => ("DNS", "Read DNS", "See zones and records."),
        Scope::DnsWrite => (
            "DNS",
            "Manage DNS",
            "Change zones and records; includes reading them.",
        ),
        Scope::WebHostingRead => (
            "Web hosting",
            "Read web hosting",
            "See hosting accounts, sites, mailboxes and databases.",
        ),
        Scope::WebHostingWrite => (
            "Web hosting",
            "Manage web hosting",
            "Change hosting accounts, sites, mailboxes and databases; includes reading them.",
        ),
        Scope::AccountRead => (
            "Account",
            "Read the account",
            "See the profile of the key's user.",
        ),
    }
}
