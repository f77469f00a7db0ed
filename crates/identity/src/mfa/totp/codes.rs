//! Codes from a secret and the time: SHA-1, six digits, steps of 30 seconds, one step early or late. What every
//! authenticator app can do.

use kernel::{
    http::{ApiError, ApiResult},
    time::Time,
};
use totp_rs::{Algorithm, Builder, Secret, Totp};

const DIGITS: usize = 6;
const STEP_SECONDS: u64 = 30;
/// Steps before and after the present one, for slow fingers and wrong clocks (RFC 6238, section 5.2).
const SKEW: u16 = 1;

/// A fresh secret of 160 bits from the operating system (RFC 4226, section 4).
pub(super) fn new_secret() -> Vec<u8> {
    Secret::generate().as_bytes().to_vec()
}

/// What the user's app is told.
pub(super) struct Enrolment {
    /// For typing.
    pub(super) base32: String,
    /// `otpauth://totp/…`
    pub(super) uri: String,
    /// The URI as a QR code: a PNG as data URI.
    pub(super) picture: String,
}

/// How a secret gets into an app.
///
/// # Errors
/// The names are too long for a QR code.
pub(super) fn enrolment(secret: &[u8], issuer: &str, account: &str) -> ApiResult<Enrolment> {
    // A colon separates the two in the label, so neither may have one.
    let plain = |text: &str| text.replace(':', " ");
    let totp = builder(secret)
        .with_issuer(Some(plain(issuer)))
        .with_account_name(plain(account))
        .build()
        .map_err(ApiError::internal)?;
    Ok(Enrolment {
        base32: totp.secret().to_base32(),
        uri: totp.to_url().map_err(ApiError::internal)?,
        picture: format!(
            "data:image/png;base64,{}",
            totp.to_qr_base64().map_err(ApiError::internal)?
        ),
    })
}

/// The time step that `code` belongs to, if it is right at `now`.
///
/// # Errors
/// The secret is none.
pub(super) fn step(secret: &[u8], code: &str, now: Time) -> ApiResult<Option<i64>> {
    if code.len() != DIGITS || !code.bytes().all(|digit| digit.is_ascii_digit()) {
        return Ok(None);
    }
    let totp: Totp = builder(secret).build().map_err(ApiError::internal)?;
    let seconds = u64::try_from(now.seconds()).unwrap_or(0);
    let step = totp.check(code, seconds);
    Ok(step.and_then(|step| i64::try_from(step).ok()))
}

fn builder(secret: &[u8]) -> Builder {
    Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(6)
        .with_step_duration(STEP_SECONDS)
        .with_skew(SKEW)
        .with_secret(secret.to_vec())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// RFC 6238, appendix B: the secret of its SHA-1 rows, and the last six of its eight digits.
    const SECRET: &[u8] = b"12345678901234567890";
    const VECTORS: [(i64, &str); 6] = [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ];

    fn at(seconds: i64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        for (seconds, code) in VECTORS {
            let step = step(SECRET, code, at(seconds)).unwrap();
            assert_eq!(step, Some(seconds / 30), "{code}");
        }
    }

    #[test]
    fn a_code_works_one_step_early_and_late() {
        let (seconds, code) = VECTORS[2];
        let step_of = |time| step(SECRET, code, time).unwrap();
        let begin = at(seconds / 30 * 30);
        let span = Duration::from_secs(30);
        for time in [
            begin - span,
            begin,
            begin + span,
            begin + span * 2 - Duration::from_micros(1),
        ] {
            assert_eq!(step_of(time), Some(seconds / 30), "{time}");
        }
        assert_eq!(step_of(begin - span - Duration::from_micros(1)), None);
        assert_eq!(step_of(begin + span * 2), None);
    }

    #[test]
    fn other_texts_are_no_codes() {
        let (seconds, code) = VECTORS[0];
        let spaced = format!("{} {}", &code[..3], &code[3..]);
        for text in ["", "28708", "2870822", "287 82", "٢٨٧٠٨٢", "+28708", &spaced] {
            assert_eq!(step(SECRET, text, at(seconds)).unwrap(), None, "{text}");
        }
        assert!(step(b"short", code, at(seconds)).is_err());
    }

    #[test]
    fn secrets_are_fresh_and_long() {
        let (one, other) = (new_secret(), new_secret());
        assert_eq!(one.len(), 20);
        assert_ne!(one, other);
    }

    #[test]
    fn an_app_learns_all_it_needs() {
        let told = enrolment(SECRET, "Sky: Hosting", "ada+x@example.org").unwrap();
        assert_eq!(told.base32, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert!(
            told.uri
                .starts_with("otpauth://totp/Sky%20%20Hosting:ada%2Bx%40example"),
            "{}",
            told.uri
        );
        assert!(told.uri.contains(&told.base32) && told.uri.contains("issuer=Sky%20%20Hosting"));
        assert!(told.picture.starts_with("data:image/png;base64,iVBOR"));
    }

    #[test]
    fn the_longest_address_fits_into_the_picture() {
        let address = format!("{}@{}.org", "é".repeat(64), "x".repeat(180));
        enrolment(SECRET, &"Ω".repeat(100), &address).unwrap();
    }
}
