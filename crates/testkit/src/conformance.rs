//! Every answer of every test, held against the OpenAPI document of the server that gave it.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use jsonschema::Validator;
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::client::Answer;

/// Statuses that any operation may answer though the published page of one lists only its own: they come from the
/// layers around it (limits, body, preconditions, the store).
const OF_THE_LAYERS: [u16; 11] = [304, 404, 405, 408, 409, 412, 413, 415, 422, 429, 503];

/// The document's operations, ready to be compared with.
#[derive(Debug)]
pub struct Conformance {
    operations: Vec<Operation>,
}

#[derive(Debug)]
struct Operation {
    method: Method,
    segments: Vec<String>,
    answers: HashMap<u16, Option<Expected>>,
}

/// What an answer must look like; compiled when the first one comes, since a test meets few of the document's.
#[derive(Debug)]
struct Expected {
    schema: Value,
    components: Arc<Value>,
    compiled: OnceLock<Validator>,
}

impl Expected {
    fn validator(&self) -> &Validator {
        self.compiled
            .get_or_init(|| compile(&self.schema, &self.components))
    }
}

impl Conformance {
    /// Reads the document's operations.
    ///
    /// # Panics
    /// If one of them has an unknown method.
    #[must_use]
    pub fn new(document: &Value) -> Self {
        let components = Arc::new(lowered_node(&document["components"]));
        let mut operations = Vec::new();
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for (method, operation) in item.as_object().into_iter().flatten() {
                let answers = operation["responses"].as_object().into_iter().flatten();
                let answers = answers.filter_map(|(code, answer)| {
                    let schema = answer["content"]["application/json"].get("schema");
                    let expected = schema.map(|schema| Expected {
                        schema: lowered_node(schema),
                        components: Arc::clone(&components),
                        compiled: OnceLock::new(),
                    });
                    Some((code.parse().ok()?, expected))
                });
                operations.push(Operation {
                    method: method.to_uppercase().parse().expect("a method"),
                    segments: path.split('/').map(str::to_owned).collect(),
                    answers: answers.collect(),
                });
            }
        }
        Self { operations }
    }

    /// Panics if the answer breaks the document, or the rules that hold for every answer.
    ///
    /// # Panics
    /// With what is wrong.
    pub fn check(&self, method: &Method, path: &str, answer: &Answer) {
        let place = format!("{method} {path} -> {}: {}", answer.status, answer.text);
        assert!(
            !answer.header("x-request-id").is_empty(),
            "no X-Request-Id: {place}"
        );
        assert_ne!(answer.status, 500, "{place}");
        if answer.status >= 400 && method != Method::HEAD {
            check_error(answer, &place);
        }
        let plain = path.split('?').next().unwrap_or_default().trim_end_matches('/');
        let segments: Vec<&str> = plain.split('/').collect();
        let method = if method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        let operation = self
            .operations
            .iter()
            .find(|operation| operation.matches(method, &segments));
        let Some(operation) = operation else { return };
        let Some(expected) = operation.answers.get(&answer.status) else {
            assert!(
                OF_THE_LAYERS.contains(&answer.status),
                "a status that is not documented: {place}"
            );
            return;
        };
        if let Some(expected) = expected
            && !answer
                .header("content-type")
                .starts_with("application/problem+json")
            && !answer.text.is_empty()
        {
            let faults: Vec<String> = expected
                .validator()
                .iter_errors(&answer.body)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(faults.is_empty(), "{faults:#?}\n{place}");
        }
    }
}

impl Operation {
    fn matches(&self, method: &Method, segments: &[&str]) -> bool {
        self.method == *method
            && self.segments.len() == segments.len()
            && self
                .segments
                .iter()
                .zip(segments)
                .all(|(own, given)| own.starts_with('{') || own == given)
    }
}

/// `{"detail": …}`, or messages by field, or a problem document.
fn check_error(answer: &Answer, place: &str) {
    let Some(map) = answer.body.as_object() else {
        panic!("an error that is no object: {place}")
    };
    if answer
        .header("content-type")
        .starts_with("application/problem+json")
    {
        assert_eq!(answer.body["status"], answer.status, "{place}");
        return;
    }
    if let Some(detail) = map.get("detail") {
        assert!(detail.is_string(), "{place}");
    } else {
        assert!(
            !map.is_empty() && map.values().all(is_fault),
            "faults of another shape: {place}"
        );
    }
}

fn is_fault(value: &Value) -> bool {
    match value {
        Value::Array(messages) => !messages.is_empty() && messages.iter().all(Value::is_string),
        Value::Object(nested) => !nested.is_empty() && nested.values().all(is_fault),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn compile(schema: &Value, components: &Value) -> Validator {
    // Only what the schema leads to: compiling all of the document's schemas takes seconds.
    let mut needed = Map::new();
    gather(schema, &components["schemas"], &mut needed);
    let mut schema = schema.clone();
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("components".to_owned(), json!({ "schemas": needed }));
    }
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft7)
        .should_validate_formats(true)
        // Without an offset, as Django REST Framework writes the time of a day.
        .with_format("time", is_time_of_day)
        .build(&schema)
        .expect("the document's schemas are schemas")
}

fn is_time_of_day(text: &str) -> bool {
    let parts: Vec<Option<u8>> = text
        .split(':')
        .map(|part| part.parse().ok().filter(|_| part.len() == 2))
        .collect();
    matches!(parts[..], [Some(0..=23), Some(0..=59), Some(0..=59)])
}

/// Puts the schemas that `node` refers to, and those that they refer to, into `needed`.
fn gather(node: &Value, schemas: &Value, needed: &mut Map<String, Value>) {
    match node {
        Value::Array(items) => items.iter().for_each(|item| gather(item, schemas, needed)),
        Value::Object(map) => {
            let name = map.get("$ref").and_then(Value::as_str);
            let name = name.and_then(|path| path.rsplit('/').next());
            if let Some(name) = name
                && !needed.contains_key(name)
            {
                needed.insert(name.to_owned(), schemas[name].clone());
                gather(&schemas[name], schemas, needed);
            }
            map.values().for_each(|value| gather(value, schemas, needed));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// OpenAPI 3.0's dialect as JSON Schema: `nullable` is a type, and what only requests have is not asked of answers.
fn lowered_node(node: &Value) -> Value {
    match node {
        Value::Array(items) => items.iter().map(lowered_node).collect(),
        Value::Object(map) => Value::Object(lowered_object(map)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => node.clone(),
    }
}

fn lowered_object(map: &Map<String, Value>) -> Map<String, Value> {
    let mut lowered: Map<String, Value> = map
        .iter()
        .map(|(key, value)| (key.clone(), lowered_node(value)))
        .collect();
    if let Some(properties) = map.get("properties").and_then(Value::as_object) {
        let hidden = |name: &Value| {
            name.as_str()
                .is_some_and(|name| properties[name]["writeOnly"] == true)
        };
        if let Some(required) = lowered.get_mut("required").and_then(Value::as_array_mut) {
            required.retain(|name| !hidden(name));
        }
        // An answer must not have them at all.
        if let Some(properties) = lowered.get_mut("properties").and_then(Value::as_object_mut) {
            for property in properties
                .values_mut()
                .filter(|property| property["writeOnly"] == true)
            {
                *property = json!(false);
            }
        }
    }
    if lowered.remove("nullable") == Some(Value::Bool(true)) {
        let schema = Value::Object(lowered);
        return Map::from_iter([("anyOf".to_owned(), json!([schema, { "type": "null" }]))]);
    }
    lowered
}
