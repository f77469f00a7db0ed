//! The master secret, what is derived from it, and the secrets given out.

use std::{
    fmt::Write as _,
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use kernel::config::Config;
use rand::{RngExt, distr::Alphanumeric};
use sha2::Sha256;

/// What every API key and project token begins with, so that a leaked one is recognised.
pub const KEY_PREFIX: &str = "sk-onetsolutions-";
/// Characters after [`KEY_PREFIX`] in the keys that are made here: 238 bits of randomness.
const KEY_RANDOM: usize = 40;
/// The fewest characters after [`KEY_PREFIX`] that a key may have.
const KEY_LEAST: usize = 32;
/// Characters of a key that are kept in the clear, to recognise it by.
const KEY_SHOWN: usize = 24;
const REFRESH_PREFIX: &str = "rt-";
const REFRESH_RANDOM: usize = 48;
/// Bytes of the master secret that is made at the first start.
const MASTER_BYTES: usize = 32;
const FILE_NAME: &str = "secret.key";

/// The master secret can't be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The key file can't be read or written.
    #[error("the key file {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The key file holds something else.
    #[error("the key file {0} does not hold {MASTER_BYTES} bytes in base64")]
    Damaged(PathBuf),
}

/// What is derived from the master secret. All nodes of an installation have the same.
pub struct Secrets {
    signing_seed: [u8; 32],
    pepper: [u8; 32],
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(…)")
    }
}

impl Secrets {
    /// Derives the secrets from `auth.secret`, or from the key file in the data folder, which is made if
    /// missing.
    ///
    /// # Errors
    /// The key file can't be read, written or understood.
    pub fn load(config: &Config) -> Result<Self, SecretError> {
        let setting = config.auth.secret.expose();
        if setting.is_empty() {
            Ok(Self::derive(&read_or_make(&config.data_dir)?))
        } else {
            Ok(Self::derive(setting.as_bytes()))
        }
    }

    /// Derives the secrets from a master secret. A label a purpose: knowing one does not help to know
    /// another.
    pub fn derive(master: &[u8]) -> Self {
        Self {
            signing_seed: mac(master, "jwt-ed25519/1".as_bytes()),
            pepper: mac(master, "pepper/1".as_bytes()),
        }
    }

    /// The Ed25519 seed of the key that signs access tokens.
    pub(crate) const fn signing_seed(&self) -> &[u8; 32] {
        &self.signing_seed
    }

    /// How an API key, project token or refresh token is stored and found: 64 hexadecimal digits.
    ///
    /// A plain keyed hash, not a slow one: these secrets are random, so that guessing is hopeless anyway.
    pub fn hash_token(&self, token: &str) -> String {
        mac(&self.pepper, token.as_bytes())
            .iter()
            .fold(String::with_capacity(64), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            })
    }
}

/// A fresh API key or project token, and its beginning, which may be shown later.
pub fn new_api_key() -> (String, String) {
    let key = format!("{KEY_PREFIX}{}", random_text(KEY_RANDOM));
    let shown = key.chars().take(KEY_SHOWN).collect();
    (key, shown)
}

/// Whether `token` has the form of an API key or project token.
pub(crate) fn is_key(token: &str) -> bool {
    token.strip_prefix(KEY_PREFIX).is_some_and(|random| {
        random.len() >= KEY_LEAST && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// A fresh refresh token.
pub(crate) fn new_refresh_token() -> String {
    format!("{REFRESH_PREFIX}{}", random_text(REFRESH_RANDOM))
}

/// A fresh token for a link, a login's second step, or a remembered device: 238 bits of randomness.
pub(crate) fn new_challenge_token() -> String {
    random_text(KEY_RANDOM)
}

/// A fresh code for people to type: six digits.
pub(crate) fn new_code() -> String {
    format!("{:06}", rand::rng().random_range(0..1_000_000))
}

/// Letters and digits from the thread's generator, a CSPRNG seeded by the operating system.
fn random_text(length: usize) -> String {
    rand::rng()
        .sample_iter(Alphanumeric)
        .take(length)
        .map(char::from)
        .collect()
}

/// HMAC-SHA256 (RFC 2104).
#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

fn read_or_make(folder: &Path) -> Result<Vec<u8>, SecretError> {
    let path = folder.join(FILE_NAME);
    let fault = |source| SecretError::File {
        path: path.clone(),
        source,
    };
    if !path.try_exists().map_err(fault)? {
        make(folder, &path).map_err(fault)?;
    }
    // Read back even if just made: another process may have been faster, and its secret is the one that
    // counts.
    let text = std::fs::read_to_string(&path).map_err(fault)?;
    let master = BASE64_STANDARD.decode(text.trim()).unwrap_or_default();
    if master.len() == MASTER_BYTES {
        Ok(master)
    } else {
        Err(SecretError::Damaged(path))
    }
}

/// Writes a new secret so that the file is whole or absent, and never replaces one.
fn make(folder: &Path, path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let draft = folder.join(format!("{FILE_NAME}.{}", random_text(8)));
    let written = write_draft(&draft).and_then(|()| match std::fs::hard_link(&draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // A file system without hard links.
        Err(_) => std::fs::rename(&draft, path),
        Ok(()) => Ok(()),
    });
    let _ = std::fs::remove_file(&draft);
    written?;
    // The folder's entry must be as durable as the file: what is signed and hashed from now on depends on it.
    File::open(folder)?.sync_all()
}

fn write_draft(draft: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(draft)?;
    let master: [u8; MASTER_BYTES] = rand::rng().random();
    writeln!(file, "{}", BASE64_STANDARD.encode(master))?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn folder() -> PathBuf {
        std::env::temp_dir().join(format!("onet-secrets-{}", random_text(12)))
    }

    #[test]
    fn the_secret_is_made_once_and_only_for_its_owner() {
        let folder = folder();
        let first = read_or_make(&folder).unwrap();
        assert_eq!(read_or_make(&folder).unwrap(), first);
        let file = std::fs::metadata(folder.join(FILE_NAME)).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
        // A second maker that comes too late changes nothing.
        make(&folder, &folder.join(FILE_NAME)).unwrap();
        assert_eq!(read_or_make(&folder).unwrap(), first);
        std::fs::write(folder.join(FILE_NAME), "c2hvcnQ=").unwrap();
        assert!(matches!(read_or_make(&folder), Err(SecretError::Damaged(_))));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn purposes_have_secrets_of_their_own() {
        let secrets = Secrets::derive(b"0123456789abcdef0123456789abcdef");
        let same = Secrets::derive(b"0123456789abcdef0123456789abcdef");
        let other = Secrets::derive(b"0123456789abcdef0123456789abcdeg");
        assert_ne!(secrets.signing_seed, secrets.pepper);
        assert_eq!(secrets.hash_token("x"), same.hash_token("x"));
        assert_ne!(secrets.hash_token("x"), other.hash_token("x"));
        assert_eq!(secrets.hash_token("x").len(), 64);
        assert_eq!(format!("{secrets:?}"), "Secrets(…)");
    }

    #[test]
    fn keys_are_recognised_by_their_form() {
        let (key, shown) = new_api_key();
        assert!(is_key(&key) && key.len() == 57, "{key}");
        assert!(key.starts_with(&shown) && shown.len() == 24);
        assert!(!is_key(&shown));
        assert!(!is_key(&format!("{key}-")));
        assert!(!is_key(&new_refresh_token()));
        assert_ne!(new_api_key().0, key);
    }
}
