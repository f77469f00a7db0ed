//! The usable addresses of a network, counted: no I/O, no clock.

use std::net::IpAddr;

use ipnet::IpNet;
use kernel::http::Faults;

use crate::instances::api::IpType;

/// The family of an address.
pub(super) const fn family_of(address: IpAddr) -> IpType {
    match address {
        IpAddr::V4(_) => IpType::Ipv4,
        IpAddr::V6(_) => IpType::Ipv6,
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// The address `steps` after `first`; none past the end of the family.
fn after(first: IpAddr, steps: u128) -> Option<IpAddr> {
    let sum = number(first).checked_add(steps)?;
    match first {
        IpAddr::V4(_) => Some(IpAddr::V4(u32::try_from(sum).ok()?.into())),
        IpAddr::V6(_) => Some(IpAddr::V6(sum.into())),
    }
}

/// From a first to a last address, both usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    first: IpAddr,
    last: IpAddr,
}

impl Range {
    /// Two addresses of one family, in order.
    pub(super) fn new(first: IpAddr, last: IpAddr) -> Option<Self> {
        (family_of(first) == family_of(last) && first <= last).then_some(Self { first, last })
    }

    /// All that hosts may have in a network: neither the network's own nor the broadcast address of IPv4 (RFC 919;
    /// a /31 and a /32 have neither, RFC 3021), nor the routers' anycast address of IPv6 (RFC 4291, section 2.6.1).
    pub(crate) fn of_hosts(network: IpNet) -> Self {
        let (own, end) = (network.network(), network.broadcast());
        let is_tiny = network.max_prefix_len() - network.prefix_len() < 2;
        let (first, last) = match network {
            _ if is_tiny => (own, end),
            IpNet::V4(_) => (
                after(own, 1).unwrap_or(own),
                after(own, number(end) - number(own) - 1).unwrap_or(end),
            ),
            IpNet::V6(_) => (after(own, 1).unwrap_or(own), end),
        };
        Self { first, last }
    }

    pub(super) const fn first(&self) -> IpAddr {
        self.first
    }

    pub(super) const fn last(&self) -> IpAddr {
        self.last
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        family_of(address) == family_of(self.first) && (self.first..=self.last).contains(&address)
    }

    /// How many addresses there are, as far as can be counted: 2⁶³ − 1 of a larger IPv6 network are enough.
    pub(crate) fn capacity(&self) -> i64 {
        let count = (number(self.last) - number(self.first)).saturating_add(1);
        i64::try_from(count).unwrap_or(i64::MAX)
    }

    /// The address at a position, counted from 0.
    pub(crate) fn at(&self, position: i64) -> Option<IpAddr> {
        after(self.first, u128::try_from(position).ok()?).filter(|address| self.contains(*address))
    }

    /// Where an address lies.
    pub(crate) fn position(&self, address: IpAddr) -> Option<i64> {
        if !self.contains(address) {
            return None;
        }
        i64::try_from(number(address) - number(self.first)).ok()
    }
}

/// What an operator says of a new pool's network.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) network: IpNet,
    pub(super) gateway: IpAddr,
    pub(super) vlan: Option<u16>,
    pub(super) first: Option<IpAddr>,
    pub(super) last: Option<IpAddr>,
}

impl Plan {
    /// The usable range, if all is in order.
    ///
    /// # Errors
    /// Everything that is wrong, by what was said.
    pub(super) fn check(&self) -> Result<Range, Faults> {
        let mut faults = Faults::default();
        let hosts = Range::of_hosts(self.network);
        let whole = self.network.trunc();
        let told = format!("Bits of a host are set: the network is {whole}.");
        faults.check("cidr", whole == self.network, told);
        faults.check(
            "gateway",
            hosts.contains(self.gateway) || is_link_local(self.network, self.gateway),
            "The gateway must be an address of the network, or a link-local one (fe80::/10) for IPv6.",
        );
        faults.check(
            "vlan",
            self.vlan.is_none_or(|vlan| (1..=4094).contains(&vlan)),
            "A VLAN is numbered from 1 to 4094.",
        );
        for (field, bound) in [("first", self.first), ("last", self.last)] {
            faults.check(
                field,
                bound.is_none_or(|bound| hosts.contains(bound)),
                format!("Usable are {} to {}.", hosts.first(), hosts.last()),
            );
        }
        let (first, last) = (self.first.unwrap_or(hosts.first), self.last.unwrap_or(hosts.last));
        let range = Range::new(first, last).filter(|range| {
            let taken = i64::from(range.contains(self.gateway));
            range.capacity() > taken
        });
        if range.is_none() && faults.is_empty() {
            faults.add("cidr", "No address is left for instances.");
        }
        match range {
            Some(range) if faults.is_empty() => Ok(range),
            _ => Err(faults),
        }
    }
}

/// Routers of IPv6 are usually known by a link-local address.
fn is_link_local(network: IpNet, gateway: IpAddr) -> bool {
    matches!((network, gateway), (IpNet::V6(_), IpAddr::V6(gateway)) if gateway.is_unicast_link_local())
}

/// How the API shows a network's mask: dotted for IPv4, the prefix's length for IPv6.
pub(super) fn netmask(network: IpNet) -> String {
    match network {
        IpNet::V4(network) => network.netmask().to_string(),
        IpNet::V6(network) => network.prefix_len().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hosts(network: &str) -> (String, String, i64) {
        let range = Range::of_hosts(network.parse().unwrap());
        (range.first.to_string(), range.last.to_string(), range.capacity())
    }

    fn shown(first: &str, last: &str, capacity: i64) -> (String, String, i64) {
        (first.to_owned(), last.to_owned(), capacity)
    }

    #[test]
    fn hosts_of_networks() {
        assert_eq!(hosts("192.0.2.0/28"), shown("192.0.2.1", "192.0.2.14", 14));
        assert_eq!(hosts("192.0.2.4/31"), shown("192.0.2.4", "192.0.2.5", 2));
        assert_eq!(hosts("192.0.2.4/32"), shown("192.0.2.4", "192.0.2.4", 1));
        assert_eq!(
            hosts("255.255.255.0/24"),
            shown("255.255.255.1", "255.255.255.254", 254)
        );
        assert_eq!(
            hosts("2001:db8::/64"),
            shown("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", i64::MAX)
        );
        assert_eq!(hosts("2001:db8::/126"), shown("2001:db8::1", "2001:db8::3", 3));
        assert_eq!(hosts("::/0").2, i64::MAX);
        assert_eq!(hosts("0.0.0.0/0").2, (1 << 32) - 2);
    }

    fn plan(network: &str, gateway: &str) -> Plan {
        Plan {
            network: network.parse().unwrap(),
            gateway: gateway.parse().unwrap(),
            vlan: None,
            first: None,
            last: None,
        }
    }

    #[test]
    fn plans_are_checked() {
        plan("192.0.2.0/24", "192.0.2.1").check().unwrap();
        plan("2001:db8::/64", "fe80::1").check().unwrap();
        let faulty = [
            ("192.0.2.1/24", "192.0.2.1", "cidr"),
            ("192.0.2.0/24", "192.0.3.1", "gateway"),
            ("192.0.2.0/24", "192.0.2.0", "gateway"),
            ("192.0.2.0/24", "192.0.2.255", "gateway"),
            ("192.0.2.0/24", "2001:db8::1", "gateway"),
            ("192.0.2.0/24", "fe80::1", "gateway"),
            ("192.0.2.1/32", "192.0.2.1", "cidr"),
        ];
        for (network, gateway, field) in faulty {
            assert!(
                plan(network, gateway).check().unwrap_err().has(field),
                "{network} {gateway}"
            );
        }
        let mut part = plan("192.0.2.0/24", "192.0.2.1");
        part.first = Some("192.0.2.10".parse().unwrap());
        part.last = Some("192.0.2.19".parse().unwrap());
        part.vlan = Some(7);
        assert_eq!(part.check().unwrap().capacity(), 10);
        (part.first, part.vlan) = (Some("192.0.3.1".parse().unwrap()), Some(4095));
        let faults = part.check().unwrap_err();
        assert!(faults.has("first") && faults.has("vlan"));
        part = plan("192.0.2.0/24", "192.0.2.1");
        (part.first, part.last) = (
            Some("192.0.2.9".parse().unwrap()),
            Some("192.0.2.8".parse().unwrap()),
        );
        assert!(part.check().unwrap_err().has("cidr"));
    }

    proptest! {
        #[test]
        fn positions_and_addresses_are_each_others(bits: u128, length in 0u8..=128, step: u64, is_v4: bool) {
            let network = if is_v4 {
                let address = std::net::Ipv4Addr::from(u32::try_from(bits >> 96).unwrap());
                IpNet::new(address.into(), length.min(32)).unwrap().trunc()
            } else {
                IpNet::new(std::net::Ipv6Addr::from(bits).into(), length).unwrap().trunc()
            };
            let range = Range::of_hosts(network);
            let position = i64::try_from(u128::from(step) % u128::try_from(range.capacity()).unwrap()).unwrap();
            let address = range.at(position).unwrap();
            prop_assert!(network.contains(&address));
            prop_assert_eq!(range.position(address), Some(position));
            prop_assert_eq!(range.position(range.first()), Some(0));
            if range.capacity() < i64::MAX {
                prop_assert_eq!(range.at(range.capacity()), None);
                prop_assert_eq!(range.at(range.capacity() - 1), Some(range.last()));
            }
        }
    }
}
