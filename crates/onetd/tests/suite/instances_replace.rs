//! `replace_instance`: the published page's operation, rule by rule.

use kernel::access::Role;
use serde_json::{Value, json};
use testkit::{Client, Server, on_both};

/// A body that changes nothing: what the instance is.
pub(crate) async fn body_of(server: &Server, client: &Client) -> Value {
    let instance = client.get(&server.instance()).await.expect(200).body;
    json!({
        "name": instance["name"],
        "size_id": instance["size"]["id"],
        "location_id": instance["location"]["id"],
        "image_id": instance["image"]["id"],
        "os_name": instance["os_name"],
    })
}

/// The id of a VPC of the project in the given location, other than `not`.
pub(crate) async fn other_vpc(server: &Server, client: &Client, location: &Value, not: &Value) -> Value {
    let path = server.project(&format!(
        "/compute/vpcs?location_id={}",
        location.as_str().unwrap()
    ));
    let vpcs = client.get(&path).await.expect(200).body;
    let found = vpcs["results"]
        .as_array()
        .unwrap()
        .iter()
        .find(|vpc| vpc["id"] != *not);
    found.expect("the demo has two VPCs a location")["id"].clone()
}

/// How many audit records the instance has.
pub(crate) async fn records(server: &Server, client: &Client) -> i64 {
    let owner = &server.facts.owner;
    let path = format!(
        "/v1/organizations/{}/audit-logs?resource_id={}",
        owner.organization_id, owner.instance_id
    );
    client.get(&path).await.expect(200).body["count"]
        .as_i64()
        .unwrap()
}

on_both! {
    async fn replaces_all_that_can_be_written(server: Server) {
        let client = server.owner();
        let before = client.get(&server.instance()).await.expect(200);
        let mut body = body_of(&server, &client).await;
        let vpc = other_vpc(&server, &client, &before.body["location"]["id"], &before.body["vpc"]["id"]).await;
        body["name"] = "  front  ".into();
        body["hostname"] = "front.example.org".into();
        body["description"] = "Serves the shop".into();
        body["os_name"] = "Debian GNU/Linux".into();
        body["vpc_id"] = vpc.clone();
        body["billing_cycle"] = "annually".into();
        body["tags"] = json!({"env": "production", "owner": "shop"});
        let answer = client.put(&server.instance(), &body).await.expect(200);
        assert_eq!(answer.body["name"], "front");
        assert_eq!(answer.body["hostname"], "front.example.org");
        assert_eq!(answer.body["description"], "Serves the shop");
        assert_eq!(answer.body["os_name"], "Debian GNU/Linux");
        assert_eq!(answer.body["vpc"]["id"], vpc);
        assert_eq!(answer.body["billing_cycle"], "annually");
        assert_eq!(answer.body["tags"], json!({"env": "production", "owner": "shop"}));
        assert_eq!(answer.body["created"], before.body["created"]);
        assert_ne!(answer.body["modified"], before.body["modified"]);
        assert_ne!(answer.header("etag"), before.header("etag"));
        let read = client.get(&server.instance()).await.expect(200);
        assert_eq!(read.body, answer.body);
        assert_eq!(read.header("etag"), answer.header("etag"));

        let owner = &server.facts.owner;
        let path = format!("/v1/organizations/{}/audit-logs?resource_id={}", owner.organization_id, owner.instance_id);
        let log = client.get(&path).await.expect(200).body;
        assert_eq!(log["count"], 1);
        let record = &log["results"][0];
        assert_eq!(record["action"], "instance.updated");
        assert_eq!(record["actor"]["type"], "api_key");
        assert_eq!(record["changes"]["name"], json!({"old": before.body["name"], "new": "front"}));
        assert_eq!(record["request_id"], answer.header("x-request-id"));
        assert_eq!(record["ip_address"], "127.0.0.1");
        assert!(!log.to_string().contains(client.bearer()));
    }

    async fn fields_left_out_keep_their_values(server: Server) {
        let client = server.owner();
        let before = client.get(&server.instance()).await.expect(200).body;
        let mut body = body_of(&server, &client).await;
        body["name"] = "renamed".into();
        let after = client.put(&server.instance(), &body).await.expect(200).body;
        for field in ["hostname", "description", "tags", "billing_cycle", "vpc", "ip_addresses", "volumes"] {
            assert_eq!(after[field], before[field], "{field}");
        }
    }

    async fn a_change_of_nothing_writes_nothing(server: Server) {
        let client = server.owner();
        let before = client.get(&server.instance()).await.expect(200);
        // A client may send back all that it read, in whatever order.
        let mut body = before.body.clone();
        for (id, part) in [("size_id", "size"), ("location_id", "location"), ("image_id", "image"), ("vpc_id", "vpc")] {
            body[id] = before.body[part]["id"].clone();
        }
        let answer = client.put(&server.instance(), &body).await.expect(200);
        assert_eq!(answer.body, before.body);
        assert_eq!(answer.header("etag"), before.header("etag"));
        assert_eq!(records(&server, &client).await, 0);
    }

    async fn read_only_and_unknown_fields_are_ignored(server: Server) {
        let client = server.owner();
        let before = client.get(&server.instance()).await.expect(200).body;
        let mut body = body_of(&server, &client).await;
        body["status"] = "terminated".into();
        body["id"] = json!(7);
        body["legacy_id"] = json!("no number");
        body["created"] = json!([]);
        body["nonsense"] = json!({"deep": [1, 2]});
        let after = client.put(&server.instance(), &body).await.expect(200).body;
        assert_eq!(after, before);
    }

    async fn every_fault_is_named_at_once_and_nothing_changes(server: Server) {
        let client = server.owner();
        let before = client.get(&server.instance()).await.expect(200);
        let unknown = "018f0000-0000-7000-8000-000000000000";
        let body = json!({
            "name": "x".repeat(256),
            "hostname": "-not-a-host",
            "size_id": unknown,
            "location_id": "seven",
            "image_id": null,
            "vpc_id": 5,
            "billing_cycle": "fortnightly",
            "tags": null,
            "description": 7,
        });
        let answer = client.put(&server.instance(), &body).await.expect(400);
        assert_eq!(answer.body, json!({
            "name": ["Ensure this field has no more than 255 characters."],
            "location_id": ["\u{201c}seven\u{201d} is not a valid UUID."],
            "image_id": ["This field may not be null."],
            "os_name": ["This field is required."],
            "vpc_id": ["\u{201c}5\u{201d} is not a valid UUID."],
            "billing_cycle": ["\"fortnightly\" is not a valid choice."],
            "tags": ["This field may not be null."],
            "description": ["Not a valid string."],
        }));
        let mut body = body_of(&server, &client).await;
        body["hostname"] = "-not-a-host".into();
        body["size_id"] = unknown.into();
        body["vpc_id"] = unknown.into();
        body["billing_cycle"] = "triennially".into();
        body["tags"] = json!({"x": "y".repeat(17_000)});
        let answer = client.put(&server.instance(), &body).await.expect(400);
        assert_eq!(answer.body["size_id"], json!([format!("Invalid pk \"{unknown}\" - object does not exist.")]));
        assert_eq!(answer.body["vpc_id"], answer.body["size_id"]);
        for field in ["hostname", "billing_cycle", "tags"] {
            assert!(answer.body[field][0].is_string(), "{field}: {}", answer.text);
        }
        let after = client.get(&server.instance()).await.expect(200);
        assert_eq!(after.header("etag"), before.header("etag"));
        assert_eq!(records(&server, &client).await, 0);
    }

    async fn hardware_does_not_change_here(server: Server) {
        let client = server.owner();
        let body = body_of(&server, &client).await;
        for (field, list, operation) in [
            ("size_id", "sizes", "resize_instance"),
            ("location_id", "locations", "create one"),
            ("image_id", "images", "reinstall_instance"),
        ] {
            let others = client.get(&server.project(&format!("/compute/{list}"))).await.expect(200).body;
            let other = others["results"].as_array().unwrap().iter().find(|item| item["id"] != body[field]).unwrap();
            let mut body = body.clone();
            body[field] = other["id"].clone();
            let answer = client.put(&server.instance(), &body).await.expect(400);
            assert!(answer.body[field][0].as_str().unwrap().contains(operation), "{}", answer.text);
            assert_eq!(answer.body.as_object().unwrap().len(), 1);
        }
    }

    async fn a_vpc_must_be_reachable_from_the_instance(server: Server) {
        let client = server.owner();
        let instance = client.get(&server.instance()).await.expect(200).body;
        let mut body = body_of(&server, &client).await;
        let vpcs = client.get(&server.project("/compute/vpcs?page_size=100")).await.expect(200).body;
        let elsewhere = vpcs["results"].as_array().unwrap().iter()
            .find(|vpc| vpc["location"]["id"] != instance["location"]["id"]).unwrap();
        body["vpc_id"] = elsewhere["id"].clone();
        let answer = client.put(&server.instance(), &body).await.expect(400);
        assert!(answer.body["vpc_id"][0].as_str().unwrap().contains("another location"), "{}", answer.text);

        let stranger = &server.facts.stranger;
        let theirs = format!("/v1/organizations/{}/projects/{}/compute/vpcs", stranger.organization_id, stranger.project_id);
        let theirs = server.stranger().get(&theirs).await.expect(200).body;
        body["vpc_id"] = theirs["results"][0]["id"].clone();
        let answer = client.put(&server.instance(), &body).await.expect(400);
        assert!(answer.body["vpc_id"][0].as_str().unwrap().contains("does not exist"), "{}", answer.text);
    }

    async fn null_means_the_default_vpc(server: Server) {
        let client = server.owner();
        let instance = client.get(&server.instance()).await.expect(200).body;
        let mut body = body_of(&server, &client).await;
        body["vpc_id"] = other_vpc(&server, &client, &instance["location"]["id"], &instance["vpc"]["id"]).await;
        let moved = client.put(&server.instance(), &body).await.expect(200).body;
        assert_ne!(moved["vpc"]["id"], instance["vpc"]["id"]);
        body["vpc_id"] = Value::Null;
        let back = client.put(&server.instance(), &body).await.expect(200).body;
        assert_eq!(back["vpc"]["id"], instance["vpc"]["id"], "the demo's instances begin in their default VPC");
        assert_eq!(records(&server, &client).await, 2);
    }

    async fn tags_are_kept_whatever_their_shape(server: Server) {
        let client = server.owner();
        let mut body = body_of(&server, &client).await;
        let shapes = [
            "[]", "{}", "\"text\"", "7", "false", "[1,[2,[3,{\"a\":null}]]]", "{\"ключ\":\"значение\",\"\":\"\"}",
            "123456789012345678901234567890.5000", "{\"n\":1e300,\"m\":-0.0}",
        ];
        for shape in shapes {
            body["tags"] = serde_json::from_str(shape).unwrap();
            let answer = client.put(&server.instance(), &body).await.expect(200);
            assert_eq!(answer.body["tags"], body["tags"], "{shape}");
            let read = client.get(&server.instance()).await.expect(200);
            assert_eq!(read.body["tags"], body["tags"], "{shape}");
        }
        let deep = format!("{}1{}", "[".repeat(17), "]".repeat(17));
        body["tags"] = serde_json::from_str(&deep).unwrap();
        let answer = client.put(&server.instance(), &body).await.expect(400);
        assert!(answer.body["tags"][0].as_str().unwrap().contains("16 levels"), "{}", answer.text);
        body["tags"] = json!({"a": "nul \u{0}"});
        let answer = client.put(&server.instance(), &body).await.expect(400);
        assert_eq!(answer.body["tags"], json!(["Null characters are not allowed."]));
    }

    async fn what_is_gone_can_not_be_changed(server: Server) {
        let client = server.owner();
        let cancelled = client.get(&server.project("/compute/instances?status=cancelled")).await.expect(200).body;
        let instance = &cancelled["results"][0];
        let path = server.project(&format!("/compute/instances/{}", instance["id"].as_str().unwrap()));
        let body = json!({
            "name": "again", "size_id": instance["size"]["id"], "location_id": instance["location"]["id"],
            "image_id": instance["image"]["id"], "os_name": instance["os_name"],
        });
        let answer = client.put(&path, &body).await.expect(400);
        assert_eq!(answer.body, json!({"detail": "A cancelled instance can't be changed."}));
        let suspended = client.get(&server.project("/compute/instances?status=suspended")).await.expect(200).body;
        let path = server.project(&format!("/compute/instances/{}", suspended["results"][0]["id"].as_str().unwrap()));
        client.patch(&path, &json!({"name": "sleeping"})).await.expect(200);
    }

    async fn a_patch_changes_what_it_names(server: Server) {
        let client = server.owner();
        let before = client.get(&server.instance()).await.expect(200).body;
        let after = client.patch(&server.instance(), &json!({"tags": {"a": "b"}})).await.expect(200).body;
        assert_eq!(after["tags"], json!({"a": "b"}));
        assert_eq!(after["name"], before["name"]);
        let answer = client.patch(&server.instance(), &json!({"name": "  ", "hostname": ""})).await.expect(400);
        assert_eq!(answer.body, json!({
            "name": ["This field may not be blank."], "hostname": ["This field may not be blank."],
        }));
        client.patch(&server.instance(), &json!({})).await.expect(200);
    }

    async fn who_may_not_write_is_told_so_and_who_may_not_see_learns_nothing(server: Server) {
        let body = body_of(&server, &server.owner()).await;
        server.anonymous().put(&server.instance(), &body).await.expect(401);
        let (viewer, _) = server.member(Role::Viewer).await;
        viewer.get(&server.instance()).await.expect(200);
        viewer.put(&server.instance(), &body).await.expect(403);
        let (editor, _) = server.member(Role::Editor).await;
        editor.put(&server.instance(), &body).await.expect(200);
        let (guest, _) = server.member(Role::Guest).await;
        let hidden = guest.put(&server.instance(), &body).await.expect(404);
        let absent = server.stranger().put(&server.instance(), &body).await.expect(404);
        assert_eq!(hidden.body, absent.body);
        // The right instance by the path of another organization or project does not exist either.
        let stranger = &server.facts.stranger;
        let path = format!("/v1/organizations/{}/projects/{}/compute/instances/{}",
            stranger.organization_id, stranger.project_id, server.facts.owner.instance_id);
        server.stranger().put(&path, &body).await.expect(404);
    }

    async fn the_vpc_change_is_carried_out_by_a_task(server: Server) {
        let client = server.owner();
        let instance = client.get(&server.instance()).await.expect(200).body;
        let mut body = body_of(&server, &client).await;
        let vpc = other_vpc(&server, &client, &instance["location"]["id"], &instance["vpc"]["id"]).await;
        body["vpc_id"] = vpc.clone();
        client.put(&server.instance(), &body).await.expect(200);
        let tasks = server.project(&format!("/compute/tasks?instance_id={}", server.facts.owner.instance_id));
        let waiting = client.get(&tasks).await.expect(200).body;
        assert_eq!(waiting["results"][0]["status"], "pending");
        assert_eq!(waiting["results"][0]["task_type"], "attach_vpc");
        assert_eq!(waiting["results"][0]["created_by"]["email"], server.facts.owner.email);
        server.run_tasks().await;
        let done = client.get(&tasks).await.expect(200).body;
        assert_eq!(done["results"][0]["status"], "completed");
        assert_eq!(done["results"][0]["progress"], 100);
        assert_eq!(done["results"][0]["parameters"]["vpc_id"], vpc);
    }
}
