//! Sources and licences of all packages in the dependency graph.

use anyhow::{Context, Result, bail};
use serde_json::Value;

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Licences that let anyone run, change and sell what contains the code (MPL-2.0: as long as changes to the very files
/// are published).
const ACCEPTED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "OpenSSL",
    "PostgreSQL",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Checks each package of `graph` (the output of `cargo metadata`) and returns how many there are.
pub(super) fn check(graph: &Value) -> Result<usize> {
    let packages = graph["packages"]
        .as_array()
        .context("`cargo metadata` lists no packages")?;
    let members = graph["workspace_members"]
        .as_array()
        .context("`cargo metadata` lists no workspace members")?;
    let faults: Vec<String> = packages
        .iter()
        .filter_map(|package| fault(package, members.contains(&package["id"])))
        .collect();
    if !faults.is_empty() {
        bail!("these packages can't be taken:\n  {}", faults.join("\n  "));
    }
    Ok(packages.len())
}

fn fault(package: &Value, ours: bool) -> Option<String> {
    let of = |what: String| {
        let (name, version) = (&package["name"], &package["version"]);
        Some(format!(
            "{} {}: {what}",
            name.as_str().unwrap_or("?"),
            version.as_str().unwrap_or("?")
        ))
    };
    match package["source"].as_str() {
        Some(CRATES_IO) => {}
        Some(source) => return of(format!("it comes from {source}, not from crates.io")),
        None if ours => {}
        None => return of("it comes from a folder outside of this workspace".to_owned()),
    }
    let Some(expression) = package["license"].as_str() else {
        return of("it declares no licence".to_owned());
    };
    match accepts(expression) {
        Ok(true) => None,
        Ok(false) => of(format!("its licence is {expression}")),
        Err(error) => of(format!("its licence `{expression}` can't be read: {error}")),
    }
}

/// Whether an SPDX expression can be satisfied by licences that we accept.
fn accepts(expression: &str) -> Result<bool> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ");
    // Old manifests separate alternatives by a slash.
    let spaced = spaced.replace('/', " OR ");
    let mut words = Words {
        words: spaced.split_whitespace().collect(),
        next: 0,
    };
    let accepted = words.alternatives()?;
    match words.take() {
        None => Ok(accepted),
        Some(word) => bail!("unexpected `{word}`"),
    }
}

/// A parser by descent: alternatives of conjunctions of licences or expressions in parentheses.
struct Words<'a> {
    words: Vec<&'a str>,
    next: usize,
}

impl<'a> Words<'a> {
    fn alternatives(&mut self) -> Result<bool> {
        let mut accepted = self.conjunction()?;
        while self.take_if("OR") {
            // No short cut: the rest has to be read in any case.
            accepted |= self.conjunction()?;
        }
        Ok(accepted)
    }

    fn conjunction(&mut self) -> Result<bool> {
        let mut accepted = self.licence()?;
        while self.take_if("AND") {
            accepted &= self.licence()?;
        }
        Ok(accepted)
    }

    fn licence(&mut self) -> Result<bool> {
        let accepted = match self.take() {
            Some("(") => {
                let accepted = self.alternatives()?;
                if !self.take_if(")") {
                    bail!("a parenthesis is not closed");
                }
                return Ok(accepted);
            }
            None | Some(")" | "AND" | "OR" | "WITH") => bail!("a licence is missing"),
            Some(name) => ACCEPTED.contains(&name),
        };
        // An exception only ever permits more than its licence.
        if self.take_if("WITH")
            && self
                .take()
                .is_none_or(|name| ["(", ")", "AND", "OR", "WITH"].contains(&name))
        {
            bail!("an exception is missing");
        }
        Ok(accepted)
    }

    fn take(&mut self) -> Option<&'a str> {
        let word = self.words.get(self.next).copied();
        self.next += 1;
        word
    }

    fn take_if(&mut self, word: &str) -> bool {
        let found = self.words.get(self.next) == Some(&word);
        self.next += usize::from(found);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn expressions_are_understood() {
        for (expression, expected) in [
            ("MIT", true),
            ("GPL-3.0-only", false),
            ("MIT OR GPL-3.0-only", true),
            ("GPL-2.0/MIT", true),
            ("Apache-2.0 AND GPL-3.0-only", false),
            ("Apache-2.0 WITH LLVM-exception OR GPL-3.0-only", true),
            ("GPL-3.0-only WITH Classpath-exception-2.0", false),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("(MIT OR Apache-2.0) AND LGPL-3.0-only", false),
            // AND binds more tightly than OR.
            ("MIT OR Apache-2.0 AND GPL-3.0-only", true),
            ("GPL-3.0-only AND MIT OR AGPL-3.0-only", false),
        ] {
            assert_eq!(accepts(expression).unwrap(), expected, "{expression}");
        }
    }

    #[test]
    fn broken_expressions_are_refused() {
        for expression in [
            "",
            "MIT OR",
            "(MIT",
            "MIT)",
            "MIT Apache-2.0",
            "OR MIT",
            "MIT WITH",
            "MIT WITH )",
        ] {
            assert!(accepts(expression).is_err(), "{expression}");
        }
    }

    #[test]
    fn every_fault_is_named() {
        let package = |name: &str, source: Value, license: Value| json!({"id": name, "name": name, "version": "1.0.0", "source": source, "license": license});
        let graph = json!({
            "workspace_members": ["ours"],
            "packages": [
                package("ours", Value::Null, json!("Apache-2.0")),
                package("good", json!(CRATES_IO), json!("MIT")),
                package("neighbour", Value::Null, json!("MIT")),
                package("forked", json!("git+https://example.org/forked"), json!("MIT")),
                package("bare", json!(CRATES_IO), Value::Null),
                package("viral", json!(CRATES_IO), json!("GPL-3.0-only")),
            ],
        });
        let error = check(&graph).unwrap_err().to_string();
        for name in ["neighbour", "forked", "bare", "viral"] {
            assert!(error.contains(&format!("{name} 1.0.0: ")), "{error}");
        }
        assert!(!error.contains("ours 1") && !error.contains("good 1"), "{error}");
    }
}
