//! What is taken as a key, without I/O, clock or randomness.

use kernel::http::Faults;
use ssh_key::{Algorithm, HashAlg, PublicKey, public::KeyData};

/// The longest line that is looked at: an RSA key of 16,384 bits has 2,800 characters.
const LONGEST: usize = 8192;
/// The longest comment that is kept.
const LONGEST_COMMENT: usize = 255;
/// The shortest and the longest modulus of RSA, in bits.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=16_384;

/// A public key that may be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parsed {
    /// One line: type, base64, comment.
    pub(super) line: String,
    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    pub(super) fingerprint: String,
    /// The type, as the line names it.
    pub(super) key_type: String,
}

/// Reads a public key in the form of OpenSSH.
///
/// # Errors
/// The fault of `public_key`. It never repeats what was sent: that may be a private key.
pub(super) fn parse(text: &str) -> Result<Parsed, Faults> {
    read(text).map_err(|message| Faults::one("public_key", message))
}

fn read(text: &str) -> Result<Parsed, String> {
    let line = text.trim();
    if line.is_empty() {
        return Err("This field may not be blank.".to_owned());
    }
    if is_private(line) {
        return Err("This is a private key: keep it to yourself, and consider it lost if it was for anything. Send the \
                    public key, the line in the file that ends in .pub."
            .to_owned());
    }
    if line.len() > LONGEST {
        return Err(format!(
            "Ensure this field has no more than {LONGEST} characters."
        ));
    }
    if line.starts_with("---- BEGIN") || line.starts_with("-----BEGIN") {
        return Err(
            "This is another form of a key: send the line that ssh-keygen writes into the file that ends in \
                    .pub, or convert it with ssh-keygen -i."
                .to_owned(),
        );
    }
    if line.chars().any(|c| c.is_control() && c != '\t') {
        return Err("Send one key, on one line.".to_owned());
    }
    // Words may be separated by any white space; what is stored is separated by single spaces.
    let mut words = line.splitn(3, [' ', '\t']).map(str::trim);
    let (kind, data, comment) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    if kind.contains("-cert-v01@") {
        return Err("This is a certificate: send the public key itself.".to_owned());
    }
    let Ok(key) = PublicKey::from_openssh(&format!("{kind} {data} {comment}")) else {
        return Err(why_not(line));
    };
    check_strength(key.key_data())?;
    if comment.chars().count() > LONGEST_COMMENT {
        return Err(format!("The comment has more than {LONGEST_COMMENT} characters."));
    }
    Ok(Parsed {
        line: key.to_openssh().map_err(|_| not_a_key())?,
        fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
        key_type: key.algorithm().to_string(),
    })
}

fn is_private(text: &str) -> bool {
    text.contains("PRIVATE KEY")
        || text.starts_with("PuTTY-User-Key-File")
        || text.starts_with("AGE-SECRET-KEY")
}

fn not_a_key() -> String {
    "This is not an OpenSSH public key, such as \"ssh-ed25519 AAAA… comment\".".to_owned()
}

/// Why a line is no key, as exactly as can be said.
fn why_not(line: &str) -> String {
    // The parser's own reader of options takes the first space for their end, and quoted options have spaces.
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_key = |pair: &[&str]| match pair {
        [kind, data] => {
            let is_type = ["ssh-", "ecdsa-", "sk-"]
                .iter()
                .any(|start| kind.starts_with(start));
            is_type && data.starts_with("AAAA")
        }
        _ => false,
    };
    let has_options = words.windows(2).skip(1).any(is_key);
    if has_options {
        return "Options before the key are not allowed: begin with the type of the key.".to_owned();
    }
    not_a_key()
}

fn check_strength(key: &KeyData) -> Result<(), String> {
    match key {
        KeyData::Ed25519(_) | KeyData::Ecdsa(_) | KeyData::SkEd25519(_) | KeyData::SkEcdsaSha2NistP256(_) => {
            Ok(())
        }
        KeyData::Rsa(rsa) => {
            let length = rsa.n.as_positive_bytes().map_or(0, bits);
            let exponent = rsa.e.as_positive_bytes().unwrap_or_default();
            let is_odd = exponent.last().is_some_and(|last| last % 2 == 1);
            if !RSA_BITS.contains(&length) {
                let (least, most) = (RSA_BITS.start(), RSA_BITS.end());
                return Err(format!(
                    "RSA keys must have {least} to {most} bits: this one has {length}."
                ));
            }
            if !is_odd || bits(exponent) < 2 {
                return Err(not_a_key());
            }
            Ok(())
        }
        KeyData::Dsa(_) => Err(weak(&Algorithm::Dsa)),
        other => Err(weak(&other.algorithm())),
    }
}

fn weak(algorithm: &Algorithm) -> String {
    format!(
        "Keys of the type {algorithm} are not allowed: use ssh-ed25519, ecdsa-sha2-*, sk-* or ssh-rsa with 2048 bits \
         or more."
    )
}

/// The length of a number in bits, without leading zeros.
fn bits(bytes: &[u8]) -> usize {
    let significant = bytes.iter().skip_while(|byte| **byte == 0);
    let rest: Vec<u8> = significant.copied().collect();
    rest.first()
        .map_or(0, |first| rest.len() * 8 - first.leading_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICkErt5vHhBaCFFOCQNyO5GytAQL/rgxcXosvZZtSczl user@example.com";

    #[test]
    fn a_key_is_read_and_normalised() {
        let parsed = parse(&format!("  {ED25519} and more \t")).unwrap();
        assert_eq!(parsed.line, format!("{ED25519} and more"));
        assert_eq!(parsed.key_type, "ssh-ed25519");
        assert_eq!(
            parsed.fingerprint,
            "SHA256:9UWgZamt8RsvYQkF/rlN06JXkDCyN6K+4yvPqwkiFfU"
        );
        let tabs = ED25519.replacen(' ', "\t", 1);
        assert_eq!(parse(&tabs).unwrap().line, ED25519);
        let bare = ED25519.rsplit_once(' ').unwrap().0;
        assert_eq!(parse(bare).unwrap().line, bare);
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_repeated() {
        let message = |text: &str| parse(text).unwrap_err().to_value().to_string();
        let secret =
            "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0c2VjcmV0\n-----END OPENSSH PRIVATE KEY-----";
        let told = message(secret);
        assert!(
            told.contains("private key") && !told.contains("c2VjcmV0"),
            "{told}"
        );
        assert!(message("PuTTY-User-Key-File-3: ssh-ed25519\nc2VjcmV0").contains("private key"));
        assert!(message(&format!("command=\"ls\" {ED25519}")).contains("Options"));
        assert!(message(&format!("no-pty,restrict {ED25519}")).contains("Options"));
        assert!(message(&format!("{ED25519}\n{ED25519}")).contains("one line"));
        assert!(message(&ED25519.replace("AAAAC3", "AAAAC4")).contains("not an OpenSSH"));
        assert!(message(&ED25519.replace("ssh-ed25519", "ssh-rsa")).contains("not an OpenSSH"));
        assert!(message("hello").contains("not an OpenSSH"));
        assert!(message(&"a".repeat(9000)).contains("8192"));
    }

    proptest! {
        #[test]
        fn any_text_can_be_looked_at(text in "\\PC*") {
            let _ = parse(&text);
        }

        #[test]
        fn what_passes_passes_again_unchanged(comment in "[ -~]{0,40}") {
            let parsed = parse(&format!("{} {comment}", ED25519.rsplit_once(' ').unwrap().0)).unwrap();
            prop_assert_eq!(parse(&parsed.line).unwrap(), parsed);
        }
    }
}
