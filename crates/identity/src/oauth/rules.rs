//! Decisions without I/O.

use kernel::config::OauthKind;

use super::providers::Person;

/// Whether a person belongs to one of the domains that may come in; no domains: everybody does.
///
/// The address must be confirmed. Google has confirmed some addresses long ago, whoever has them now: for it the
/// account must be managed by the domain (developers.google.com/identity/openid-connect, `hd`).
pub(super) fn is_domain_allowed(person: &Person, kind: OauthKind, allowed: &[String]) -> bool {
    if allowed.is_empty() {
        return true;
    }
    let Some((_, domain)) = person.email.as_deref().and_then(|email| email.rsplit_once('@')) else {
        return false;
    };
    let domain = domain.to_lowercase();
    let is_managed = match kind {
        OauthKind::Google => {
            domain == "gmail.com"
                || person
                    .hosted_domain
                    .as_ref()
                    .is_some_and(|hosted| hosted.to_lowercase() == domain)
        }
        OauthKind::Github | OauthKind::Gitlab | OauthKind::Microsoft | OauthKind::Oidc => true,
    };
    person.is_email_verified && is_managed && allowed.contains(&domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(email: Option<&str>, verified: bool, hosted: Option<&str>) -> Person {
        Person {
            email: email.map(str::to_owned),
            is_email_verified: verified,
            hosted_domain: hosted.map(str::to_owned),
            ..Person::default()
        }
    }

    #[test]
    fn only_confirmed_addresses_open_a_domain() {
        let domains = ["example.org".to_owned(), "gmail.com".to_owned()];
        let allows = |person: &Person, kind| is_domain_allowed(person, kind, &domains);
        assert!(allows(
            &person(Some("Ada@Example.ORG"), true, None),
            OauthKind::Oidc
        ));
        assert!(!allows(
            &person(Some("ada@example.org"), false, None),
            OauthKind::Oidc
        ));
        assert!(!allows(
            &person(Some("ada@evil.example"), true, None),
            OauthKind::Oidc
        ));
        assert!(!allows(
            &person(Some("ada@sub.example.org"), true, None),
            OauthKind::Oidc
        ));
        assert!(!allows(&person(None, false, None), OauthKind::Oidc));
        assert!(is_domain_allowed(
            &person(None, false, None),
            OauthKind::Oidc,
            &[]
        ));
        // Google's account of somebody who had that address once.
        assert!(!allows(
            &person(Some("ada@example.org"), true, None),
            OauthKind::Google
        ));
        assert!(!allows(
            &person(Some("ada@example.org"), true, Some("evil.example")),
            OauthKind::Google
        ));
        assert!(allows(
            &person(Some("ada@example.org"), true, Some("example.org")),
            OauthKind::Google
        ));
        assert!(allows(
            &person(Some("ada@gmail.com"), true, None),
            OauthKind::Google
        ));
    }
}
