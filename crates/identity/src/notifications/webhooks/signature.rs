//! Secrets and signatures, as <https://www.standardwebhooks.com> has them: `v1,` and the base64 of HMAC-SHA256 over id,
//! time and body, joined by full stops.

use base64::{Engine, prelude::BASE64_STANDARD};
use kernel::{secrets::keyed_hash, time::Time};
use rand::RngExt;

/// What secrets begin with. The base64 of the key follows.
const PREFIX: &str = "whsec_";
const KEY_BYTES: usize = 32;

/// A fresh secret.
pub(super) fn new_secret() -> String {
    let key: [u8; KEY_BYTES] = rand::rng().random();
    format!("{PREFIX}{}", BASE64_STANDARD.encode(key))
}

/// The signatures of a message with these secrets: the value of `webhook-signature`. A secret that can't be read signs
/// nothing.
pub(super) fn sign(secrets: &[String], id: &str, time: Time, body: &str) -> String {
    let content = format!("{id}.{}.{body}", time.seconds());
    let signatures = secrets.iter().filter_map(|secret| {
        let key = BASE64_STANDARD.decode(secret.strip_prefix(PREFIX)?).ok()?;
        let mac = keyed_hash(&key, content.as_bytes());
        Some(format!("v1,{}", BASE64_STANDARD.encode(mac)))
    });
    signatures.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference libraries.
    #[test]
    fn a_known_message_has_the_known_signature() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned();
        let time = Time::from_micros(1_614_265_330_000_000);
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let signed = sign(&[secret], id, time, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn while_a_secret_is_replaced_both_sign() {
        let secrets = [new_secret(), new_secret(), "nonsense".to_owned()];
        let signed = sign(&secrets, "1", Time::from_micros(0), "{}");
        assert_eq!(signed.split(' ').count(), 2);
        assert_ne!(secrets[0], secrets[1]);
    }
}
