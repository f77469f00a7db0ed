//! From what utoipa writes (OpenAPI 3.1) to what the published API serves (OpenAPI 3.0.3, in drf-spectacular's style).
//!
//! The clients of the published API, its generators and documentation tools were made for 3.0.3: `nullable` instead
//! of a list of types, a reference with other keywords wrapped in `allOf`, words and formats written where they are
//! used rather than referred to.

use std::{borrow::Cow, marker::PhantomData};

use serde::{Serialize, Serializer};
use serde_json::{Map, Number, Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type, extensions::ExtensionsBuilder, schema::SchemaType},
};

/// The prefix of references to schemas.
const SCHEMAS: &str = "#/components/schemas/";

/// Turns a document of utoipa's into OpenAPI 3.0.3.
pub fn document(api: &utoipa::openapi::OpenApi) -> Value {
    let mut document = serde_json::to_value(api).unwrap_or_default();
    document["openapi"] = "3.0.3".into();
    let schemas = document["components"]["schemas"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    rewrite(&mut document, &schemas);
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schemas.retain(|_, schema| is_object(schema));
        schemas.sort_keys();
    }
    document
}

/// The schema of one type with the schemas that it refers to, in the same form as in the document.
pub fn standalone<T: ToSchema>() -> (Value, Map<String, Value>) {
    let mut referred = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut referred);
    let raw: Map<String, Value> = referred
        .into_iter()
        .map(|(name, schema)| (name, serde_json::to_value(schema).unwrap_or_default()))
        .collect();
    let mut components = raw.clone();
    components.values_mut().for_each(|schema| rewrite(schema, &raw));
    (components[T::name().as_ref()].clone(), components)
}

fn is_object(schema: &Value) -> bool {
    schema["type"] == "object" || schema.get("allOf").is_some() || schema.get("oneOf").is_some()
}

/// Rewrites a node and everything below it.
fn rewrite(node: &mut Value, schemas: &Map<String, Value>) {
    match node {
        Value::Array(items) => items.iter_mut().for_each(|item| rewrite(item, schemas)),
        Value::Object(map) => {
            unwrap_null_alternative(map);
            inline_scalar(map, schemas);
            merge_annotations(map);
            lower_types(map);
            hoist_read_only(map);
            for (name, value) in map.iter_mut() {
                // Examples and defaults are data, not schemas.
                if !matches!(
                    name.as_str(),
                    "example" | "examples" | "default" | "enum" | "required"
                ) {
                    rewrite(value, schemas);
                }
            }
            wrap_reference(map);
            whole_numbers(map);
            sort_extensions(map);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// `oneOf: [X, {type: null}]` becomes X and `nullable`.
fn unwrap_null_alternative(map: &mut Map<String, Value>) {
    let Some(alternatives) = map.get("oneOf").and_then(Value::as_array) else {
        return;
    };
    let (nulls, others): (Vec<_>, Vec<_>) = alternatives
        .iter()
        .cloned()
        .partition(|item| item["type"] == "null");
    if let ([_], [Value::Object(other)]) = (nulls.as_slice(), others.as_slice()) {
        map.remove("oneOf");
        for (key, value) in other {
            map.entry(key).or_insert_with(|| value.clone());
        }
        map.insert("nullable".to_owned(), true.into());
    }
}

/// A reference to a schema that is no object becomes that schema, with the keywords beside the reference winning.
fn inline_scalar(map: &mut Map<String, Value>, schemas: &Map<String, Value>) {
    let Some(name) = map
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|path| path.strip_prefix(SCHEMAS))
    else {
        return;
    };
    let Some(target @ Value::Object(fields)) = schemas.get(name) else {
        return;
    };
    if is_object(target) {
        return;
    }
    map.remove("$ref");
    for (key, value) in fields {
        match (key.as_str(), map.get_mut(key)) {
            // The field's own words first, then what the words of the type mean.
            ("description", Some(Value::String(own))) if fields.contains_key("enum") => {
                if let Some(words) = value.as_str() {
                    *own = format!("{own}\n\n{words}");
                }
            }
            (_, Some(_)) => {}
            (_, None) => {
                map.insert(key.clone(), value.clone());
            }
        }
    }
}

/// `allOf: [schema, annotations]`, which utoipa writes for an inlined type with attributes, becomes one schema.
fn merge_annotations(map: &mut Map<String, Value>) {
    let Some(parts) = map.get("allOf").and_then(Value::as_array) else {
        return;
    };
    if parts.iter().any(|part| part.get("$ref").is_some()) || parts.len() != 2 {
        return;
    }
    let parts = parts.clone();
    map.remove("allOf");
    for part in parts.iter().filter_map(Value::as_object) {
        for (key, value) in part {
            if key != "type" || !map.contains_key("type") {
                map.insert(key.clone(), value.clone());
            }
        }
    }
}

/// `type: [X, null]` becomes `type: X` and `nullable`.
///
/// Free JSON has no type to add null to: `x-nullable` says it instead.
fn lower_types(map: &mut Map<String, Value>) {
    if map.remove("x-nullable").is_some() {
        map.insert("nullable".to_owned(), true.into());
    }
    let Some(types) = map.get("type").and_then(Value::as_array) else {
        return;
    };
    let named: Vec<Value> = types.iter().filter(|name| *name != "null").cloned().collect();
    let nullable = named.len() < types.len();
    match named.as_slice() {
        [one] => map.insert("type".to_owned(), one.clone()),
        _ => map.remove("type"),
    };
    if nullable {
        map.insert("nullable".to_owned(), true.into());
    }
}

/// utoipa writes `readOnly` of a list on the items.
fn hoist_read_only(map: &mut Map<String, Value>) {
    if map.get("type").is_none_or(|name| name != "array") {
        return;
    }
    for key in ["readOnly", "writeOnly"] {
        let mark = map
            .get_mut("items")
            .and_then(Value::as_object_mut)
            .and_then(|items| items.remove(key));
        if let Some(mark) = mark {
            map.insert(key.to_owned(), mark);
        }
    }
}

/// OpenAPI 3.0 ignores what stands beside a reference: it is wrapped in `allOf`.
fn wrap_reference(map: &mut Map<String, Value>) {
    if map.len() > 1
        && let Some(reference) = map.remove("$ref")
    {
        let rest = std::mem::take(map);
        map.insert("allOf".to_owned(), json!([{ "$ref": reference }]));
        map.extend(rest);
    }
}

/// utoipa keeps extensions in no order: the document would be another at every start.
fn sort_extensions(map: &mut Map<String, Value>) {
    let mut extensions: Vec<String> = map.keys().filter(|key| key.starts_with("x-")).cloned().collect();
    extensions.sort_unstable();
    for key in extensions {
        if let Some(value) = map.shift_remove(&key) {
            map.insert(key, value);
        }
    }
}

/// Bounds that a 64-bit integer can't hold come as floats; written as integers every YAML reader understands them.
fn whole_numbers(map: &mut Map<String, Value>) {
    for key in ["minimum", "maximum"] {
        let float = map
            .get(key)
            .and_then(Value::as_number)
            .filter(|bound| bound.as_i128().is_none())
            .and_then(Number::as_f64);
        let Some(float) = float.filter(|float| float.fract() == 0.0) else {
            continue;
        };
        // A float's shortest decimal form, with zeros instead of an exponent.
        if let Ok(whole) = format!("{float}").parse::<i128>()
            && let Some(whole) = Number::from_i128(whole)
        {
            map.insert(key.to_owned(), Value::Number(whole));
        }
    }
}

/// A JSON document as YAML.
pub fn to_yaml(document: &Value) -> String {
    yaml_serde::to_string(&Yaml(document)).unwrap_or_default()
}

/// JSON for serializers other than serde_json's, which alone knows how it keeps numbers of arbitrary precision.
struct Yaml<'a>(&'a Value);

impl Serialize for Yaml<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Number(number) => match number.as_i128() {
                Some(whole) => serializer.serialize_i128(whole),
                None => serializer.serialize_f64(number.as_f64().unwrap_or_default()),
            },
            Value::Array(items) => serializer.collect_seq(items.iter().map(Yaml)),
            Value::Object(map) => serializer.collect_map(map.iter().map(|(key, value)| (key, Yaml(value)))),
            other => other.serialize(serializer),
        }
    }
}

/// Documents an integer without a stated width: counters, legacy ids.
#[derive(Debug)]
pub enum Whole {}

impl PartialSchema for Whole {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::Integer).into()
    }
}

impl ToSchema for Whole {}

/// Documents free JSON, null included.
#[derive(Debug)]
pub enum AnyOrNull {}

impl PartialSchema for AnyOrNull {
    fn schema() -> RefOr<Schema> {
        let nullable = ExtensionsBuilder::new().add("x-nullable", true).build();
        ObjectBuilder::new()
            .schema_type(SchemaType::AnyValue)
            .extensions(Some(nullable))
            .into()
    }
}

impl ToSchema for AnyOrNull {}

/// A field that requests have and answers don't: it documents a `T` and holds nothing.
///
/// Mark it `#[schema(write_only)]` and `#[serde(skip_serializing_if = "WriteOnly::hidden")]`.
#[derive(Debug)]
pub struct WriteOnly<T>(PhantomData<fn() -> T>);

impl<T> WriteOnly<T> {
    /// The field, which holds nothing.
    pub const fn new() -> Self {
        Self(PhantomData)
    }

    /// Always: for `skip_serializing_if`.
    pub const fn hidden(&self) -> bool {
        true
    }
}

impl<T> Default for WriteOnly<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Serialize for WriteOnly<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

/// Documents the schema of `T` with nothing required: the body of a PATCH.
#[derive(Debug)]
pub struct Patched<T>(PhantomData<T>);

impl<T: ToSchema> PartialSchema for Patched<T> {
    fn schema() -> RefOr<Schema> {
        let mut schema = T::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            object.required.clear();
        }
        schema
    }
}

impl<T: ToSchema> ToSchema for Patched<T> {
    fn name() -> Cow<'static, str> {
        format!("Patched{}", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        T::schemas(schemas);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(mut schema: Value, schemas: Value) -> Value {
        rewrite(&mut schema, schemas.as_object().unwrap());
        schema
    }

    #[test]
    fn nullable_references_are_wrapped() {
        let schema =
            json!({"oneOf": [{"$ref": "#/components/schemas/Place"}, {"type": "null"}], "readOnly": true});
        let expected = json!({
            "allOf": [{"$ref": "#/components/schemas/Place"}], "readOnly": true, "nullable": true
        });
        assert_eq!(rewritten(schema, json!({"Place": {"type": "object"}})), expected);
    }

    #[test]
    fn words_are_written_where_they_are_used() {
        let schemas = json!({"Word": {"type": "string", "enum": ["a", "b"]}});
        let schema = json!({"$ref": "#/components/schemas/Word", "readOnly": true});
        let expected = json!({"type": "string", "enum": ["a", "b"], "readOnly": true});
        assert_eq!(rewritten(schema, schemas), expected);
    }

    #[test]
    fn bounds_beyond_64_bits_stay_integers() {
        let schema = rewritten(json!({"minimum": -9.223372036854776e18}), json!({}));
        assert_eq!(schema.to_string(), r#"{"minimum":-9223372036854776000}"#);
    }
}
