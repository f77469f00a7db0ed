//! Access tokens: JWTs (RFC 7519) in the profile of RFC 9068, signed with Ed25519 (RFC 8037).

use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation,
    errors::Error as JwtError,
    jwk::{Jwk, ThumbprintHash},
};
use kernel::{
    access::{AuthFault, Credential, INVALID, User},
    config::Auth,
    id::{Any, Id},
    time::Time,
};
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};

use crate::secrets::Secrets;

/// The `typ` that sets access tokens apart from other JWTs of the same key (RFC 9068, section 2.1).
const TYPE: &str = "at+jwt";
/// What comes before the seed in the PKCS #8 form of an Ed25519 key (RFC 8410, section 7).
const PKCS8_HEAD: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// Seconds by which the clocks of two nodes may differ.
const LEEWAY: i64 = 2;
/// Tokens whose signature is remembered.
const REMEMBERED: usize = 10_000;
/// Longer texts are none of our tokens.
const LONGEST: usize = 2048;

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
    iat: i64,
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
    signing: EncodingKey,
    verifying: DecodingKey,
    header: Header,
    validation: Validation,
    issuer: String,
    audience: String,
    /// Tokens with a good signature. Whether they still hold is asked at each use.
    verified: Cache<String, Claims>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens")
            .field("kid", &self.header.kid)
            .finish_non_exhaustive()
    }
}

impl Tokens {
    /// Makes the keys.
    pub(crate) fn new(secrets: &Secrets, settings: &Auth) -> Result<Self, JwtError> {
        let signing = EncodingKey::from_ed_der(&[&PKCS8_HEAD[..], secrets.signing_seed()].concat());
        let public = Jwk::from_encoding_key(&signing, Algorithm::EdDSA)?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(public.thumbprint(ThumbprintHash::SHA256)?);
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&settings.issuer]);
        validation.set_audience(&[&settings.audience]);
        validation.set_required_spec_claims(&["sub", "iss", "aud"]);
        // Our clock can be turned, the library's can't: `check_times` does this part.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Ok(Self {
            verifying: DecodingKey::from_jwk(&public)?,
            signing,
            header,
            validation,
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            verified: Cache::new(REMEMBERED),
        })
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
        jsonwebtoken::encode(&self.header, &claims, &self.signing)
    }

    /// The claims of a token of ours that holds at `now`. Whether its session lives is not looked at.
    pub(crate) fn read(&self, token: &str, now: Time) -> Result<Claims, AuthFault> {
        let claims = match self.verified.get(token) {
            Some(claims) => claims,
            None => {
                let claims = self.verify(token).ok_or(INVALID)?;
                self.verified.insert(token.to_owned(), claims.clone());
                claims
            }
        };
        check_times(&claims, now.seconds())?;
        Ok(claims)
    }

    /// All but the times: algorithm, signature, type, key, issuer, audience.
    fn verify(&self, token: &str) -> Option<Claims> {
        if token.len() > LONGEST {
            return None;
        }
        let data = jsonwebtoken::decode::<Claims>(token, &self.verifying, &self.validation).ok()?;
        let header = data.header;
        // `crit` names extensions that must be understood (RFC 7515, section 4.1.11): we know none.
        let ours = header.typ == self.header.typ && header.kid == self.header.kid && header.crit.is_none();
        ours.then_some(data.claims)
    }
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
mod tests {
    use std::{path::Path, time::Duration};

    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    use kernel::{config::Config, secrets::MasterSecret};

    use super::*;

    fn settings() -> Auth {
        Config::load(None, Path::new("unused")).unwrap().auth
    }

    fn tokens(master: &str, settings: &Auth) -> Tokens {
        Tokens::new(
            &Secrets::derive(&MasterSecret::from_bytes(master.as_bytes())),
            settings,
        )
        .unwrap()
    }

    fn issued() -> Issued {
        Issued {
            user: Id::new(),
            session: Id::new(),
            methods: vec!["pwd"],
        }
    }

    const NOW: Time = Time::from_micros(1_800_000_000_000_000);
    const END: Time = Time::from_micros(1_800_000_900_000_000);

    fn detail(outcome: Result<Claims, AuthFault>) -> &'static str {
        outcome.unwrap_err().detail
    }

    #[test]
    fn a_token_holds_until_its_end() {
        let tokens = tokens("a", &settings());
        let issued = issued();
        let token = tokens.issue(&issued, NOW, END).unwrap();
        // Twice: once checked, once remembered.
        for _ in 0..2 {
            let claims = tokens.read(&token, NOW).unwrap();
            assert_eq!(
                (claims.sub, claims.sid, claims.exp),
                (issued.user, issued.session, END.seconds())
            );
        }
        assert!(tokens.read(&token, END - Duration::from_secs(1)).is_ok());
        assert_eq!(detail(tokens.read(&token, END)), "Token is expired");
    }

    #[test]
    fn a_token_from_the_future_does_not_hold_yet() {
        let tokens = tokens("a", &settings());
        let token = tokens.issue(&issued(), NOW, END).unwrap();
        assert!(tokens.read(&token, NOW - Duration::from_secs(2)).is_ok());
        assert_eq!(
            detail(tokens.read(&token, NOW - Duration::from_secs(3))),
            INVALID.detail
        );
    }

    #[test]
    fn other_keys_issuers_and_audiences_are_refused() {
        let ours = settings();
        let reader = tokens("a", &ours);
        let issue = |tokens: &Tokens| tokens.issue(&issued(), NOW, END).unwrap();
        assert_eq!(
            detail(reader.read(&issue(&tokens("b", &ours)), NOW)),
            INVALID.detail
        );
        let issuer = Auth {
            issuer: "else".to_owned(),
            ..ours.clone()
        };
        assert_eq!(
            detail(reader.read(&issue(&tokens("a", &issuer)), NOW)),
            INVALID.detail
        );
        let audience = Auth {
            audience: "else".to_owned(),
            ..ours
        };
        assert_eq!(
            detail(reader.read(&issue(&tokens("a", &audience)), NOW)),
            INVALID.detail
        );
    }

    #[test]
    fn other_types_and_algorithms_are_refused() {
        let tokens = tokens("a", &settings());
        let good = tokens.issue(&issued(), NOW, END).unwrap();
        let [_, body, signature] = good.split('.').collect::<Vec<_>>()[..] else {
            panic!("three parts")
        };
        let claims = tokens.read(&good, NOW).unwrap();
        let signed = |change: fn(&mut Header)| {
            let mut header = tokens.header.clone();
            change(&mut header);
            jsonwebtoken::encode(&header, &claims, &tokens.signing).unwrap()
        };
        assert!(tokens.read(&signed(|_| ()), NOW).is_ok());
        for forged in [
            signed(|header| header.typ = Some("JWT".to_owned())),
            signed(|header| header.typ = None),
            signed(|header| header.kid = None),
            signed(|header| header.crit = Some(vec!["x".to_owned()])),
        ] {
            assert_eq!(detail(tokens.read(&forged, NOW)), INVALID.detail);
        }
        let kid = tokens.header.kid.as_deref().unwrap();
        for header in [
            format!(r#"{{"typ":"at+jwt","alg":"none","kid":"{kid}"}}"#),
            format!(r#"{{"typ":"at+jwt","alg":"HS256","kid":"{kid}"}}"#),
            format!(r#"{{"typ":"at+jwt","kid":"{kid}"}}"#),
        ] {
            let header = BASE64_URL_SAFE_NO_PAD.encode(header);
            for forged in [
                format!("{header}.{body}.{signature}"),
                format!("{header}.{body}."),
            ] {
                assert_eq!(detail(tokens.read(&forged, NOW)), INVALID.detail);
            }
        }
        for text in [
            "",
            ".",
            "..",
            "a.b.c",
            &good[1..],
            &format!("{good}.{body}"),
            &"x".repeat(100_000),
        ] {
            assert_eq!(detail(tokens.read(text, NOW)), INVALID.detail);
        }
    }
}
