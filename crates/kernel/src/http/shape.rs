//! Request bodies checked against the schema that documents them.
//!
//! A [`Shape`] is compiled from the OpenAPI schema of a type: the same bounds, formats, words and `required` that
//! the document shows are what a body is held to, in Django REST Framework's words, with every fault found at once.
//! Why this is not a JSON Schema validator: `docs/decisions/0003-request-validation.md`.
//!
//! Besides the standard keywords it knows two of ours: `x-allow-blank` (an empty text is fine) and `x-verbatim`
//! (white space at the ends is kept: passwords).

use std::{
    any::TypeId,
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use regex::Regex;
use serde_json::{Map, Number, Value};
use utoipa::ToSchema;

use super::error::{Faults, NON_FIELD};
use crate::{openapi, time::Time};

/// What a JSON value must look like.
#[derive(Debug)]
pub struct Shape {
    kind: Kind,
    nullable: bool,
}

#[derive(Debug)]
enum Kind {
    Any,
    Boolean,
    Integer { least: Option<i128>, most: Option<i128> },
    Number,
    Text(Text),
    List { items: Box<Shape>, most: Option<u64> },
    Object(Vec<Field>),
}

#[derive(Debug)]
struct Field {
    name: String,
    required: bool,
    shape: Shape,
}

#[derive(Debug)]
struct Text {
    least: Option<u64>,
    most: Option<u64>,
    pattern: Option<Regex>,
    choices: Vec<String>,
    format: Format,
    allow_blank: bool,
    verbatim: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Format {
    None,
    Uuid,
    Email,
    DateTime,
    Uri,
}

impl Shape {
    /// The shape of the bodies that `T` documents, compiled once. `partial` drops what is required (PATCH).
    pub fn of<T: ToSchema + 'static>(partial: bool) -> &'static Self {
        type Shapes = RwLock<HashMap<(TypeId, bool), &'static Shape>>;
        static SHAPES: std::sync::LazyLock<Shapes> = std::sync::LazyLock::new(Shapes::default);
        let key = (TypeId::of::<T>(), partial);
        let known = SHAPES
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .copied();
        known.unwrap_or_else(|| {
            let (schema, components) = openapi::standalone::<T>();
            // One for each request type of the program: kept for its life.
            let shape: &'static Self = Box::leak(Box::new(Self::compile(&schema, &components, partial)));
            SHAPES
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(key, shape);
            shape
        })
    }

    fn compile(schema: &Value, components: &Map<String, Value>, partial: bool) -> Self {
        let reference = schema["$ref"]
            .as_str()
            .or_else(|| schema["allOf"][0]["$ref"].as_str());
        if let Some(name) = reference.and_then(|path| path.rsplit('/').next()) {
            let inner = Self::compile(&components[name], components, partial);
            return Self {
                nullable: inner.nullable || schema["nullable"] == true,
                ..inner
            };
        }
        let whole = |key: &str| schema[key].as_u64();
        let kind = match schema["type"].as_str() {
            Some("object") if schema["properties"].is_object() => {
                Kind::Object(Self::compile_fields(schema, components, partial))
            }
            Some("array") => Kind::List {
                items: Box::new(Self::compile(&schema["items"], components, partial)),
                most: whole("maxItems"),
            },
            Some("boolean") => Kind::Boolean,
            Some("integer") => Kind::Integer {
                least: schema["minimum"].as_number().and_then(integer),
                most: schema["maximum"].as_number().and_then(integer),
            },
            Some("number") => Kind::Number,
            Some("string") => Kind::Text(Text {
                least: whole("minLength"),
                most: whole("maxLength"),
                pattern: schema["pattern"]
                    .as_str()
                    .and_then(|pattern| Regex::new(pattern).ok()),
                choices: schema["enum"]
                    .as_array()
                    .map(|words| {
                        words
                            .iter()
                            .filter_map(Value::as_str)
                            .map(str::to_owned)
                            .collect()
                    })
                    .unwrap_or_default(),
                format: match schema["format"].as_str() {
                    Some("uuid") => Format::Uuid,
                    Some("email") => Format::Email,
                    Some("date-time") => Format::DateTime,
                    Some("uri") => Format::Uri,
                    _ => Format::None,
                },
                allow_blank: schema["x-allow-blank"] == true,
                verbatim: schema["x-verbatim"] == true,
            }),
            _ => Kind::Any,
        };
        // A value of any type includes null only where the document says so, as in Django REST Framework.
        Self {
            kind,
            nullable: schema["nullable"] == true,
        }
    }

    fn compile_fields(schema: &Value, components: &Map<String, Value>, partial: bool) -> Vec<Field> {
        let required: Vec<&str> = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let properties = schema["properties"].as_object().into_iter().flatten();
        properties
            .filter(|(_, property)| property["readOnly"] != true)
            .map(|(name, property)| Field {
                name: name.clone(),
                required: !partial && required.contains(&name.as_str()),
                shape: Self::compile(property, components, false),
            })
            .collect()
    }

    /// Checks a whole body and returns it with texts trimmed, and `readOnly` and unknown fields left out.
    ///
    /// # Errors
    /// Every fault, by field.
    pub fn check(&self, body: Value) -> Result<Value, Faults> {
        match (&self.kind, body) {
            (Kind::Object(_), Value::Null) => Err(Faults::one(NON_FIELD, "No data provided")),
            (Kind::Object(fields), Value::Object(map)) => check_object(fields, map).map(Value::Object),
            (Kind::Object(_), other) => Err(Faults::one(NON_FIELD, no_dictionary(&other))),
            (_, other) => {
                let mut faults = Faults::default();
                let checked = self.check_field(NON_FIELD, other, &mut faults);
                faults.into_result()?;
                Ok(checked.unwrap_or(Value::Null))
            }
        }
    }

    /// Checks one field's value; faults are added under its name.
    fn check_field(&self, name: &str, value: Value, faults: &mut Faults) -> Option<Value> {
        if value.is_null() {
            if self.nullable {
                return Some(Value::Null);
            }
            faults.add(name, "This field may not be null.");
            return None;
        }
        let checked = match (&self.kind, value) {
            (Kind::Any, value) => check_any(value),
            (Kind::Boolean, value @ Value::Bool(_)) | (Kind::Number, value @ Value::Number(_)) => Ok(value),
            (Kind::Boolean, _) => Err("Must be a valid boolean.".to_owned()),
            (Kind::Number, _) => Err("A valid number is required.".to_owned()),
            (Kind::Integer { least, most }, value) => check_integer(value, *least, *most),
            (Kind::Text(text), value) => text.check(value),
            (Kind::List { items, most }, Value::Array(values)) => {
                return items.check_list(name, values, *most, faults);
            }
            (Kind::List { .. }, other) => Err(format!(
                "Expected a list of items but got type \"{}\".",
                type_name(&other)
            )),
            (Kind::Object(fields), Value::Object(map)) => match check_object(fields, map) {
                Ok(map) => Ok(Value::Object(map)),
                Err(nested) => {
                    faults.nest(name, nested);
                    return None;
                }
            },
            (Kind::Object(_), other) => {
                faults.nest(name, Faults::one(NON_FIELD, no_dictionary(&other)));
                return None;
            }
        };
        checked.map_err(|message| faults.add(name, message)).ok()
    }

    fn check_list(
        &self,
        name: &str,
        values: Vec<Value>,
        most: Option<u64>,
        faults: &mut Faults,
    ) -> Option<Value> {
        if let Some(most) = most.filter(|most| values.len() as u64 > *most) {
            faults.add(
                name,
                format!("Ensure this field has no more than {most} elements."),
            );
            return None;
        }
        let mut nested = Faults::default();
        let checked: Vec<Value> = values
            .into_iter()
            .enumerate()
            .filter_map(|(index, value)| self.check_field(&index.to_string(), value, &mut nested))
            .collect();
        if nested.is_empty() {
            return Some(Value::Array(checked));
        }
        match self.kind {
            Kind::Object(_) | Kind::List { .. } => faults.nest(name, nested),
            // What is wrong with plain items is said of the list: which item it is stands in the message.
            Kind::Any | Kind::Boolean | Kind::Integer { .. } | Kind::Number | Kind::Text(_) => {
                nested.messages().for_each(|message| faults.add(name, message));
            }
        }
        None
    }
}

fn check_object(fields: &[Field], mut map: Map<String, Value>) -> Result<Map<String, Value>, Faults> {
    let mut faults = Faults::default();
    let mut checked = Map::new();
    for Field {
        name,
        required,
        shape,
    } in fields
    {
        match map.swap_remove(name) {
            Some(value) => {
                if let Some(value) = shape.check_field(name, value, &mut faults) {
                    checked.insert(name.clone(), value);
                }
            }
            None if *required => faults.add(name, "This field is required."),
            None => {}
        }
    }
    faults.into_result().map(|()| checked)
}

impl Text {
    fn check(&self, value: Value) -> Result<Value, String> {
        if !self.choices.is_empty() {
            return match value {
                Value::String(word) if self.choices.contains(&word) => Ok(Value::String(word)),
                Value::String(word) => Err(format!("\"{word}\" is not a valid choice.")),
                other => Err(format!("\"{other}\" is not a valid choice.")),
            };
        }
        let text = match value {
            Value::String(text) => text,
            Value::Number(number) if self.format == Format::Uuid => {
                return Err(format!("\u{201c}{number}\u{201d} is not a valid UUID."));
            }
            other if self.format == Format::Uuid => {
                return Err(format!(
                    "Incorrect type. Expected pk value, received {}.",
                    type_name(&other)
                ));
            }
            _ => return Err("Not a valid string.".to_owned()),
        };
        let text = if self.verbatim {
            text
        } else {
            text.trim().to_owned()
        };
        if text.contains('\0') {
            return Err("Null characters are not allowed.".to_owned());
        }
        if text.is_empty() && !self.allow_blank {
            return Err("This field may not be blank.".to_owned());
        }
        let length = text.chars().count() as u64;
        if let Some(most) = self.most.filter(|most| length > *most) {
            return Err(format!("Ensure this field has no more than {most} characters."));
        }
        if let Some(least) = self.least.filter(|least| length < *least) {
            return Err(format!("Ensure this field has at least {least} characters."));
        }
        if self
            .pattern
            .as_ref()
            .is_some_and(|pattern| !pattern.is_match(&text))
        {
            return Err("Enter a valid value.".to_owned());
        }
        self.check_format(&text)?;
        Ok(Value::String(text))
    }

    fn check_format(&self, text: &str) -> Result<(), String> {
        if text.is_empty() {
            return Ok(());
        }
        match self.format {
            Format::None => Ok(()),
            Format::Uuid => match text.parse::<uuid::Uuid>() {
                Ok(_) => Ok(()),
                Err(_) => Err(format!("\u{201c}{text}\u{201d} is not a valid UUID.")),
            },
            Format::Email if is_email(text) => Ok(()),
            Format::Email => Err("Enter a valid email address.".to_owned()),
            Format::DateTime if Time::parse(text).is_some() => Ok(()),
            Format::DateTime => Err("Datetime has wrong format. Use one of these formats instead: \
                                     YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
                .to_owned()),
            Format::Uri
                if text
                    .parse::<http::Uri>()
                    .is_ok_and(|uri| uri.authority().is_some()) =>
            {
                Ok(())
            }
            Format::Uri => Err("Enter a valid URL.".to_owned()),
        }
    }
}

/// One `@`, something before it, a dotted or local domain after it, no white space or control characters.
///
/// Deliberately loose: only a mail that arrives proves an address.
pub fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let sane = |part: &str| {
        !part.is_empty()
            && !part
                .chars()
                .any(|c| c.is_whitespace() || c.is_control() || "<>()[],;:\\\"@".contains(c))
    };
    sane(local)
        && sane(domain)
        && local.len() <= 64
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && domain.contains('.')
        && domain
            .split('.')
            .all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'))
}

fn check_integer(value: Value, least: Option<i128>, most: Option<i128>) -> Result<Value, String> {
    let number = value
        .as_number()
        .and_then(integer)
        .ok_or("A valid integer is required.")?;
    if let Some(most) = most.filter(|most| number > *most) {
        return Err(format!("Ensure this value is less than or equal to {most}."));
    }
    if let Some(least) = least.filter(|least| number < *least) {
        return Err(format!("Ensure this value is greater than or equal to {least}."));
    }
    i64::try_from(number)
        .map(Value::from)
        .map_err(|_| "A valid integer is required.".to_owned())
}

/// The number as an integer, if it is one (`5`, `5.0` and `5e0` are the same number).
pub(crate) fn integer(number: &Number) -> Option<i128> {
    number.as_i128().or_else(|| {
        let float = number
            .as_f64()
            .filter(|float| float.fract() == 0.0 && float.abs() < 1e30)?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "it has no fraction and is in range"
        )]
        Some(float as i128)
    })
}

/// Free JSON: texts in it may hold no NUL, which PostgreSQL could not store.
fn check_any(value: Value) -> Result<Value, String> {
    fn has_nul(value: &Value) -> bool {
        match value {
            Value::String(text) => text.contains('\0'),
            Value::Array(items) => items.iter().any(has_nul),
            Value::Object(map) => map
                .iter()
                .any(|(key, value)| key.contains('\0') || has_nul(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
    if has_nul(&value) {
        Err("Null characters are not allowed.".to_owned())
    } else {
        Ok(value)
    }
}

fn no_dictionary(value: &Value) -> String {
    format!(
        "Invalid data. Expected a dictionary, but got {}.",
        type_name(value)
    )
}

/// What Python calls the type of a JSON value, as clients of the published API see it.
fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.as_i128().is_some() => "int",
        Value::Number(_) => "float",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[derive(utoipa::ToSchema)]
    #[allow(dead_code, reason = "only its schema counts")]
    struct Thing {
        #[schema(max_length = 5)]
        name: String,
        #[schema(minimum = 1, maximum = 10)]
        count: i64,
        #[schema(read_only)]
        id: String,
        #[schema(nullable, required = false)]
        note: String,
        #[schema(required = false, extensions(("x-verbatim" = json!(true))))]
        secret: String,
        #[schema(required = false)]
        words: Vec<String>,
    }

    fn check(value: Value) -> Result<Value, Value> {
        Shape::of::<Thing>(false)
            .check(value)
            .map_err(|faults| faults.to_value())
    }

    #[test]
    fn texts_are_trimmed_and_counted_in_code_points() {
        let checked =
            check(json!({"name": "\u{2003}äöüßé ", "count": 1, "id": 7, "else": 8, "secret": " x "}))
                .unwrap();
        assert_eq!(checked, json!({"name": "äöüßé", "count": 1, "secret": " x "}));
    }

    #[test]
    fn all_faults_are_found_at_once() {
        let faults =
            check(json!({"name": " ", "count": 11, "note": 5, "words": ["a", 1, null]})).unwrap_err();
        assert_eq!(
            faults,
            json!({
                "name": ["This field may not be blank."],
                "count": ["Ensure this value is less than or equal to 10."],
                "note": ["Not a valid string."],
                "words": ["Not a valid string.", "This field may not be null."],
            })
        );
        assert_eq!(Shape::of::<Thing>(true).check(json!({})), Ok(json!({})));
    }

    #[test]
    fn numbers_are_no_texts_and_texts_no_numbers() {
        let faults = check(json!({"name": 5, "count": "5"})).unwrap_err();
        assert_eq!(
            faults,
            json!({"name": ["Not a valid string."], "count": ["A valid integer is required."]})
        );
        assert!(check(json!({"name": "a", "count": 5.0})).is_ok());
        assert!(check(json!({"name": "a", "count": 5.5})).is_err());
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec(("name|count|id|note|secret|words|.{0,4}", inner), 0..6)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_passes_once_passes_again_unchanged(value in any_json()) {
            if let Ok(checked) = check(value) {
                prop_assert_eq!(check(checked.clone()), Ok(checked));
            }
        }

        #[test]
        fn any_text_is_an_address_or_not(text in ".{0,80}") {
            if is_email(&text) {
                prop_assert!(text.contains('@') && !text.contains(char::is_whitespace));
            }
        }
    }
}
