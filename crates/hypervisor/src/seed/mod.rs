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
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Seed {
    /// Another one than before makes cloud-init do everything anew, as after a reinstallation.
    pub instance_id: String,
    /// The host name.
    pub hostname: String,
    /// Root's password, hashed as `crypt(3)` does.
    pub password_hash: Option<String>,
    /// Root's keys, a line of `authorized_keys` each.
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// The interfaces. One without addresses asks by DHCP.
    pub interfaces: Vec<Interface>,
    /// Where packets to elsewhere go, through the first interface.
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
        if let Some(vendor) = self.vendor() {
            documents.push(("vendor-data", vendor));
        }
        if let Some(network) = &self.network {
            documents.push(("network-config", pretty(&network.document())));
        }
        documents
    }

    /// Root's password is the provider's word, so that the customer's document stays as it was given.
    fn vendor(&self) -> Option<String> {
        let ours = self.password_hash.as_ref().map(|hash| {
            let document = json!({
                "disable_root": false,
                "ssh_pwauth": true,
                "chpasswd": {"expire": false, "users": [{"name": "root", "type": "hash", "password": hash}]},
            });
            format!("#cloud-config\n{}", pretty(&document))
        });
        match (ours, &self.vendor_data) {
            (Some(ours), Some(theirs)) => Some(both(&ours, theirs)),
            (Some(ours), None) => Some(ours),
            (None, theirs) => theirs.clone(),
        }
    }
}

impl Network {
    /// Version 2 of cloud-init's network configuration.
    fn document(&self) -> Value {
        let mut ethernets = serde_json::Map::new();
        for (index, interface) in self.interfaces.iter().enumerate() {
            let mut entry = json!({"match": {"macaddress": interface.mac.to_string()}});
            if interface.addresses.is_empty() {
                entry["dhcp4"] = json!(true);
            } else {
                let addresses: Vec<String> = interface.addresses.iter().map(ToString::to_string).collect();
                entry["addresses"] = json!(addresses);
            }
            if index == 0 {
                let routes: Vec<Value> = self
                    .gateways
                    .iter()
                    .map(|ip| json!({"to": "default", "via": ip}))
                    .collect();
                if !routes.is_empty() {
                    entry["routes"] = json!(routes);
                }
                if !self.nameservers.is_empty() {
                    entry["nameservers"] = json!({"addresses": self.nameservers});
                }
            }
            ethernets.insert(format!("net{index}"), entry);
        }
        json!({"version": 2, "ethernets": ethernets})
    }
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
