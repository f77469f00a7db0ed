//! The baseline's script: the statements that onetd was heard to send for a PUT, for pgbench to send.
//!
//! Two PUTs of different instances tell what varies: a value that is the same in both stays as it is, each as a
//! parameter of the prepared statement, as onetd sends it. What differs is drawn or made anew each time:
//!
//! | value | in the script |
//! |---|---|
//! | the instance's id, the project's id | of a random instance: [`crate::postgres`] has numbered them |
//! | other ids (audit record, request) | new, in the order of time, as UUIDs of version 7 |
//! | an id that an UPDATE sets (the VPC's) | the column itself: a PUT of a name keeps it |
//! | times | `now()` |
//! | the version, set and compared | one more than it is, compared with itself |
//! | texts (the name and what repeats it) | those of the first PUT: PostgreSQL writes the row all the same |

use std::fmt::Write;

use anyhow::{Context, Result, bail, ensure};

use crate::wire::{Statement, Value};

/// Numbers of types (`pg_type.oid`).
const BOOL: u32 = 16;
const INT8: u32 = 20;
const INT4: u32 = 23;
const TEXT: u32 = 25;
const VARCHAR: u32 = 1043;
const TIMESTAMPTZ: u32 = 1184;
const UUID: u32 = 2950;
const UUIDS: u32 = 2951;

/// A PUT as it was heard, and what it was about.
#[derive(Debug)]
pub(crate) struct Heard<'a> {
    pub(crate) statements: &'a [Statement],
    pub(crate) instance: &'a str,
    pub(crate) project: &'a str,
}

/// A script and the values of its variables.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) text: String,
    pub(crate) variables: Vec<(String, String)>,
}

impl Script {
    /// Makes the script of a PUT. `instances` and `per_project` say which numbers there are.
    pub(crate) fn of_put(
        first: &Heard<'_>,
        second: &Heard<'_>,
        instances: usize,
        per_project: usize,
    ) -> Result<Self> {
        ensure!(
            first.statements.len() == second.statements.len(),
            "two PUTs with {} and {} statements",
            first.statements.len(),
            second.statements.len()
        );
        let mut script = Self::default();
        let _ = writeln!(script.text, "\\set n random(1, {instances})");
        let _ = writeln!(script.text, "\\set p (:n - 1) / {per_project} + 1");
        let _ = writeln!(script.text, "\\set r random(1, 9000000000000000000)");
        for (one, other) in first.statements.iter().zip(second.statements) {
            ensure!(
                one.sql == other.sql,
                "two PUTs with different statements:\n{}\n{}",
                one.sql,
                other.sql
            );
            let sql = fill_in(&one.sql, |before, number| {
                let (one_value, other_value) = (one.values.get(number - 1), other.values.get(number - 1));
                let (Some(value), Some(other_value)) = (one_value, other_value) else {
                    bail!("a statement with too few values: {}", one.sql);
                };
                if before.ends_with("\"version\" = ") {
                    let is_condition = before.contains(" WHERE ");
                    return Ok(if is_condition {
                        "\"version\""
                    } else {
                        "\"version\" + 1"
                    }
                    .to_owned());
                }
                if let Some(column) = kept(before).filter(|_| value.kind == UUID && value != other_value) {
                    return Ok(column.to_owned());
                }
                script.value(value, other_value, first, second)
            })?;
            let _ = writeln!(script.text, "{};", sql.trim_end_matches(';'));
        }
        Ok(script)
    }

    fn value(
        &mut self,
        value: &Value,
        other: &Value,
        first: &Heard<'_>,
        second: &Heard<'_>,
    ) -> Result<String> {
        if let (UUIDS, Some(ones), Some(others)) = (value.kind, &value.bytes, &other.bytes) {
            let (ones, others) = (elements(ones)?, elements(others)?);
            ensure!(
                ones.len() == others.len(),
                "two PUTs with lists of different lengths"
            );
            let ids: Result<Vec<String>> = ones
                .iter()
                .zip(&others)
                .map(|(one, other)| self.value(one, other, first, second))
                .collect();
            return Ok(format!("array[{}]::uuid[]", ids?.join(", ")));
        }
        let kind = match value.kind {
            BOOL => "boolean",
            INT4 => "integer",
            INT8 => "bigint",
            TEXT => "text",
            VARCHAR => "varchar",
            TIMESTAMPTZ => "timestamptz",
            UUID => "uuid",
            UUIDS => "uuid[]",
            kind => bail!("values of the type {kind} are not known here"),
        };
        let (Some(bytes), Some(other)) = (&value.bytes, &other.bytes) else {
            return Ok(format!("null::{kind}"));
        };
        if value.kind == TIMESTAMPTZ {
            return Ok("now()".to_owned());
        }
        let text = text(value.kind, bytes)?;
        if value.kind == UUID {
            if text == first.instance && uuid(other) == second.instance {
                return Ok(numbered('9', 'n'));
            }
            if text == first.project && uuid(other) == second.project {
                return Ok(numbered('8', 'p'));
            }
            if bytes != other {
                return Ok(
                    "(lpad(to_hex((extract(epoch from clock_timestamp()) * 1000000)::bigint), 16, '0') \
                           || lpad(to_hex(:r::bigint), 16, '0'))::uuid"
                        .to_owned(),
                );
            }
        } else if bytes != other && !matches!(value.kind, TEXT | VARCHAR) {
            bail!("a value of the type {kind} differs between two PUTs, and nothing is known of it");
        }
        if text.is_empty() {
            // pgbench knows no empty variables.
            return Ok(format!("''::{kind}"));
        }
        let known = self
            .variables
            .iter()
            .find(|(_, known)| *known == text)
            .map(|(name, _)| name.clone());
        let name = known.unwrap_or_else(|| {
            let name = format!("v{}", self.variables.len() + 1);
            self.variables.push((name.clone(), text));
            name
        });
        Ok(format!(":{name}::{kind}"))
    }
}

/// The column that an UPDATE is about to set, quoted.
fn kept(before: &str) -> Option<&str> {
    let before = before
        .strip_suffix(" = ")
        .filter(|before| before.starts_with("UPDATE ") && !before.contains(" WHERE "))?;
    before.rsplit([' ', ',']).next()
}

/// The id that [`crate::postgres`] has given to a number.
fn numbered(family: char, variable: char) -> String {
    format!("('00000000-0000-7000-{family}000-' || lpad(to_hex(:{variable}::bigint), 12, '0'))::uuid")
}

/// Replaces `$1`, `$2` … outside of quotes by what `value` makes of the statement so far and the number.
fn fill_in(sql: &str, mut value: impl FnMut(&str, usize) -> Result<String>) -> Result<String> {
    let mut filled = String::new();
    let mut quote = None;
    let mut rest = sql;
    while let Some(next) = rest.chars().next() {
        rest = &rest[next.len_utf8()..];
        match (quote, next) {
            (None, '$') => {
                let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
                let number = rest[..digits].parse()?;
                rest = &rest[digits..];
                let value = value(&filled, number)?;
                filled.push_str(&value);
                continue;
            }
            (None, '\'' | '"') => quote = Some(next),
            (Some(open), _) if open == next => quote = None,
            _ => {}
        }
        filled.push(next);
    }
    Ok(filled)
}

fn text(kind: u32, bytes: &[u8]) -> Result<String> {
    Ok(match kind {
        BOOL => (bytes == [1]).to_string(),
        INT4 => i32::from_be_bytes(bytes.try_into()?).to_string(),
        INT8 => i64::from_be_bytes(bytes.try_into()?).to_string(),
        UUID => uuid(bytes),
        _ => String::from_utf8(bytes.to_vec())?,
    })
}

/// The elements of a list of one dimension: its dimensions, flags, type, length and first index come before them.
fn elements(list: &[u8]) -> Result<Vec<Value>> {
    let mut elements = Vec::new();
    let mut rest = list.get(20..).unwrap_or_default();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (bytes, after) = after
            .split_at_checked(u32::from_be_bytes(*length) as usize)
            .context("a list that is cut short")?;
        elements.push(Value {
            kind: UUID,
            bytes: Some(bytes.to_vec()),
        });
        rest = after;
    }
    Ok(elements)
}

fn uuid(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing into a text does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(n: u8, name: &str) -> Vec<Statement> {
        let id = |n: u8| Value {
            kind: UUID,
            bytes: Some(vec![n; 16]),
        };
        let head = [1, 0, UUID, 1, 1, 16].map(u32::to_be_bytes).concat();
        let list = |n: u8| Value {
            kind: UUIDS,
            bytes: Some([&head[..], &[n; 16]].concat()),
        };
        let text = |text: &str| Value {
            kind: TEXT,
            bytes: Some(text.as_bytes().to_vec()),
        };
        let version = |n: i64| Value {
            kind: INT8,
            bytes: Some(n.to_be_bytes().to_vec()),
        };
        let statement = |sql: &str, values| Statement {
            sql: sql.to_owned(),
            values,
            once: false,
        };
        vec![
            statement("BEGIN", vec![]),
            statement(
                "SELECT '$1' FROM a WHERE p = $1 AND i = ANY($2)",
                vec![id(100 + n), list(n)],
            ),
            statement(
                "UPDATE a SET \"name\" = $1, \"c_id\" = $2, \"version\" = $3 WHERE (\"a\".\"version\" = $4)",
                vec![text(name), id(50 + n), version(8), version(7)],
            ),
            statement(
                "INSERT INTO b VALUES ($1, $2, $3)",
                vec![
                    id(200 + n),
                    text("same"),
                    Value {
                        kind: TEXT,
                        bytes: None,
                    },
                ],
            ),
        ]
    }

    #[test]
    fn what_varies_is_drawn_and_the_rest_kept() {
        let (one, other) = (put(1, "x"), put(2, "y"));
        let ids: Vec<String> = [1, 101, 2, 102].map(|n| uuid(&[n; 16])).into();
        let first = Heard {
            statements: &one,
            instance: &ids[0],
            project: &ids[1],
        };
        let second = Heard {
            statements: &other,
            instance: &ids[2],
            project: &ids[3],
        };
        let script = Script::of_put(&first, &second, 500, 100).unwrap();
        let lines: Vec<&str> = script.text.lines().skip(3).collect();
        assert_eq!(lines[0], "BEGIN;");
        let (n, p) = (numbered('9', 'n'), numbered('8', 'p'));
        assert_eq!(
            lines[1],
            format!("SELECT '$1' FROM a WHERE p = {p} AND i = ANY(array[{n}]::uuid[]);")
        );
        let update = r#"UPDATE a SET "name" = :v1::text, "c_id" = "c_id", "version" = "version" + 1 WHERE ("a"."version" = "version");"#;
        assert_eq!(lines[2], update);
        assert!(lines[3].contains("clock_timestamp") && lines[3].ends_with(":v2::text, null::text);"));
        let variables = [("v1", "x"), ("v2", "same")];
        assert_eq!(
            script.variables,
            variables.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn puts_that_differ_in_their_statements_are_no_baseline() {
        let (one, other) = (put(1, "x"), put(2, "y"));
        let first = Heard {
            statements: &one,
            instance: "",
            project: "",
        };
        let second = Heard {
            statements: &other[..2],
            instance: "",
            project: "",
        };
        assert!(Script::of_put(&first, &second, 1, 1).is_err());
    }
}
