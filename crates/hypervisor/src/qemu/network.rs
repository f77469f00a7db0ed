//! Interfaces on bridges: a tap each, and a chain of the firewall that lets only its own addresses pass.
//!
//! The rules are in the bridge family, before a frame is switched or its sender learnt: a guest can neither send as
//! somebody else (Ethernet, IPv4, IPv6, ARP, neighbour discovery) nor play DHCP server or router for its neighbours.
//! One map leads from the tap's name to its chain, so that the number of machines costs nothing.

use std::net::IpAddr;

use serde::Deserialize;

use super::command::Programs;
use crate::{
    error::{HypervisorError, Result},
    images::hex,
    model::{Connection, Interface, InterfaceId, VmId},
};

const TABLE: &str = "onet";

/// The tap's name: the kernel allows 15 characters, and the end of a UUID is its random part.
pub(super) fn tap_name(interface: InterfaceId) -> String {
    let bytes = interface.0.as_bytes();
    format!("on-{}", hex(&bytes[10..]))
}

/// Bridges, taps and rules, in the host's namespace.
#[derive(Clone, Debug)]
pub(super) struct HostNetwork {
    programs: Programs,
    run_as: Option<String>,
}

/// What `ip -json link` says of a device.
#[derive(Debug, Deserialize)]
pub(super) struct Link {
    ifname: String,
    #[serde(default)]
    ifalias: Option<String>,
    #[serde(default)]
    stats64: Option<Stats>,
}

#[derive(Debug, Deserialize)]
struct Stats {
    rx: Count,
    tx: Count,
}

#[derive(Debug, Deserialize)]
struct Count {
    bytes: u64,
}

impl Link {
    /// Bytes that the guest received and sent: the host's other way round.
    pub(super) fn guest_bytes(&self) -> Option<(u64, u64)> {
        self.stats64
            .as_ref()
            .map(|stats| (stats.tx.bytes, stats.rx.bytes))
    }

    pub(super) fn name(&self) -> &str {
        &self.ifname
    }

    fn belongs_to(&self, vm: VmId) -> bool {
        self.ifalias
            .as_deref()
            .is_some_and(|alias| alias.starts_with(&alias_of(vm)))
    }
}

fn alias_of(vm: VmId) -> String {
    format!("onet {vm}")
}

impl HostNetwork {
    pub(super) fn new(programs: Programs, run_as: Option<String>) -> Self {
        Self { programs, run_as }
    }

    /// Makes tap and rules; nothing for an interface that is on no bridge. A tap of an earlier run is kept, with what it
    /// has counted.
    pub(super) async fn plug(&self, vm: VmId, interface: &Interface) -> Result<()> {
        self.plug_in(vm, interface, false).await
    }

    /// The same for a machine that is off: its tap begins to count anew.
    pub(super) async fn plug_anew(&self, vm: VmId, interface: &Interface) -> Result<()> {
        self.plug_in(vm, interface, true).await
    }

    async fn plug_in(&self, vm: VmId, interface: &Interface, anew: bool) -> Result<()> {
        let Connection::Bridge { bridge } = &interface.connection else {
            return Ok(());
        };
        check_name(bridge)?;
        let tap = tap_name(interface.id);
        let links = self.links().await?;
        if !links.iter().any(|link| link.ifname == *bridge) {
            return Err(HypervisorError::passing(
                "The instance's network is not available.",
                format!("there is no bridge {bridge}"),
            ));
        }
        // The rules first: a tap without them would carry anything.
        self.programs
            .run_with("nft", &["-f", "-"], rules(interface).as_bytes())
            .await?;
        let mut there = links.iter().any(|link| link.ifname == tap);
        if there && anew {
            self.programs.run("ip", &["link", "delete", "dev", &tap]).await?;
            there = false;
        }
        if !there {
            let mut args = vec!["tuntap", "add", "dev", &tap, "mode", "tap"];
            if let Some(account) = &self.run_as {
                args.extend(["user", account]);
            }
            self.programs.run("ip", &args).await?;
        }
        let alias = format!("{} {}", alias_of(vm), interface.id);
        self.programs
            .run("ip", &["link", "set", "dev", &tap, "alias", &alias])
            .await?;
        self.programs
            .run("ip", &["link", "set", "dev", &tap, "master", bridge, "up"])
            .await
            .map(drop)
    }

    /// Makes a bridge that leads nowhere, unless it is there.
    pub(super) async fn ensure_bridge(&self, bridge: &str) -> Result<()> {
        check_name(bridge)?;
        if !self.links().await?.iter().any(|link| link.ifname == bridge) {
            self.programs
                .run("ip", &["link", "add", "name", bridge, "type", "bridge"])
                .await?;
        }
        self.programs
            .run("ip", &["link", "set", "dev", bridge, "up"])
            .await
            .map(drop)
    }

    /// Removes tap and rules.
    pub(super) async fn unplug(&self, interface: &Interface) -> Result<()> {
        match interface.connection {
            Connection::Bridge { .. } => self.remove(&tap_name(interface.id)).await,
            Connection::User { .. } => Ok(()),
        }
    }

    /// Removes all that carries the machine's name, whatever its record says.
    pub(super) async fn unplug_all(&self, vm: VmId, interfaces: &[Interface]) -> Result<()> {
        for interface in interfaces {
            self.unplug(interface).await?;
        }
        // Without `ip` there are no taps either.
        let links = self.links().await.unwrap_or_default();
        for link in links.iter().filter(|link| link.belongs_to(vm)) {
            self.remove(&link.ifname).await?;
        }
        Ok(())
    }

    async fn remove(&self, tap: &str) -> Result<()> {
        if self.links().await?.iter().any(|link| link.ifname == tap) {
            self.programs.run("ip", &["link", "delete", "dev", tap]).await?;
        }
        // Made first, so that there is something to delete: this can be repeated.
        let script = format!(
            "{}add chain bridge {TABLE} {tap}\n\
             add element bridge {TABLE} guests {{ \"{tap}\" : goto {tap} }}\n\
             delete element bridge {TABLE} guests {{ \"{tap}\" }}\n\
             flush chain bridge {TABLE} {tap}\n\
             delete chain bridge {TABLE} {tap}\n",
            base()
        );
        self.programs
            .run_with("nft", &["-f", "-"], script.as_bytes())
            .await
            .map(drop)
    }

    /// All devices, with their counters.
    pub(super) async fn links(&self) -> Result<Vec<Link>> {
        let said = self
            .programs
            .run("ip", &["-json", "-statistics", "link", "show"])
            .await?;
        serde_json::from_slice(&said)
            .map_err(|error| HypervisorError::host("ip -json link can't be understood", error))
    }
}

/// A name that is one word for `ip` and `nft`.
fn check_name(name: &str) -> Result<()> {
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if plain && !name.is_empty() && name.len() < 16 && !name.starts_with('-') {
        return Ok(());
    }
    Err(HypervisorError::last(
        "The instance's network is not available.",
        format!("{name:?} can't be the name of a bridge"),
    ))
}

/// Table, map and the hook that leads into the chains. Flushed and filled in one transaction: no frame sees it empty.
fn base() -> String {
    format!(
        "add table bridge {TABLE}\n\
         add map bridge {TABLE} guests {{ type ifname : verdict; }}\n\
         add chain bridge {TABLE} prerouting {{ type filter hook prerouting priority -300; policy accept; }}\n\
         flush chain bridge {TABLE} prerouting\n\
         add rule bridge {TABLE} prerouting iifname vmap @guests\n"
    )
}

/// What passes from a guest. Everything else is dropped: other protocols, VLAN tags too.
fn rules(interface: &Interface) -> String {
    let (tap, mac) = (tap_name(interface.id), interface.mac);
    let list = |v4: bool| -> Vec<String> {
        interface
            .addresses
            .iter()
            .filter(|address| address.ip.is_ipv4() == v4)
            .map(|address| address.ip.to_string())
            .collect()
    };
    let (v4, mut v6) = (list(true), list(false));
    // A guest makes its link-local address itself; with its Ethernet address held it can only be its own.
    v6.push("fe80::/10".to_owned());
    let mut lines = vec![
        format!("ether saddr != {mac} drop"),
        format!("ether type arp arp saddr ether != {mac} drop"),
        // Whoever asks whether an address is free has none yet (RFC 5227).
        "ether type arp arp saddr ip 0.0.0.0 accept".to_owned(),
        // Answers of DHCP servers, and routers' words: no guest's business.
        "ether type ip udp sport 67 drop".to_owned(),
        "ether type ip6 udp sport 547 drop".to_owned(),
        "ether type ip6 icmpv6 type { nd-router-advert, nd-redirect } drop".to_owned(),
        "ether type ip ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept".to_owned(),
    ];
    if !v4.is_empty() {
        let v4 = v4.join(", ");
        lines.push(format!("ether type arp arp saddr ip {{ {v4} }} accept"));
        lines.push(format!("ether type ip ip saddr {{ {v4} }} accept"));
    }
    // "I have this address" (RFC 4861, 4.4): only of one's own. The target follows 8 bytes of ICMPv6; written as bits
    // because older nft has no word for it.
    let mut targets: Vec<String> = interface
        .addresses
        .iter()
        .filter_map(|address| match address.ip {
            IpAddr::V6(ip) => Some(format!("0x{}", hex(&ip.octets()))),
            IpAddr::V4(_) => None,
        })
        .collect();
    targets.sort();
    let link_local = "@th,64,10 0x3fa";
    lines.push(format!(
        "ether type ip6 icmpv6 type nd-neighbor-advert {link_local} ip6 saddr fe80::/10 accept"
    ));
    for target in &targets {
        lines.push(format!(
            "ether type ip6 icmpv6 type nd-neighbor-advert @th,64,128 {target} accept"
        ));
    }
    lines.push("ether type ip6 icmpv6 type nd-neighbor-advert drop".to_owned());
    lines.push(format!("ether type ip6 ip6 saddr {{ {} }} accept", v6.join(", ")));
    // Duplicate address detection and multicast membership come from no address (RFC 4862, RFC 3810).
    lines.push(
        "ether type ip6 ip6 saddr :: icmpv6 type { nd-neighbor-solicit, nd-router-solicit, mld-listener-report, \
         mld2-listener-report } accept"
            .to_owned(),
    );
    lines.push("drop".to_owned());
    let mut script = base();
    script.push_str(&format!(
        "add chain bridge {TABLE} {tap}\nflush chain bridge {TABLE} {tap}\n"
    ));
    for line in lines {
        script.push_str(&format!("add rule bridge {TABLE} {tap} {line}\n"));
    }
    script.push_str(&format!(
        "add element bridge {TABLE} guests {{ \"{tap}\" : goto {tap} }}\n"
    ));
    script
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::model::Address;

    #[test]
    fn a_tap_s_name_fits() {
        let name = tap_name(InterfaceId(Uuid::from_u128(u128::MAX)));
        assert_eq!(name, "on-ffffffffffff");
        assert!(name.len() <= 15);
    }

    #[test]
    fn names_are_single_words() {
        for wrong in ["", "-a", "br0;flush", "a b", "0123456789abcdef", "br\n"] {
            assert!(check_name(wrong).is_err(), "{wrong:?}");
        }
        assert!(check_name("br-vpc.10").is_ok());
    }

    #[test]
    fn nobody_plays_server_or_router_from_an_address_of_his_own() {
        let script = rules(&Interface {
            id: InterfaceId(Uuid::from_u128(1)),
            mac: "52:54:00:00:00:01".parse().unwrap(),
            connection: Connection::Bridge {
                bridge: "br0".to_owned(),
            },
            addresses: ["10.0.0.2", "fd00::2"]
                .map(|ip| Address {
                    ip: ip.parse().unwrap(),
                    prefix: 24,
                })
                .to_vec(),
        });
        let at = |text: &str| {
            script
                .find(text)
                .unwrap_or_else(|| panic!("no {text:?} in {script}"))
        };
        assert!(at("ip udp sport 67 drop") < at("ip saddr { 10.0.0.2 } accept"));
        for dropped in [
            "udp sport 547 drop",
            "{ nd-router-advert, nd-redirect } drop",
            "nd-neighbor-advert drop",
        ] {
            assert!(
                at(dropped) < at("ip6 saddr { fd00::2, fe80::/10 } accept"),
                "{dropped}"
            );
        }
        assert!(
            script.contains("@th,64,128 0xfd000000000000000000000000000002 accept"),
            "{script}"
        );
    }

    #[test]
    fn an_interface_without_addresses_may_ask_for_one() {
        let script = rules(&Interface {
            id: InterfaceId(Uuid::from_u128(1)),
            mac: "52:54:00:00:00:01".parse().unwrap(),
            connection: Connection::Bridge {
                bridge: "br0".to_owned(),
            },
            addresses: Vec::new(),
        });
        assert!(script.contains("udp sport 68 udp dport 67 accept"), "{script}");
        assert!(!script.contains("{  }"), "{script}");
    }
}
