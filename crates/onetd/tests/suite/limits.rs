//! Rate limits.

use std::time::Duration;

use serde_json::json;
use testkit::on_both;

on_both! {
    async fn the_101st_request_within_a_second_is_refused(server: Server, |config| {
        config.limits.credential_per_second = 100;
        config.limits.credential_per_minute = 1000;
    }) {
        let client = server.owner();
        // The window begins with its first request; the clock stands still but for the machine's own pace.
        let mut statuses = Vec::new();
        let started = std::time::Instant::now();
        for _ in 0..101 {
            statuses.push(client.get("/v1/auth/me").await);
        }
        if started.elapsed() < Duration::from_secs(1) {
            let last = statuses.pop().unwrap().expect(429);
            assert_eq!(last.header("retry-after"), "1");
            assert_eq!(last.body["detail"], "Request was throttled. Expected available in 1 second.");
            assert!(last.header("ratelimit").contains("\"second\";r=0"), "{}", last.header("ratelimit"));
        }
        assert!(statuses.iter().take(100).all(|answer| answer.status == 200));
        assert_eq!(statuses[0].header("ratelimit-policy"), "\"second\";q=100;w=1, \"minute\";q=1000;w=60");
        // Another credential is not concerned, and a second later neither is this one.
        server.stranger().get("/v1/auth/me").await.expect(200);
        server.clock.advance(Duration::from_secs(1));
        client.get("/v1/auth/me").await.expect(200);
    }

    async fn a_minute_has_its_own_limit(server: Server, |config| {
        config.limits.credential_per_minute = 30;
    }) {
        let client = server.owner();
        for _ in 0..30 {
            client.get("/v1/auth/me").await.expect(200);
        }
        let refused = client.get("/v1/auth/me").await.expect(429);
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert!((50..=60).contains(&wait), "{wait}");
        server.clock.advance(Duration::from_secs(wait));
        client.get("/v1/auth/me").await.expect(200);
    }

    async fn an_address_is_limited_before_its_credentials_are_looked_at(server: Server, |config| {
        config.limits.address_per_minute = 20;
    }) {
        let mut refused = 0;
        for number in 0..40 {
            let client = server.client(&format!("sk-onetsolutions-{number:040}"));
            if client.get("/v1/auth/me").await.status == 429 {
                refused += 1;
            }
        }
        // The test may begin at the end of a minute.
        assert!(refused >= 1, "{refused}");
        server.anonymous().get("/healthz").await.expect(200);
    }

    async fn guesses_are_stopped_but_the_owner_is_not(server: Server) {
        let client = server.anonymous();
        let owner = &server.facts.owner;
        let guess = json!({"email": owner.email, "password": "Wrong-Guess-1"});
        let mut statuses = Vec::new();
        for _ in 0..8 {
            statuses.push(client.post("/v1/auth/login", &guess).await.status);
        }
        assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429, 429]);
        let right = json!({"email": owner.email, "password": owner.password});
        let refused = client.post("/v1/auth/login", &right).await.expect(429);
        assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
        // Sessions and keys that exist already go on working.
        server.owner().get("/v1/auth/me").await.expect(200);
        server.clock.advance(Duration::from_mins(16));
        client.post("/v1/auth/login", &right).await.expect(200);
    }
}
