//! Tags: any JSON but null, of which objects of texts can be filtered by.

use kernel::json::JsonText;
use serde_json::Value;

/// How deep tags may nest, and how many bytes they may take as compact JSON.
const DEEPEST: usize = 16;
const LARGEST: usize = 16 * 1024;

/// What is wrong with some tags, if anything.
pub(super) fn fault(tags: &JsonText) -> Option<String> {
    if tags.as_str().len() > LARGEST {
        return Some(format!(
            "Ensure the tags take no more than {LARGEST} bytes as JSON."
        ));
    }
    let too_deep = tags.read::<Value>().is_ok_and(|value| depth(&value) > DEEPEST);
    too_deep.then(|| format!("Ensure the tags are nested no deeper than {DEEPEST} levels."))
}

/// A text or number has depth 0, an object or list one more than its deepest member. The parser has bounded it.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// Whether two tags mean the same: the order of an object's keys does not count.
pub(super) fn same(left: &JsonText, right: &JsonText) -> bool {
    left == right
        || matches!((left.read::<Value>(), right.read::<Value>()), (Ok(left), Ok(right)) if left == right)
}

/// Characters of a key or value above which a pair is kept, but not found by: databases bound what they index.
const LONGEST_INDEXED: usize = 255;

/// The pairs that `?tag=key:value` finds: the short texts of an object.
pub(super) fn pairs(tags: &JsonText) -> Vec<(String, String)> {
    let Ok(Value::Object(map)) = tags.read() else {
        return Vec::new();
    };
    let texts = map.into_iter().filter_map(|(key, value)| match value {
        Value::String(text) => {
            let short = |text: &str| text.chars().count() <= LONGEST_INDEXED;
            (short(&key) && short(&text)).then_some((key, text))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    });
    texts.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(value: &Value) -> JsonText {
        JsonText::of(value)
    }

    #[test]
    fn tags_are_bounded() {
        let nested = |levels: usize| (0..levels).fold(Value::from("x"), |inner, _| Value::Array(vec![inner]));
        assert_eq!(fault(&text(&nested(16))), None);
        assert!(fault(&text(&nested(17))).is_some());
        assert!(fault(&text(&Value::from("x".repeat(16 * 1024)))).is_some());
    }

    #[test]
    fn the_order_of_keys_means_nothing() {
        let read = |json: &str| text(&serde_json::from_str(json).unwrap());
        assert!(same(&read(r#"{"a":1,"b":2}"#), &read(r#"{"b":2,"a":1}"#)));
        assert!(!same(&read(r#"{"a":1}"#), &read(r#"{"a":"1"}"#)));
    }

    #[test]
    fn numbers_keep_all_their_digits() {
        let tags: JsonText = serde_json::from_str("[123456789012345678901234567890.10]").unwrap();
        assert_eq!(tags.as_str(), "[123456789012345678901234567890.10]");
    }

    proptest! {
        #[test]
        fn any_text_can_be_a_tag(key in ".{0,200}", value in ".{0,200}") {
            let tags = text(&serde_json::json!({ &key: &value }));
            prop_assert_eq!(pairs(&tags), vec![(key, value)]);
        }
    }
}
