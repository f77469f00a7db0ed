//! Free JSON, kept as it came.

use diesel::{deserialize::FromSqlRow, expression::AsExpression, sql_types::Text};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// A JSON document as compact text.
///
/// It is stored as text on both databases, because PostgreSQL's `jsonb` refuses some valid JSON (huge exponents)
/// and changes other (number spelling), and passed through to answers without being parsed again.
#[derive(Clone, Debug, PartialEq, Eq, AsExpression, FromSqlRow)]
#[diesel(sql_type = Text)]
pub struct JsonText(pub(crate) String);

impl JsonText {
    /// The JSON text of `value`.
    ///
    /// # Panics
    /// Never for types whose map keys are strings, which all of ours are.
    #[expect(
        clippy::expect_used,
        reason = "a derived Serialize with string keys can't fail"
    )]
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Self {
        Self(serde_json::to_string(value).expect("a value with string keys serializes"))
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The document read as a `T`.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> serde_json::Result<T> {
        serde_json::from_str(&self.0)
    }
}

impl Serialize for JsonText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for JsonText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_json::Value::deserialize(deserializer).map(|value| Self(value.to_string()))
    }
}

/// Tells a null from a field that is absent, for which `default` answers: absent, null, a value.
///
/// # Errors
/// It is no `T`.
pub fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}
