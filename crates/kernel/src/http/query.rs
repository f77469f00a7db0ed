//! Query parameters: filters, `search` and `ordering`, with every fault named at once.

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::error::{ApiError, Faults};
use crate::{id::Id, time::Time};

/// The query string of a list, read parameter by parameter; unknown parameters are ignored.
#[derive(Clone, Debug, Default)]
pub struct Query {
    params: Vec<(String, String)>,
    faults: Faults,
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        Ok(Self::read(parts.uri.query().unwrap_or_default()))
    }
}

impl Query {
    /// Reads a query string. What is no UTF-8 becomes replacement characters, which match nothing.
    pub fn read(text: &str) -> Self {
        let params = form_pairs(text);
        Self {
            params,
            faults: Faults::default(),
        }
    }

    /// A parameter's text; an empty one counts as absent.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let value = self
            .params
            .iter()
            .rev()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.trim());
        let value = value.filter(|value| !value.is_empty())?;
        if value.contains('\0') {
            self.faults.add(name, "Null characters are not allowed.");
            return None;
        }
        Some(value.chars().take(1000).collect())
    }

    /// A parameter that is one of some words.
    pub fn choice<T>(&mut self, name: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let word = self.text(name)?;
        let value = read(&word);
        if value.is_none() {
            let message = format!("Select a valid choice. {word} is not one of the available choices.");
            self.faults.add(name, message);
        }
        value
    }

    /// A parameter that is an id.
    pub fn id<K>(&mut self, name: &str) -> Option<Id<K>> {
        let text = self.text(name)?;
        let id = text.parse().ok();
        if id.is_none() {
            self.faults
                .add(name, format!("\u{201c}{text}\u{201d} is not a valid UUID."));
        }
        id
    }

    /// A parameter that is a point in time.
    pub fn time(&mut self, name: &str) -> Option<Time> {
        let text = self.text(name)?;
        // A plus sign that was not escaped has become a space.
        let time = Time::parse(&text.replace(' ', "+"));
        if time.is_none() {
            self.faults.add(name, "Enter a valid date/time.");
        }
        time
    }

    /// A parameter that is `true` or `false`.
    pub fn flag(&mut self, name: &str) -> Option<bool> {
        self.choice(name, |word| match word.to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        })
    }

    /// Notes what is wrong with a parameter that an area reads by itself.
    pub fn fault(&mut self, name: &str, message: impl Into<String>) {
        self.faults.add(name, message);
    }

    /// `ordering`: the first named field that is allowed, and whether it descends. Others are ignored, as in Django
    /// REST Framework.
    pub fn ordering<T: Copy>(&mut self, fields: &[(&str, T)]) -> Option<(T, bool)> {
        let text = self.text("ordering")?;
        text.split(',').map(str::trim).find_map(|term| {
            let (name, descending) = term.strip_prefix('-').map_or((term, false), |name| (name, true));
            fields
                .iter()
                .find(|(field, _)| *field == name)
                .map(|(_, field)| (*field, descending))
        })
    }

    /// `Ok` if every parameter that was asked for could be read.
    ///
    /// # Errors
    /// 400 with the faults by parameter.
    pub fn check(self) -> Result<(), ApiError> {
        Ok(self.faults.into_result()?)
    }
}

/// `application/x-www-form-urlencoded`, leniently: any bytes give some text.
fn form_pairs(text: &str) -> Vec<(String, String)> {
    let decode = |part: &str| {
        let spaced = part.replace('+', " ");
        let mut bytes = Vec::with_capacity(spaced.len());
        let mut rest = spaced.as_bytes();
        while let Some((first, tail)) = rest.split_first() {
            let escaped = (*first == b'%').then(|| tail.get(..2)).flatten();
            let byte = escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
            bytes.push(byte.unwrap_or(*first));
            rest = if byte.is_some() { &tail[2..] } else { tail };
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let pairs = text.split('&').filter(|pair| !pair.is_empty()).take(100);
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// Text for a `LIKE … ESCAPE '\'` that finds `needle` anywhere, in lower case, with nothing in it special.
pub fn contains_pattern(needle: &str) -> String {
    let mut pattern = String::from("%");
    for c in needle.to_lowercase().chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parameters_are_decoded_and_faults_collected() {
        let mut query = Query::read("search=a%20b+c&status=nope&page&location_id=7&tag=a%3Ab");
        assert_eq!(query.text("search").as_deref(), Some("a b c"));
        assert_eq!(query.text("tag").as_deref(), Some("a:b"));
        assert_eq!(query.text("page"), None);
        assert_eq!(query.choice("status", |_| None::<()>), None);
        assert_eq!(query.id::<()>("location_id"), None);
        let error = query.check().unwrap_err().to_string();
        assert!(
            error.contains("status") && error.contains("location_id"),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn any_query_string_can_be_read(text in ".*") {
            let mut query = Query::read(&text);
            query.text("search");
            query.time("created_after");
            query.flag("is_active");
            query.ordering(&[("name", ())]);
        }
    }
}
