//! What OpenID Connect and plain OAuth 2 have in common: the way to the provider, and the exchange of the code.

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{Request, StatusCode, header};
use kernel::{config::OauthProvider, outbound::trusted::Http};
use openidconnect::{PkceCodeChallenge, PkceCodeVerifier};
use reqwest::Url;
use serde::{Deserialize, de::DeserializeOwned};

use super::ProviderFault;
use crate::oauth::journey::Trip;

/// How the token endpoint is told our secret (RFC 6749, section 2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SecretIn {
    /// By HTTP Basic authentication.
    Header,
    /// As parameters of the form.
    Form,
}

/// A refusal of the token endpoint (section 5.2). GitHub sends it with status 200.
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// Where the browser goes to log in, with PKCE (RFC 7636); `more` are parameters of the protocol above.
pub(super) fn authorization_url(
    endpoint: &str,
    settings: &OauthProvider,
    trip: &Trip,
    scopes: &[&str],
    more: &[(&str, &str)],
) -> Result<String, ProviderFault> {
    let verifier = PkceCodeVerifier::new(trip.verifier.clone());
    let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
    let mut url = Url::parse(endpoint).map_err(ProviderFault::unavailable)?;
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &settings.client_id)
        .append_pair("redirect_uri", &trip.redirect_uri)
        .append_pair("scope", &scopes.join(" "))
        .append_pair("state", &trip.state)
        .append_pair("code_challenge", challenge.as_str())
        .append_pair("code_challenge_method", "S256")
        .extend_pairs(more);
    Ok(url.into())
}

/// Exchanges the code at the token endpoint.
pub(super) async fn exchange<T: DeserializeOwned>(
    http: &Http,
    endpoint: &str,
    settings: &OauthProvider,
    secret_in: SecretIn,
    code: &str,
    trip: &Trip,
) -> Result<T, ProviderFault> {
    let (id, secret) = (settings.client_id.as_str(), settings.client_secret.expose());
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", trip.redirect_uri.as_str()),
        ("code_verifier", trip.verifier.as_str()),
    ];
    let mut request = Request::post(endpoint)
        .header(header::ACCEPT, "application/json")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    match secret_in {
        SecretIn::Header => {
            let pair = BASE64_STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret)));
            request = request.header(header::AUTHORIZATION, format!("Basic {pair}"));
        }
        SecretIn::Form => form.extend([("client_id", id), ("client_secret", secret)]),
    }
    let body = form
        .iter()
        .map(|(name, value)| format!("{name}={}", encoded(value)))
        .collect::<Vec<_>>()
        .join("&");
    let request = request
        .body(body.into_bytes())
        .map_err(ProviderFault::unavailable)?;
    let reply = http.send(request).await.map_err(ProviderFault::unavailable)?;
    if let Ok(Refusal { error }) = serde_json::from_slice(reply.body()) {
        return Err(match error.as_str() {
            "invalid_grant" | "bad_verification_code" => {
                ProviderFault::refused("the code is wrong, used or too old")
            }
            // Our own settings, most likely: the operator must look.
            _ => ProviderFault::unavailable(format!("the token endpoint answers {error:.64}")),
        });
    }
    if reply.status() != StatusCode::OK {
        return Err(ProviderFault::unavailable(format!(
            "the token endpoint answers {}",
            reply.status()
        )));
    }
    // The fault's text does not repeat tokens: it names a place and a type.
    serde_json::from_slice(reply.body())
        .map_err(|error| ProviderFault::unavailable(format!("the tokens can't be read: {error}")))
}

/// As `application/x-www-form-urlencoded` has it.
fn encoded(text: &str) -> String {
    Url::parse_with_params("form:", [("", text)])
        .ok()
        .and_then(|url| url.query().map(|query| query.trim_start_matches('=').to_owned()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_encoded() {
        assert_eq!(encoded("a b&c=d+é"), "a+b%26c%3Dd%2B%C3%A9");
        assert_eq!(encoded("=x"), "%3Dx");
        assert_eq!(encoded(""), "");
    }
}
