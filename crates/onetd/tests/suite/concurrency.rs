//! Many at once: exactly one wins, and nothing is lost.

use std::sync::Arc;

use reqwest::Method;
use serde_json::json;
use testkit::on_both;

pub(crate) const CLIENTS: usize = 32;

/// Runs the same thing for many clients at once and returns what each got.
pub(crate) async fn at_once<T, F>(make: impl Fn(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let gate = Arc::new(tokio::sync::Barrier::new(CLIENTS));
    let running: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (gate, work) = (Arc::clone(&gate), make(number));
            tokio::spawn(async move {
                gate.wait().await;
                work.await
            })
        })
        .collect();
    let mut results = Vec::new();
    for task in running {
        results.push(task.await.expect("no panic"));
    }
    results
}

on_both! {
    async fn one_write_wins_a_version(server: Server) {
        let client = server.owner();
        for _ in 0..5 {
            let etag = client.get(&server.instance()).await.expect(200).header("etag").to_owned();
            let statuses = at_once(|number| {
                let (client, path, etag) = (client.clone(), server.instance(), etag.clone());
                async move {
                    let body = json!({"name": format!("client-{number}-{etag}")}).to_string();
                    client.send(Method::PATCH, &path, &[("if-match", &etag)], Some(body)).await.status
                }
            })
            .await;
            assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
            assert!(statuses.iter().all(|status| [200, 412].contains(status)), "{statuses:?}");
        }
        assert_eq!(crate::instances_replace::records(&server, &client).await, 5);
    }

    async fn no_acknowledged_write_is_lost(server: Server) {
        let client = server.owner();
        let before = client.get(&server.instance()).await.expect(200);
        let version = |etag: &str| etag.trim_matches('"').split('-').next().unwrap().parse::<i64>().unwrap();
        let statuses = at_once(|number| {
            let (client, path) = (client.clone(), server.instance());
            async move { client.patch(&path, &json!({"name": format!("write-{number}")})).await.status }
        })
        .await;
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
        let after = client.get(&server.instance()).await.expect(200);
        let writes = i64::try_from(CLIENTS).unwrap();
        assert_eq!(version(after.header("etag")) - version(before.header("etag")), writes);
        assert_eq!(crate::instances_replace::records(&server, &client).await, writes);
    }

    async fn one_request_of_a_key_acts(server: Server) {
        let client = server.owner();
        let answers = at_once(|_| {
            let (client, path) = (client.clone(), server.instance());
            async move {
                let body = json!({"name": "the one"}).to_string();
                client.send(Method::PATCH, &path, &[("idempotency-key", "k")], Some(body)).await
            }
        })
        .await;
        assert!(answers.iter().all(|answer| [200, 409].contains(&answer.status)));
        let done: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
        assert!(!done.is_empty() && done.iter().all(|answer| answer.text == done[0].text));
        assert_eq!(crate::instances_replace::records(&server, &client).await, 1);
    }

    async fn the_default_vpc_is_made_once(server: Server) {
        use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
        use compute::schema::vpcs;
        let client = server.owner();
        let forget = |tx: &mut kernel::store::Tx<'_>| {
            let all = vpcs::table.filter(vpcs::is_default.eq(true));
            diesel::update(all).set(vpcs::is_default.eq(false)).execute(tx.conn())?;
            Ok::<_, kernel::http::ApiError>(())
        };
        server.app.store().write("test", forget).await.unwrap();
        let instances = client.get(&server.project("/compute/instances?page_size=100")).await.expect(200).body;
        let here = &instances["results"][0]["location"]["id"];
        let alike: Vec<String> = instances["results"].as_array().unwrap().iter()
            .filter(|instance| instance["location"]["id"] == *here && instance["status"] != "cancelled")
            .map(|instance| instance["id"].as_str().unwrap().to_owned()).collect();
        let vpcs = at_once(|number| {
            let (client, path) = (client.clone(), server.project(&format!("/compute/instances/{}", alike[number % alike.len()])));
            async move {
                let answer = client.patch(&path, &json!({"vpc_id": null})).await.expect(200);
                answer.body["vpc"]["id"].as_str().unwrap().to_owned()
            }
        })
        .await;
        assert!(vpcs.iter().all(|vpc| *vpc == vpcs[0]), "{vpcs:?}");
    }

    async fn one_refresh_token_works_once(server: Server) {
        let (_, tokens) = server.log_in(&server.facts.owner.email, &server.facts.owner.password).await;
        let client = server.anonymous();
        let statuses = at_once(|_| {
            let (client, refresh) = (client.clone(), tokens["refresh"].clone());
            async move { client.post("/v1/auth/token/refresh", &json!({"refresh": refresh})).await.status }
        })
        .await;
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    }
}
