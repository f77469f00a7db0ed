//! What is written of a machine, in the driver's words. No I/O.

use std::net::{IpAddr, SocketAddr};

use hypervisor::{
    Address, Connection, DiskLimits, DiskMode, Forward, ImageId, Interface, InterfaceId, MacAddress,
    RootDisk, Size, VmId, VmSpec,
    seed::{Network, Seed},
};
use ipnet::IpNet;
use kernel::{
    config::{Compute, MachineNetwork},
    id::{Any, Id},
    secrets::Sealer,
    tasks::StepError,
};

use super::facts::Facts;
use crate::{
    addresses::PUBLIC_INTERFACE,
    instances::{api::InstanceKind, rows::AddressRow},
    vpcs::{api::VpcKind, private::PrivateRow, subnets::rows::SubnetRow},
};

/// The driver's word for an instance.
pub fn vm_of(instance: Id<InstanceKind>) -> VmId {
    VmId(instance.uuid())
}

/// The bridge of a VPC: the kernel allows 15 characters, and the end of a UUID is its random part.
pub fn bridge_of(vpc: Id<VpcKind>) -> String {
    let name = vpc.uuid().simple().to_string();
    format!("ovpc{}", &name[name.len() - 11..])
}

/// What sealed values of a machine are bound to, so that none opens in another's row.
pub(crate) fn seal_context(instance: Id<InstanceKind>, what: &str) -> String {
    format!("machine/{}/{what}", instance.uuid())
}

/// The root disk.
///
/// # Errors
/// Passing: its image is not in store yet.
pub fn root_disk(facts: &Facts) -> Result<RootDisk, StepError> {
    Ok(RootDisk {
        image: image_file(facts.image.as_deref())?,
        size_bytes: disk_bytes(facts.machine.disk_gb),
        mode: DiskMode::Overlay,
    })
}

/// The rescue system, if the machine is to boot from one.
///
/// # Errors
/// Passing: its image is not in store.
pub fn rescue_image(facts: &Facts) -> Result<Option<ImageId>, StepError> {
    match facts.machine.rescue_image_id {
        Some(_) => image_file(facts.rescue_image.as_deref()).map(Some),
        None => Ok(None),
    }
}

fn image_file(digest: Option<&str>) -> Result<ImageId, StepError> {
    let digest = digest.ok_or_else(|| {
        StepError::passing(
            "The image is not available yet.",
            "the image has no file in store",
        )
    })?;
    ImageId::try_from(digest.to_owned()).map_err(|error| StepError::fatal("The image can't be used.", error))
}

/// Its processors, memory and disk.
pub fn size(facts: &Facts) -> Size {
    Size {
        cpus: u16::try_from(facts.machine.cpus).unwrap_or(u16::MAX),
        memory_mib: u32::try_from(facts.machine.memory_mb).unwrap_or(u32::MAX),
        disk_bytes: disk_bytes(facts.machine.disk_gb),
    }
}

fn disk_bytes(gb: i64) -> u64 {
    u64::try_from(gb).unwrap_or(0) << 30
}

/// The machine without its disk.
///
/// # Errors
/// Final: what is written can't be carried out.
pub fn spec(facts: &Facts, settings: &Compute) -> Result<VmSpec, StepError> {
    let Size { cpus, memory_mib, .. } = size(facts);
    let mut interfaces = vec![public_interface(facts, settings)?];
    if let Some(vpc) = facts.attached_to {
        interfaces.push(private_interface(facts, vpc, settings)?);
    }
    Ok(VmSpec {
        id: vm_of(facts.instance.id),
        name: format!(
            "onet-{}",
            facts.instance.hostname.chars().take(100).collect::<String>()
        ),
        cpus,
        memory_mib,
        disk_limits: DiskLimits::default(),
        interfaces,
    })
}

/// The bridges of VPCs among a machine's: they are ours to make. The one to the world is the operator's.
pub fn private_bridges<'a>(spec: &'a VmSpec, settings: &'a Compute) -> impl Iterator<Item = &'a str> {
    spec.interfaces
        .iter()
        .filter_map(|interface| match &interface.connection {
            Connection::Bridge { bridge } if *bridge != settings.bridge => Some(bridge.as_str()),
            Connection::Bridge { .. } | Connection::User { .. } => None,
        })
}

/// The interface to the world.
///
/// # Errors
/// Final: an address in the database is none.
pub fn public_interface(facts: &Facts, settings: &Compute) -> Result<Interface, StepError> {
    let machine = &facts.machine;
    let public = facts
        .addresses
        .iter()
        .filter(|row| row.interface == PUBLIC_INTERFACE);
    let addresses = public.map(address).collect::<Result<Vec<_>, _>>()?;
    let connection = match settings.network {
        MachineNetwork::User => Connection::User {
            forwards: forwards(facts, settings)?,
        },
        MachineNetwork::Bridge => Connection::Bridge {
            bridge: settings.bridge.clone(),
        },
    };
    Ok(Interface {
        id: interface_id(machine.interface_id),
        mac: mac(&machine.mac_address)?,
        connection,
        addresses,
    })
}

/// The interface in a VPC, with the machine's address there. QEMU's own networks have addresses of their own.
///
/// # Errors
/// Final: an address in the database is none.
pub fn private_interface(
    facts: &Facts,
    vpc: Id<VpcKind>,
    settings: &Compute,
) -> Result<Interface, StepError> {
    let machine = &facts.machine;
    let connection = match settings.network {
        MachineNetwork::User => Connection::User { forwards: Vec::new() },
        MachineNetwork::Bridge => Connection::Bridge {
            bridge: bridge_of(vpc),
        },
    };
    let addresses = match (settings.network, private(facts, vpc)) {
        (MachineNetwork::Bridge, Some((row, subnet))) => vec![private_address(row, subnet)?],
        _ => Vec::new(),
    };
    Ok(Interface {
        id: interface_id(machine.private_interface_id),
        mac: mac(&machine.private_mac_address)?,
        connection,
        addresses,
    })
}

/// What the machine has in a VPC.
fn private(facts: &Facts, vpc: Id<VpcKind>) -> Option<&(PrivateRow, SubnetRow)> {
    facts.private.iter().find(|(row, _)| row.vpc_id == vpc)
}

fn private_address(row: &PrivateRow, subnet: &SubnetRow) -> Result<Address, StepError> {
    let wrong = |why: String| StepError::fatal("The instance's network can't be set up.", why);
    let ip = row
        .address
        .parse()
        .map_err(|error| wrong(format!("{}: {error}", row.address)))?;
    let network: IpNet = subnet
        .cidr_block
        .parse()
        .map_err(|error| wrong(format!("{}: {error}", subnet.cidr_block)))?;
    Ok(Address {
        ip,
        prefix: network.prefix_len(),
    })
}

fn interface_id(id: Id<Any>) -> InterfaceId {
    InterfaceId(id.uuid())
}

fn mac(text: &str) -> Result<MacAddress, StepError> {
    text.parse()
        .map_err(|error| StepError::fatal("The instance's network can't be set up.", error))
}

fn address(row: &AddressRow) -> Result<Address, StepError> {
    let wrong = |why: String| StepError::fatal("The instance's network can't be set up.", why);
    let ip: IpAddr = row
        .address
        .parse()
        .map_err(|error| wrong(format!("{}: {error}", row.address)))?;
    let prefix =
        prefix(row.netmask.as_deref(), ip).ok_or_else(|| wrong(format!("netmask {:?}", row.netmask)))?;
    Ok(Address { ip, prefix })
}

/// The API shows IPv4 networks by their mask, IPv6 ones by their length.
fn prefix(netmask: Option<&str>, ip: IpAddr) -> Option<u8> {
    match (netmask, ip) {
        (None, IpAddr::V4(_)) => Some(32),
        (None, IpAddr::V6(_)) => Some(128),
        (Some(text), IpAddr::V4(_)) => {
            let mask = u32::from(text.parse::<std::net::Ipv4Addr>().ok()?);
            let ones = mask.leading_ones();
            (mask.count_ones() == ones)
                .then(|| u8::try_from(ones).ok())
                .flatten()
        }
        (Some(text), IpAddr::V6(_)) => text
            .trim_start_matches('/')
            .parse()
            .ok()
            .filter(|length| *length <= 128),
    }
}

/// Ports of the host that lead into the machine. Where its address is one of the host's own loopback, they are at that
/// address, so that it is reached as it says; elsewhere at 127.0.0.1, on free ones.
fn forwards(facts: &Facts, settings: &Compute) -> Result<Vec<Forward>, StepError> {
    let own = facts
        .addresses
        .iter()
        .filter_map(|row| row.address.parse::<IpAddr>().ok())
        .find(|ip| ip.is_ipv4() && ip.is_loopback());
    settings
        .user_forwards
        .iter()
        .map(|text| {
            let (outer, inner) = text
                .split_once(':')
                .and_then(|(outer, inner)| Some((outer.parse::<u16>().ok()?, inner.parse::<u16>().ok()?)))
                .ok_or_else(|| {
                    let why = format!("compute.user_forwards: {text:?}");
                    StepError::fatal("The instance's network can't be set up.", why)
                })?;
            let host = own.map_or_else(
                || SocketAddr::from(([127, 0, 0, 1], 0)),
                |ip| SocketAddr::new(ip, outer),
            );
            Ok(Forward {
                host,
                guest_port: inner,
            })
        })
        .collect()
}

/// What cloud-init is told.
///
/// # Errors
/// Final: a sealed value does not open.
pub fn seed(facts: &Facts, settings: &Compute, sealer: &Sealer) -> Result<Seed, StepError> {
    let id = facts.instance.id;
    let open = |what: &str, sealed: &Option<String>| {
        let Some(sealed) = sealed else { return Ok(None) };
        let opened = sealer.open(&seal_context(id, what), sealed);
        let text = opened.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        text.map(Some)
            .map_err(|error| StepError::fatal("The instance's settings can't be read.", error))
    };
    // The rescue system has a password of its own, and is not what the customer's document was written for.
    let (password_hash, user_data) = if facts.machine.rescue_image_id.is_some() {
        (open("rescue_password", &facts.machine.rescue_password)?, None)
    } else {
        let password = open("password", &facts.machine.password)?;
        (password, open("user_data", &facts.machine.user_data)?)
    };
    Ok(Seed {
        instance_id: facts.machine.seed_id.uuid().to_string(),
        hostname: facts.instance.hostname.clone(),
        vendor_data: password_hash.as_deref().map(password_hook),
        password_hash,
        ssh_keys: facts.keys.clone(),
        user_data,
        network: network(facts, settings)?,
    })
}

/// Sets root's password at the next boot, once, whatever has been set up before: cloud-init's own module for passwords
/// looks at an instance only once, and making it a new instance would run the customer's document again and change the
/// machine's SSH keys. A boothook runs at every boot, `cloud-init-per once` keeps what it has done by name.
fn password_hook(hash: &str) -> String {
    // As crypt(3) writes it, a hash has nothing that could end the quotation.
    let hash: String = hash
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "$./=,-".contains(*c))
        .collect();
    let name: String = hash
        .chars()
        .rev()
        .filter(char::is_ascii_alphanumeric)
        .take(24)
        .collect();
    format!("#cloud-boothook\n#!/bin/sh\ncloud-init-per once onet-password-{name} usermod -p '{hash}' root\n")
}

/// On a bridge nobody answers DHCP: the guest is told its addresses.
fn network(facts: &Facts, settings: &Compute) -> Result<Option<Network>, StepError> {
    if settings.network == MachineNetwork::User {
        return Ok(None);
    }
    let mut gateways: Vec<IpAddr> = Vec::new();
    for row in &facts.addresses {
        if let Ok(gateway) = row.gateway.parse::<IpAddr>()
            && !gateways.contains(&gateway)
        {
            gateways.push(gateway);
        }
    }
    let mut interfaces = vec![public_interface(facts, settings)?];
    let mut nameservers = settings.nameservers.clone();
    // One without addresses would ask for them, and nobody answers.
    if let Some(vpc) = facts.attached_to
        && let Some((_, subnet)) = private(facts, vpc)
        && subnet.dhcp_enabled
    {
        interfaces.push(private_interface(facts, vpc, settings)?);
        let own: Vec<IpAddr> = subnet.dns_servers.read().unwrap_or_default();
        nameservers.extend(own);
    }
    Ok(Some(Network {
        interfaces,
        gateways,
        nameservers,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn netmasks_become_lengths() {
        let (four, six): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), std::net::Ipv6Addr::LOCALHOST.into());
        assert_eq!(prefix(Some("255.255.255.0"), four), Some(24));
        assert_eq!(prefix(Some("255.192.0.0"), four), Some(10));
        assert_eq!(prefix(Some("255.0.255.0"), four), None);
        assert_eq!(prefix(None, four), Some(32));
        assert_eq!(prefix(Some("64"), six), Some(64));
        assert_eq!(prefix(Some("129"), six), None);
    }

    #[test]
    fn a_bridge_has_a_name_that_the_kernel_takes() {
        let name = bridge_of(Id::new());
        assert_eq!(name.len(), 15);
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}
