//! Settings: the defaults of `onet.default.toml`, then a file, then the environment (`ONET_SECTION__KEY`).

mod compute;
mod oauth;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
};

use figment::{
    Figment,
    providers::{Env, Format, Toml},
};
use serde::Deserialize;

pub use self::{
    compute::{Compute, HypervisorKind, MachineNetwork},
    oauth::{OauthKind, OauthProvider},
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
    pub postgres_connections: usize,
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

/// A setting that must not be shown: its `Debug` hides it.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_empty() { "\"\"" } else { "\"…\"" })
    }
}

/// An address or a network in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether `address` lies in this network. IPv4-mapped IPv6 addresses count as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(host)) => {
                u32::from(self.prefix) == 0
                    || (u32::from(net) ^ u32::from(host)) >> (32 - u32::from(self.prefix)) == 0
            }
            (IpAddr::V6(net), IpAddr::V6(host)) => {
                u32::from(self.prefix) == 0
                    || (u128::from(net) ^ u128::from(host)) >> (128 - u32::from(self.prefix)) == 0
            }
            _ => false,
        }
    }

    /// The same network with no bits of an address inside it.
    #[must_use]
    pub fn whole(self) -> Self {
        let address = match self.address {
            IpAddr::V4(net) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                IpAddr::V4((u32::from(net) & mask).into())
            }
            IpAddr::V6(net) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                IpAddr::V6((u128::from(net) & mask).into())
            }
        };
        Self { address, ..self }
    }

    /// Whether this is IPv4 written as IPv6 (`::ffff:10.0.0.1`): it contains no address, since those count as IPv4.
    pub fn is_mapped_ipv4(self) -> bool {
        matches!(self.address, IpAddr::V6(net) if net.to_ipv4_mapped().is_some()) && self.prefix >= 96
    }
}

/// An address alone where the network is one address.
impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let longest = if self.address.is_ipv4() { 32 } else { 128 };
        if self.prefix == longest {
            write!(f, "{}", self.address)
        } else {
            write!(f, "{}/{}", self.address, self.prefix)
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fault = || format!("`{text}` is no address and no network such as 10.0.0.0/8");
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.parse().map_err(|_| fault())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        // Digits only: Rust would read `+8` too.
        let plain = |prefix: &str| prefix.bytes().all(|byte| byte.is_ascii_digit());
        if prefix.is_some_and(|prefix| !plain(prefix)) {
            return Err(fault());
        }
        let prefix = prefix.map_or(Ok(longest), str::parse).map_err(|_| fault())?;
        if prefix > longest {
            Err(fault())
        } else {
            Ok(Self { address, prefix })
        }
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
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

    fn check(&self) -> Result<(), ConfigError> {
        let at_least = |name, value: u64, least: u64| {
            if value >= least {
                return Ok(());
            }
            Err(ConfigError::Range {
                name,
                fault: format!("must be at least {least}, not {value}"),
            })
        };
        at_least(
            "server.body_limit_bytes",
            self.server.body_limit_bytes as u64,
            1024,
        )?;
        at_least(
            "server.request_timeout_seconds",
            self.server.request_timeout_seconds,
            1,
        )?;
        at_least("server.read_timeout_seconds", self.server.read_timeout_seconds, 1)?;
        at_least("server.connections", self.server.connections as u64, 1)?;
        at_least("store.connections", self.store.connections as u64, 1)?;
        at_least(
            "store.postgres_connections",
            self.store.postgres_connections as u64,
            2,
        )?;
        at_least("store.queue", self.store.queue as u64, 1)?;
        at_least("store.timeout_ms", self.store.timeout_ms, 100)?;
        at_least("store.sqlite_group", self.store.sqlite_group as u64, 1)?;
        at_least(
            "limits.credential_per_minute",
            self.limits.credential_per_minute.into(),
            1,
        )?;
        at_least(
            "limits.credential_per_second",
            self.limits.credential_per_second.into(),
            1,
        )?;
        at_least(
            "limits.address_per_minute",
            self.limits.address_per_minute.into(),
            1,
        )?;
        at_least(
            "limits.address_per_second",
            self.limits.address_per_second.into(),
            1,
        )?;
        at_least(
            "limits.token_checks_per_address",
            self.limits.token_checks_per_address.into(),
            1,
        )?;
        at_least("auth.argon2_memory_kib", self.auth.argon2_memory_kib.into(), 64)?;
        at_least("auth.argon2_passes", self.auth.argon2_passes.into(), 1)?;
        at_least("auth.argon2_lanes", self.auth.argon2_lanes.into(), 1)?;
        at_least(
            "auth.hashing_concurrency",
            self.auth.hashing_concurrency as u64,
            1,
        )?;
        at_least("tasks.lease_seconds", self.tasks.lease_seconds, 5)?;
        at_least("tasks.poll_ms", self.tasks.poll_ms, 10)?;
        at_least("mail.timeout_seconds", self.mail.timeout_seconds, 1)?;
        at_least("mail.keep_days", self.mail.keep_days.into(), 2)?;
        crate::mail::check(self).map_err(|error| ConfigError::Mail(error.to_string()))?;
        at_least(
            "organizations.invitation_days",
            self.organizations.invitation_days,
            1,
        )?;
        at_least(
            "notifications.digest_above",
            self.notifications.digest_above.into(),
            1,
        )?;
        at_least(
            "notifications.digest_minutes",
            self.notifications.digest_minutes,
            1,
        )?;
        at_least(
            "notifications.webhook_seconds",
            self.notifications.webhook_seconds,
            1,
        )?;
        at_least(
            "notifications.webhook_failing_days",
            self.notifications.webhook_failing_days.into(),
            1,
        )?;
        at_least("notifications.keep_days", self.notifications.keep_days.into(), 4)?;
        let billing = &self.billing;
        at_least("billing.poll_seconds", billing.poll_seconds, 1)?;
        at_least("billing.due_days", billing.due_days.into(), 1)?;
        at_least(
            "billing.payable_days",
            billing.payable_days.into(),
            u64::from(billing.due_days.max(billing.renewal_days)) + 1,
        )?;
        let is_code =
            |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_uppercase());
        let word = |name, holds: bool, fault: &str| {
            if holds {
                Ok(())
            } else {
                Err(ConfigError::Range {
                    name,
                    fault: fault.to_owned(),
                })
            }
        };
        word(
            "billing.currency",
            is_code(&billing.currency, 3),
            "must be an ISO 4217 code such as EUR",
        )?;
        let country = &billing.seller_country;
        word(
            "billing.seller_country",
            country.is_empty() || is_code(country, 2),
            "must be empty or an ISO 3166 code such as FR",
        )?;
        word(
            "billing.invoice_prefix",
            billing.invoice_prefix != billing.credit_note_prefix,
            "must differ from credit_note_prefix",
        )?;
        if let Some((name, fault)) = self.compute.fault() {
            return word(name, false, fault);
        }
        let images = &self.images;
        at_least("images.largest_file_mib", images.largest_file_mib.into(), 1)?;
        at_least("images.largest_disk_gib", images.largest_disk_gib.into(), 1)?;
        at_least("images.download_minutes", images.download_minutes.into(), 1)?;
        at_least("images.convert_minutes", images.convert_minutes.into(), 1)?;
        let secret = self.auth.secret.expose();
        if !secret.is_empty() {
            at_least("auth.secret (its length)", secret.len() as u64, 32)?;
        }
        for (slug, provider) in &self.auth.oauth {
            provider.check(slug)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        Config::load(None, Path::new("onet-data")).unwrap();
    }

    #[test]
    fn networks_contain_their_addresses() {
        let network: Network = "10.1.0.0/16".parse().unwrap();
        assert!(network.contains("10.1.255.1".parse().unwrap()));
        assert!(network.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!network.contains("10.2.0.1".parse().unwrap()));
        assert!(
            "0.0.0.0/0"
                .parse::<Network>()
                .unwrap()
                .contains("8.8.8.8".parse().unwrap())
        );
        assert!("10.0.0.0/33".parse::<Network>().is_err());
    }
}
