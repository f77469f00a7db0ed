//! The master secret, what is derived from it, and the sealing of what must not lie readable in the database.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hmac::{Hmac, Mac};
use rand::RngExt;
use sha2::Sha256;

use crate::config::Config;

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

/// What every key of an installation is derived from. All its nodes have the same; it is never in the database.
#[derive(Clone)]
pub struct MasterSecret(Vec<u8>);

impl std::fmt::Debug for MasterSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterSecret(…)")
    }
}

impl MasterSecret {
    /// Takes `auth.secret`, or the key file in the data folder, which is made if missing.
    ///
    /// # Errors
    /// The key file can't be read, written or understood.
    pub fn load(config: &Config) -> Result<Self, SecretError> {
        let setting = config.auth.secret.expose();
        if setting.is_empty() {
            read_or_make(&config.data_dir).map(Self)
        } else {
            Ok(Self(setting.as_bytes().to_vec()))
        }
    }

    /// The master secret with these bytes.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// The key for one purpose: HMAC-SHA256 of `label`, such as `pepper/1`. Knowing one does not help to know another.
    pub fn derive(&self, label: &str) -> [u8; 32] {
        keyed_hash(&self.0, label.as_bytes())
    }

    /// What seals and opens with a key derived from this secret.
    pub fn sealer(&self) -> Sealer {
        Sealer {
            cipher: XChaCha20Poly1305::new(&self.derive("seal/1").into()),
            fingerprints: self.derive("fingerprint/1"),
        }
    }
}

/// HMAC-SHA256 (RFC 2104).
#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
pub fn keyed_hash(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// The first byte of what is sealed: key and algorithm. A later one gets another number, and this stays readable.
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;

/// Why something sealed can't be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It is no sealed text.
    #[error("this is no sealed text")]
    Malformed,
    /// A version that this program does not know.
    #[error("sealed by version {0}, which this program does not know")]
    Version(u8),
    /// Changed, sealed for another context, or with another master secret.
    #[error("it was changed, belongs elsewhere, or another master secret sealed it")]
    Refused,
}

/// Authenticated encryption of what the database keeps but must not show.
///
/// XChaCha20-Poly1305 (RFC 8439 with a nonce of 24 bytes, so that random ones never meet). The context, such as
/// `mail/ID`, is authenticated with it: what was sealed for one row can't be opened as another's.
#[derive(Clone)]
pub struct Sealer {
    cipher: XChaCha20Poly1305,
    fingerprints: [u8; 32],
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(…)")
    }
}

impl Sealer {
    /// Seals `plain` for `context`: base64 of version, nonce and ciphertext.
    #[expect(
        clippy::expect_used,
        reason = "the cipher refuses only what is longer than 256 GiB"
    )]
    pub fn seal(&self, context: &str, plain: &[u8]) -> String {
        let nonce: [u8; NONCE_BYTES] = rand::rng().random();
        let payload = Payload {
            msg: plain,
            aad: &bound(VERSION, context),
        };
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .expect("a text that fits into memory");
        let mut bytes = Vec::with_capacity(1 + NONCE_BYTES + sealed.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        BASE64_STANDARD.encode(bytes)
    }

    /// What a secret is recognised by when it is shown again: a keyed hash in base64, from which nobody gets it back. The
    /// secret must be a random one: this is no hash for passwords.
    pub fn fingerprint(&self, context: &str, secret: &[u8]) -> String {
        let key = keyed_hash(&self.fingerprints, context.as_bytes());
        BASE64_STANDARD.encode(keyed_hash(&key, secret))
    }

    /// Opens what [`Self::seal`] made for the same context.
    ///
    /// # Errors
    /// It is something else, was changed, or was sealed for another context or with another secret.
    pub fn open(&self, context: &str, sealed: &str) -> Result<Vec<u8>, SealError> {
        let bytes = BASE64_STANDARD.decode(sealed).map_err(|_| SealError::Malformed)?;
        let (version, rest) = bytes.split_first().ok_or(SealError::Malformed)?;
        if *version != VERSION {
            return Err(SealError::Version(*version));
        }
        let (nonce, msg) = rest
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or(SealError::Malformed)?;
        let payload = Payload {
            msg,
            aad: &bound(VERSION, context),
        };
        self.cipher
            .decrypt(&XNonce::from(*nonce), payload)
            .map_err(|_| SealError::Refused)
    }
}

/// The version and the context, as they are authenticated.
fn bound(version: u8, context: &str) -> Vec<u8> {
    let mut bytes = vec![version];
    bytes.extend_from_slice(context.as_bytes());
    bytes
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
    let draft = folder.join(format!("{FILE_NAME}.{}", uuid::Uuid::new_v4().simple()));
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

    #[test]
    fn the_secret_is_made_once_and_only_for_its_owner() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("data");
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
    }

    fn master(last: char) -> MasterSecret {
        MasterSecret::from_bytes(format!("0123456789abcdef0123456789abcde{last}").as_bytes())
    }

    #[test]
    fn purposes_have_keys_of_their_own() {
        assert_ne!(master('f').derive("a/1"), master('f').derive("b/1"));
        assert_eq!(master('f').derive("a/1"), master('f').derive("a/1"));
        assert_ne!(master('f').derive("a/1"), master('g').derive("a/1"));
        assert_eq!(format!("{:?}", master('f')), "MasterSecret(…)");
        assert_eq!(format!("{:?}", master('f').sealer()), "Sealer(…)");
    }

    #[test]
    fn fingerprints_depend_on_context_secret_and_installation() {
        let print = |installation: char, context: &str, secret: &[u8]| {
            master(installation).sealer().fingerprint(context, secret)
        };
        let one = print('a', "console/1", b"token");
        assert_eq!(one, print('a', "console/1", b"token"));
        assert_ne!(one, print('b', "console/1", b"token"));
        assert_ne!(one, print('a', "console/2", b"token"));
        assert_ne!(one, print('a', "console/1", b"other"));
    }

    #[test]
    fn what_is_sealed_opens_for_its_context_and_secret_only() {
        let sealer = master('f').sealer();
        let sealed = sealer.seal("mail/1", "code 123456".as_bytes());
        assert!(!sealed.contains("123456"));
        assert_eq!(sealer.open("mail/1", &sealed).unwrap(), b"code 123456");
        assert_eq!(
            master('f').sealer().open("mail/1", &sealed).unwrap(),
            b"code 123456"
        );
        assert_eq!(sealer.open("mail/2", &sealed), Err(SealError::Refused));
        assert_eq!(
            master('g').sealer().open("mail/1", &sealed),
            Err(SealError::Refused)
        );
        // The nonce is random: the same text never looks the same.
        assert_ne!(sealer.seal("mail/1", "code 123456".as_bytes()), sealed);
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let sealer = master('f').sealer();
        let bytes = BASE64_STANDARD.decode(sealer.seal("x", b"abc")).unwrap();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            let fault = sealer.open("x", &BASE64_STANDARD.encode(changed)).unwrap_err();
            let expected = if place == 0 {
                SealError::Version(0)
            } else {
                SealError::Refused
            };
            assert_eq!(fault, expected, "byte {place}");
        }
        for text in ["", "%", "AQ==", "AQID"] {
            assert_eq!(sealer.open("x", text), Err(SealError::Malformed), "{text}");
        }
        assert_eq!(sealer.open("x", &sealer.seal("x", b"")).unwrap(), b"");
    }
}
