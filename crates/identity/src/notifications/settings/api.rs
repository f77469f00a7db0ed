//! What goes over the wire.

use kernel::{
    access::OrganizationId, http::Body, id::AnyId, json::present, money::Fixed, openapi::Patched, time::Time,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rules::Settings;
use crate::notifications::events::Switch;

/// What an organization is told of, and where.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OrganizationNotificationSettings {
    /// The organization's: it has one of these
    #[schema(read_only)]
    id: AnyId,
    #[schema(read_only)]
    organization_id: OrganizationId,
    /// Master switch for e-mail
    #[schema(required = false, default = true)]
    email_enabled: bool,
    /// Extra addresses besides the owners
    #[schema(required = false, max_items = 20, value_type = Vec<RecipientAddress>)]
    recipients: Vec<String>,
    /// Invoices, payments, failed charges
    #[schema(required = false, default = true)]
    notify_billing: bool,
    /// Renewal invoices and expiry reminders
    #[schema(required = false, default = true)]
    notify_renewals: bool,
    /// New API keys, tokens, member and MFA changes
    #[schema(required = false, default = true)]
    notify_security: bool,
    /// Invitations and membership changes
    #[schema(required = false, default = true)]
    notify_members: bool,
    /// Instance life cycle and failed tasks
    #[schema(required = false, default = true)]
    notify_instances: bool,
    /// Failed backups and snapshots
    #[schema(required = false, default = true)]
    notify_backups: bool,
    /// Uptime monitor alerts
    #[schema(required = false, default = true)]
    notify_uptime: bool,
    /// Domain transfers, expiry and DNS zone changes
    #[schema(required = false, default = true)]
    notify_domains: bool,
    /// Hosting quotas and certificates
    #[schema(required = false, default = true)]
    notify_web_hosting: bool,
    /// Planned maintenance
    #[schema(required = false, default = true)]
    notify_maintenance: bool,
    /// Warn when the credit balance falls below this amount
    #[schema(required = false, nullable, value_type = Option<String>, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    low_balance_threshold: Option<Fixed<2>>,
    #[schema(read_only)]
    created: Time,
    #[schema(read_only)]
    modified: Time,
}

/// A mail address.
#[derive(Debug, ToSchema)]
#[schema(value_type = String, format = "email")]
#[expect(dead_code, reason = "only its schema counts")]
struct RecipientAddress(String);

/// The body of PATCH.
pub(super) type PatchedOrganizationNotificationSettings = Patched<OrganizationNotificationSettings>;

impl OrganizationNotificationSettings {
    /// The settings of an organization; `created` and `modified` are the organization's while they are as they began.
    pub(super) fn of(
        organization: OrganizationId,
        settings: &Settings,
        (created, modified): (Time, Time),
    ) -> Self {
        let Settings {
            email_enabled,
            recipients,
            switched_off: _,
            low_balance_threshold,
        } = settings;
        Self {
            id: organization.cast(),
            organization_id: organization,
            email_enabled: *email_enabled,
            recipients: recipients.clone(),
            notify_billing: settings.is_on(Switch::Billing),
            notify_renewals: settings.is_on(Switch::Renewals),
            notify_security: settings.is_on(Switch::Security),
            notify_members: settings.is_on(Switch::Members),
            notify_instances: settings.is_on(Switch::Instances),
            notify_backups: settings.is_on(Switch::Backups),
            notify_uptime: settings.is_on(Switch::Uptime),
            notify_domains: settings.is_on(Switch::Domains),
            notify_web_hosting: settings.is_on(Switch::WebHosting),
            notify_maintenance: settings.is_on(Switch::Maintenance),
            low_balance_threshold: low_balance_threshold.map(Fixed),
            created,
            modified,
        }
    }
}

/// What is wanted; a field that is left out keeps its value.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    pub(super) email_enabled: Option<bool>,
    pub(super) recipients: Option<Vec<String>>,
    notify_billing: Option<bool>,
    notify_renewals: Option<bool>,
    notify_security: Option<bool>,
    notify_members: Option<bool>,
    notify_instances: Option<bool>,
    notify_backups: Option<bool>,
    notify_uptime: Option<bool>,
    notify_domains: Option<bool>,
    notify_web_hosting: Option<bool>,
    notify_maintenance: Option<bool>,
    #[serde(deserialize_with = "present")]
    pub(super) low_balance_threshold: Option<Option<String>>,
}

impl Wanted {
    /// What is wanted of a switch.
    pub(super) const fn switch(&self, switch: Switch) -> Option<bool> {
        match switch {
            Switch::Billing => self.notify_billing,
            Switch::Renewals => self.notify_renewals,
            Switch::Security => self.notify_security,
            Switch::Members => self.notify_members,
            Switch::Instances => self.notify_instances,
            Switch::Backups => self.notify_backups,
            Switch::Uptime => self.notify_uptime,
            Switch::Domains => self.notify_domains,
            Switch::WebHosting => self.notify_web_hosting,
            Switch::Maintenance => self.notify_maintenance,
        }
    }
}

/// The body of PUT.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct SettingsReplace(pub(super) Wanted);

impl Body for SettingsReplace {
    type Wire = OrganizationNotificationSettings;
}

/// The body of PATCH.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct SettingsUpdate(pub(super) Wanted);

impl Body for SettingsUpdate {
    type Wire = PatchedOrganizationNotificationSettings;
    const PARTIAL: bool = true;
}

/// How a test went.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NotificationTestResult {
    /// Whether the mail server took the message
    #[schema(read_only)]
    pub(super) delivered: bool,
    #[schema(read_only, value_type = Vec<RecipientAddress>)]
    pub(super) recipients: Vec<String>,
    #[schema(read_only)]
    pub(super) detail: String,
}
