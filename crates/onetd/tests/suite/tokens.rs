//! Whether tokens hold, ending them by showing them, and the generations of the key that signs them.

use std::{process::Command, time::Duration};

use onetd::server::Onet;
use serde_json::{Value, json};
use testkit::{Client, Server, on_both};
use tokio::{net::TcpListener, sync::oneshot};

use super::api_keys::told;

const VERIFY: &str = "/v1/auth/token/verify";
const REVOKE: &str = "/v1/auth/token/revoke";
const JWKS: &str = "/.well-known/jwks.json";

async fn verify(server: &Server, token: &Value) -> testkit::Answer {
    server.anonymous().post(VERIFY, &json!({"token": token})).await
}

async fn revoke(server: &Server, token: &Value) {
    server
        .anonymous()
        .post(REVOKE, &json!({"token": token}))
        .await
        .expect(204);
}

/// Another node of the same installation.
struct Node {
    onet: Onet,
    base: String,
    _stop: oneshot::Sender<()>,
}

impl Node {
    async fn start(server: &Server) -> Self {
        let config = server.app.config().clone();
        let onet = Onet::open(config, server.clock.clone()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = onet.clone();
        tokio::spawn(async move {
            let ended = async {
                let _ = stopped.await;
            };
            serving.serve(listener, ended).await
        });
        Self {
            onet,
            base,
            _stop: stop,
        }
    }

    /// The status of the caller's own account here.
    async fn me(&self, token: &Value) -> u16 {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client
            .get(format!("{}/v1/auth/me", self.base))
            .bearer_auth(token.as_str().unwrap());
        request.send().await.unwrap().status().as_u16()
    }
}

async fn log_in(server: &Server) -> (Client, Value) {
    server
        .log_in(&server.facts.owner.email, &server.facts.owner.password)
        .await
}

async fn kids(server: &Server) -> Vec<String> {
    let keys = server.anonymous().get(JWKS).await.expect(200).body;
    keys["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

on_both! {
    async fn every_kind_of_token_is_told(server: Server) {
        let (login, tokens) = log_in(&server).await;
        let owner = &server.facts.owner;
        let me = login.get("/v1/auth/me").await.expect(200).body;
        let access = verify(&server, &tokens["access"]).await.expect(200).body;
        assert_eq!((&access["active"], &access["token_type"]), (&json!(true), &json!("access")));
        assert_eq!((&access["user_id"], &access["session_id"]), (&me["id"], &tokens["session_id"]));
        assert_eq!(access["expires_at"], me["token_expires_at"]);
        assert_eq!(access["scopes"].as_array().unwrap().len(), 18);
        let refresh = verify(&server, &tokens["refresh"]).await.expect(200).body;
        assert_eq!((&refresh["token_type"], &refresh["session_id"]), (&json!("refresh"), &tokens["session_id"]));
        let wanted = json!({"name": "k", "scopes": ["dns:read"], "organization_id": owner.organization_id, "allowed_ips": ["192.0.2.1"]});
        let key = login.post("/v1/auth/api-keys", &wanted).await.expect(201).body;
        let told = verify(&server, &key["key"]).await.expect(200).body;
        assert_eq!((&told["token_type"], &told["scopes"]), (&json!("api_key"), &json!(["dns:read"])));
        assert_eq!(told["organization_id"], owner.organization_id.to_string());
        assert_eq!((&told["session_id"], &told["expires_at"]), (&Value::Null, &Value::Null));
        assert_eq!(told["issued_at"], key["created"]);
        // Asking is no use.
        let shown = login.get(&format!("/v1/auth/api-keys/{}", key["id"].as_str().unwrap())).await.expect(200).body;
        assert_eq!(shown["last_used_at"], Value::Null);
        let token = login.post(&server.project("/tokens"), &json!({"name": "t", "scopes": ["compute:read"]})).await.expect(201).body;
        let told = verify(&server, &token["token"]).await.expect(200).body;
        assert_eq!((&told["token_type"], &told["project_id"]), (&json!("project_token"), &json!(owner.project_id.to_string())));
    }

    async fn what_does_not_hold_is_refused(server: Server) {
        let (_, tokens) = log_in(&server).await;
        for text in ["x", "a.b.c", "rt-never", "sk-onetsolutions-0000000000000000000000000000000000000000"] {
            let refused = verify(&server, &json!(text)).await.expect(401);
            assert_eq!(refused.body, json!({"detail": "Token is invalid or expired", "code": "token_not_valid"}));
        }
        verify(&server, &json!("")).await.expect(400);
        verify(&server, &json!(null)).await.expect(400);
        server.anonymous().post(VERIFY, &json!({})).await.expect(400);
        let again = server.anonymous().post("/v1/auth/token/refresh", &json!({"refresh": tokens["refresh"]})).await.expect(200).body;
        verify(&server, &tokens["refresh"]).await.expect(401);
        verify(&server, &again["refresh"]).await.expect(200);
        server.clock.advance(Duration::from_mins(16));
        verify(&server, &again["access"]).await.expect(401);
        server.clock.advance(Duration::from_hours(24));
        verify(&server, &again["refresh"]).await.expect(401);
    }

    async fn questions_are_limited_by_address(server: Server, |config| {
        config.limits.token_checks_per_address = 3;
        config.server.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    }) {
        let ask = async |path: &str, from: &str| {
            let body = Some(json!({"token": "x"}).to_string());
            server.anonymous().send(reqwest::Method::POST, path, &[("x-forwarded-for", from)], body).await
        };
        ask(VERIFY, "192.0.2.1").await.expect(401);
        ask(REVOKE, "192.0.2.1").await.expect(204);
        ask(VERIFY, "192.0.2.1").await.expect(401);
        for path in [VERIFY, REVOKE] {
            let refused = ask(path, "192.0.2.1").await.expect(429);
            assert!(!refused.header("retry-after").is_empty());
        }
        ask(VERIFY, "192.0.2.2").await.expect(401);
        server.clock.advance(Duration::from_secs(61));
        ask(VERIFY, "192.0.2.1").await.expect(401);
    }

    async fn whoever_holds_a_token_can_end_it(server: Server) {
        for field in ["access", "refresh"] {
            let (login, tokens) = log_in(&server).await;
            revoke(&server, &tokens[field]).await;
            login.get("/v1/auth/me").await.expect(401);
            verify(&server, &tokens["refresh"]).await.expect(401);
        }
        let (login, tokens) = log_in(&server).await;
        let key = login.post("/v1/auth/api-keys", &json!({"name": "k", "scopes": ["compute:read"]})).await.expect(201).body;
        let rotate = format!("/v1/auth/api-keys/{}/rotate", key["id"].as_str().unwrap());
        let rotated = login.post(&rotate, &json!({"grace_period_seconds": 60})).await.expect(200).body;
        // The former secret has leaked: that ends the key.
        revoke(&server, &key["key"]).await;
        verify(&server, &rotated["key"]).await.expect(401);
        let token = login.post(&server.project("/tokens"), &json!({"name": "t", "scopes": ["compute:read"]})).await.expect(201).body;
        revoke(&server, &token["token"]).await;
        verify(&server, &token["token"]).await.expect(401);
        // Unknown ones, and ended ones, get the same answer and change nothing.
        for text in ["x", "rt-x", "a.b.c", "sk-onetsolutions-0000000000000000000000000000000000000000"] {
            revoke(&server, &json!(text)).await;
        }
        revoke(&server, &key["key"]).await;
        server.anonymous().post(REVOKE, &json!({"token": ""})).await.expect(400);
        login.get("/v1/auth/me").await.expect(200);
        // A token that has expired is no proof.
        server.clock.advance(Duration::from_mins(16));
        revoke(&server, &tokens["access"]).await;
        verify(&server, &tokens["refresh"]).await.expect(200);
        let (events, letters) = told(&server).await;
        let expected = ["session_revoked", "session_revoked", "api_key_created", "api_key_rotated", "api_key_revoked", "project_token_created", "project_token_revoked"];
        assert_eq!(events, expected);
        assert_eq!(letters, ["api_key_created", "api_key_rotated", "api_key_revoked", "project_token_created"]);
    }

    async fn public_keys_are_for_everybody(server: Server) {
        let answer = server.anonymous().get(JWKS).await.expect(200);
        assert_eq!(answer.header("content-type"), "application/jwk-set+json");
        assert_eq!(answer.header("cache-control"), "public, max-age=300");
        assert_eq!(answer.body["keys"].as_array().unwrap().len(), 1);
        assert_eq!(answer.body["keys"][0]["kty"], "OKP");
        assert!(answer.body["keys"][0]["d"].is_null(), "no private part");
    }

    async fn a_rotation_keeps_tokens_until_they_end(server: Server) {
        let (old, _) = log_in(&server).await;
        let before = kids(&server).await;
        let generation = server.onet().identity.rotate_signing_key("test", false).await.unwrap();
        assert_eq!(generation, 2);
        let after = kids(&server).await;
        assert_eq!(after.len(), 2);
        assert_eq!(after[1], before[0]);
        old.get("/v1/auth/me").await.expect(200);
        let (new, _) = log_in(&server).await;
        server.clock.advance(Duration::from_mins(14));
        old.get("/v1/auth/me").await.expect(200);
        new.get("/v1/auth/me").await.expect(200);
        server.clock.advance(Duration::from_mins(3));
        old.get("/v1/auth/me").await.expect(401);
        assert_eq!(kids(&server).await, [after[0].clone()]);
        // A third one, and a node that starts later signs with it.
        server.onet().identity.rotate_signing_key("test", false).await.unwrap();
        let late = Node::start(&server).await;
        let (_, tokens) = log_in(&server).await;
        assert_eq!(late.me(&tokens["access"]).await, 200);
    }

    async fn a_rotation_can_end_tokens_at_once(server: Server) {
        let (old, tokens) = log_in(&server).await;
        server.onet().identity.rotate_signing_key("test", true).await.unwrap();
        old.get("/v1/auth/me").await.expect(401);
        assert_eq!(kids(&server).await.len(), 1);
        // The session lives: its refresh token gets an access token of the new generation.
        let again = server.anonymous().post("/v1/auth/token/refresh", &json!({"refresh": tokens["refresh"]})).await.expect(200).body;
        server.client(again["access"].as_str().unwrap()).get("/v1/auth/me").await.expect(200);
    }

    async fn another_node_learns_of_a_generation(server: Server) {
        let node = Node::start(&server).await;
        let (_, first) = log_in(&server).await;
        assert_eq!(node.me(&first["access"]).await, 200);
        // By a token that names it; unknown names are looked up every few seconds at most.
        server.clock.advance(Duration::from_secs(5));
        server.onet().identity.rotate_signing_key("test", false).await.unwrap();
        let (_, second) = log_in(&server).await;
        assert_eq!(node.me(&second["access"]).await, 200);
        assert_eq!(node.me(&first["access"]).await, 200);
        server.onet().identity.rotate_signing_key("test", true).await.unwrap();
        let (_, third) = log_in(&server).await;
        server.clock.advance(Duration::from_secs(5));
        assert_eq!(node.me(&third["access"]).await, 200);
        assert_eq!(node.me(&second["access"]).await, 401, "retired by the other node");
        // By itself, as housekeeping does every half a minute.
        let (_, fourth) = log_in(&server).await;
        server.onet().identity.rotate_signing_key("test", true).await.unwrap();
        assert_eq!(node.me(&fourth["access"]).await, 200);
        node.onet.identity.renew_signing_keys().await.unwrap();
        assert_eq!(node.me(&fourth["access"]).await, 401);
    }

    async fn rotations_at_the_same_time_make_two_generations(server: Server) {
        let node = Node::start(&server).await;
        let (a, b) = tokio::join!(
            server.onet().identity.rotate_signing_key("test", false),
            node.onet.identity.rotate_signing_key("test", false),
        );
        let mut made = [a.unwrap(), b.unwrap()];
        made.sort_unstable();
        assert_eq!(made, [2, 3]);
        server.onet().identity.renew_signing_keys().await.unwrap();
        assert_eq!(kids(&server).await.len(), 3);
    }
}

/// Checks a token as a program that knows onet's address only.
const CHECK: &str = r#"
import sys, jwt
base, token, audience, issuer = sys.argv[1:]
key = jwt.PyJWKClient(base + "/.well-known/jwks.json").get_signing_key_from_jwt(token)
claims = jwt.decode(token, key, algorithms=["EdDSA"], audience=audience, issuer=issuer,
                    options={"require": ["exp", "iat", "nbf", "sub", "jti", "aud", "iss"]})
assert jwt.get_unverified_header(token)["typ"] == "at+jwt"
print(claims["sub"])
head, body, signature = token.split(".")
flipped = ("A" if signature[0] != "A" else "B") + signature[1:]
try:
    jwt.decode(head + "." + body + "." + flipped, key, algorithms=["EdDSA"], audience=audience, issuer=issuer)
except jwt.InvalidSignatureError:
    print("refused")
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_library_accepts_our_tokens() {
    let Some(folder) = std::env::var_os("ONET_TEST_PYTHON_BIN") else {
        eprintln!("skipped: PyJWT is installed by `cargo xtask test`");
        return;
    };
    let server = Server::start(testkit::Engine::Sqlite, |_| ()).await;
    server
        .onet()
        .identity
        .rotate_signing_key("test", false)
        .await
        .unwrap();
    let (login, tokens) = log_in(&server).await;
    let me = login.get("/v1/auth/me").await.expect(200).body;
    let mut python = Command::new(std::path::Path::new(&folder).join("python"));
    let token = tokens["access"].as_str().unwrap();
    python.args(["-c", CHECK, &server.base, token, "onet-api", "onet"]);
    let output = tokio::task::spawn_blocking(move || python.output())
        .await
        .unwrap()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let expected = format!("{}\nrefused\n", me["id"].as_str().unwrap());
    assert_eq!(said, expected, "{}", String::from_utf8_lossy(&output.stderr));
}
