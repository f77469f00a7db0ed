//! Which passwords may be chosen. Pure.
//!
//! Length and kinds of characters are the published rules; the list of common ones is what NIST SP 800-63B-4, section
//! 3.1.1.2, and ASVS 5.0, V6.2.4 ask for.

use kernel::http::Faults;

/// Characters at least.
pub(crate) const LEAST: usize = 8;
/// Characters at most: longer ones are refused before anything is computed.
pub(crate) const MOST: usize = 128;
/// In lower case, sorted by bytes, one a line.
const COMMON: &str = include_str!("../../data/common_passwords.txt");

/// Judges a new password for the account with this address, and its repetition if there is one.
pub(crate) fn judge(
    faults: &mut Faults,
    field: &str,
    password: &str,
    email: &str,
    repeated: Option<(&str, &str)>,
) {
    let length = password.chars().count();
    let mut check = |holds: bool, message: String| faults.check(field, holds, message);
    check(
        length >= LEAST,
        format!("This password is too short. It must contain at least {LEAST} characters."),
    );
    check(
        length <= MOST,
        format!("Ensure this field has no more than {MOST} characters."),
    );
    let has = |kind: fn(char) -> bool| password.chars().any(kind);
    check(
        has(char::is_uppercase),
        "The password must contain at least one uppercase letter.".to_owned(),
    );
    check(
        has(char::is_lowercase),
        "The password must contain at least one lowercase letter.".to_owned(),
    );
    check(
        has(char::is_numeric),
        "The password must contain at least one digit.".to_owned(),
    );
    check(!is_common(password), "This password is too common.".to_owned());
    check(
        !resembles(password, email),
        "The password is too similar to the email.".to_owned(),
    );
    if let Some((field, repeated)) = repeated
        && repeated != password
    {
        faults.add(field, "The two password fields didn't match.");
    }
}

/// Whether many people have it.
fn is_common(password: &str) -> bool {
    static SORTED: std::sync::LazyLock<Vec<&'static str>> =
        std::sync::LazyLock::new(|| COMMON.lines().collect());
    SORTED.binary_search(&password.to_lowercase().trim()).is_ok()
}

/// Whether it is the address, or its name with little around it.
fn resembles(password: &str, email: &str) -> bool {
    let (password, email) = (password.to_lowercase(), email.to_lowercase());
    let name = email.split('@').next().unwrap_or_default();
    password == email
        || (name.chars().count() >= 4
            && password.contains(name)
            && password.chars().count() < name.chars().count() + 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(password: &str) -> usize {
        let mut faults = Faults::default();
        judge(&mut faults, "password", password, "ada.martin@example.com", None);
        faults.to_value()["password"].as_array().map_or(0, Vec::len)
    }

    #[test]
    fn the_published_rules_hold() {
        assert_eq!(faults("Correct-Horse-7"), 0);
        assert_eq!(faults("Ünlaut-Straße-9"), 0);
        assert_eq!(faults("Short7x"), 1);
        assert_eq!(faults("nouppercase7"), 1);
        assert_eq!(faults("NOLOWERCASE7"), 1);
        assert_eq!(faults("NoDigitsHere"), 1);
        assert_eq!(faults(""), 4);
        assert_eq!(faults(&format!("Aa1{}", "x".repeat(125))), 0);
        assert_eq!(faults(&format!("Aa1{}", "x".repeat(126))), 1);
    }

    #[test]
    fn common_and_similar_ones_are_refused() {
        assert!(COMMON.lines().is_sorted() && COMMON.lines().count() > 4000);
        assert_eq!(faults("Password1"), 1);
        assert_eq!(faults("Passw0rd"), 1);
        assert_eq!(faults("Ada.Martin1"), 1);
        assert_eq!(
            faults("Ada.Martin@example.com"),
            2,
            "no digit, and the address itself"
        );
    }
}
