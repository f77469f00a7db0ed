//! What is allowed, without I/O, clock or randomness.

use kernel::http::{ApiError, Faults};

use crate::instances::{
    api::{InstanceStatus, IpType},
    rows::{AddressRow, InstanceRow},
    rules::is_hostname,
};

/// A name without the dot of the root at its end, which many tools print.
pub(super) fn without_root(name: &str) -> &str {
    name.strip_suffix('.')
        .filter(|rest| !rest.is_empty())
        .unwrap_or(name)
}

/// A name that an address may have: a full host name (RFC 1123), at least two labels, not an address itself. Empty:
/// none.
///
/// # Errors
/// The fault of `reverse_dns`.
pub(super) fn check_name(name: &str) -> Result<(), Faults> {
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_full = name.contains('.') && !last.bytes().all(|byte| byte.is_ascii_digit());
    if name.is_empty() || (is_hostname(name) && is_full) {
        return Ok(());
    }
    Err(Faults::one(
        "reverse_dns",
        "Enter a full host name (RFC 1123) such as mail.example.com.",
    ))
}

/// Whether addresses of an instance can be added now.
///
/// # Errors
/// 409 with its state.
pub(super) fn check_can_grow(instance: &InstanceRow) -> Result<(), ApiError> {
    if instance.status == InstanceStatus::Active {
        return Ok(());
    }
    Err(ApiError::conflict(format!(
        "The instance is {}: addresses can be added while it is active.",
        instance.status.as_str()
    )))
}

/// Whether an address can be given back.
///
/// # Errors
/// 409: it is the instance's own.
pub(super) fn check_can_go(row: &AddressRow) -> Result<(), ApiError> {
    if !row.is_primary {
        return Ok(());
    }
    Err(ApiError::conflict(
        "This is the instance's primary address: it is released with the instance.",
    ))
}

/// How messages call a family.
pub(super) const fn name_of(family: IpType) -> &'static str {
    match family {
        IpType::Ipv4 => "IPv4",
        IpType::Ipv6 => "IPv6",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_left_out() {
        let names = ["a.example.", "a.example", "a.example..", ".", ""].map(without_root);
        assert_eq!(names, ["a.example", "a.example", "a.example.", ".", ""]);
    }

    #[test]
    fn names_are_full() {
        let long = format!("{}.example.com", "a.".repeat(130));
        for good in [
            "",
            "a.example",
            "mail-1.example.com",
            "xn--bcher-kva.example",
            "1.example",
        ] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in [
            "mail",
            "mail.",
            ".",
            "mail.example.com.",
            ".example.com",
            "a..b",
            "192.0.2.1",
            "-a.example.com",
            "a_b.example.com",
            "b\u{fc}cher.example.com",
            "a b.example.com",
            &long,
        ] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
