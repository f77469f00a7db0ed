//! This installation as what WebAuthn calls a relying party: its domain, its name, and the pages it believes.

use std::time::Duration;

use kernel::config::Auth;
use url::{Host, Url};
use webauthn_rs_core::WebauthnCore;

/// How long a browser waits for the authenticator: the least that is recommended (WebAuthn L3, section 15.1).
const TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// The one domain that browsers allow without TLS.
const LOCALHOST: &str = "localhost";

/// The settings of passkeys don't fit together.
#[derive(Debug, thiserror::Error)]
pub enum RelyingPartyError {
    /// Not the address of a site.
    #[error("auth.webauthn_origins: \"{0}\" is not an origin such as \"https://console.example.org\"")]
    Origin(String),
    /// Browsers would refuse it.
    #[error("auth.webauthn_rp_id: pages of \"{origin}\" can't use passkeys of \"{id}\"")]
    Foreign { origin: String, id: String },
}

/// Asks browsers for credentials, and judges what they answer.
pub(crate) struct RelyingParty(WebauthnCore);

impl RelyingParty {
    /// From the settings; what they leave empty is taken from where clients see onet.
    ///
    /// A passkey belongs to a domain, never to an IP address (section 5.1.2): at one, `localhost` is assumed, which is
    /// right for a demo on one's own machine, and nowhere else.
    ///
    /// # Errors
    /// An origin that is none, or that browsers would not let use the domain.
    pub(crate) fn new(settings: &Auth, base_url: &str) -> Result<Self, RelyingPartyError> {
        let listed = &settings.webauthn_origins;
        let origins: Vec<Url> = if listed.is_empty() {
            vec![named(origin(base_url)?)]
        } else {
            listed.iter().map(|text| origin(text)).collect::<Result<_, _>>()?
        };
        let id = match settings.webauthn_rp_id.as_str() {
            "" => origins
                .first()
                .and_then(Url::domain)
                .unwrap_or(LOCALHOST)
                .to_owned(),
            id => id.to_owned(),
        };
        if let Some(foreign) = origins.iter().find(|origin| !may_use(origin, &id)) {
            return Err(RelyingPartyError::Foreign {
                origin: foreign.to_string(),
                id,
            });
        }
        let name = &settings.webauthn_rp_name;
        // Neither subdomains nor other ports than those that are listed.
        let core =
            WebauthnCore::new_unsafe_experts_only(name, &id, origins, TIMEOUT, Some(false), Some(false));
        Ok(Self(core))
    }

    /// What judges. Its name warns of rules that it leaves to the caller: see the module.
    pub(crate) const fn core(&self) -> &WebauthnCore {
        &self.0
    }
}

fn origin(text: &str) -> Result<Url, RelyingPartyError> {
    let fault = || RelyingPartyError::Origin(text.to_owned());
    let url = Url::parse(text).map_err(|_| fault())?;
    if url.host().is_none() || !matches!(url.scheme(), "http" | "https") {
        return Err(fault());
    }
    Ok(url)
}

/// The same page by a name, where it is at an IP address.
fn named(mut url: Url) -> Url {
    if !matches!(url.host(), Some(Host::Domain(_))) {
        // Can't fail: the URL has a host already.
        let _ = url.set_host(Some(LOCALHOST));
    }
    url
}

/// Whether browsers let a page use the domain's credentials: below it, and by TLS (section 5.1.3, step 8).
fn may_use(origin: &Url, id: &str) -> bool {
    let Some(domain) = origin.domain() else {
        return false;
    };
    let is_secure = origin.scheme() == "https" || domain == LOCALHOST;
    is_secure && (domain == id || domain.strip_suffix(id).is_some_and(|rest| rest.ends_with('.')))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use kernel::config::Config;

    use super::*;

    fn party(id: &str, origins: &[&str], base_url: &str) -> Result<Vec<String>, RelyingPartyError> {
        let mut settings = Config::load(None, Path::new("onet-data")).unwrap().auth;
        settings.webauthn_rp_id = id.to_owned();
        settings.webauthn_origins = origins.iter().map(|text| (*text).to_owned()).collect();
        let party = RelyingParty::new(&settings, base_url)?;
        Ok(party
            .core()
            .get_allowed_origins()
            .iter()
            .map(Url::to_string)
            .collect())
    }

    #[test]
    fn without_settings_it_is_where_onet_is() {
        let here = party("", &[], "https://api.example.org").unwrap();
        assert_eq!(here, ["https://api.example.org/"]);
        let demo = party("", &[], "http://127.0.0.1:8080").unwrap();
        assert_eq!(demo, ["http://localhost:8080/"]);
    }

    #[test]
    fn only_pages_of_the_domain_are_believed() {
        let base = "https://api.example.org";
        assert!(party("example.org", &["https://console.example.org"], base).is_ok());
        for origin in [
            "https://badexample.org",
            "https://example.com",
            "http://console.example.org",
            "https://203.0.113.9",
        ] {
            assert!(matches!(
                party("example.org", &[origin], base),
                Err(RelyingPartyError::Foreign { .. })
            ));
        }
        for origin in ["console", "mailto:a@example.org"] {
            assert!(matches!(
                party("example.org", &[origin], base),
                Err(RelyingPartyError::Origin(_))
            ));
        }
    }
}
