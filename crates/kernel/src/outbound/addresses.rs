//! Which addresses of the internet may be called on a customer's behalf.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::Network;

/// Whether `address` may be called: it is public, or lies in one of the `allowed` networks.
pub fn may_be_called(address: IpAddr, allowed: &[Network]) -> bool {
    let within = |address: IpAddr| allowed.iter().any(|network| network.contains(address));
    if within(address) || is_public(address) {
        return true;
    }
    // The address behind a NAT64 prefix is the one that is reached in the end.
    matches!(address, IpAddr::V6(address) if translated(address).is_some_and(|inner| within(inner.into())))
}

/// Whether `address` is one of the public internet: none of a private network, of this host, of a link, of a
/// multicast group, or reserved by the registries of special-purpose addresses (RFC 6890).
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = match a {
        // "This network", loopback, multicast and reserved, private.
        0 | 10 | 127 | 224..=255 => true,
        // Shared by carrier-grade NAT (RFC 6598).
        100 => (64..128).contains(&b),
        // Link-local, where clouds serve their metadata.
        169 => b == 254,
        172 => (16..32).contains(&b),
        // Protocol assignments, documentation, 6to4 relays, private.
        192 => b == 168 || (b == 0 && matches!(c, 0 | 2)) || (b == 88 && c == 99),
        // Benchmarks, documentation.
        198 => matches!(b, 18 | 19) || (b == 51 && c == 100),
        // Documentation.
        203 => b == 0 && c == 113,
        _ => false,
    };
    !is_special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = translated(address) {
        return is_public_v4(inner);
    }
    let [first, second, ..] = address.segments();
    // Outside of 2000::/3 nothing is global unicast: loopback, unspecified, IPv4-compatible, unique local (where
    // fd00:ec2::254 serves metadata), link-local, site-local, multicast.
    let is_global = first & 0xe000 == 0x2000;
    // Protocol assignments with Teredo, documentation, 6to4.
    let is_special = (first == 0x2001 && (second < 0x0200 || second == 0x0db8))
        || first == 0x2002
        || (first == 0x3fff && second < 0x1000);
    is_global && !is_special
}

/// The IPv4 address that 64:ff9b::/96 (RFC 6052) stands for.
fn translated(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = address.segments() else {
        return None;
    };
    let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
    Some(Ipv4Addr::new(a, b, c, d))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn public(text: &str) -> bool {
        is_public(text.parse().unwrap())
    }

    #[test]
    fn special_addresses_are_not_public() {
        for text in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "fd00:ec2::254",
            "fc00::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "3fff::1",
            "100::1",
        ] {
            assert!(!public(text), "{text}");
        }
    }

    #[test]
    fn addresses_of_the_internet_are_public() {
        for text in [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:9.9.9.9",
            "64:ff9b::101:101",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00::1",
        ] {
            assert!(public(text), "{text}");
        }
    }

    #[test]
    fn an_allowed_network_opens_itself_only() {
        let allowed = ["127.0.0.0/8".parse().unwrap()];
        let may = |text: &str| may_be_called(text.parse().unwrap(), &allowed);
        assert!(may("127.0.0.1") && may("::ffff:127.0.0.1") && may("64:ff9b::7f00:1") && may("1.1.1.1"));
        assert!(!may("10.0.0.1") && !may("::1") && !may("64:ff9b::a00:1"));
    }

    proptest! {
        #[test]
        fn a_mapped_or_translated_address_is_judged_as_what_it_stands_for(bits in any::<u32>()) {
            let v4 = Ipv4Addr::from(bits);
            let mapped = v4.to_ipv6_mapped();
            let nat64 = Ipv6Addr::from((0x0064_ff9b_u128 << 96) | u128::from(bits));
            prop_assert_eq!(is_public(v4.into()), is_public(mapped.into()));
            prop_assert_eq!(is_public(v4.into()), is_public(nat64.into()));
        }

        #[test]
        fn what_the_standard_library_calls_special_is_not_public(v4 in any::<u32>(), v6 in any::<u128>()) {
            let v4 = Ipv4Addr::from(v4);
            if v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast() || v4.is_unspecified()
                || v4.is_broadcast() || v4.is_documentation()
            {
                prop_assert!(!is_public(v4.into()));
            }
            let v6 = Ipv6Addr::from(v6);
            if v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_multicast() {
                prop_assert!(!is_public(v6.into()));
            }
        }
    }
}
