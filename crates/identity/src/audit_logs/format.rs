//! The files of the export.

use std::fmt::Write as _;

use super::api::AuditLog;

kernel::words! {
    /// What kind of file.
    pub(super) enum Format {
        /// Comma-separated values (RFC 4180), with a head.
        Csv = "csv",
        /// A JSON object a line, as `get_audit_log` answers it.
        Jsonl = "jsonl",
    }
}

const COLUMNS: [&str; 18] = [
    "id",
    "created",
    "actor_type",
    "actor_id",
    "actor_name",
    "actor_email",
    "action",
    "resource_type",
    "resource_id",
    "resource_name",
    "status",
    "description",
    "project_id",
    "project_name",
    "ip_address",
    "user_agent",
    "request_id",
    "changes",
];

impl Format {
    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Jsonl => "application/jsonl; charset=utf-8",
        }
    }

    pub(super) const fn disposition(self) -> &'static str {
        match self {
            Self::Csv => "attachment; filename=\"audit-logs.csv\"",
            Self::Jsonl => "attachment; filename=\"audit-logs.jsonl\"",
        }
    }

    /// What stands before all records.
    pub(super) fn head(self) -> String {
        match self {
            Self::Csv => format!("{}\r\n", COLUMNS.join(",")),
            Self::Jsonl => String::new(),
        }
    }

    pub(super) fn write(self, file: &mut String, record: &AuditLog) {
        match self {
            Self::Csv => {
                let fields: [String; COLUMNS.len()] = record.columns();
                for (number, field) in fields.iter().enumerate() {
                    if number > 0 {
                        file.push(',');
                    }
                    write_field(file, field);
                }
                file.push_str("\r\n");
            }
            Self::Jsonl => {
                let _ = writeln!(file, "{}", serde_json::to_string(record).unwrap_or_default());
            }
        }
    }
}

/// One field of a CSV file: quoted where it must be, and with an apostrophe in front where a spreadsheet would take it
/// for a formula.
fn write_field(file: &mut String, text: &str) {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    if !is_formula && !text.contains(['"', ',', '\r', '\n']) {
        return file.push_str(text);
    }
    file.push('"');
    if is_formula {
        file.push('\'');
    }
    for c in text.chars() {
        if c == '"' {
            file.push('"');
        }
        file.push(c);
    }
    file.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(text: &str) -> String {
        let mut file = String::new();
        write_field(&mut file, text);
        file
    }

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        assert_eq!(field("plain text"), "plain text");
        assert_eq!(field("a,b"), "\"a,b\"");
        assert_eq!(field("say \"hi\""), "\"say \"\"hi\"\"\"");
        assert_eq!(field("two\r\nlines"), "\"two\r\nlines\"");
    }

    #[test]
    fn formulas_are_defused() {
        assert_eq!(field("=HYPERLINK(\"x\")"), "\"'=HYPERLINK(\"\"x\"\")\"");
        for text in ["+1", "-1", "@SUM(1)", "\t=1", "\r=1", "＝1"] {
            assert_eq!(field(text), format!("\"'{text}\""));
        }
        assert_eq!(field("a=b"), "a=b");
    }
}
