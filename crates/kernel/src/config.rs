//! Settings: the defaults of `onet.default.toml`, then a file, then the environment (`ONET_SECTION__KEY`).

mod check;
mod compute;
mod oauth;
mod values;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use figment::{
    Figment,
    providers::{Env, Format, Toml},
};
use serde::Deserialize;

pub use self::{
    compute::{Compute, HypervisorKind, MachineNetwork},
    oauth::{OauthKind, OauthProvider},
    values::{Network, Secret},
};

/// The reference for operators, and the one place of every default.
pub const DEFAULTS: &str = include_str!("../../../onet.default.toml");

/// All settings. The meaning, unit and default of each stand in `onet.default.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "onet.default.toml documents each setting, in the operator's words"
)]
pub struct Config {
    pub server: Server,
    pub log: Log,
    pub store: Store,
    pub limits: Limits,
    pub auth: Auth,
    pub tasks: Tasks,
    pub audit: Audit,
    pub outbound: Outbound,
    pub idempotency: Idempotency,
    pub mail: Mail,
    pub organizations: Organizations,
    pub notifications: Notifications,
    pub billing: Billing,
    pub compute: Compute,
    pub images: Images,
    /// Folder of the database, the key file and whatever else this node keeps. From `--data-dir`.
    #[serde(skip)]
    pub data_dir: PathBuf,
}

/// `[server]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "see onet.default.toml")]
pub struct Server {
    pub listen: SocketAddr,
    pub public_url: String,
    pub body_limit_bytes: usize,
    pub request_timeout_seconds: u64,
    pub read_timeout_seconds: u64,
    pub shutdown_grace_seconds: u64,
    pub connections: usize,
    pub account_pages: bool,
    pub cors_origins: Vec<String>,
    pub trusted_proxies: Vec<Network>,
    pub metrics_token: Secret,
}

impl Server {
    /// The address of this installation without a slash at its end, for links in answers and mails. Without a setting
    /// it is where onetd listens, which is right on one machine.
    pub fn base_url(&self) -> String {
        if self.public_url.is_empty() {
            format!("http://{}", self.listen)
        } else {
            self.public_url.trim_end_matches('/').to_owned()
        }
    }
}

/// `[log]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "see onet.default.toml")]
pub struct Log {
    pub format: LogFormat,
    pub level: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For a terminal.
    Human,
    /// For a collector: one JSON object a line.
    Json,
}

/// `[store]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "see onet.default.toml")]
pub struct Store {
    pub url: Secret,
    pub migrate_on_start: bool,
    pub connections: usize,
    pub background_connections: usize,
    pub postgres_connections: usize,
    pub postgres_background_connections: usize,
    pub queue: usize,
    pub timeout_ms: u64,
    pub sqlite_group: usize,
    pub sqlite_cache_kib: u32,
    pub sqlite_wal_limit_bytes: u64,
}

/// `[limits]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "see onet.default.toml")]
pub struct Limits {
    pub credential_per_minute: u32,
    pub credential_per_second: u32,
    pub address_per_minute: u32,
    pub address_per_second: u32,
    pub login_failures_per_account: u32,
    pub login_failures_per_address: u32,
    pub login_failures_anywhere: u32,
    pub mails_per_address: u32,
    pub token_checks_per_address: u32,
}

/// `[auth]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "see onet.default.toml")]
pub struct Auth {
    pub secret: Secret,
    pub issuer: String,
    pub audience: String,
    pub access_minutes: u64,
    pub refresh_hours: u64,
    pub refresh_remember_days: u64,
    pub registration: Registration,
    pub email_verification: bool,
    pub password_login: bool,
    pub passwordless: Vec<Passwordless>,
    pub console_url: String,
    pub redirect_uris: Vec<String>,
    pub webauthn_rp_id: String,
    pub webauthn_rp_name: String,
    pub webauthn_origins: Vec<String>,
    pub terms_url: String,
    pub privacy_url: String,
    pub verification_hours: u64,
    pub reset_minutes: u64,
    pub code_minutes: u64,
    pub recent_minutes: u64,
    pub trusted_device_days: u64,
    pub deletion_grace_days: u64,
    pub mail_pause_seconds: u64,
    pub argon2_memory_kib: u32,
    pub argon2_passes: u32,
    pub argon2_lanes: u32,
    pub hashing_concurrency: usize,
    pub hashing_queue: usize,
    /// Identity providers by their names in paths.
    #[serde(default)]
    pub oauth: BTreeMap<String, OauthProvider>,
}

/// Who may create an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    /// Anyone.
    Open,
    /// Whoever has an invitation to an organization.
    Invited,
    /// Nobody: operators make accounts.
    Closed,
}

/// How one logs in without a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Passwordless {
    /// A mailed code of six digits.
    Code,
    /// A mailed link.
    MagicLink,
}

/// `[tasks]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "see onet.default.toml")]
pub struct Tasks {
    pub workers: usize,
    pub chores: bool,
    pub lease_seconds: u64,
    pub poll_ms: u64,
    pub record_ms: u64,
    pub retry_first_ms: u64,
    pub retry_longest_ms: u64,
}

/// `[audit]`
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "see onet.default.toml")]
pub struct Audit {
    pub keep_days: u32,
}

/// `[outbound]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "see onet.default.toml")]
pub struct Outbound {
    pub allowed_networks: Vec<Network>,
    pub allow_http: bool,
}

/// `[idempotency]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "see onet.default.toml")]
pub struct Idempotency {
    pub keep_hours: u64,
}

/// `[mail]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "see onet.default.toml")]
pub struct Mail {
    pub transport: MailTransport,
    pub product: String,
    pub from: String,
    pub reply_to: String,
    pub smtp_url: Secret,
    pub smtp_ca_file: String,
    pub timeout_seconds: u64,
    pub keep_days: u32,
    pub mailbox_page: bool,
}

/// How mails leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTransport {
    /// None leaves.
    Off,
    /// Through a mail server.
    Smtp,
    /// Into a folder, for demos and tests.
    Mailbox,
}

/// `[organizations]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "see onet.default.toml")]
pub struct Organizations {
    pub modules: Vec<String>,
    pub most_owned: u32,
    pub deletion_grace_days: u64,
    pub invitation_days: u64,
}

/// `[notifications]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "see onet.default.toml")]
pub struct Notifications {
    pub digest_above: u32,
    pub digest_minutes: u64,
    pub webhook_seconds: u64,
    pub webhook_failing_days: u32,
    pub keep_days: u32,
}

/// `[billing]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "see onet.default.toml")]
pub struct Billing {
    pub currency: String,
    pub seller_name: String,
    pub seller_address: Vec<String>,
    pub seller_country: String,
    pub seller_vat_number: String,
    pub invoice_prefix: String,
    pub credit_note_prefix: String,
    pub invoice_note: String,
    pub renewal_days: u32,
    pub due_days: u32,
    pub payable_days: u32,
    pub reminder_days: u32,
    pub second_reminder_days: u32,
    pub grace_days: u32,
    pub poll_seconds: u64,
    pub payment_driver: String,
    pub stripe: Stripe,
}

/// `[billing.stripe]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "see onet.default.toml")]
pub struct Stripe {
    pub url: String,
    pub secret_key: Secret,
    pub webhook_secret: Secret,
}

/// `[images]`
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "see onet.default.toml")]
pub struct Images {
    pub most_per_organization: u32,
    pub largest_file_mib: u32,
    pub largest_disk_gib: u32,
    pub download_minutes: u32,
    pub convert_minutes: u32,
}

/// A fault in the settings, with the setting's name where it is known.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value of the wrong type, an unknown name, a file that can't be read.
    #[error("{0}")]
    Invalid(#[from] Box<figment::Error>),
    /// A value out of its range.
    #[error("{name}: {fault}")]
    Range {
        /// The setting, as `section.key`.
        name: &'static str,
        /// What is wrong with it.
        fault: String,
    },
    /// A setting of `[mail]`, named in the text.
    #[error("{0}")]
    Mail(String),
    /// A setting whose name is the operator's choice in part.
    #[error("{name}: {fault}")]
    Named {
        /// The setting.
        name: String,
        /// What is wrong with it.
        fault: String,
    },
}

impl Config {
    /// Reads the settings from the defaults, then `file`, then the environment.
    ///
    /// # Errors
    /// Names the setting that is unknown, of the wrong type or out of range.
    pub fn load(file: Option<&Path>, data_dir: &Path) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Toml::string(DEFAULTS));
        if let Some(file) = file {
            figment = figment.merge(Toml::file_exact(file));
        }
        // The two-part names only: ONET_CRASH_AT and the like are no settings.
        let settings = Env::prefixed("ONET_")
            .filter(|key| key.as_str().contains("__"))
            .split("__");
        let mut config: Self = figment.merge(settings).extract().map_err(Box::new)?;
        config.data_dir = data_dir.to_owned();
        config.check()?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        Config::load(None, Path::new("onet-data")).unwrap();
    }
}
