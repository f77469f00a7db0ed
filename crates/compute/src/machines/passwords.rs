//! Administrators' passwords: made, judged, and hashed as a guest's system takes them.

use kernel::http::{ApiError, ApiResult};
use rand::seq::IndexedRandom;
use sha_crypt::{PasswordHasher, ShaCrypt};

/// Without the letters and digits that are taken for one another when read off a screen.
const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// 20 of 55 characters: 115 bits.
const LENGTH: usize = 20;
/// `crypt(3)` takes 16 characters of salt, which these are when encoded, and says no to a hash that was written with more.
const SALT_BYTES: usize = 12;

/// A new password.
pub fn generate() -> String {
    let mut rng = rand::rng();
    (0..LENGTH)
        .filter_map(|_| LETTERS.choose(&mut rng))
        .map(|byte| char::from(*byte))
        .collect()
}

/// As `crypt(3)` hashes it with SHA-512. Takes some milliseconds: never within a transaction.
///
/// # Errors
/// 500 without a source of randomness.
pub async fn hash(password: String) -> ApiResult<String> {
    let salt: [u8; SALT_BYTES] = rand::random();
    let hashed = tokio::task::spawn_blocking(move || {
        ShaCrypt::default()
            .hash_password_with_salt(password.as_bytes(), &salt)
            .map(|hash| hash.as_str().to_owned())
            .map_err(|error| error.to_string())
    });
    let hashed = hashed.await.map_err(ApiError::internal)?;
    hashed.map_err(ApiError::internal)
}

/// What is wrong with a password that somebody has chosen: `chpasswd` reads lines of `name:hash`, and people type it at a
/// console.
pub fn fault(password: &str) -> Option<&'static str> {
    if password.chars().any(char::is_control) {
        return Some("Control characters are not allowed.");
    }
    let kinds = [
        password.chars().any(char::is_lowercase),
        password.chars().any(char::is_uppercase),
        password.chars().any(|c| c.is_ascii_digit()),
        password.chars().any(|c| !c.is_alphanumeric()),
    ];
    (kinds.iter().filter(|has| **has).count() < 2)
        .then_some("Use at least two of: lower case letters, upper case letters, digits, other characters.")
}

#[cfg(test)]
mod tests {
    use sha_crypt::PasswordVerifier;

    use super::*;

    #[tokio::test]
    async fn a_hash_is_one_that_a_system_takes() {
        let password = generate();
        assert_eq!(password.len(), LENGTH);
        assert_eq!(fault(&password), None);
        let hashed = hash(password.clone()).await.unwrap();
        assert!(hashed.starts_with("$6$"), "{hashed}");
        let salt = hashed.split('$').nth(3).unwrap();
        assert_eq!(salt.len(), 16, "{hashed}");
        // The system's own crypt(3), where there is one at hand.
        let check = "print crypt($ARGV[0], $ARGV[1]) eq $ARGV[1] ? 'yes' : 'no'";
        let perl = std::process::Command::new("perl")
            .args(["-e", check, &password, &hashed])
            .output();
        if let Ok(output) = perl {
            assert_eq!(String::from_utf8_lossy(&output.stdout), "yes", "{hashed}");
        }
        ShaCrypt::default()
            .verify_password(password.as_bytes(), hashed.as_str())
            .unwrap();
    }
}
