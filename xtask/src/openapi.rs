//! The checked-in OpenAPI document: written from the code, or compared with it.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::run;
use crate::screen::Screen;
use crate::workspace::{Workspace, forget_settings};

/// Writes `openapi.json`, or with `check` fails when it differs from what the code says.
pub(crate) fn perform(workspace: &Workspace, check: bool) -> Result<()> {
    let mut onetd = workspace.cargo(&[
        "run",
        "--quiet",
        "--locked",
        "--package",
        "onetd",
        "--",
        "openapi",
    ]);
    let document = run::capture(forget_settings(&mut onetd)).context("can't make the OpenAPI document")?;
    let document = format!("{}\n", document.trim_end());
    let path = workspace.root.join("openapi.json");
    let present = fs::read_to_string(&path).unwrap_or_default();
    if present == document {
        Screen::stdout().good("openapi.json is up to date");
        return Ok(());
    }
    if check {
        let line = first_difference(&present, &document);
        bail!(
            "openapi.json differs from the code, from line {line} on; `cargo xtask openapi` writes it anew"
        );
    }
    fs::write(&path, &document).with_context(|| format!("can't write {}", path.display()))?;
    Screen::stdout().good("openapi.json is written");
    Ok(())
}

/// The number of the first line in which two different texts differ.
fn first_difference(left: &str, right: &str) -> usize {
    left.lines()
        .zip(right.lines())
        .take_while(|(left, right)| left == right)
        .count()
        + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_found_in_the_middle_and_at_the_end() {
        assert_eq!(first_difference("a\nb\nc\n", "a\nx\nc\n"), 2);
        assert_eq!(first_difference("a\n", "a\nb\n"), 2);
        assert_eq!(first_difference("", "a\n"), 1);
    }
}
