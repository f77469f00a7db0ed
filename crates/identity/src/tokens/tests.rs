//! What is no token of ours, as a table. Numbers of sections are RFC 8725's unless another document is named.

use std::{path::Path, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use kernel::{config::Config, secrets::keyed_hash};
use serde_json::{Value, json};

use super::*;

const NOW: Time = Time::from_micros(1_800_000_000_000_000);
const END: Time = Time::from_micros(1_800_000_900_000_000);

fn settings() -> Auth {
    Config::load(None, Path::new("unused")).unwrap().auth
}

fn with_generations(master: &str, settings: &Auth, rows: &[GenerationRow]) -> Tokens {
    let master = kernel::secrets::MasterSecret::from_bytes(master.as_bytes());
    Tokens::new(Arc::new(Secrets::derive(&master)), settings, rows).unwrap()
}

fn tokens(master: &str, settings: &Auth) -> Tokens {
    with_generations(master, settings, &[])
}

fn issued() -> Issued {
    Issued {
        user: Id::new(),
        session: Id::new(),
        methods: vec!["pwd"],
    }
}

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
    let refused = |other: &Tokens| {
        let token = other.issue(&issued(), NOW, END).unwrap();
        assert_eq!(detail(reader.read(&token, NOW)), INVALID.detail);
    };
    refused(&tokens("b", &ours));
    refused(&tokens(
        "a",
        &Auth {
            issuer: "else".to_owned(),
            ..ours.clone()
        },
    ));
    refused(&tokens(
        "a",
        &Auth {
            audience: "else".to_owned(),
            ..ours.clone()
        },
    ));
}

/// `{…}` in base64url.
fn part(json: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(json.to_string())
}

/// Good claims as JSON, and the header that belongs to them.
fn good(tokens: &Tokens) -> (Value, Value) {
    let token = tokens.issue(&issued(), NOW, END).unwrap();
    let parts: Vec<Value> = token
        .split('.')
        .take(2)
        .map(|part| serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
        .collect();
    (parts[0].clone(), parts[1].clone())
}

/// A token signed with our own key over any header and claims.
fn signed(tokens: &Tokens, header: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", part(header), part(claims));
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), &tokens.ring().signing, Algorithm::EdDSA).unwrap();
    format!("{message}.{signature}")
}

fn with(mut object: Value, field: &str, value: Value) -> Value {
    object[field] = value;
    object
}

fn without(mut object: Value, field: &str) -> Value {
    object.as_object_mut().unwrap().shift_remove(field);
    object
}

#[test]
fn what_is_signed_by_us_but_is_no_access_token_is_refused() {
    let tokens = tokens("a", &settings());
    let (header, claims) = good(&tokens);
    assert!(tokens.read(&signed(&tokens, &header, &claims), NOW).is_ok());
    let headers = [
        // RFC 9068, section 4; 3.11: another kind of JWT of the same key.
        ("typ JWT", with(header.clone(), "typ", json!("JWT"))),
        (
            "typ of a logout token",
            with(header.clone(), "typ", json!("logout+jwt")),
        ),
        (
            "typ in another case",
            with(header.clone(), "typ", json!("AT+JWT")),
        ),
        ("no typ", without(header.clone(), "typ")),
        // 3.10: the key is named by its kid, and that is looked up among ours only.
        ("no kid", without(header.clone(), "kid")),
        ("an empty kid", with(header.clone(), "kid", json!(""))),
        ("an unknown kid", with(header.clone(), "kid", json!("0123456789"))),
        (
            "a path as kid",
            with(header.clone(), "kid", json!("../../../../dev/null")),
        ),
        ("SQL as kid", with(header.clone(), "kid", json!("' OR 1=1 --"))),
        (
            "a huge kid",
            with(header.clone(), "kid", json!("k".repeat(LONGEST))),
        ),
        ("a number as kid", with(header.clone(), "kid", json!(1))),
        // RFC 7515, section 4.1.11.
        ("crit", with(header.clone(), "crit", json!(["exp"]))),
        ("an empty crit", with(header.clone(), "crit", json!([]))),
    ];
    for (what, header) in headers {
        let forged = signed(&tokens, &header, &claims);
        assert_eq!(detail(tokens.read(&forged, NOW)), INVALID.detail, "{what}");
    }
    let now = NOW.seconds();
    let wrong = [
        // 3.8: issuer; 3.9: audience; RFC 9068, section 4.
        (
            "another iss",
            with(claims.clone(), "iss", json!("https://evil.example")),
        ),
        ("no iss", without(claims.clone(), "iss")),
        ("another aud", with(claims.clone(), "aud", json!("else"))),
        ("no aud", without(claims.clone(), "aud")),
        ("no sub", without(claims.clone(), "sub")),
        ("a sub that is no id", with(claims.clone(), "sub", json!("root"))),
        ("no sid", without(claims.clone(), "sid")),
        ("no exp", without(claims.clone(), "exp")),
        ("a text as exp", with(claims.clone(), "exp", json!("never"))),
        ("from the future", with(claims.clone(), "nbf", json!(now + 60))),
        (
            "issued in the future",
            with(claims.clone(), "iat", json!(now + 60)),
        ),
    ];
    for (what, claims) in wrong {
        let forged = signed(&tokens, &header, &claims);
        assert_eq!(detail(tokens.read(&forged, NOW)), INVALID.detail, "{what}");
    }
    let old = with(claims, "exp", json!(now));
    assert_eq!(
        detail(tokens.read(&signed(&tokens, &header, &old), NOW)),
        "Token is expired"
    );
}

#[test]
fn other_algorithms_are_refused() {
    let tokens = tokens("a", &settings());
    let (header, claims) = good(&tokens);
    let public = serde_json::to_value(tokens.ring().public_keys(NOW)[0]).unwrap();
    let x = public["x"].as_str().unwrap().to_owned();
    // 2.1, 3.1: the public key, which everybody has, taken for the secret of a MAC, in the forms it is known in.
    let raw = BASE64_URL_SAFE_NO_PAD.decode(&x).unwrap();
    let spki = [
        &[
            0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
        ][..],
        &raw,
    ]
    .concat();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        base64::prelude::BASE64_STANDARD.encode(&spki)
    );
    let hs256 = with(header.clone(), "alg", json!("HS256"));
    let message = format!("{}.{}", part(&hs256), part(&claims));
    for key in [
        raw.clone(),
        spki,
        pem.into_bytes(),
        x.into_bytes(),
        public.to_string().into_bytes(),
        Vec::new(),
    ] {
        let mac = BASE64_URL_SAFE_NO_PAD.encode(keyed_hash(&key, message.as_bytes()));
        assert_eq!(
            detail(tokens.read(&format!("{message}.{mac}"), NOW)),
            INVALID.detail
        );
    }
    // The right signature under another name of the algorithm, or none.
    for alg in [
        json!("none"),
        json!("None"),
        json!("nOnE"),
        json!("RS256"),
        json!("ES256"),
        json!("EDDSA"),
        json!(null),
        json!(7),
    ] {
        let header = with(header.clone(), "alg", alg.clone());
        let forged = signed(&tokens, &header, &claims);
        let (unsigned, _) = forged.rsplit_once('.').unwrap();
        for forged in [forged.clone(), format!("{unsigned}."), unsigned.to_owned()] {
            assert_eq!(detail(tokens.read(&forged, NOW)), INVALID.detail, "{alg}");
        }
    }
    let forged = signed(&tokens, &without(header, "alg"), &claims);
    assert_eq!(detail(tokens.read(&forged, NOW)), INVALID.detail);
}

#[test]
fn keys_that_a_token_brings_along_are_not_used() {
    let ours = tokens("a", &settings());
    let thief = tokens("b", &settings());
    let (header, claims) = good(&ours);
    let theirs = serde_json::to_value(thief.ring().public_keys(NOW)[0]).unwrap();
    for header in [
        with(header.clone(), "jwk", theirs),
        with(header.clone(), "jku", json!("https://evil.example/jwks.json")),
        with(header.clone(), "x5u", json!("https://evil.example/cert.pem")),
        with(header.clone(), "x5c", json!(["MIIB"])),
        with(header, "kid", json!(thief.ring().header.kid)),
    ] {
        let forged = signed(&thief, &header, &claims);
        assert_eq!(detail(ours.read(&forged, NOW)), INVALID.detail, "{header}");
    }
}

#[test]
fn texts_that_are_no_tokens_are_refused() {
    let tokens = tokens("a", &settings());
    let good = tokens.issue(&issued(), NOW, END).unwrap();
    let [head, body, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("three parts")
    };
    for text in [
        "",
        ".",
        "..",
        "a.b.c",
        &good[1..],
        &good[..good.len() - 4],
        &format!("{good}="),
        &format!(" {good}"),
        &format!("{good}.{body}"),
        &format!("{head}.{body}.{}", signature.chars().rev().collect::<String>()),
        &format!("{head}.{}.{signature}", part(&json!({"sub": "x"}))),
        &"x".repeat(100_000),
    ] {
        assert_eq!(detail(tokens.read(text, NOW)), INVALID.detail, "{text:.80}");
    }
    assert!(tokens.read(&good, NOW).is_ok());
}

fn row(generation: i64, retired_at: Option<Time>) -> GenerationRow {
    GenerationRow {
        generation,
        created: NOW,
        retired_at,
    }
}

#[test]
fn an_earlier_generation_holds_until_it_is_retired() {
    let settings = settings();
    let old = tokens("a", &settings);
    let earlier = old.issue(&issued(), NOW, END).unwrap();
    let retired = NOW + Duration::from_secs(100);
    let new = with_generations("a", &settings, &[row(1, Some(retired)), row(2, None)]);
    let later = new.issue(&issued(), NOW, END).unwrap();
    assert!(new.read(&earlier, retired - Duration::from_secs(1)).is_ok());
    // Remembered by now, and refused all the same.
    assert_eq!(detail(new.read(&earlier, retired)), INVALID.detail);
    assert!(new.read(&later, retired).is_ok());
    // A node that does not know the new generation yet finds out that it does not.
    assert_eq!(detail(old.read(&later, NOW)), INVALID.detail);
    assert!(old.names_unknown_key(&later) && !new.names_unknown_key(&later));
    assert!(!old.names_unknown_key("a.b.c") && !old.names_unknown_key(&"x".repeat(5000)));
    old.renew(&[row(1, Some(retired)), row(2, None)]).unwrap();
    assert!(old.read(&later, NOW).is_ok());
    let kids = |now| {
        let keys = new.jwks(now);
        let keys = keys["keys"].as_array().unwrap().clone();
        keys.iter()
            .map(|key| key["kid"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(kids(NOW).len(), 2);
    assert_eq!(kids(NOW)[0], new.ring().header.kid.clone().unwrap());
    assert_eq!(kids(retired).len(), 1);
}

#[test]
fn the_public_keys_are_public() {
    let tokens = tokens("a", &settings());
    let keys = tokens.jwks(NOW);
    let key = &keys["keys"][0];
    let mut fields: Vec<&String> = key.as_object().unwrap().keys().collect();
    fields.sort();
    assert_eq!(fields, ["alg", "crv", "kid", "kty", "use", "x"]);
    assert_eq!(
        (&key["kty"], &key["crv"], &key["alg"], &key["use"]),
        (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA"), &json!("sig"))
    );
}
