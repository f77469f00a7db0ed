//! What a provider of OpenID Connect says of itself: its endpoints, its algorithms, its keys.

use std::collections::HashMap;

use http::{Request, StatusCode, header};
use kernel::{
    config::{OauthKind, OauthProvider},
    outbound::trusted::Http,
    time::Time,
};
use openidconnect::core::{CoreJsonWebKeySet, CoreJwsSigningAlgorithm};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{ProviderFault, microsoft, oauth2::SecretIn};

/// Signatures with a public key. `none` is no signature, and HS… would make our secret a signing key.
const SIGNATURES: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// The discovery document, as far as it matters (OpenID Connect Discovery 1.0, section 3).
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Document {
    pub(super) issuer: String,
    pub(super) authorization_endpoint: String,
    pub(super) token_endpoint: String,
    pub(super) jwks_uri: String,
    pub(super) userinfo_endpoint: Option<String>,
    #[serde(default)]
    pub(super) id_token_signing_alg_values_supported: Vec<String>,
    pub(super) token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
}

impl Document {
    /// Where our secret goes: into the header, unless only the form is announced.
    pub(super) fn secret_in(&self) -> SecretIn {
        let announced = self.token_endpoint_auth_methods_supported.as_ref();
        if announced.is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic")) {
            SecretIn::Header
        } else {
            SecretIn::Form
        }
    }
}

/// The keys, and which issuer each is for where the provider says so (Microsoft).
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pub(super) set: CoreJsonWebKeySet,
    pub(super) issuers: HashMap<String, String>,
    pub(super) fetched: Time,
}

/// What was asked of a provider.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) document: Document,
    pub(super) algorithms: Vec<CoreJwsSigningAlgorithm>,
    pub(super) keys: Keys,
    pub(super) fetched: Time,
}

pub(super) async fn discover(
    settings: &OauthProvider,
    http: &Http,
    now: Time,
) -> Result<Known, ProviderFault> {
    let issuer = settings.issuer();
    // Section 4: a slash at the issuer's end is not doubled.
    let url = format!(
        "{}/.well-known/openid-configuration",
        issuer.trim_end_matches('/')
    );
    let document: Document = get(http, &url, None).await?;
    let is_its_own = document.issuer == issuer
        || (settings.kind == OauthKind::Microsoft && microsoft::may_announce(issuer, &document.issuer));
    if !is_its_own {
        let fault = format!("it calls itself {} instead of {issuer}", document.issuer);
        return Err(ProviderFault::Unavailable(fault));
    }
    // Codes and secrets are sent there: never in the clear where the issuer itself is protected.
    let endpoints = [
        &document.authorization_endpoint,
        &document.token_endpoint,
        &document.jwks_uri,
    ];
    let is_protected = |url: &String| url.starts_with("https://") || issuer.starts_with("http://");
    if !endpoints
        .into_iter()
        .chain(&document.userinfo_endpoint)
        .all(is_protected)
    {
        return Err(ProviderFault::unavailable("it names an endpoint without TLS"));
    }
    let keys = fetch_keys(http, &document.jwks_uri, now).await?;
    Ok(Known {
        algorithms: algorithms(&document.id_token_signing_alg_values_supported),
        document,
        keys,
        fetched: now,
    })
}

/// The announced algorithms that we accept; RS256 where nothing is announced (it must be supported by everyone).
fn algorithms(announced: &[String]) -> Vec<CoreJwsSigningAlgorithm> {
    if announced.is_empty() {
        return vec![CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256];
    }
    let is_announced = |algorithm: &CoreJwsSigningAlgorithm| {
        serde_json::to_value(algorithm)
            .is_ok_and(|word| announced.iter().any(|announced| word == announced.as_str()))
    };
    SIGNATURES.into_iter().filter(is_announced).collect()
}

pub(super) async fn fetch_keys(http: &Http, url: &str, now: Time) -> Result<Keys, ProviderFault> {
    let body: Value = get(http, url, None).await?;
    let keys = body["keys"].as_array().into_iter().flatten();
    let issuers = keys.filter_map(|key| {
        Some((
            key["kid"].as_str()?.to_owned(),
            key["issuer"].as_str()?.to_owned(),
        ))
    });
    Ok(Keys {
        issuers: issuers.collect(),
        set: serde_json::from_str(&body.to_string()).map_err(ProviderFault::unavailable)?,
        fetched: now,
    })
}

pub(super) async fn get<T: DeserializeOwned>(
    http: &Http,
    url: &str,
    bearer: Option<&str>,
) -> Result<T, ProviderFault> {
    let mut request = Request::get(url).header(header::ACCEPT, "application/json");
    if let Some(bearer) = bearer {
        request = request.header(header::AUTHORIZATION, format!("Bearer {bearer}"));
    }
    let request = request.body(Vec::new()).map_err(ProviderFault::unavailable)?;
    let reply = http.send(request).await.map_err(ProviderFault::unavailable)?;
    if reply.status() != StatusCode::OK {
        return Err(ProviderFault::unavailable(format!(
            "{url} answers {}",
            reply.status()
        )));
    }
    serde_json::from_slice(reply.body())
        .map_err(|error| ProviderFault::unavailable(format!("{url} can't be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(words: &[&str]) -> Vec<CoreJwsSigningAlgorithm> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        algorithms(&words)
    }

    #[test]
    fn only_signatures_with_public_keys_are_accepted() {
        let rs256 = CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256;
        assert_eq!(announced(&[]), vec![rs256.clone()]);
        assert_eq!(
            announced(&["none", "HS256", "HS512", "RS256", "XX1"]),
            vec![rs256]
        );
        assert!(announced(&["none", "HS256"]).is_empty());
        assert_eq!(announced(&["ES256", "EdDSA"]).len(), 2);
    }
}
