//! Many rows in one statement: they go to the database as one JSON document, so that a statement is the same for any
//! number of them.

use diesel::{RunQueryDsl, sql_query, sql_types::Text};
use kernel::store::{Conn, StoreError, Tx};
use serde_json::Value;

/// How the columns of a batch are written: the one thing in which the two databases differ.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words {
    is_sqlite: bool,
}

impl Words {
    pub(crate) fn of(conn: &Conn) -> Self {
        Self {
            is_sqlite: conn.is_sqlite(),
        }
    }

    /// The batch, as something to select from.
    pub(crate) fn rows(self) -> &'static str {
        if self.is_sqlite {
            "json_each($1) as j"
        } else {
            "jsonb_array_elements(cast($1 as jsonb)) as j(value)"
        }
    }

    /// A column that is an id.
    pub(crate) fn id(self, column: usize) -> String {
        if self.is_sqlite {
            format!("unhex(j.value->>{column})")
        } else {
            format!("cast(j.value->>{column} as uuid)")
        }
    }

    /// A column that is a whole number, or null.
    pub(crate) fn int(self, column: usize) -> String {
        format!("cast(j.value->>{column} as bigint)")
    }

    /// A column that is a word.
    pub(crate) fn text(self, column: usize) -> String {
        format!("j.value->>{column}")
    }

    /// A column that is a time, in microseconds since 1970.
    pub(crate) fn time(self, column: usize) -> String {
        if self.is_sqlite {
            self.int(column)
        } else {
            format!(
                "timestamptz 'epoch' + {} * interval '1 microsecond'",
                self.int(column)
            )
        }
    }
}

/// Runs a statement on a batch of rows, each an array of its columns; nothing for no rows.
pub(crate) fn run(tx: &mut Tx<'_>, sql: &str, rows: &[Value]) -> Result<usize, StoreError> {
    if rows.is_empty() {
        return Ok(0);
    }
    let document = serde_json::to_string(rows).unwrap_or_default();
    Ok(sql_query(sql).bind::<Text, _>(document).execute(tx.conn())?)
}
