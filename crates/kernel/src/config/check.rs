//! What settings may be.

use super::{Config, ConfigError};

fn at_least(name: &'static str, value: impl TryInto<u64>, least: u64) -> Result<(), ConfigError> {
    let value = value.try_into().unwrap_or(u64::MAX);
    if value >= least {
        return Ok(());
    }
    Err(ConfigError::Range {
        name,
        fault: format!("must be at least {least}, not {value}"),
    })
}

/// The numbers that have a least value, by their names in the file.
macro_rules! at_least {
    ($config:ident; $($section:ident.$field:ident >= $least:literal,)+) => { $(
        at_least(
            concat!(stringify!($section), ".", stringify!($field)),
            $config.$section.$field,
            $least,
        )?;
    )+ };
}

impl Config {
    /// Names the first setting that is out of its range.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        at_least! { self;
            server.body_limit_bytes >= 1024,
            server.request_timeout_seconds >= 1,
            server.read_timeout_seconds >= 1,
            server.connections >= 1,
            store.connections >= 1,
            store.background_connections >= 1,
            store.postgres_background_connections >= 1,
            store.postgres_connections >= 2,
            store.queue >= 1,
            store.timeout_ms >= 100,
            store.sqlite_group >= 1,
            limits.credential_per_minute >= 1,
            limits.credential_per_second >= 1,
            limits.address_per_minute >= 1,
            limits.address_per_second >= 1,
            limits.token_checks_per_address >= 1,
            auth.argon2_memory_kib >= 64,
            auth.argon2_passes >= 1,
            auth.argon2_lanes >= 1,
            auth.hashing_concurrency >= 1,
            tasks.lease_seconds >= 5,
            tasks.poll_ms >= 10,
            mail.timeout_seconds >= 1,
            mail.keep_days >= 2,
            organizations.invitation_days >= 1,
            notifications.digest_above >= 1,
            notifications.digest_minutes >= 1,
            notifications.webhook_seconds >= 1,
            notifications.webhook_failing_days >= 1,
            notifications.keep_days >= 4,
            billing.poll_seconds >= 1,
            billing.due_days >= 1,
            images.largest_file_mib >= 1,
            images.largest_disk_gib >= 1,
            images.download_minutes >= 1,
            images.convert_minutes >= 1,
        }
        crate::mail::check(self).map_err(|error| ConfigError::Mail(error.to_string()))?;
        let billing = &self.billing;
        let longest = billing.due_days.max(billing.renewal_days);
        at_least(
            "billing.payable_days",
            billing.payable_days,
            u64::from(longest) + 1,
        )?;
        let is_code =
            |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_uppercase());
        let word = |name, holds: bool, fault: &str| {
            let fault = || ConfigError::Range {
                name,
                fault: fault.to_owned(),
            };
            holds.then_some(()).ok_or_else(fault)
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
        let secret = self.auth.secret.expose();
        if !secret.is_empty() {
            at_least("auth.secret (its length)", secret.len(), 32)?;
        }
        for (slug, provider) in &self.auth.oauth {
            provider.check(slug)?;
        }
        Ok(())
    }
}
