//! Access tokens: JWTs (RFC 7519) in the profile of RFC 9068, signed with Ed25519 (RFC 8037); and what anyone may ask of a
//! token: whether it holds, and to end it.

mod api;
mod jwks;
mod revoke;
pub(crate) mod ring;
mod verify;

use std::sync::{Arc, PoisonError, RwLock};

use jsonwebtoken::{Algorithm, Validation, errors::Error as JwtError};
use kernel::{
    access::{AuthFault, Credential, INVALID, User},
    config::Auth,
    id::{Any, Id},
    time::Time,
};
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::jwks::pages;
use self::ring::{GenerationRow, Ring};
use crate::{secrets::Secrets, state::Area};

/// The `typ` that sets access tokens apart from other JWTs of the same key (RFC 9068, section 2.1).
const TYPE: &str = "at+jwt";
/// Seconds by which the clocks of two nodes may differ.
const LEEWAY: i64 = 2;
/// Tokens whose signature is remembered.
const REMEMBERED: usize = 10_000;
/// Longer texts are none of our tokens.
const LONGEST: usize = 2048;

pub(crate) fn routes() -> OpenApiRouter<Area> {
    OpenApiRouter::new()
        .routes(routes!(verify::verify_token))
        .routes(routes!(revoke::revoke_token))
}

/// An access token that has ended: clients refresh it.
const EXPIRED: AuthFault = AuthFault {
    code: "token_not_valid",
    detail: "Token is expired",
};

/// The claims of an access token. Times are seconds since 1970.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// The user.
    pub(crate) sub: Id<User>,
    /// The session: what is looked up, and revoked.
    pub(crate) sid: Id<Credential>,
    jti: Id<Any>,
    pub(crate) iat: i64,
    nbf: i64,
    pub(crate) exp: i64,
    iss: String,
    aud: String,
    /// How the user proved who they are (RFC 8176).
    amr: Vec<String>,
}

/// Whom an access token is for.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    /// The user.
    pub(crate) user: Id<User>,
    /// The session.
    pub(crate) session: Id<Credential>,
    /// The claim `amr`.
    pub(crate) methods: Vec<&'static str>,
}

/// Signs access tokens and checks them.
pub(crate) struct Tokens {
    secrets: Arc<Secrets>,
    ring: RwLock<Arc<Ring>>,
    validation: Validation,
    issuer: String,
    audience: String,
    /// Tokens with a good signature, and the generation of its key. Whether they still hold is asked at each use.
    verified: Cache<String, (Claims, i64)>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens")
            .field("kid", &self.ring().header.kid)
            .finish_non_exhaustive()
    }
}

impl Tokens {
    /// Derives the keys of the generations in `rows`.
    pub(crate) fn new(
        secrets: Arc<Secrets>,
        settings: &Auth,
        rows: &[GenerationRow],
    ) -> Result<Self, JwtError> {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&settings.issuer]);
        validation.set_audience(&[&settings.audience]);
        validation.set_required_spec_claims(&["sub", "iss", "aud"]);
        // Our clock can be turned, the library's can't: `check_times` does this part.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Ok(Self {
            ring: RwLock::new(Arc::new(Ring::derive(&secrets, rows)?)),
            secrets,
            validation,
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            verified: Cache::new(REMEMBERED),
        })
    }

    fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Goes on with the generations in `rows`.
    pub(crate) fn renew(&self, rows: &[GenerationRow]) -> Result<(), JwtError> {
        let ring = Arc::new(Ring::derive(&self.secrets, rows)?);
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = ring;
        Ok(())
    }

    /// A token of a session, good from `now` to `end`.
    pub(crate) fn issue(&self, issued: &Issued, now: Time, end: Time) -> Result<String, JwtError> {
        let claims = Claims {
            sub: issued.user,
            sid: issued.session,
            jti: Id::new(),
            iat: now.seconds(),
            nbf: now.seconds(),
            exp: end.seconds(),
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            amr: issued.methods.iter().map(|method| (*method).to_owned()).collect(),
        };
        let ring = self.ring();
        jsonwebtoken::encode(&ring.header, &claims, &ring.signing)
    }

    /// The claims of a token of ours that holds at `now`. Whether its session lives is not looked at.
    pub(crate) fn read(&self, token: &str, now: Time) -> Result<Claims, AuthFault> {
        let ring = self.ring();
        let (claims, generation) = match self.verified.get(token) {
            Some(verified) => verified,
            None => {
                let verified = self.verify(&ring, token).ok_or(INVALID)?;
                self.verified.insert(token.to_owned(), verified.clone());
                verified
            }
        };
        if !ring.holds(generation, now) {
            return Err(INVALID);
        }
        check_times(&claims, now.seconds())?;
        Ok(claims)
    }

    /// All but the times: algorithm, signature, type, key, issuer, audience. The key is one of ours, named by its `kid`
    /// and nothing else in the token (RFC 8725, section 3.10); its algorithm is the only one that is tried (section 3.1).
    fn verify(&self, ring: &Ring, token: &str) -> Option<(Claims, i64)> {
        let kid = named_key(token)?;
        let generation = ring.by_kid(&kid)?;
        let data = jsonwebtoken::decode::<Claims>(token, &generation.verifying, &self.validation).ok()?;
        let header = data.header;
        // `crit` names extensions that must be understood (RFC 7515, section 4.1.11): we know none.
        let ours = header.typ.as_deref() == Some(TYPE) && header.crit.is_none();
        ours.then_some((data.claims, generation.number))
    }

    /// Whether a token names a key that may have been made by another node since ours were read.
    pub(crate) fn names_unknown_key(&self, token: &str) -> bool {
        named_key(token).is_some_and(|kid| self.ring().by_kid(&kid).is_none())
    }

    /// The public keys as a JWK Set (RFC 7517, section 5).
    fn jwks(&self, now: Time) -> serde_json::Value {
        serde_json::json!({ "keys": self.ring().public_keys(now) })
    }
}

/// The `kid` of a text that could be one of our tokens.
fn named_key(token: &str) -> Option<String> {
    if token.len() > LONGEST {
        return None;
    }
    let header = jsonwebtoken::decode_header(token).ok()?;
    header.kid.filter(|_| header.alg == Algorithm::EdDSA)
}

fn check_times(claims: &Claims, now: i64) -> Result<(), AuthFault> {
    if claims.exp <= now {
        return Err(EXPIRED);
    }
    if claims.nbf > now + LEEWAY || claims.iat > now + LEEWAY {
        return Err(INVALID);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
