//! What stands behind a bearer token: its kinds, and the scopes that a key may have.

kernel::words! {
    /// Kind of credential
    pub enum CredentialKind {
        /// A login, named by the `sid` of its access tokens.
        Session = "session",
        /// A user's key.
        ApiKey = "api_key",
        /// A key for one project.
        ProjectToken = "project_token",
    }
}

kernel::words! {
    /// What an API key or project token may be used for. `…:write` includes `…:read`.
    // `Scope` is the document's name for a scope with what it means.
    #[schema(as = ScopeWord)]
    pub enum Scope {
        /// Organizations and their settings
        OrganizationsRead = "organizations:read",
        /// Change organizations
        OrganizationsWrite = "organizations:write",
        /// Members and invitations
        MembersRead = "members:read",
        /// Change members and invitations
        MembersWrite = "members:write",
        /// The audit log
        AuditLogsRead = "audit_logs:read",
        /// Notification settings
        NotificationsRead = "notifications:read",
        /// Change notification settings
        NotificationsWrite = "notifications:write",
        /// Projects
        ProjectsRead = "projects:read",
        /// Change projects
        ProjectsWrite = "projects:write",
        /// Instances, networks and what belongs to them
        ComputeRead = "compute:read",
        /// Change instances, networks and what belongs to them
        ComputeWrite = "compute:write",
        /// Domains
        DomainsRead = "domains:read",
        /// Change domains
        DomainsWrite = "domains:write",
        /// DNS zones and records
        DnsRead = "dns:read",
        /// Change DNS zones and records
        DnsWrite = "dns:write",
        /// Web hosting
        WebHostingRead = "web_hosting:read",
        /// Change web hosting
        WebHostingWrite = "web_hosting:write",
        /// The key's own user
        AccountRead = "account:read",
    }
}

impl Scope {
    /// Whether a project token may have it: only what lies in a project.
    pub const fn is_of_project(self) -> bool {
        matches!(
            self,
            Self::ProjectsRead
                | Self::ComputeRead
                | Self::ComputeWrite
                | Self::DomainsRead
                | Self::DomainsWrite
                | Self::DnsRead
                | Self::DnsWrite
                | Self::WebHostingRead
                | Self::WebHostingWrite
        )
    }
}
