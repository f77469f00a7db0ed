//! GitHub: OAuth 2 with an API behind it, no ID tokens.
//!
//! The access token is asked who its user is, and then forgotten. That the token is for us, and not one that another
//! application has got hold of, follows from the code: it is exchanged with our secret and our PKCE verifier.

use http::{Request, StatusCode, header};
use kernel::{config::OauthProvider, outbound::trusted::Http};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    Answer, Person, ProviderFault,
    oauth2::{self, SecretIn},
};
use crate::oauth::journey::Trip;

/// What the code is exchanged for.
#[derive(Deserialize)]
struct Token {
    access_token: String,
}

/// `GET /user`
#[derive(Deserialize)]
struct Account {
    id: u64,
    login: String,
    name: Option<String>,
}

/// An item of `GET /user/emails`
#[derive(Deserialize)]
struct Address {
    email: String,
    primary: bool,
    verified: bool,
}

pub(super) fn authorization_url(settings: &OauthProvider, trip: &Trip) -> Result<String, ProviderFault> {
    let endpoint = format!("{}/login/oauth/authorize", settings.base_url());
    oauth2::authorization_url(&endpoint, settings, trip, &settings.scopes(), &[])
}

pub(super) async fn identify(
    settings: &OauthProvider,
    http: &Http,
    answer: &Answer,
    trip: &Trip,
) -> Result<Person, ProviderFault> {
    let issuer = settings.base_url();
    if let Some(iss) = &answer.iss
        && *iss != issuer
        && *iss != format!("{issuer}/login/oauth")
    {
        return Err(ProviderFault::refused("the answer is another issuer's"));
    }
    let endpoint = format!("{issuer}/login/oauth/access_token");
    let Token { access_token: token } =
        oauth2::exchange(http, &endpoint, settings, SecretIn::Form, &answer.code, trip).await?;
    let api = settings.api_url();
    let (status, account) = get::<Account>(http, &format!("{api}/user"), &token).await?;
    let account = account.ok_or_else(|| ProviderFault::unavailable(format!("/user answers {status}")))?;
    // Without the scope for it (403), or as an application that may not (404), there is just no address.
    let (status, addresses) = get::<Vec<Address>>(http, &format!("{api}/user/emails"), &token).await?;
    if addresses.is_none() && !matches!(status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) {
        return Err(ProviderFault::unavailable(format!(
            "/user/emails answers {status}"
        )));
    }
    let primary = addresses
        .unwrap_or_default()
        .into_iter()
        .find(|address| address.primary);
    let name = account.name.unwrap_or(account.login);
    let (first_name, last_name) = name.trim().split_once(' ').unwrap_or((name.trim(), ""));
    Ok(Person {
        issuer: issuer.to_owned(),
        subject: account.id.to_string(),
        is_email_verified: primary.as_ref().is_some_and(|address| address.verified),
        email: primary.map(|address| address.email),
        hosted_domain: None,
        first_name: first_name.to_owned(),
        last_name: last_name.trim().to_owned(),
    })
}

/// Asks the API; no value where it refuses.
async fn get<T: DeserializeOwned>(
    http: &Http,
    url: &str,
    token: &str,
) -> Result<(StatusCode, Option<T>), ProviderFault> {
    let request = Request::get(url)
        .header(header::ACCEPT, "application/vnd.github+json")
        .header("x-github-api-version", "2022-11-28")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Vec::new())
        .map_err(ProviderFault::unavailable)?;
    let reply = http.send(request).await.map_err(ProviderFault::unavailable)?;
    if reply.status() != StatusCode::OK {
        return Ok((reply.status(), None));
    }
    let value = serde_json::from_slice(reply.body()).map_err(ProviderFault::unavailable)?;
    Ok((reply.status(), Some(value)))
}
