//! What identity derives from the master secret, and the secrets that it gives out.

use std::fmt::Write as _;

use kernel::secrets::{MasterSecret, keyed_hash};
use rand::{RngExt, distr::Alphanumeric};

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

/// What is derived from the master secret. All nodes of an installation have the same.
pub struct Secrets {
    master: MasterSecret,
    pepper: [u8; 32],
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(…)")
    }
}

impl Secrets {
    /// Derives the secrets. The labels never change: existing hashes and tokens depend on them.
    pub fn derive(master: &MasterSecret) -> Self {
        Self {
            master: master.clone(),
            pepper: master.derive("pepper/1"),
        }
    }

    /// The Ed25519 seed of a generation of the key that signs access tokens.
    pub(crate) fn signing_seed(&self, generation: i64) -> [u8; 32] {
        self.master.derive(&format!("jwt-ed25519/{generation}"))
    }

    /// What looks random, and is always the same for `of`: stands for something that is not there.
    pub(crate) fn disguise(&self, of: &str) -> [u8; 32] {
        keyed_hash(&self.pepper, format!("disguise/1 {of}").as_bytes())
    }

    /// How an API key, project token or refresh token is stored and found: 64 hexadecimal digits.
    ///
    /// A plain keyed hash, not a slow one: these secrets are random, so that guessing is hopeless anyway.
    pub fn hash_token(&self, token: &str) -> String {
        keyed_hash(&self.pepper, token.as_bytes())
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

/// Whether `token` has the form of a refresh token.
pub(crate) fn is_refresh_token(token: &str) -> bool {
    token.starts_with(REFRESH_PREFIX)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn derived(master: &[u8]) -> Secrets {
        Secrets::derive(&MasterSecret::from_bytes(master))
    }

    #[test]
    fn hashes_stay_what_they_are_in_existing_databases() {
        let secrets = derived(b"0123456789abcdef0123456789abcdef");
        assert_eq!(
            secrets.hash_token("sk-onetsolutions-x"),
            "37b3c7560acb9aacefd1593daeaec765b03a48432573fa2b5cd7a6cac0cc5ade"
        );
    }

    #[test]
    fn purposes_have_secrets_of_their_own() {
        let secrets = derived(b"0123456789abcdef0123456789abcdef");
        let same = derived(b"0123456789abcdef0123456789abcdef");
        let other = derived(b"0123456789abcdef0123456789abcdeg");
        assert_ne!(secrets.signing_seed(1), secrets.pepper);
        assert_ne!(secrets.signing_seed(1), secrets.signing_seed(2));
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
