//! The document against the contract (`contract/structure.json`) and against the snapshot in the repository.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use testkit::on_both;

fn structure() -> Value {
    serde_json::from_str(include_str!("../../../../contract/structure.json")).expect("the contract is JSON")
}

/// The schemas of the published page.
const GIVEN: [&str; 13] = [
    "Instance",
    "InstanceSize",
    "DatacenterLocation",
    "VPC",
    "InstanceImage",
    "IPAddress",
    "VolumeSummary",
    "InstanceStateSync",
    "InstanceSizeVolume",
    "InstanceSizePricing",
    "InstanceSizeAddon",
    "Addon",
    "InstanceSizeAddonPricing",
];

/// A schema or operation without prose and `x-` keys, numbers by value, and what has no order sorted.
fn bare(node: &Value) -> Value {
    match node {
        Value::Object(map) => {
            let mut kept: Map<String, Value> = Map::new();
            for (key, value) in map {
                let prose = matches!(
                    key.as_str(),
                    "description" | "summary" | "title" | "example" | "examples"
                );
                // `description` is also the name of a property.
                if (prose && !value.is_object()) || key.starts_with("x-") {
                    continue;
                }
                let mut value = bare(value);
                if let (true, Some(items)) =
                    (matches!(key.as_str(), "required" | "enum"), value.as_array_mut())
                {
                    items.sort_by_key(ToString::to_string);
                }
                kept.insert(key.clone(), value);
            }
            kept.sort_keys();
            Value::Object(kept)
        }
        Value::Array(items) => items.iter().map(bare).collect(),
        Value::Number(number) => number.as_f64().map_or(Value::Null, Value::from),
        Value::Null | Value::Bool(_) | Value::String(_) => node.clone(),
    }
}

fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    let each = paths.flat_map(|(path, item)| {
        item.as_object()
            .into_iter()
            .flatten()
            .map(move |(method, operation)| (path.clone(), method.clone(), operation))
    });
    each.collect()
}

fn operation<'a>(document: &'a Value, id: &str) -> (String, String, &'a Value) {
    operations(document)
        .into_iter()
        .find(|(.., operation)| operation["operationId"] == id)
        .expect(id)
}

/// Parameters by place and name.
fn parameters(operation: &Value) -> BTreeSet<(String, String)> {
    let list = operation["parameters"].as_array().into_iter().flatten();
    list.map(|p| {
        (
            p["in"].as_str().unwrap().to_owned(),
            p["name"].as_str().unwrap().to_owned(),
        )
    })
    .collect()
}

on_both! {
    async fn the_published_page_is_kept_to_the_letter(server: Server) {
        let contract = structure();
        for name in GIVEN {
            let mut ours = bare(&server.document["components"]["schemas"][name]);
            if name == "Instance" {
                // The one documented addition.
                ours["properties"].as_object_mut().unwrap().remove("description").expect("the addition");
            }
            assert_eq!(ours, bare(&contract["components"]["schemas"][name]), "{name}");
        }
        let (path, method, ours) = operation(&server.document, "replace_instance");
        let (their_path, their_method, theirs) = operation(&contract, "replace_instance");
        assert_eq!((path, method), (their_path, their_method));
        let sorted = |operation: &Value| {
            let mut bare = bare(operation);
            bare["parameters"].as_array_mut().unwrap().sort_by_key(|parameter| parameter["name"].to_string());
            for response in bare["responses"].as_object_mut().unwrap().values_mut() {
                response.as_object_mut().unwrap().remove("description");
            }
            bare
        };
        assert_eq!(sorted(ours), sorted(theirs));
        assert_eq!(bare(&server.document["components"]["securitySchemes"]), bare(&contract["components"]["securitySchemes"]));
    }

    async fn every_operation_is_one_of_the_contract(server: Server) {
        let contract = structure();
        for (path, method, ours) in operations(&server.document) {
            let id = ours["operationId"].as_str().expect("every operation has an id");
            if ours["x-addition"] == true {
                let is_theirs = operations(&contract).iter().any(|(.., operation)| operation["operationId"] == id);
                assert!(!is_theirs, "{id} is no addition: the contract has it");
                continue;
            }
            let (their_path, their_method, theirs) = operation(&contract, id);
            // One name a place in the path: {organization_id} where the contract has {id} for an organization itself.
            let plain = |path: &str| path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }.to_owned()).collect::<Vec<_>>();
            assert_eq!((plain(&path), method), (plain(&their_path), their_method), "{id}");
            let query = |operation: &Value| parameters(operation).into_iter().filter(|(place, _)| place == "query").collect::<BTreeSet<_>>();
            let missing: Vec<_> = query(theirs).difference(&query(ours)).cloned().collect();
            assert!(missing.is_empty(), "{id} lacks parameters: {missing:?}");
            let codes = |operation: &Value| operation["responses"].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
            let missing: Vec<_> = codes(theirs).difference(&codes(ours)).cloned().collect();
            assert!(missing.is_empty(), "{id} lacks answers: {missing:?}");
            assert_eq!(ours["tags"], theirs["tags"], "{id}");
        }
    }

    async fn schemas_have_all_that_the_contract_has(server: Server) {
        let contract = structure();
        let ours = server.document["components"]["schemas"].as_object().unwrap();
        let mut faults = Vec::new();
        for (name, schema) in ours {
            let theirs = &contract["components"]["schemas"][name];
            for (field, property) in theirs["properties"].as_object().into_iter().flatten() {
                let own = bare(&schema["properties"][field]);
                if own.is_null() {
                    faults.push(format!("{name}.{field} is missing"));
                    continue;
                }
                for key in ["type", "format", "enum", "nullable", "readOnly", "writeOnly", "maxLength"] {
                    // Requests of ours may be plainer than the contract's; what answers carry must agree.
                    if own[key] != bare(property)[key] && !(key == "readOnly" || key == "writeOnly") {
                        faults.push(format!("{name}.{field}: {key} {} instead of {}", own[key], property[key]));
                    }
                }
            }
            let required = |schema: &Value| -> BTreeSet<String> {
                schema["required"].as_array().into_iter().flatten().filter_map(|f| f.as_str().map(str::to_owned)).collect()
            };
            for field in required(theirs).difference(&required(schema)) {
                faults.push(format!("{name}.{field} is not required"));
            }
        }
        assert!(faults.is_empty(), "{faults:#?}");
    }

    async fn the_snapshot_is_up_to_date(server: Server) {
        let snapshot = onetd::openapi::snapshot(&server.onet().areas());
        let kept = include_str!("../../../../openapi.json");
        assert!(snapshot == kept, "openapi.json is out of date: run `cargo xtask openapi`");
    }

    async fn the_document_is_served_in_both_forms(server: Server) {
        let client = server.anonymous();
        let yaml = client.get("/schema").await.expect(200);
        assert!(yaml.text.starts_with("openapi: 3.0.3"), "{}", &yaml.text[..200]);
        let json = client.get("/schema?format=json").await.expect(200);
        assert_eq!(json.body, *server.document);
        let by_accept = client.send(reqwest::Method::GET, "/schema", &[("accept", "application/json")], None).await;
        assert_eq!(by_accept.body, *server.document);
        let page = client.get("/docs").await.expect(200);
        assert!(page.text.contains("swagger-ui") && !page.text.contains("https://"), "the page loads nothing from elsewhere");
        for file in ["swagger-ui-bundle.js", "swagger-ui.css", "swagger-initializer.js"] {
            client.get(&format!("/docs/{file}")).await.expect(200);
        }
    }
}
