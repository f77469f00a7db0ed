//! An identity provider on loopback that lies on demand, and a stand-in for the three endpoints of GitHub that onet
//! uses. Honest where no lie was asked for: it checks the client's secret, the page, PKCE, and that a code comes once.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use kernel::{
    config::{OauthKind, OauthProvider, Secret},
    time::Clock,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::{Server, server::Config};

pub(crate) const CLIENT: &str = "onet-client";
pub(crate) const SECRET: &str = "a secret & more: +/=";
pub(crate) const TENANT: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// Seeds and public keys of RFC 8032, section 7.1, tests 1 and 2.
const KEYS: [(&str, &str); 2] = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    ),
];

/// What the provider does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    None,
    Nonce,
    NoNonce,
    Audience,
    MoreAudiences,
    Issuer,
    Unsigned,
    SignedWithSecret,
    Expired,
    FromTheFuture,
    UnknownKey,
    WrongKey,
    AuthorizedParty,
    AccessTokenHash,
    NoIdToken,
    Subject,
    Huge,
    Slow,
    Broken,
    Nonsense,
    Redirect,
}

#[derive(Clone, Debug)]
struct Grant {
    query: HashMap<String, String>,
    claims: Value,
}

struct Inner {
    lie: Lie,
    key: usize,
    announces_iss: bool,
    is_template: bool,
    key_issuer: Option<String>,
    grants: HashMap<String, Grant>,
    tokens: HashMap<String, Grant>,
    key_requests: u32,
    token_requests: u32,
    user_info: Option<Value>,
    emails: Value,
}

/// The provider.
pub(crate) struct Double {
    pub(crate) base: String,
    inner: Mutex<Inner>,
    clock: Clock,
}

static DOUBLES: LazyLock<Mutex<HashMap<String, Arc<Double>>>> = LazyLock::new(Mutex::default);

/// A provider of the suite, as settings name it.
pub(crate) fn settings(kind: OauthKind, issuer: &str) -> OauthProvider {
    let is_github = kind == OauthKind::Github;
    OauthProvider {
        kind,
        client_id: CLIENT.to_owned(),
        client_secret: Secret::new(SECRET.to_owned()),
        issuer: if is_github {
            String::new()
        } else {
            issuer.to_owned()
        },
        base_url: if is_github {
            issuer.to_owned()
        } else {
            String::new()
        },
        api_url: String::new(),
        name: "Company".to_owned(),
        icon_url: String::new(),
        scopes: Vec::new(),
        login_enabled: true,
        link_enabled: true,
        allowed_domains: Vec::new(),
    }
}

/// Starts a provider and configures it as `double`.
pub(crate) fn add(config: &mut Config) {
    add_as(config, "double", OauthKind::Oidc, "");
}

/// Starts a provider and configures it; `path` comes behind its address.
pub(crate) fn add_as(config: &mut Config, slug: &str, kind: OauthKind, path: &str) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let base = format!("http://{}{path}", listener.local_addr().unwrap());
    let double = Arc::new(Double {
        base: base.clone(),
        inner: Mutex::new(Inner {
            lie: Lie::None,
            key: 0,
            announces_iss: false,
            is_template: false,
            key_issuer: None,
            grants: HashMap::new(),
            tokens: HashMap::new(),
            key_requests: 0,
            token_requests: 0,
            user_info: None,
            emails: json!([]),
        }),
        clock: Clock::default(),
    });
    let routes = Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/jwks", get(jwks))
        .route("/token", post(token))
        .route("/userinfo", get(userinfo))
        .route("/login/oauth/access_token", post(token))
        .route("/api/v3/user", get(userinfo))
        .route("/api/v3/user/{what}", get(emails))
        .with_state(Arc::clone(&double));
    let app = if path.is_empty() {
        routes
    } else {
        Router::new().nest(path, routes)
    };
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    config.auth.oauth.insert(slug.to_owned(), settings(kind, &base));
    DOUBLES.lock().unwrap().insert(base, double);
}

/// The provider that `server` has under this name.
pub(crate) fn of(server: &Server, slug: &str) -> Arc<Double> {
    let settings = &server.app.config().auth.oauth[slug];
    Arc::clone(&DOUBLES.lock().unwrap()[settings.issuer()])
}

impl Double {
    pub(crate) fn lie(&self, lie: Lie) {
        self.inner.lock().unwrap().lie = lie;
    }

    pub(crate) fn rotate_key(&self) {
        self.inner.lock().unwrap().key = 1;
    }

    pub(crate) fn announce_iss(&self) {
        self.inner.lock().unwrap().announces_iss = true;
    }

    /// Becomes a provider of many tenants, whose keys are for this issuer.
    pub(crate) fn serve_tenants(&self, key_issuer: &str) {
        let mut inner = self.inner.lock().unwrap();
        inner.is_template = true;
        inner.key_issuer = Some(key_issuer.to_owned());
    }

    pub(crate) fn user_info(&self, info: Value) {
        self.inner.lock().unwrap().user_info = Some(info);
    }

    pub(crate) fn emails(&self, emails: Value) {
        self.inner.lock().unwrap().emails = emails;
    }

    /// Turns its clock to the server's.
    pub(crate) fn catch_up(&self, server: &Server) {
        self.clock.advance(server.clock.now().since(self.clock.now()));
    }

    pub(crate) fn key_requests(&self) -> u32 {
        self.inner.lock().unwrap().key_requests
    }

    pub(crate) fn token_requests(&self) -> u32 {
        self.inner.lock().unwrap().token_requests
    }

    /// Somebody logs in at the address that onet has made, and agrees: the code.
    pub(crate) fn consent(&self, url: &str, claims: Value) -> String {
        let query: HashMap<String, String> = reqwest::Url::parse(url)
            .unwrap()
            .query_pairs()
            .into_owned()
            .collect();
        assert_eq!(query["client_id"], CLIENT);
        assert_eq!(query["response_type"], "code");
        assert_eq!(query["code_challenge_method"], "S256");
        let code = format!("code-{}", kernel::id::AnyId::new());
        let grant = Grant { query, claims };
        self.inner.lock().unwrap().grants.insert(code.clone(), grant);
        code
    }

    fn issuer(&self, tenant: Option<&str>) -> String {
        let is_template = self.inner.lock().unwrap().is_template;
        match (is_template, tenant) {
            (true, Some(tenant)) => self.base.replace("common", tenant),
            (true, None) => self.base.replace("common", "{tenantid}"),
            (false, _) => self.base.clone(),
        }
    }

    fn id_token(&self, grant: &Grant, lie: Lie) -> String {
        let now = self.clock.now().seconds();
        let tenant = grant.claims["tid"].as_str();
        let mut claims = json!({
            "iss": self.issuer(tenant),
            "aud": CLIENT,
            "exp": now + 300,
            "iat": now,
            "nonce": grant.query.get("nonce"),
        });
        for (name, value) in grant.claims.as_object().unwrap() {
            claims[name] = value.clone();
        }
        match lie {
            Lie::Nonce => claims["nonce"] = json!("another"),
            Lie::NoNonce => drop(claims.as_object_mut().unwrap().remove("nonce")),
            Lie::Audience => claims["aud"] = json!("another-client"),
            Lie::MoreAudiences => claims["aud"] = json!([CLIENT, "another-client"]),
            Lie::Issuer => claims["iss"] = json!("https://accounts.google.com"),
            Lie::Expired => claims["exp"] = json!(now - 1),
            Lie::FromTheFuture => claims["iat"] = json!(now + 3600),
            Lie::AuthorizedParty => claims["azp"] = json!("another-client"),
            Lie::AccessTokenHash => claims["at_hash"] = json!("AAAAAAAAAAAAAAAAAAAAAA"),
            Lie::Subject => claims["sub"] = json!("x".repeat(300)),
            _ => {}
        }
        let key = self.inner.lock().unwrap().key;
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(format!("key-{key}"));
        let seed = if lie == Lie::WrongKey { 1 - key } else { key };
        match lie {
            Lie::Unsigned => {
                let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
                return format!("{}.{}.", part(&json!({"alg": "none"})), part(&claims));
            }
            Lie::SignedWithSecret => {
                let key = EncodingKey::from_secret(SECRET.as_bytes());
                return jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap();
            }
            Lie::UnknownKey => header.kid = Some("key-never-seen".to_owned()),
            _ => {}
        }
        // PKCS #8 around the seed (RFC 8410, section 7).
        let der = [bytes("302e020100300506032b657004220420"), bytes(KEYS[seed].0)].concat();
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ed_der(&der)).unwrap()
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = (0..hex.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

async fn discovery(State(double): State<Arc<Double>>) -> Response {
    let (lie, announces_iss) = {
        let inner = double.inner.lock().unwrap();
        (inner.lie, inner.announces_iss)
    };
    let base = &double.base;
    match lie {
        Lie::Broken => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Lie::Redirect => return (StatusCode::FOUND, [("location", "http://127.0.0.1:1/")]).into_response(),
        _ => {}
    }
    Json(json!({
        "issuer": double.issuer(None),
        "authorization_endpoint": format!("{base}/authorize"),
        "token_endpoint": format!("{base}/token"),
        "userinfo_endpoint": format!("{base}/userinfo"),
        "jwks_uri": format!("{base}/jwks"),
        "id_token_signing_alg_values_supported": ["none", "HS256", "EdDSA"],
        "authorization_response_iss_parameter_supported": announces_iss,
    }))
    .into_response()
}

async fn jwks(State(double): State<Arc<Double>>) -> Json<Value> {
    let mut inner = double.inner.lock().unwrap();
    inner.key_requests += 1;
    let key = inner.key;
    let mut jwk = json!({
        "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": format!("key-{key}"),
        "x": BASE64_URL_SAFE_NO_PAD.encode(bytes(KEYS[key].1)),
    });
    if let Some(issuer) = &inner.key_issuer {
        jwk["issuer"] = json!(issuer);
    }
    Json(json!({ "keys": [jwk] }))
}

fn refuse(error: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response()
}

async fn token(State(double): State<Arc<Double>>, headers: HeaderMap, body: String) -> Response {
    let url = reqwest::Url::parse(&format!("form:?{body}")).unwrap();
    let form: HashMap<String, String> = url.query_pairs().into_owned().collect();
    let (lie, grant) = {
        let mut inner = double.inner.lock().unwrap();
        inner.token_requests += 1;
        (
            inner.lie,
            inner.grants.remove(form.get("code").map_or("", String::as_str)),
        )
    };
    match lie {
        Lie::Slow => tokio::time::sleep(Duration::from_secs(60)).await,
        Lie::Huge => return "x".repeat(3 << 20).into_response(),
        Lie::Broken => return StatusCode::BAD_GATEWAY.into_response(),
        Lie::Nonsense => return "{\"access_token\": ".into_response(),
        _ => {}
    }
    let by_header = headers.get("authorization").and_then(|value| value.to_str().ok());
    let secret = if let Some(pair) = by_header.and_then(|value| value.strip_prefix("Basic ")) {
        let pair = String::from_utf8(BASE64_STANDARD.decode(pair).unwrap()).unwrap();
        let (id, secret) = pair.split_once(':').unwrap();
        assert_eq!(id, CLIENT);
        let url = reqwest::Url::parse(&format!("form:?secret={secret}")).unwrap();
        url.query_pairs().next().unwrap().1.into_owned()
    } else {
        form.get("client_secret").cloned().unwrap_or_default()
    };
    if secret != SECRET {
        return refuse("invalid_client");
    }
    let Some(grant) = grant else {
        return refuse("invalid_grant");
    };
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(form["code_verifier"].as_bytes()));
    if form["redirect_uri"] != grant.query["redirect_uri"] || challenge != grant.query["code_challenge"] {
        return refuse("invalid_grant");
    }
    let access = format!("at-{}", kernel::id::AnyId::new());
    let mut tokens = json!({"access_token": access, "token_type": "Bearer", "expires_in": 300});
    if lie != Lie::NoIdToken && grant.query.contains_key("nonce") {
        tokens["id_token"] = json!(double.id_token(&grant, lie));
    }
    double.inner.lock().unwrap().tokens.insert(access, grant);
    Json(tokens).into_response()
}

fn grant_of(double: &Double, headers: &HeaderMap) -> Option<Grant> {
    let token = headers
        .get("authorization")?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")?;
    double.inner.lock().unwrap().tokens.get(token).cloned()
}

async fn userinfo(State(double): State<Arc<Double>>, headers: HeaderMap) -> Response {
    let Some(grant) = grant_of(&double, &headers) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let info = double.inner.lock().unwrap().user_info.clone();
    Json(info.unwrap_or(grant.claims)).into_response()
}

async fn emails(State(double): State<Arc<Double>>, Path(what): Path<String>, headers: HeaderMap) -> Response {
    assert_eq!(what, "emails");
    if grant_of(&double, &headers).is_none() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    Json(double.inner.lock().unwrap().emails.clone()).into_response()
}
