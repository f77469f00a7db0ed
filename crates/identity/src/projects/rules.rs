//! What may be written to a project: pure.

use kernel::{audit::Changes, http::Faults, json::JsonText};
use serde_json::Value;

use super::{api::Wanted, rows::ProjectRow};

/// Levels of nested lists and objects in tags.
const DEEPEST: usize = 16;
/// Bytes of tags as compact JSON.
const LARGEST: usize = 16 * 1024;

/// The row with what is wanted, and what changes.
///
/// # Errors
/// Every faulty field.
pub(super) fn replace(row: &ProjectRow, wanted: &Wanted) -> Result<(ProjectRow, Changes), Faults> {
    let Wanted {
        name,
        description,
        environment,
        color,
        tags,
        is_default,
        is_active,
    } = wanted.clone();
    let new = ProjectRow {
        name: name.unwrap_or_else(|| row.name.clone()),
        description: description.unwrap_or_else(|| row.description.clone()),
        environment: environment.unwrap_or(row.environment),
        color: color.unwrap_or_else(|| row.color.clone()),
        // What means the same stays as it was written.
        tags: tags
            .filter(|tags| !is_same(tags, &row.tags))
            .unwrap_or_else(|| row.tags.clone()),
        is_default: is_default.unwrap_or(row.is_default),
        is_active: is_active.unwrap_or(row.is_active),
        ..row.clone()
    };
    let mut faults = Faults::default();
    if let Some(fault) = tags_fault(&new.tags) {
        faults.add("tags", fault);
    }
    faults.check(
        "is_default",
        new.is_default || !row.is_default,
        "There is always a default project: make another one the default instead.",
    );
    faults.check(
        "is_active",
        new.is_active || !new.is_default,
        "The default project is always active.",
    );
    faults.into_result()?;
    let mut changes = Changes::default();
    changes.note("name", &row.name, &new.name);
    changes.note("description", &row.description, &new.description);
    changes.note("environment", &row.environment, &new.environment);
    changes.note("color", &row.color, &new.color);
    changes.note("tags", &row.tags, &new.tags);
    changes.note("is_default", &row.is_default, &new.is_default);
    changes.note("is_active", &row.is_active, &new.is_active);
    Ok((new, changes))
}

fn is_same(left: &JsonText, right: &JsonText) -> bool {
    match (left.read::<Value>(), right.read::<Value>()) {
        (Ok(left), Ok(right)) => left == right,
        _ => false,
    }
}

fn tags_fault(tags: &JsonText) -> Option<String> {
    if tags.as_str().len() > LARGEST {
        return Some(format!("Ensure this field has no more than {LARGEST} bytes."));
    }
    let value: Value = tags.read().unwrap_or_default();
    (depth(&value) > DEEPEST).then(|| format!("Ensure this field has no more than {DEEPEST} levels."))
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tags_are_bounded() {
        let deep = (0..=DEEPEST).fold(json!(1), |inner, _| json!([inner]));
        assert!(tags_fault(&JsonText::of(&deep)).is_some());
        assert!(tags_fault(&JsonText::of(&"x".repeat(LARGEST))).is_some());
        assert!(tags_fault(&JsonText::of(&json!({"a": [1, {"b": null}]}))).is_none());
    }

    #[test]
    fn the_order_of_keys_means_nothing() {
        let text = |value: Value| JsonText::of(&value);
        assert!(is_same(
            &text(json!({"a": 1, "b": 2})),
            &text(json!({"b": 2, "a": 1}))
        ));
        assert!(!is_same(&text(json!({"a": 1})), &text(json!({"a": "1"}))));
    }
}
