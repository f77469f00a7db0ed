//! What holds for every request: ids, errors in both forms, methods, bodies good and bad, preconditions.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::on_both;

use crate::instances_replace::body_of;

on_both! {
    async fn requests_have_ids(server: Server) {
        let client = server.owner();
        let own = "0190a0b0-0000-7000-8000-000000000001";
        let echoed = client.send(Method::GET, &server.instance(), &[("x-request-id", own)], None).await;
        assert_eq!(echoed.header("x-request-id"), own);
        let named = client.send(Method::GET, &server.instance(), &[("x-request-id", "job-17")], None).await;
        assert_eq!(named.header("x-request-id"), "job-17");
        let strange = client.send(Method::GET, &server.instance(), &[("x-request-id", "a b\"c")], None).await;
        assert_ne!(strange.header("x-request-id"), "a b\"c");
    }

    async fn unknown_paths_and_methods(server: Server) {
        let client = server.owner();
        let nowhere = client.get("/v1/nowhere").await.expect(404);
        assert_eq!(nowhere.body, json!({"detail": "Not found."}));
        let refused = client.post(&server.instance(), &json!({})).await.expect(405);
        assert_eq!(refused.body, json!({"detail": "Method \"POST\" not allowed."}));
        let mut allowed: Vec<_> = refused.header("allow").split(',').map(str::trim).collect();
        allowed.sort_unstable();
        assert_eq!(allowed, ["DELETE", "GET", "HEAD", "PATCH", "PUT"]);
        client.get(&server.project("/compute/instances/not-an-id")).await.expect(404);
    }

    async fn a_trailing_slash_changes_nothing(server: Server) {
        let client = server.owner();
        let plain = client.get(&server.instance()).await.expect(200);
        let slashed = client.get(&format!("{}/", server.instance())).await.expect(200);
        assert_eq!(plain.body, slashed.body);
        let body = body_of(&server, &client).await;
        client.put(&format!("{}/", server.instance()), &body).await.expect(200);
    }

    async fn head_answers_like_get_without_a_body(server: Server) {
        let client = server.owner();
        let get = client.get(&server.instance()).await.expect(200);
        let head = client.send(Method::HEAD, &server.instance(), &[], None).await.expect(200);
        assert_eq!(head.text, "");
        assert_eq!(head.header("etag"), get.header("etag"));
        assert_eq!(head.header("content-length"), get.text.len().to_string());
    }

    async fn errors_come_as_problem_documents_if_asked(server: Server) {
        let client = server.owner();
        let accept = ("accept", "application/problem+json");
        let faults = client.send(Method::PUT, &server.instance(), &[accept], Some("{}".to_owned())).await.expect(400);
        assert_eq!(faults.header("content-type"), "application/problem+json");
        assert_eq!(faults.body["errors"]["name"], json!(["This field is required."]));
        assert_eq!(faults.body["request_id"], faults.header("x-request-id"));
        let absent = client.send(Method::GET, "/v1/nowhere", &[accept], None).await.expect(404);
        assert_eq!(absent.body["title"], "Not Found");
    }

    async fn bad_bodies_get_clear_answers_and_change_nothing(server: Server) {
        let client = server.owner();
        let path = server.instance();
        let before = client.get(&path).await.expect(200);
        let send = async |body: &[u8], content_type: &str| {
            client.send_bytes(Method::PUT, &path, &[("content-type", content_type)], Some(body.to_vec())).await
        };
        let json_type = "application/json; charset=utf-8";
        let required = send(b"", json_type).await.expect(400);
        for field in ["name", "size_id", "location_id", "image_id", "os_name"] {
            assert_eq!(required.body[field], json!(["This field is required."]));
        }
        for (body, said) in [
            ("[]", "Invalid data. Expected a dictionary, but got list."),
            ("\"x\"", "Invalid data. Expected a dictionary, but got str."),
            ("7", "Invalid data. Expected a dictionary, but got int."),
            ("7.5", "Invalid data. Expected a dictionary, but got float."),
            ("true", "Invalid data. Expected a dictionary, but got bool."),
            ("null", "No data provided"),
        ] {
            let answer = send(body.as_bytes(), json_type).await.expect(400);
            assert_eq!(answer.body, json!({"non_field_errors": [said]}), "{body}");
        }
        let deep = "[".repeat(100_000);
        let nul = format!("{{\"name\": \"a{}b\"}}", "\\u0000");
        let surrogate = "{\"name\": \"\\ud800\"}";
        let huge = format!("{{\"name\": 1{}}}", "0".repeat(5000));
        let broken: [&[u8]; 8] = [
            b"{", b"{\"name\": }", b"\xff\xfe", b"{\"name\": \"\xc3\x28\"}", deep.as_bytes(), surrogate.as_bytes(),
            b"NaN", b"{\"a\":1}{\"b\":2}",
        ];
        for body in broken {
            let answer = send(body, json_type).await.expect(400);
            assert!(answer.body["detail"].as_str().unwrap().starts_with("JSON parse error - "), "{}", answer.text);
        }
        assert_eq!(send(nul.as_bytes(), json_type).await.expect(400).body["name"], json!(["Null characters are not allowed."]));
        assert_eq!(send(huge.as_bytes(), json_type).await.expect(400).body["name"], json!(["Not a valid string."]));
        let unsupported = send(b"name=x", "text/plain").await.expect(415);
        assert_eq!(unsupported.body, json!({"detail": "Unsupported media type \"text/plain\" in request."}));
        let large = vec![b' '; 10 * 1024 * 1024];
        assert_eq!(send(&large, json_type).await.status, 413);
        let after = client.get(&path).await.expect(200);
        assert_eq!(after.header("etag"), before.header("etag"));
        assert_eq!(crate::instances_replace::records(&server, &client).await, 0);
    }

    async fn a_missing_resource_is_missed_before_its_body_is_judged(server: Server) {
        let client = server.owner();
        let path = server.project(&format!("/compute/instances/{}", kernel::id::AnyId::new()));
        client.send(Method::PUT, &path, &[("content-type", "text/plain")], Some("{".to_owned())).await.expect(404);
        let stale = client.send(Method::PUT, &server.instance(), &[("if-match", "\"999-x\"")], Some("{".to_owned())).await;
        assert_eq!(stale.status, 412);
    }

    async fn conditional_requests(server: Server) {
        let client = server.owner();
        let path = server.instance();
        let first = client.get(&path).await.expect(200);
        let etag = first.header("etag").to_owned();
        let unchanged = client.send(Method::GET, &path, &[("if-none-match", &etag)], None).await.expect(304);
        assert_eq!(unchanged.text, "");
        assert_eq!(unchanged.header("etag"), etag);
        let mut body = body_of(&server, &client).await;
        body["name"] = "one".into();
        let matching = [("if-match", etag.as_str())];
        client.send(Method::PUT, &path, &matching, Some(body.to_string())).await.expect(200);
        body["name"] = "two".into();
        let stale = client.send(Method::PUT, &path, &matching, Some(body.to_string())).await.expect(412);
        assert!(stale.body["detail"].as_str().unwrap().contains("If-Match"));
        client.send(Method::PUT, &path, &[("if-match", "*")], Some(body.to_string())).await.expect(200);
        client.send(Method::GET, &path, &[("if-none-match", &etag)], None).await.expect(200);
    }

    async fn a_key_makes_a_write_happen_once(server: Server) {
        let client = server.owner();
        let key = [("idempotency-key", "order-7")];
        let body = json!({"name": "once"}).to_string();
        let first = client.send(Method::PATCH, &server.instance(), &key, Some(body.clone())).await.expect(200);
        client.patch(&server.instance(), &json!({"name": "meanwhile"})).await.expect(200);
        let again = client.send(Method::PATCH, &server.instance(), &key, Some(body)).await.expect(200);
        assert_eq!(again.text, first.text);
        assert_eq!(again.header("etag"), first.header("etag"));
        assert_eq!(client.get(&server.instance()).await.body["name"], "meanwhile");
        let other = json!({"name": "another"}).to_string();
        client.send(Method::PATCH, &server.instance(), &key, Some(other.clone())).await.expect(422);
        // A refusal keeps nothing: the key is free for the corrected request.
        let key = [("idempotency-key", "order-8")];
        client.send(Method::PATCH, &server.instance(), &key, Some(json!({"name": ""}).to_string())).await.expect(400);
        client.send(Method::PATCH, &server.instance(), &key, Some(other.clone())).await.expect(200);
        // Another caller's key is another key, and after a day it is a new one.
        let (login, _) = server.log_in(&server.facts.owner.email, &server.facts.owner.password).await;
        login.send(Method::PATCH, &server.instance(), &[("idempotency-key", "order-9")], Some(other)).await.expect(200);
        server.clock.advance(std::time::Duration::from_hours(25));
        kernel::http::forget_old_keys(&server.app).await.unwrap();
        let third = json!({"name": "third"}).to_string();
        client.send(Method::PATCH, &server.instance(), &[("idempotency-key", "order-7")], Some(third)).await.expect(200);
    }

    async fn operators_see_health_and_metrics(server: Server) {
        let client = server.owner();
        client.get(&server.instance()).await.expect(200);
        assert_eq!(client.get("/healthz").await.text, "ok");
        assert_eq!(client.get("/readyz").await.text, "ready");
        let metrics = client.get("/metrics").await.expect(200).text;
        for name in ["onet_http_requests", "onet_http_seconds", "onet_store_seconds"] {
            assert!(metrics.contains(name), "{name} is missing");
        }
        assert!(metrics.contains("operation=\"get_instance\""), "{metrics}");
        assert!(!metrics.contains(client.bearer()));
    }

    async fn metrics_ask_for_their_token(server: Server, |config| {
        config.server.metrics_token = kernel::config::Secret::new("scrape-me".to_owned());
    }) {
        server.owner().get("/metrics").await.expect(404);
        server.client("scrape-me").get("/metrics").await.expect(200);
    }

    async fn browsers_are_let_in_only_from_known_origins(server: Server, |config| {
        config.server.cors_origins = vec!["https://console.example.org".to_owned()];
    }) {
        let client = server.owner();
        let ask = async |origin: &str| {
            let headers = [("origin", origin), ("access-control-request-method", "PUT")];
            client.send(Method::OPTIONS, &server.instance(), &headers, None).await
        };
        assert_eq!(ask("https://console.example.org").await.header("access-control-allow-origin"), "https://console.example.org");
        assert_eq!(ask("https://evil.example.org").await.header("access-control-allow-origin"), "");
    }

    async fn a_panic_is_answered_and_nothing_is_kept(server: Server) {
        let result: Result<(), kernel::http::ApiError> =
            server.app.store().write("test", |_| panic!("a fault of ours")).await;
        assert_eq!(result.unwrap_err().status(), 500);
        let result: Result<(), kernel::http::ApiError> =
            server.app.store().read("test", |_| panic!("a fault of ours")).await;
        assert_eq!(result.unwrap_err().status(), 500);
        server.owner().get(&server.instance()).await.expect(200);
        server.owner().patch(&server.instance(), &json!({"name": "alive"})).await.expect(200);
    }

    async fn slow_and_broken_senders_are_given_up(server: Server, |config| {
        config.server.read_timeout_seconds = 1;
    }) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let address = server.base.strip_prefix("http://").unwrap();
        // A body that never comes.
        let mut slow = tokio::net::TcpStream::connect(address).await.unwrap();
        let head = format!(
            "PUT {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{",
            server.instance(), server.facts.owner.api_key
        );
        slow.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0; 64];
        let read = tokio::time::timeout(std::time::Duration::from_secs(10), slow.read(&mut answer)).await;
        let text = String::from_utf8_lossy(&answer[..read.expect("an answer in time").unwrap()]).into_owned();
        assert!(text.starts_with("HTTP/1.1 408"), "{text}");
        // A head that never ends: the connection is closed.
        let mut silent = tokio::net::TcpStream::connect(address).await.unwrap();
        silent.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").await.unwrap();
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(std::time::Duration::from_secs(10), silent.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "a silent connection is closed");
        server.owner().get(&server.instance()).await.expect(200);
    }

    async fn the_server_ends_in_peace(server: Server) {
        let mut server = server;
        let answer = server.owner().get(&server.instance()).await.expect(200);
        assert_ne!(answer.body, Value::Null);
        server.stop().await;
    }
}
