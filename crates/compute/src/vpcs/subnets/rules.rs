//! What a block, a subnet and its gateway may be. No I/O.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use kernel::http::Faults;

use super::rows::SubnetRow;
use crate::addresses::Range;

/// Resolvers of a subnet.
const MOST_RESOLVERS: usize = 4;
/// The blocks that nobody has on the internet (RFC 1918).
const PRIVATE: [&str; 3] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];

/// A VPC's block: private, with no bits of a host set, /16 to /28.
///
/// # Errors
/// What is wrong with it.
pub(in crate::vpcs) fn parse_block(text: &str) -> Result<Ipv4Net, String> {
    let block: Ipv4Net = text
        .parse()
        .map_err(|_| "Enter an IPv4 network such as 10.0.0.0/16.".to_owned())?;
    if block.trunc() != block {
        return Err(format!(
            "Bits of a host are set: the network is {}.",
            block.trunc()
        ));
    }
    if !(16..=28).contains(&block.prefix_len()) {
        return Err("The block must be between /16 and /28.".to_owned());
    }
    let mut private = PRIVATE.iter().filter_map(|text| text.parse::<Ipv4Net>().ok());
    if !private.any(|private| private.contains(&block)) {
        return Err("The block must be private: in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16.".to_owned());
    }
    Ok(block)
}

/// A subnet's range: inside of the VPC's block, beside its siblings.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse_range(text: &str, block: &str, siblings: &[SubnetRow]) -> Result<Ipv4Net, String> {
    let range: Ipv4Net = text
        .parse()
        .map_err(|_| "Enter an IPv4 network such as 10.0.1.0/24.".to_owned())?;
    if range.trunc() != range {
        return Err(format!(
            "Bits of a host are set: the network is {}.",
            range.trunc()
        ));
    }
    if range.prefix_len() > 29 {
        return Err("The range must be a /29 at least.".to_owned());
    }
    if !block.parse::<Ipv4Net>().is_ok_and(|block| block.contains(&range)) {
        return Err(format!("The range must be inside of the VPC's block, {block}."));
    }
    let overlaps = |sibling: &&SubnetRow| {
        sibling
            .cidr_block
            .parse::<Ipv4Net>()
            .is_ok_and(|other| other.contains(&range) || range.contains(&other))
    };
    match siblings.iter().find(overlaps) {
        Some(sibling) => Err(format!(
            "The range overlaps with subnet {} ({}).",
            sibling.name, sibling.cidr_block
        )),
        None => Ok(range),
    }
}

/// The addresses that members can have, the gateway's among them.
pub(in crate::vpcs) fn range(row: &SubnetRow) -> Option<Range> {
    row.cidr_block.parse::<IpNet>().ok().map(Range::of_hosts)
}

/// The gateway: the one that was named, or the first usable address.
pub(in crate::vpcs) fn gateway(row: &SubnetRow) -> Option<IpAddr> {
    let range = range(row)?;
    let named = row.gateway.as_ref().and_then(|text| text.parse().ok());
    named.or_else(|| range.at(0))
}

/// How many members there can be: everybody but the gateway.
pub(super) fn capacity(row: &SubnetRow) -> i64 {
    range(row).map_or(0, |range| range.capacity() - 1)
}

/// Notes what is wrong with a subnet's gateway and resolvers.
pub(super) fn check(row: &SubnetRow, resolvers: &[String], faults: &mut Faults) {
    if let Some(text) = &row.gateway {
        let inside = text
            .parse::<IpAddr>()
            .is_ok_and(|address| range(row).is_some_and(|range| range.position(address).is_some()));
        faults.check("gateway", inside, "Enter a usable address of the range.");
    }
    faults.check(
        "dns_servers",
        resolvers.len() <= MOST_RESOLVERS,
        format!("At most {MOST_RESOLVERS} resolvers are taken."),
    );
    faults.check(
        "dns_servers",
        resolvers.iter().all(|text| text.parse::<IpAddr>().is_ok()),
        "Enter IP addresses.",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_private_and_of_a_sensible_size() {
        for good in [
            "10.0.0.0/16",
            "172.31.0.0/16",
            "192.168.7.0/28",
            "10.255.255.240/28",
        ] {
            assert!(parse_block(good).is_ok(), "{good}");
        }
        for bad in [
            "10.0.0.0/8",
            "10.0.0.0/15",
            "10.0.0.0/29",
            "10.0.0.1/16",
            "8.8.8.0/24",
            "172.32.0.0/16",
            "fd00::/64",
            "10.0.0.0",
            "",
            "100.64.0.0/16",
        ] {
            assert!(parse_block(bad).is_err(), "{bad}");
        }
    }
}
