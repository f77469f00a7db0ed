//! `[compute]`: this node's host.

use std::{net::IpAddr, time::Duration};

use serde::Deserialize;

use crate::money::Amount;

/// `[compute]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "see onet.default.toml")]
pub struct Compute {
    pub hypervisor: HypervisorKind,
    pub host_name: String,
    pub location: String,
    pub host_cpus: u64,
    pub host_memory_mb: u64,
    pub host_disk_gb: u64,
    pub host_reserved_memory_mb: u64,
    pub cpu_overcommit_percent: u64,
    pub memory_overcommit_percent: u64,
    pub disk_overcommit_percent: u64,
    pub qemu_program: String,
    pub qemu_acceleration: bool,
    pub qemu_run_as: String,
    pub qemu_control_group: String,
    pub shutdown_seconds: u64,
    pub switch_off_seconds: u64,
    pub network: MachineNetwork,
    pub bridge: String,
    pub network_namespace: String,
    pub user_forwards: Vec<String>,
    pub nameservers: Vec<IpAddr>,
    #[serde(deserialize_with = "amount")]
    pub additional_address_price: Amount,
    pub addresses_per_instance: usize,
    pub address_quarantine_hours: u32,
    pub reverse_dns_forward_check: bool,
    pub sync_seconds: u64,
    pub restarts_per_hour: u32,
    pub bandwidth_quota_gb: u64,
    pub rescue_image: String,
    pub consoles: usize,
    pub console_seconds: u64,
    pub console_minutes: u64,
    pub console_idle_minutes: u64,
    pub snapshots_per_instance: u32,
    pub backups_per_instance: u32,
    pub backup_days_after_end: u32,
}

/// An amount such as `"1.50"`, not below zero. The environment gives numbers where a file has texts.
fn amount<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Amount, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Number(f64),
    }
    let text = match Written::deserialize(deserializer)? {
        Written::Text(text) => text,
        Written::Number(number) => number.to_string(),
    };
    Amount::parse(&text)
        .filter(|amount| amount.is_zero() || amount.is_positive())
        .ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no amount such as \"1.50\"")))
}

/// Who runs machines on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HypervisorKind {
    /// QEMU processes on this machine.
    Qemu,
    /// Nothing: machines are only said to run.
    Sandbox,
    /// Nobody: this node serves requests, or records only.
    None,
}

/// What interfaces of machines are plugged into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MachineNetwork {
    /// Networks inside QEMU, with ports of the host that lead in.
    User,
    /// Bridges of the host.
    Bridge,
}

impl Compute {
    /// How long a system may take to end.
    pub const fn shutdown_limit(&self) -> Duration {
        Duration::from_secs(self.shutdown_seconds)
    }

    /// The same where the plug is pulled afterwards.
    pub const fn switch_off_limit(&self) -> Duration {
        Duration::from_secs(self.switch_off_seconds)
    }

    /// What is wrong with the settings, and with which.
    pub(super) fn fault(&self) -> Option<(&'static str, &'static str)> {
        let is_forward = |text: &String| {
            text.split_once(':')
                .is_some_and(|(outer, inner)| outer.parse::<u16>().is_ok() && inner.parse::<u16>().is_ok())
        };
        if self.host_name.is_empty() || self.host_name.len() > 100 {
            return Some(("compute.host_name", "must have 1 to 100 characters"));
        }
        if !self.user_forwards.iter().all(is_forward) {
            return Some((
                "compute.user_forwards",
                "must be pairs of ports such as \"8080:80\"",
            ));
        }
        if self.network == MachineNetwork::Bridge && (self.bridge.is_empty() || self.bridge.len() > 15) {
            return Some((
                "compute.bridge",
                "must be the name of a bridge, 1 to 15 characters",
            ));
        }
        if !(1..=60).contains(&self.sync_seconds) {
            return Some(("compute.sync_seconds", "must be between 1 and 60"));
        }
        if self.bandwidth_quota_gb > 1_000_000_000 {
            return Some(("compute.bandwidth_quota_gb", "must be at most 1000000000"));
        }
        let percents = [
            ("compute.cpu_overcommit_percent", self.cpu_overcommit_percent),
            (
                "compute.memory_overcommit_percent",
                self.memory_overcommit_percent,
            ),
            ("compute.disk_overcommit_percent", self.disk_overcommit_percent),
        ];
        if !(1..=3600).contains(&self.console_seconds) {
            return Some(("compute.console_seconds", "must be between 1 and 3600"));
        }
        if !(1..=240).contains(&self.console_minutes) {
            return Some(("compute.console_minutes", "must be between 1 and 240"));
        }
        if !(1..=240).contains(&self.console_idle_minutes) {
            return Some(("compute.console_idle_minutes", "must be between 1 and 240"));
        }
        let bad = percents
            .into_iter()
            .find(|(_, percent)| !(1..=10_000).contains(percent));
        bad.map(|(name, _)| (name, "must be between 1 and 10000"))
    }
}
