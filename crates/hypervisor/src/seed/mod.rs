//! What a machine's system is told at its first start: cloud-init's NoCloud data source, a small disk labelled
//! `cidata` with up to four documents.
//!
//! The disk is a FAT file system written by the fatfs crate: cloud-init takes FAT as well as ISO 9660, and no other
//! program has to be installed for it. Documents are JSON, which is YAML too, so that no text can break out of its
//! place.

use std::{
    fmt,
    io::{Cursor, Write},
    net::IpAddr,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    error::{HypervisorError, Result},
    model::Interface,
};

/// The size of the disk. FAT needs little more than the documents.
const DISK_BYTES: usize = 1 << 20;
/// All documents together.
const DOCUMENTS_BYTES: usize = 512 << 10;
const LABEL: [u8; 11] = *b"cidata     ";

/// What a machine is told.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed {
    /// Another one than before makes cloud-init do everything anew, as after a reinstallation.
    pub instance_id: String,
    /// The host name.
    pub hostname: String,
    /// Root's password, hashed as `crypt(3)` does.
    pub password_hash: Option<String>,
    /// Root's keys, a line of `authorized_keys` each. The user that the image brings along gets them as well.
    pub ssh_keys: Vec<String>,
    /// The customer's document, word for word.
    pub user_data: Option<String>,
    /// The provider's document, word for word. It may be given together with a password.
    pub vendor_data: Option<String>,
    /// How its interfaces are set up; none: by DHCP, all of them.
    pub network: Option<Network>,
}

/// Secrets stay out of logs.
impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seed")
            .field("instance_id", &self.instance_id)
            .field("hostname", &self.hostname)
            .finish_non_exhaustive()
    }
}

/// The set-up of interfaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The interfaces. One without addresses asks by DHCP.
    pub interfaces: Vec<Interface>,
    /// Where packets to elsewhere go, through the first interface: the first of each family counts.
    pub gateways: Vec<IpAddr>,
    /// Who resolves names.
    pub nameservers: Vec<IpAddr>,
}

impl Seed {
    /// The disk.
    ///
    /// # Errors
    /// Final when the documents are too large.
    pub fn disk(&self) -> Result<Vec<u8>> {
        let documents = self.documents();
        let size: usize = documents.iter().map(|(_, text)| text.len()).sum();
        if size > DOCUMENTS_BYTES {
            return Err(HypervisorError::last(
                format!(
                    "User data and keys may take {} KiB together.",
                    DOCUMENTS_BYTES >> 10
                ),
                format!("the seed has {size} bytes of documents"),
            ));
        }
        write(&documents).map_err(|error| HypervisorError::host("can't write the seed's file system", error))
    }

    fn documents(&self) -> Vec<(&'static str, String)> {
        let mut meta = json!({"instance-id": self.instance_id, "local-hostname": self.hostname});
        if !self.ssh_keys.is_empty() {
            meta["public-keys"] = json!(self.ssh_keys);
        }
        let mut documents = vec![
            ("meta-data", pretty(&meta)),
            // The data source wants this document, be it empty.
            ("user-data", self.user_data.clone().unwrap_or_default()),
        ];
        documents.push(("vendor-data", self.vendor()));
        if let Some(network) = &self.network {
            documents.push(("network-config", pretty(&network.document())));
        }
        documents
    }

    /// What is root's is the provider's word, so that the customer's document stays as it was given. Images of
    /// distributions keep root out, keys or not, unless they are told otherwise.
    fn vendor(&self) -> String {
        let mut ours = json!({"disable_root": false});
        if let Some(hash) = &self.password_hash {
            ours["ssh_pwauth"] = json!(true);
            ours["chpasswd"] =
                json!({"expire": false, "users": [{"name": "root", "type": "hash", "password": hash}]});
        }
        let ours = format!("#cloud-config\n{}", pretty(&ours));
        match &self.vendor_data {
            Some(theirs) => both(&ours, theirs),
            None => ours,
        }
    }
}

impl Network {
    /// Version 1 of cloud-init's network configuration, which all of its releases write down rightly for every kind of
    /// guest. Of version 2, some refuse a route to `default`, and make `::/64` of one to `::/0`, unless the guest has netplan.
    fn document(&self) -> Value {
        let interfaces = self.interfaces.iter().enumerate();
        let config: Vec<Value> = interfaces
            .map(|(index, interface)| {
                let mut subnets = subnets(interface);
                if index == 0 {
                    self.lead_elsewhere(&mut subnets);
                }
                // It is found by its Ethernet address and then given this name. The demo image reads line by line: that
                // address comes first.
                json!({
                    "type": "physical",
                    "name": format!("eth{index}"),
                    "mac_address": interface.mac.to_string(),
                    "subnets": subnets,
                })
            })
            .collect();
        json!({"version": 1, "config": config})
    }

    /// Gateways go with the first address of their family, resolvers with the first address.
    fn lead_elsewhere(&self, subnets: &mut [Value]) {
        for kind in [STATIC_4, STATIC_6] {
            let gateway = self.gateways.iter().find(|ip| static_kind(**ip) == kind);
            let subnet = subnets.iter_mut().find(|subnet| subnet["type"] == kind);
            if let (Some(gateway), Some(subnet)) = (gateway, subnet) {
                subnet["gateway"] = json!(gateway);
            }
        }
        if let (Some(first), false) = (subnets.first_mut(), self.nameservers.is_empty()) {
            first["dns_nameservers"] = json!(self.nameservers);
        }
    }
}

const STATIC_4: &str = "static";
const STATIC_6: &str = "static6";

fn static_kind(ip: IpAddr) -> &'static str {
    if ip.is_ipv4() { STATIC_4 } else { STATIC_6 }
}

fn subnets(interface: &Interface) -> Vec<Value> {
    if interface.addresses.is_empty() {
        return vec![json!({"type": "dhcp4"})];
    }
    let addresses = interface.addresses.iter();
    addresses
        .map(|address| json!({"type": static_kind(address.ip), "address": address.to_string()}))
        .collect()
}

/// Two documents in one, as cloud-init takes them (RFC 2046). The boundary must not be in either.
fn both(first: &str, second: &str) -> String {
    let mut boundary = String::from("onet");
    while first.contains(&boundary) || second.contains(&boundary) {
        boundary.push_str("-onet");
    }
    let kind = |text: &str| {
        if text.starts_with("#cloud-config") {
            "text/cloud-config"
        } else if text.starts_with("#!") {
            "text/x-shellscript"
        } else {
            "text/plain"
        }
    };
    let part = |text: &str| {
        format!(
            "--{boundary}\nContent-Type: {}; charset=\"utf-8\"\nMIME-Version: 1.0\n\n{text}\n",
            kind(text)
        )
    };
    format!(
        "Content-Type: multipart/mixed; boundary=\"{boundary}\"\nMIME-Version: 1.0\n\n{}{}--{boundary}--\n",
        part(first),
        part(second)
    )
}

fn pretty(value: &Value) -> String {
    // A value of JSON always has a text.
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn write(documents: &[(&str, String)]) -> std::io::Result<Vec<u8>> {
    let mut disk = Cursor::new(vec![0; DISK_BYTES]);
    fatfs::format_volume(&mut disk, fatfs::FormatVolumeOptions::new().volume_label(LABEL))?;
    let volume = fatfs::FileSystem::new(&mut disk, fatfs::FsOptions::new())?;
    {
        let root = volume.root_dir();
        for (name, text) in documents {
            let mut file = root.create_file(name)?;
            file.truncate()?;
            file.write_all(text.as_bytes())?;
            file.flush()?;
        }
    }
    volume.unmount()?;
    Ok(disk.into_inner())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::model::{Address, Connection, InterfaceId};

    fn seed() -> Seed {
        Seed {
            instance_id: "i-1".to_owned(),
            hostname: "web1".to_owned(),
            password_hash: Some("$6$salt$hash".to_owned()),
            ssh_keys: vec!["ssh-ed25519 AAAA a\"b".to_owned()],
            user_data: Some("#!/bin/sh\necho hello\n".to_owned()),
            ..Seed::default()
        }
    }

    fn read(disk: Vec<u8>, name: &str) -> Option<String> {
        let volume = fatfs::FileSystem::new(Cursor::new(disk), fatfs::FsOptions::new()).unwrap();
        assert_eq!(volume.volume_label(), "cidata");
        let mut text = String::new();
        volume
            .root_dir()
            .open_file(name)
            .ok()?
            .read_to_string(&mut text)
            .unwrap();
        Some(text)
    }

    #[test]
    fn documents_are_read_back() {
        let disk = seed().disk().unwrap();
        assert_eq!(disk.len(), DISK_BYTES);
        let meta: Value = serde_json::from_str(&read(disk.clone(), "meta-data").unwrap()).unwrap();
        assert_eq!(
            meta,
            json!({"instance-id": "i-1", "local-hostname": "web1", "public-keys": ["ssh-ed25519 AAAA a\"b"]})
        );
        assert_eq!(
            read(disk.clone(), "user-data").unwrap(),
            "#!/bin/sh\necho hello\n"
        );
        let vendor = read(disk.clone(), "vendor-data").unwrap();
        assert!(
            vendor.starts_with("#cloud-config\n{") && vendor.contains("$6$salt$hash"),
            "{vendor}"
        );
        assert_eq!(read(disk, "network-config"), None);
    }

    #[test]
    fn keys_alone_let_root_in() {
        let seed = Seed {
            password_hash: None,
            ..seed()
        };
        let vendor = read(seed.disk().unwrap(), "vendor-data").unwrap();
        let told: Value = serde_json::from_str(vendor.strip_prefix("#cloud-config\n").unwrap()).unwrap();
        assert_eq!(told, json!({"disable_root": false}));
    }

    #[test]
    fn interfaces_are_told_their_addresses() {
        let interface = |last: u8, addresses: &[(&str, u8)]| Interface {
            id: InterfaceId(uuid::Uuid::nil()),
            mac: format!("02:00:00:00:00:0{last}").parse().unwrap(),
            connection: Connection::Bridge {
                bridge: "onet0".to_owned(),
            },
            addresses: addresses
                .iter()
                .map(|(ip, prefix)| Address {
                    ip: ip.parse().unwrap(),
                    prefix: *prefix,
                })
                .collect(),
        };
        let network = Network {
            interfaces: vec![
                interface(1, &[("192.0.2.5", 24), ("192.0.2.6", 24), ("2001:db8::5", 64)]),
                interface(2, &[]),
            ],
            gateways: ["fe80::1", "192.0.2.1", "192.0.2.2"]
                .map(|ip| ip.parse().unwrap())
                .to_vec(),
            nameservers: vec!["9.9.9.9".parse().unwrap()],
        };
        assert_eq!(
            network.document(),
            json!({"version": 1, "config": [
                {"type": "physical", "name": "eth0", "mac_address": "02:00:00:00:00:01", "subnets": [
                    {"type": "static", "address": "192.0.2.5/24", "gateway": "192.0.2.1", "dns_nameservers": ["9.9.9.9"]},
                    {"type": "static", "address": "192.0.2.6/24"},
                    {"type": "static6", "address": "2001:db8::5/64", "gateway": "fe80::1"},
                ]},
                {"type": "physical", "name": "eth1", "mac_address": "02:00:00:00:00:02", "subnets": [{"type": "dhcp4"}]},
            ]})
        );
    }

    #[test]
    fn a_provider_s_document_stands_beside_the_password() {
        let seed = Seed {
            vendor_data: Some("#!/bin/sh\necho onet onet-onet\n".to_owned()),
            ..seed()
        };
        let vendor = read(seed.disk().unwrap(), "vendor-data").unwrap();
        assert!(
            vendor.starts_with("Content-Type: multipart/mixed; boundary=\"onet-onet-onet\""),
            "{vendor}"
        );
        assert!(
            vendor.contains("text/cloud-config") && vendor.contains("text/x-shellscript"),
            "{vendor}"
        );
        assert!(vendor.ends_with("--onet-onet-onet--\n"), "{vendor}");
    }

    #[test]
    fn too_much_is_refused_for_good() {
        let seed = Seed {
            user_data: Some("x".repeat(DOCUMENTS_BYTES)),
            ..seed()
        };
        assert!(!seed.disk().unwrap_err().is_passing());
    }

    #[test]
    fn secrets_are_not_printed() {
        let printed = format!("{:?}", seed());
        assert!(
            !printed.contains("hash") && !printed.contains("hello"),
            "{printed}"
        );
    }
}
