//! Networks as the API shows them.
#![allow(
    missing_docs,
    reason = "the fields are the published API's; comments repeat its words where it has some"
)]

use std::net::IpAddr;

use ipnet::IpNet;
use kernel::{http::ApiError, id::Id, openapi::Whole, time::Time, words};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    addresses::pools::{Fill, Pool},
    catalogue::{
        Catalogue,
        api::{DatacenterLocation, Shown},
    },
    instances::api::IpType,
};

words! {
    /// Whether its addresses are the internet's.
    pub enum NetworkType {
        /// Public
        Public = "public",
        /// Private
        Private = "private",
    }
}

/// The id of a network.
pub type NetworkId = Id<Pool>;

#[derive(Debug, Serialize, ToSchema)]
pub struct Network {
    #[schema(read_only)]
    pub id: NetworkId,
    #[schema(read_only)]
    pub name: String,
    #[schema(read_only)]
    pub network_type: NetworkType,
    #[schema(read_only)]
    pub ip_type: IpType,
    #[schema(read_only)]
    pub cidr_block: String,
    #[schema(read_only)]
    pub gateway: String,
    #[schema(read_only, required)]
    pub netmask: Option<String>,
    #[schema(read_only, required, nullable, value_type = Option<Whole>)]
    pub vlan: Option<i64>,
    #[schema(read_only, value_type = DatacenterLocation)]
    pub location: Shown<DatacenterLocation>,
    #[schema(read_only, value_type = Whole)]
    pub available_ips: i64,
    #[schema(read_only)]
    pub is_active: bool,
    #[schema(read_only)]
    pub created: Time,
    #[schema(read_only)]
    pub modified: Time,
}

impl Network {
    /// A pool, with its location from the catalogue.
    ///
    /// # Errors
    /// The location was added a moment ago and this node does not know it yet: temporarily unavailable.
    pub fn of(fill: Fill, catalogue: &Catalogue) -> Result<Self, ApiError> {
        let Fill {
            pool,
            location: slug,
            free,
            ..
        } = fill;
        let network: Option<IpNet> = pool.cidr.parse().ok();
        let location = catalogue.location(pool.location_id).cloned();
        let location = location.ok_or_else(|| ApiError::unavailable("The catalogue is being refreshed."))?;
        Ok(Self {
            id: pool.id,
            name: format!("{slug} {}", pool.cidr),
            network_type: network.map_or(NetworkType::Public, |network| type_of(network.addr())),
            ip_type: pool.family,
            netmask: network.and_then(netmask),
            cidr_block: pool.cidr,
            gateway: pool.gateway,
            vlan: pool.vlan,
            location,
            available_ips: free,
            is_active: pool.is_active,
            created: pool.created,
            modified: pool.modified,
        })
    }
}

/// IPv4 networks are shown with their mask, IPv6 ones have none.
fn netmask(network: IpNet) -> Option<String> {
    match network {
        IpNet::V4(network) => Some(network.netmask().to_string()),
        IpNet::V6(_) => None,
    }
}

/// Private: RFC 1918, RFC 6598 (shared by carriers), RFC 4193 (unique local), and the host's own loopback.
fn type_of(address: IpAddr) -> NetworkType {
    let is_private = match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private() || v4.is_loopback() || (a == 100 && b & 0xc0 == 0x40)
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_loopback(),
    };
    if is_private {
        NetworkType::Private
    } else {
        NetworkType::Public
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_networks_are_told_from_public_ones() {
        for (address, is) in [
            ("10.1.0.0", NetworkType::Private),
            ("100.64.0.0", NetworkType::Private),
            ("100.128.0.0", NetworkType::Public),
            ("203.0.113.0", NetworkType::Public),
            ("fd00::", NetworkType::Private),
            ("2001:db8::", NetworkType::Public),
        ] {
            assert_eq!(type_of(address.parse().unwrap()), is, "{address}");
        }
    }
}
