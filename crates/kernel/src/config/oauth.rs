//! `[auth.oauth.NAME]`: identity providers that users may log in with.

use std::net::IpAddr;

use http::Uri;
use serde::Deserialize;

use super::{ConfigError, Secret};

/// Names that are parts of paths already.
const RESERVED: [&str; 2] = ["connections", "providers"];
const LONGEST_SLUG: usize = 50;
const LONGEST_NAME: usize = 100;

/// What an identity provider is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OauthKind {
    /// Google accounts.
    Google,
    /// GitHub or GitHub Enterprise Server: OAuth 2 without ID tokens.
    Github,
    /// gitlab.com, or a GitLab of one's own (`issuer`).
    Gitlab,
    /// Microsoft Entra ID: one tenant, or many (`issuer` ends in `common`, `organizations` or `consumers`).
    Microsoft,
    /// Any other provider of OpenID Connect.
    Oidc,
}

/// `[auth.oauth.NAME]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "see onet.default.toml")]
pub struct OauthProvider {
    pub kind: OauthKind,
    pub client_id: String,
    pub client_secret: Secret,
    #[serde(default)]
    pub issuer: String,
    #[serde(default)]
    pub base_url: String,
    #[serde(default)]
    pub api_url: String,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub icon_url: String,
    #[serde(default)]
    pub scopes: Vec<String>,
    #[serde(default = "yes")]
    pub login_enabled: bool,
    #[serde(default = "yes")]
    pub link_enabled: bool,
    #[serde(default)]
    pub allowed_domains: Vec<String>,
}

const fn yes() -> bool {
    true
}

impl OauthProvider {
    /// The issuer's identifier, exactly as the provider writes it. GitHub's is the address of its web pages.
    pub fn issuer(&self) -> &str {
        let known = match self.kind {
            OauthKind::Google => "https://accounts.google.com",
            OauthKind::Gitlab => "https://gitlab.com",
            OauthKind::Microsoft => "https://login.microsoftonline.com/common/v2.0",
            OauthKind::Github => return self.base_url(),
            OauthKind::Oidc => "",
        };
        if self.issuer.is_empty() {
            known
        } else {
            &self.issuer
        }
    }

    /// Where GitHub's pages are, without a slash at the end.
    pub fn base_url(&self) -> &str {
        let given = self.base_url.trim_end_matches('/');
        if given.is_empty() {
            "https://github.com"
        } else {
            given
        }
    }

    /// Where GitHub's API is, without a slash at the end.
    pub fn api_url(&self) -> String {
        let given = self.api_url.trim_end_matches('/');
        match (given, self.base_url()) {
            ("", "https://github.com") => "https://api.github.com".to_owned(),
            ("", base) => format!("{base}/api/v3"),
            (given, _) => given.to_owned(),
        }
    }

    /// What the console calls it.
    pub fn name(&self) -> &str {
        if !self.name.is_empty() {
            return &self.name;
        }
        match self.kind {
            OauthKind::Google => "Google",
            OauthKind::Github => "GitHub",
            OauthKind::Gitlab => "GitLab",
            OauthKind::Microsoft => "Microsoft",
            OauthKind::Oidc => "OpenID Connect",
        }
    }

    /// The scopes that are asked for, besides `openid`.
    pub fn scopes(&self) -> Vec<&str> {
        if !self.scopes.is_empty() {
            let asked = self.scopes.iter().map(String::as_str);
            return asked.filter(|scope| *scope != "openid").collect();
        }
        match self.kind {
            OauthKind::Github => vec!["read:user", "user:email"],
            OauthKind::Google | OauthKind::Gitlab | OauthKind::Microsoft | OauthKind::Oidc => {
                vec!["email", "profile"]
            }
        }
    }

    /// # Errors
    /// Names the first setting that is missing or can't work.
    pub(super) fn check(&self, slug: &str) -> Result<(), ConfigError> {
        let fault = |key: &str, fault: &str| {
            Err(ConfigError::Named {
                name: format!("auth.oauth.{slug}{key}"),
                fault: fault.to_owned(),
            })
        };
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
        if slug.is_empty() || slug.len() > LONGEST_SLUG || !slug.chars().all(is_word) {
            return fault(
                "",
                "the name must be 1 to 50 small letters, digits, hyphens or underscores",
            );
        }
        if RESERVED.contains(&slug) {
            return fault("", "this name is taken: choose another");
        }
        if self.client_id.is_empty() {
            return fault(".client_id", "must be given: the provider shows it");
        }
        if self.client_secret.expose().is_empty() {
            return fault(".client_secret", "must be given: the provider shows it once");
        }
        if self.issuer().is_empty() {
            return fault(".issuer", "must be given for a provider of kind \"oidc\"");
        }
        let is_github = self.kind == OauthKind::Github;
        if is_github && !self.issuer.is_empty() {
            return fault(
                ".issuer",
                "GitHub has none: use base_url for GitHub Enterprise Server",
            );
        }
        if !(is_github || self.base_url.is_empty() && self.api_url.is_empty()) {
            return fault(
                ".base_url",
                "is for providers of kind \"github\" only: use issuer",
            );
        }
        let urls = [
            (".issuer", self.issuer()),
            (".base_url", self.base_url.as_str()),
            (".api_url", self.api_url.as_str()),
        ];
        for (key, url) in urls {
            if !url.is_empty() && !is_secure(url) {
                return fault(
                    key,
                    "must be an https:// address without a query (http:// for loopback only)",
                );
            }
        }
        if !self.icon_url.is_empty() && !is_secure(&self.icon_url) {
            return fault(".icon_url", "must be an https:// address");
        }
        if self.name().chars().count() > LONGEST_NAME {
            return fault(".name", "must have 100 characters at most");
        }
        if self
            .scopes
            .iter()
            .any(|scope| scope.is_empty() || scope.contains(char::is_whitespace))
        {
            return fault(".scopes", "one scope an item, without white space");
        }
        let is_domain = |domain: &String| {
            domain.contains('.') && !domain.contains(['@', ' ', '*']) && *domain == domain.to_lowercase()
        };
        if !self.allowed_domains.iter().all(is_domain) {
            return fault(
                ".allowed_domains",
                "one domain an item, such as \"example.org\", in small letters",
            );
        }
        if !self.login_enabled && !self.link_enabled {
            return fault(
                "",
                "neither login_enabled nor link_enabled: remove the provider instead",
            );
        }
        Ok(())
    }
}

/// An address that secrets may be sent to: TLS, or this very machine.
fn is_secure(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let Some(host) = uri.host() else { return false };
    if uri.query().is_some() || url.contains('#') || uri.authority().is_some_and(|a| a.as_str().contains('@'))
    {
        return false;
    }
    let is_loopback = host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback());
    match uri.scheme_str() {
        Some("https") => true,
        Some("http") => is_loopback,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use figment::{
        Figment,
        providers::{Format, Toml},
    };

    use super::*;

    fn provider(toml: &str) -> OauthProvider {
        let whole = format!("client_id = 'id'\nclient_secret = 'secret'\n{toml}");
        Figment::from(Toml::string(&whole)).extract().unwrap()
    }

    #[test]
    fn known_providers_need_only_their_credentials() {
        for (kind, issuer) in [
            ("google", "https://accounts.google.com"),
            ("gitlab", "https://gitlab.com"),
            ("microsoft", "https://login.microsoftonline.com/common/v2.0"),
            ("github", "https://github.com"),
        ] {
            let provider = provider(&format!("kind = '{kind}'"));
            provider.check(kind).unwrap();
            assert_eq!(provider.issuer(), issuer);
            assert!(provider.login_enabled && provider.link_enabled);
        }
        let enterprise = provider("kind = 'github'\nbase_url = 'https://git.example.org/'");
        assert_eq!(enterprise.issuer(), "https://git.example.org");
        assert_eq!(enterprise.api_url(), "https://git.example.org/api/v3");
    }

    #[test]
    fn faults_name_their_setting() {
        let cases = [
            ("x", "kind = 'oidc'", "auth.oauth.x.issuer: must be given"),
            (
                "x",
                "kind = 'oidc'\nissuer = 'http://example.org'",
                "auth.oauth.x.issuer: must be an https",
            ),
            (
                "x",
                "kind = 'oidc'\nissuer = 'https://a:b@example.org'",
                "auth.oauth.x.issuer",
            ),
            (
                "x",
                "kind = 'oidc'\nissuer = 'example.org'",
                "auth.oauth.x.issuer",
            ),
            (
                "x",
                "kind = 'github'\nissuer = 'https://example.org'",
                "auth.oauth.x.issuer: GitHub has none",
            ),
            (
                "x",
                "kind = 'google'\nbase_url = 'https://example.org'",
                "auth.oauth.x.base_url",
            ),
            ("x", "kind = 'google'\nscopes = ['a b']", "auth.oauth.x.scopes"),
            (
                "x",
                "kind = 'google'\nallowed_domains = ['@example.org']",
                "auth.oauth.x.allowed_domains",
            ),
            (
                "x",
                "kind = 'google'\nlogin_enabled = false\nlink_enabled = false",
                "auth.oauth.x: neither",
            ),
            (
                "connections",
                "kind = 'google'",
                "auth.oauth.connections: this name is taken",
            ),
            ("a b", "kind = 'google'", "auth.oauth.a b: the name"),
        ];
        for (slug, toml, expected) in cases {
            let text = provider(toml).check(slug).unwrap_err().to_string();
            assert!(text.starts_with(expected), "{text} instead of {expected}");
        }
        let mut without = provider("kind = 'google'");
        without.client_secret = Secret::default();
        let text = without.check("x").unwrap_err().to_string();
        assert!(
            text.starts_with("auth.oauth.x.client_secret: must be given"),
            "{text}"
        );
        without.client_id.clear();
        let text = without.check("x").unwrap_err().to_string();
        assert!(
            text.starts_with("auth.oauth.x.client_id: must be given"),
            "{text}"
        );
        provider("kind = 'oidc'\nissuer = 'http://127.0.0.1:9400'")
            .check("test")
            .unwrap();
    }
}
