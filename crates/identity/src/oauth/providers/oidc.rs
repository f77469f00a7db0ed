//! OpenID Connect: the exchange of the code, and the checks of what comes back.
//!
//! The library checks the signature, `iss`, `aud`, `exp` and the nonce. It leaves `azp`, `at_hash` and `iat` to its
//! user: they are checked here ([`verify`]).

use std::{sync::Arc, time::Duration};

use kernel::{
    config::{OauthKind, OauthProvider},
    outbound::trusted::Http,
    time::Time,
};
use openidconnect::{
    AccessTokenHash, AdditionalClaims, ClaimsVerificationError, ClientId, EmptyExtraTokenFields, IdToken,
    IdTokenClaims, IdTokenFields, IdTokenVerifier, IssuerUrl, JsonWebKey, Nonce, OAuth2TokenResponse,
    SignatureVerificationError, StandardTokenResponse, TokenResponse,
    core::{
        CoreGenderClaim, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm,
        CoreTokenType,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Mutex;

use super::{
    Answer, Person, ProviderFault,
    discovery::{self, Document, Keys, Known},
    microsoft, oauth2,
};
use crate::oauth::journey::Trip;

/// What is known of a provider is asked again after this time.
const FRESH: Duration = Duration::from_secs(60 * 60);
/// The pause after a provider could not be asked, and between two looks for keys that were not there.
const PAUSE: Duration = Duration::from_secs(5);
/// How far the provider's clock may be ahead of ours.
const AHEAD: Duration = Duration::from_secs(120);

/// Claims that some providers add.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Extra {
    /// Google's: the organization that manages the account.
    #[serde(default)]
    hd: Option<String>,
    /// Microsoft's: the tenant.
    #[serde(default)]
    tid: Option<String>,
    /// Microsoft's: whether the domain of the address is verified.
    #[serde(default)]
    xms_edov: Option<Value>,
}

impl AdditionalClaims for Extra {}

type Claims = IdTokenClaims<Extra, CoreGenderClaim>;
type Token = IdToken<Extra, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;
type Tokens = StandardTokenResponse<
    IdTokenFields<
        Extra,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;
type Verifier<'a> = IdTokenVerifier<'a, CoreJsonWebKey>;

/// A provider of OpenID Connect: what is remembered of it.
#[derive(Debug, Default)]
pub(super) struct Oidc {
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    known: Option<Arc<Known>>,
    failed: Option<Time>,
}

/// `/userinfo`, for providers that keep their ID tokens short.
#[derive(Deserialize)]
struct UserInfo {
    sub: String,
    email: Option<String>,
    email_verified: Option<Value>,
    name: Option<String>,
    given_name: Option<String>,
    family_name: Option<String>,
}

impl Oidc {
    pub(super) async fn authorization_url(
        &self,
        settings: &OauthProvider,
        http: &Http,
        trip: &Trip,
        now: Time,
    ) -> Result<String, ProviderFault> {
        let known = self.known(settings, http, now).await?;
        let mut scopes = vec!["openid"];
        scopes.extend(settings.scopes());
        let endpoint = &known.document.authorization_endpoint;
        oauth2::authorization_url(endpoint, settings, trip, &scopes, &[("nonce", &trip.nonce)])
    }

    pub(super) async fn identify(
        &self,
        settings: &OauthProvider,
        http: &Http,
        answer: &Answer,
        trip: &Trip,
        now: Time,
    ) -> Result<Person, ProviderFault> {
        let known = self.known(settings, http, now).await?;
        check_issuer_of(answer, &known.document)?;
        let Document { token_endpoint, .. } = &known.document;
        let tokens: Tokens = oauth2::exchange(
            http,
            token_endpoint,
            settings,
            known.document.secret_in(),
            &answer.code,
            trip,
        )
        .await?;
        let token = tokens
            .id_token()
            .ok_or_else(|| ProviderFault::refused("there is no ID token"))?;
        let mut verified = verify(settings, &known, &known.keys, token, &tokens, trip, now);
        if let Err(Rejection::UnknownKey) = verified
            && let Some(newer) = self.newer_keys(&known, http, now).await?
        {
            verified = verify(settings, &known, &newer, token, &tokens, trip, now);
        }
        let claims = verified.map_err(ProviderFault::refused)?;
        let mut person = person(settings, claims);
        if person.email.is_none()
            && settings.kind != OauthKind::Microsoft
            && let Some(endpoint) = &known.document.userinfo_endpoint
        {
            complete(&mut person, http, endpoint, tokens.access_token().secret()).await?;
        }
        Ok(person)
    }

    /// What the provider says of itself, asked now or less than an hour ago.
    ///
    /// One request at a time asks; after one that failed, nobody does for a while.
    async fn known(
        &self,
        settings: &OauthProvider,
        http: &Http,
        now: Time,
    ) -> Result<Arc<Known>, ProviderFault> {
        let mut memory = self.memory.lock().await;
        if let Some(known) = &memory.known
            && now.since(known.fetched) < FRESH
        {
            return Ok(Arc::clone(known));
        }
        if memory.failed.is_some_and(|then| now.since(then) < PAUSE) {
            return Err(ProviderFault::unavailable("it did not answer a moment ago"));
        }
        match discovery::discover(settings, http, now).await {
            Ok(known) => {
                let known = Arc::new(known);
                memory.known = Some(Arc::clone(&known));
                memory.failed = None;
                Ok(known)
            }
            Err(fault) => {
                memory.failed = Some(now);
                Err(fault)
            }
        }
    }

    /// The provider's keys, if they may have changed since `known` was asked for. Forged tokens with keys that never
    /// were don't make us ask more than once in [`PAUSE`].
    async fn newer_keys(
        &self,
        known: &Arc<Known>,
        http: &Http,
        now: Time,
    ) -> Result<Option<Keys>, ProviderFault> {
        let mut memory = self.memory.lock().await;
        if let Some(present) = &memory.known
            && present.keys.fetched > known.keys.fetched
        {
            return Ok(Some(present.keys.clone()));
        }
        if now.since(known.keys.fetched) < PAUSE {
            return Ok(None);
        }
        let keys = discovery::fetch_keys(http, &known.document.jwks_uri, now).await?;
        memory.known = Some(Arc::new(Known {
            document: known.document.clone(),
            algorithms: known.algorithms.clone(),
            keys: keys.clone(),
            fetched: known.fetched,
        }));
        Ok(Some(keys))
    }
}

/// Refuses an answer that another issuer has given, before its code is sent anywhere (RFC 9207, section 2.4).
fn check_issuer_of(answer: &Answer, document: &Document) -> Result<(), ProviderFault> {
    let is_right = match &answer.iss {
        Some(iss) if microsoft::is_template(&document.issuer) => {
            iss.starts_with(microsoft::fixed_part(&document.issuer))
        }
        Some(iss) => *iss == document.issuer,
        None => !(answer.must_name_issuer && document.authorization_response_iss_parameter_supported),
    };
    if is_right {
        Ok(())
    } else {
        Err(ProviderFault::refused(
            "the answer's `iss` is another issuer's, or missing",
        ))
    }
}

/// Why an ID token does not count.
#[derive(Debug, thiserror::Error)]
enum Rejection {
    #[error("no known key has signed the ID token")]
    UnknownKey,
    #[error("the ID token: {0}")]
    Claims(ClaimsVerificationError),
    #[error("the ID token: {0}")]
    Other(&'static str),
}

impl From<ClaimsVerificationError> for Rejection {
    fn from(error: ClaimsVerificationError) -> Self {
        match error {
            ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey) => {
                Self::UnknownKey
            }
            other => Self::Claims(other),
        }
    }
}

/// The claims of an ID token that is right in every respect (OpenID Connect Core, section 3.1.3.7).
fn verify<'a>(
    settings: &OauthProvider,
    known: &Known,
    keys: &Keys,
    token: &'a Token,
    tokens: &Tokens,
    trip: &Trip,
    now: Time,
) -> Result<&'a Claims, Rejection> {
    let issuer = IssuerUrl::new(known.document.issuer.clone()).map_err(|_| Rejection::Other("no issuer"))?;
    let client_id = ClientId::new(settings.client_id.clone());
    let is_template = microsoft::is_template(&known.document.issuer);
    // As a public client, so that no HS… signature is ever computed with our secret.
    let verifier = Verifier::new_public_client(client_id, issuer, keys.set.clone())
        .set_allowed_algs(known.algorithms.iter().cloned())
        .require_issuer_match(!is_template)
        .set_time_fn(move || moment(now))
        .set_issue_time_verifier_fn(move |issued| {
            let is_past = issued <= moment(now + AHEAD);
            is_past
                .then_some(())
                .ok_or_else(|| "issued in the future".to_owned())
        });
    let claims = token.claims(&verifier, &Nonce::new(trip.nonce.clone()))?;
    let party = claims.authorized_party();
    if party.is_some_and(|party| party.as_str() != settings.client_id) {
        return Err(Rejection::Other("`azp` is another client"));
    }
    let key = token.signing_key(&verifier).map_err(|_| Rejection::UnknownKey)?;
    if let Some(hash) = claims.access_token_hash() {
        let algorithm = token.signing_alg().map_err(|_| Rejection::Other("not signed"))?;
        let right = AccessTokenHash::from_token(tokens.access_token(), algorithm, key)
            .map_err(|_| Rejection::Other("`at_hash` can't be computed"))?;
        if *hash != right {
            return Err(Rejection::Other("`at_hash` belongs to another access token"));
        }
    }
    if is_template {
        check_tenant(&known.document.issuer, keys, key, claims)?;
    }
    Ok(claims)
}

/// Microsoft's many tenants: token and key must be of the tenant that the token names.
fn check_tenant(template: &str, keys: &Keys, key: &CoreJsonWebKey, claims: &Claims) -> Result<(), Rejection> {
    let tid = claims.additional_claims().tid.as_deref();
    let issuer = tid.and_then(|tid| Some((tid, microsoft::of_tenant(template, tid)?)));
    let (tid, issuer) = issuer.ok_or(Rejection::Other("`tid` is missing or no tenant's id"))?;
    if claims.issuer().as_str() != issuer {
        return Err(Rejection::Other("`iss` is not the tenant's"));
    }
    let of_key = key.key_id().and_then(|kid| keys.issuers.get(kid.as_str()));
    let is_for_tenant =
        of_key.is_none_or(|of_key| microsoft::of_tenant(of_key, tid).is_some_and(|of_key| of_key == issuer));
    if is_for_tenant {
        Ok(())
    } else {
        Err(Rejection::Other("its key is another tenant's"))
    }
}

fn moment(time: Time) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp_micros(time.micros()).unwrap_or_default()
}

fn person(settings: &OauthProvider, claims: &Claims) -> Person {
    let extra = claims.additional_claims();
    let is_email_verified = if settings.kind == OauthKind::Microsoft {
        microsoft::is_domain_verified(extra.xms_edov.as_ref())
    } else {
        claims.email_verified() == Some(true)
    };
    let full = claims.name().and_then(|name| name.get(None));
    let given = claims.given_name().and_then(|name| name.get(None));
    let family = claims.family_name().and_then(|name| name.get(None));
    let (first_name, last_name) = names(
        full.map(|name| name.as_str()),
        given.map(|name| name.as_str()),
        family.map(|name| name.as_str()),
    );
    Person {
        issuer: claims.issuer().to_string(),
        subject: claims.subject().to_string(),
        email: claims.email().map(|email| email.to_string()),
        is_email_verified,
        hosted_domain: extra.hd.clone(),
        first_name,
        last_name,
    }
}

/// First and last name, as far as they are given.
fn names(full: Option<&str>, given: Option<&str>, family: Option<&str>) -> (String, String) {
    let full = full.unwrap_or_default().trim();
    let split = full.split_once(' ').unwrap_or((full, ""));
    let (first, last) = match (given, family) {
        (None, None) => split,
        (given, family) => (given.unwrap_or_default(), family.unwrap_or_default()),
    };
    (first.trim().to_owned(), last.trim().to_owned())
}

/// Fills in what the ID token has left out. Only what is said of the same subject counts (section 5.3.2).
async fn complete(
    person: &mut Person,
    http: &Http,
    endpoint: &str,
    token: &str,
) -> Result<(), ProviderFault> {
    let info: UserInfo = discovery::get(http, endpoint, Some(token)).await?;
    if info.sub != person.subject {
        return Err(ProviderFault::refused("the user info is somebody else's"));
    }
    person.is_email_verified = match info.email_verified {
        Some(Value::Bool(verified)) => verified,
        Some(Value::String(text)) => text == "true",
        _ => false,
    };
    person.email = info.email;
    if person.first_name.is_empty() && person.last_name.is_empty() {
        (person.first_name, person.last_name) = names(
            info.name.as_deref(),
            info.given_name.as_deref(),
            info.family_name.as_deref(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_as_they_are_given() {
        let of = |full, given, family| {
            let (first, last) = names(full, given, family);
            format!("{first}|{last}")
        };
        assert_eq!(of(Some("Ada King Lovelace"), None, None), "Ada|King Lovelace");
        assert_eq!(of(Some("Ada Lovelace"), Some("Augusta"), None), "Augusta|");
        assert_eq!(of(Some(" Plato "), None, None), "Plato|");
        assert_eq!(of(None, None, None), "|");
    }
}
