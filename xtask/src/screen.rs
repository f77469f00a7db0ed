//! What a reader sees: headings, asides, requests and answers, with colour where a person is looking.

use std::io::IsTerminal;
use std::time::Duration;

use serde_json::Value;

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const CYAN: &str = "36";

/// Where to write, and whether in colour.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    to_stderr: bool,
    colour: bool,
}

impl Screen {
    /// For results: what the chore was asked for.
    pub(crate) fn stdout() -> Self {
        Self {
            to_stderr: false,
            colour: std::io::stdout().is_terminal() && colour_is_welcome(),
        }
    }

    /// For the story of a chore, next to what the programs say that it runs.
    pub(crate) fn stderr() -> Self {
        Self {
            to_stderr: true,
            colour: std::io::stderr().is_terminal() && colour_is_welcome(),
        }
    }

    /// Starts a part of the story.
    pub(crate) fn heading(self, text: &str) {
        self.line(&format!("\n{}", self.paint(BOLD, text)));
    }

    /// Something for the curious.
    pub(crate) fn aside(self, text: &str) {
        self.line(&self.paint(DIM, text));
    }

    /// Something that worked.
    pub(crate) fn good(self, text: &str) {
        self.line(&self.paint(GREEN, text));
    }

    /// One request, with its body a field a line.
    pub(crate) fn sent(self, method: &str, path: &str, body: Option<&Value>) {
        self.line(&format!(
            "  {} {} {}",
            self.paint(CYAN, "→"),
            self.paint(BOLD, method),
            shorten_ids(path)
        ));
        if let Some(Value::Object(fields)) = body {
            let width = fields.keys().map(String::len).max().unwrap_or(0);
            for (name, value) in fields {
                self.line(&format!("      {name:width$}  {value}"));
            }
        }
    }

    /// The status of one answer and how long it took.
    pub(crate) fn received(self, status: u16, reason: &str, took: Duration) {
        let colour = if status < 400 { GREEN } else { RED };
        let status = self.paint(colour, format!("← {status} {reason}").trim_end());
        let took = self.paint(DIM, &format!("{:.1} ms", took.as_secs_f64() * 1000.0));
        self.line(&format!("  {status}  {took}"));
    }

    /// The named fields (`vpc.name`) of an answer, one a line; a field that is not there is left out.
    pub(crate) fn fields(self, body: &Value, names: &[&str]) {
        let width = names.iter().map(|name| name.len()).max().unwrap_or(0);
        for name in names {
            if let Some(value) = field(body, name) {
                self.line(&format!("      {name:width$}  {}", brief(value)));
            }
        }
    }

    /// The named fields of each item of a list, an item a line.
    pub(crate) fn rows(self, items: &[Value], names: &[&str]) {
        let cell = |item: &Value, name: &&str| field(item, name).map(brief).unwrap_or_default();
        let table: Vec<Vec<String>> = items
            .iter()
            .map(|item| names.iter().map(|name| cell(item, name)).collect())
            .collect();
        for row in &table {
            let padded = row.iter().enumerate().map(|(column, text)| {
                let width = table
                    .iter()
                    .map(|row| row[column].chars().count())
                    .max()
                    .unwrap_or(0);
                format!("{text:width$}")
            });
            self.line(&format!(
                "      {}",
                padded.collect::<Vec<_>>().join("  ").trim_end()
            ));
        }
    }

    /// Any line.
    pub(crate) fn line(self, text: &str) {
        if self.to_stderr {
            eprintln!("{text}");
        } else {
            println!("{text}");
        }
    }

    fn paint(self, colour: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// A duration as one says it: `0.4 s`, `48 s`, `3 min 7 s`.
pub(crate) fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

/// The value at a dotted path, as in `vpc.location.name`.
pub(crate) fn field<'a>(body: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(body, |value, name| value.get(name))
}

/// See <https://no-color.org>: any value but the empty one counts.
fn colour_is_welcome() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn brief(value: &Value) -> String {
    const LONGEST: usize = 96;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if text.chars().count() <= LONGEST {
        return text;
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}

/// The ids in a path, cut down to their ends: three of them in full would hide what is asked for. (Their beginnings
/// are a time, hence nearly the same in all.)
fn shorten_ids(path: &str) -> String {
    let is_id = |text: &str| {
        text.len() == 36
            && text.bytes().enumerate().all(|(i, b)| {
                if [8, 13, 18, 23].contains(&i) {
                    b == b'-'
                } else {
                    b.is_ascii_hexdigit()
                }
            })
    };
    let short = |part: &str| {
        if is_id(part) {
            format!("…{}", &part[32..])
        } else {
            part.to_owned()
        }
    };
    let parts = path.split_inclusive(['/', '?', '=', '&']).map(|piece| {
        let end = piece.trim_end_matches(['/', '?', '=', '&']).len();
        format!("{}{}", short(&piece[..end]), &piece[end..])
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ids_in_paths_are_cut_down() {
        let id = "01932f5e-7b1c-7d40-8a11-0123456789ab";
        assert_eq!(
            shorten_ids(&format!("/v1/things/{id}/parts?of={id}&x=1")),
            "/v1/things/…89ab/parts?of=…89ab&x=1"
        );
        assert_eq!(shorten_ids("/v1/auth/login"), "/v1/auth/login");
    }

    #[test]
    fn fields_are_found_by_dotted_paths() {
        let body = json!({"vpc": {"name": "inner"}, "none": null});
        assert_eq!(field(&body, "vpc.name"), Some(&json!("inner")));
        assert_eq!(field(&body, "none"), Some(&Value::Null));
        assert_eq!(field(&body, "vpc.name.deeper"), None);
    }

    #[test]
    fn durations_read_like_speech() {
        assert_eq!(spoken(Duration::from_millis(412)), "0.4 s");
        assert_eq!(spoken(Duration::from_secs(48)), "48 s");
        assert_eq!(spoken(Duration::from_secs(187)), "3 min 7 s");
    }
}
