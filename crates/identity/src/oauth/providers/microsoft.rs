//! What is special about Microsoft Entra ID.
//!
//! One address serves many tenants (`common`, `organizations`, `consumers`). Its document names the issuer
//! `https://login.microsoftonline.com/{tenantid}/v2.0`, and each ID token names its own tenant in `tid`. So the issuer
//! that a token must name follows from its `tid`, and the key that signed it must be one for that issuer too
//! (learn.microsoft.com/entra/identity-platform/access-tokens, "Validate the issuer").
//!
//! `email` is whatever the tenant's administrator has typed in. Only with the optional claim `xms_edov` does Microsoft
//! vouch for its domain; without it anyone who runs a tenant could claim any address.

use serde_json::Value;

const PLACEHOLDER: &str = "{tenantid}";
const SHARED: [&str; 3] = ["common", "organizations", "consumers"];

/// Whether the discovery document of `configured` may name the issuer `announced`, which is not the same text.
pub(super) fn may_announce(configured: &str, announced: &str) -> bool {
    let Some((base, tenant)) = split(configured) else {
        return false;
    };
    // `consumers` names the one tenant of all personal accounts.
    SHARED.contains(&tenant) && split(announced).is_some_and(|(their_base, _)| their_base == base)
}

/// The issuer's base and its tenant.
fn split(issuer: &str) -> Option<(&str, &str)> {
    issuer.strip_suffix("/v2.0")?.rsplit_once('/')
}

/// Whether an issuer stands for many tenants.
pub(super) fn is_template(announced: &str) -> bool {
    announced.contains(PLACEHOLDER)
}

/// What an answer's `iss` must begin with, the tenant not being known yet.
pub(super) fn fixed_part(template: &str) -> &str {
    template
        .split_once(PLACEHOLDER)
        .map_or(template, |(fixed, _)| fixed)
}

/// The issuer of one tenant. `None` if `tid` is no tenant's id.
pub(super) fn of_tenant(template: &str, tid: &str) -> Option<String> {
    let is_uuid = tid.len() == 36 && tid.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    is_uuid.then(|| template.replace(PLACEHOLDER, tid))
}

/// Whether `xms_edov` says that the domain of the address was verified. It comes as a boolean, a number or a text.
pub(super) fn is_domain_verified(claim: Option<&Value>) -> bool {
    match claim {
        Some(Value::Bool(verified)) => *verified,
        Some(Value::Number(number)) => number.as_u64() == Some(1),
        Some(Value::String(text)) => text == "1" || text.eq_ignore_ascii_case("true"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COMMON: &str = "https://login.microsoftonline.com/common/v2.0";
    const TEMPLATE: &str = "https://login.microsoftonline.com/{tenantid}/v2.0";
    const TENANT: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

    #[test]
    fn only_shared_addresses_may_announce_another_issuer() {
        assert!(may_announce(COMMON, TEMPLATE));
        assert!(may_announce(
            &COMMON.replace("common", "consumers"),
            &of_tenant(TEMPLATE, TENANT).unwrap()
        ));
        assert!(!may_announce(&TEMPLATE.replace(PLACEHOLDER, TENANT), TEMPLATE));
        assert!(!may_announce(COMMON, "https://evil.example/{tenantid}/v2.0"));
        assert!(!may_announce("https://sso.example.org", TEMPLATE));
    }

    #[test]
    fn a_tenant_is_a_uuid() {
        let issuer = of_tenant(TEMPLATE, TENANT).unwrap();
        assert_eq!(issuer, format!("https://login.microsoftonline.com/{TENANT}/v2.0"));
        assert!(issuer.starts_with(fixed_part(TEMPLATE)));
        for nonsense in ["", "common", "../../evil.example/aaaaaaaaaaaaaaaaaaaaa"] {
            assert_eq!(of_tenant(TEMPLATE, nonsense), None);
        }
    }

    #[test]
    fn only_microsoft_vouches_for_a_domain() {
        for verified in [json!(true), json!(1), json!("1"), json!("true")] {
            assert!(is_domain_verified(Some(&verified)));
        }
        for not in [json!(false), json!(0), json!("0"), json!(null), json!([1])] {
            assert!(!is_domain_verified(Some(&not)));
        }
        assert!(!is_domain_verified(None));
    }
}
