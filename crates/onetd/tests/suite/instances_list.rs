//! Lists: pages, filters, search and order.

use serde_json::{Value, json};
use testkit::{Client, Server, on_both};

async fn names(server: &Server, client: &Client, query: &str) -> Vec<String> {
    let page = client
        .get(&server.project(&format!("/compute/instances?page_size=100&{query}")))
        .await
        .expect(200)
        .body;
    page["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["name"].as_str().unwrap().to_owned())
        .collect()
}

on_both! {
    async fn pages_cover_the_list_without_overlap(server: Server) {
        let client = server.owner();
        let mut path = server.project("/compute/instances?page_size=5");
        let mut seen: Vec<Value> = Vec::new();
        loop {
            let page = client.get(&path).await.expect(200).body;
            assert_eq!(page["count"], 12);
            seen.extend(page["results"].as_array().unwrap().iter().map(|item| item["id"].clone()));
            match page["next"].as_str() {
                Some(next) => path = next.strip_prefix(&server.base).expect("an absolute URL of this server").to_owned(),
                None => break,
            }
        }
        assert_eq!(seen.len(), 12);
        let mut distinct = seen.clone();
        distinct.sort_by_key(ToString::to_string);
        distinct.dedup();
        assert_eq!(distinct.len(), 12);
        let last = client.get(&server.project("/compute/instances?page_size=5&page=last")).await.expect(200).body;
        assert_eq!(last["results"].as_array().unwrap().len(), 2);
        assert!(last["previous"].is_string() && last["next"].is_null());
        let gone = client.get(&server.project("/compute/instances?page_size=5&page=4")).await.expect(404);
        assert_eq!(gone.body, json!({"detail": "Invalid page."}));
    }

    async fn filters_narrow_the_list(server: Server) {
        let client = server.owner();
        let all = names(&server, &client, "").await;
        assert_eq!(all.len(), 12);
        assert_eq!(names(&server, &client, "status=suspended").await.len(), 1);
        assert_eq!(names(&server, &client, "status=terminated").await.len(), 0);
        assert_eq!(names(&server, &client, "tag=role:db").await, ["db-01", "db-02"]);
        assert_eq!(names(&server, &client, "tag=role").await.len(), 12);
        assert_eq!(names(&server, &client, "tag=role:none").await.len(), 0);
        assert_eq!(names(&server, &client, "vm_status=running").await.len(), 9);
        let instance = client.get(&server.instance()).await.expect(200).body;
        for part in ["size", "location", "image", "vpc"] {
            let id = instance[part]["id"].as_str().unwrap();
            let some = names(&server, &client, &format!("{part}_id={id}")).await;
            assert!(!some.is_empty() && some.len() < 12, "{part}: {some:?}");
        }
    }

    async fn search_finds_names_hosts_and_addresses(server: Server) {
        let client = server.owner();
        let instance = client.get(&server.instance()).await.expect(200).body;
        let name = instance["name"].as_str().unwrap();
        assert_eq!(names(&server, &client, &format!("search={}", name.to_uppercase())).await, vec![name]);
        let address = instance["ip_addresses"][1]["address"].as_str().unwrap();
        assert!(names(&server, &client, &format!("search={address}")).await.contains(&name.to_owned()));
        for special in ["%25", "_", "%5C", "%00", "'"] {
            let path = server.project(&format!("/compute/instances?search={special}"));
            let answer = client.get(&path).await;
            assert!(answer.status == 400 || answer.body["count"] == 0, "{special}: {}", answer.text);
        }
    }

    async fn order_is_as_asked_and_newest_first_unasked(server: Server) {
        let client = server.owner();
        let mut sorted = names(&server, &client, "ordering=name").await;
        let mut reversed = names(&server, &client, "ordering=-name").await;
        let given = sorted.clone();
        sorted.sort();
        assert_eq!(given, sorted);
        reversed.reverse();
        assert_eq!(reversed.len(), sorted.len());
        let page = client.get(&server.project("/compute/instances?page_size=100")).await.expect(200).body;
        let created: Vec<&str> = page["results"].as_array().unwrap().iter().map(|i| i["created"].as_str().unwrap()).collect();
        assert!(created.windows(2).all(|pair| pair[0] >= pair[1]), "{created:?}");
        assert_eq!(names(&server, &client, "ordering=password").await.len(), 12);
    }

    async fn bad_filters_are_named(server: Server) {
        let client = server.owner();
        let path = server.project("/compute/instances?status=dead&size_id=7&page_size=0");
        let answer = client.get(&path).await.expect(400);
        assert!(answer.body["status"].is_array() && answer.body["size_id"].is_array(), "{}", answer.text);
        client.get(&server.project("/compute/instances?page_size=999999&page=1")).await.expect(200);
    }

    async fn the_catalogue_and_the_networks_can_be_read(server: Server) {
        let client = server.owner();
        for list in ["sizes", "locations", "images", "addons", "vpcs"] {
            let page = client.get(&server.project(&format!("/compute/{list}"))).await.expect(200).body;
            assert!(page["count"].as_i64().unwrap() > 0, "{list}");
            if list != "addons" {
                let id = page["results"][0]["id"].as_str().unwrap();
                let one = client.get(&server.project(&format!("/compute/{list}/{id}"))).await.expect(200);
                assert_eq!(one.body, page["results"][0]);
                assert!(one.header("etag").starts_with('"'));
                client.get(&server.project(&format!("/compute/{list}/{}", kernel::id::AnyId::new()))).await.expect(404);
            }
        }
        let small = client.get(&server.project("/compute/sizes?search=vps-s")).await.expect(200).body;
        assert_eq!(small["count"], 1);
        assert_eq!(small["results"][0]["pricing_options"].as_array().unwrap().len(), 7);
    }
}
