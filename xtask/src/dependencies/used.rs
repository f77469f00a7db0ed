//! Dependencies that no code names: each is compiled, updated and trusted for nothing.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Checks each workspace member of `graph` (the output of `cargo metadata`); returns how many dependencies they declare.
pub(super) fn check(graph: &Value) -> Result<usize> {
    let members = graph["workspace_members"]
        .as_array()
        .context("`cargo metadata` lists no workspace members")?;
    let packages = graph["packages"]
        .as_array()
        .context("`cargo metadata` lists no packages")?;
    let mut count = 0;
    let mut unused = Vec::new();
    for package in packages.iter().filter(|package| members.contains(&package["id"])) {
        let name = package["name"].as_str().context("a package without a name")?;
        let manifest = package["manifest_path"]
            .as_str()
            .context("a package without a manifest")?;
        let sources = sources(
            Path::new(manifest)
                .parent()
                .context("a manifest without a folder")?,
        )
        .with_context(|| format!("can't read the sources of {name}"))?;
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            count += 1;
            let declared = dependency["rename"]
                .as_str()
                .or(dependency["name"].as_str())
                .unwrap_or_default();
            let identifier = identifier(packages, dependency).unwrap_or_else(|| declared.replace('-', "_"));
            if !is_ignored(package, declared) && !sources.iter().any(|source| names(source, &identifier)) {
                unused.push(format!("{name} declares {declared}"));
            }
        }
    }
    if !unused.is_empty() {
        let list = unused.join("\n  ");
        bail!(
            "these dependencies are named nowhere in the code of their package:\n  {list}\n\
            remove them, or list them with a reason under `[package.metadata.cargo-machete] ignored = […]`"
        );
    }
    Ok(count)
}

/// The name by which code calls a dependency: the one given in the manifest, else that of its library, which may
/// differ from its package's.
fn identifier(packages: &[Value], dependency: &Value) -> Option<String> {
    if let Some(rename) = dependency["rename"].as_str() {
        return Some(rename.replace('-', "_"));
    }
    let package = packages
        .iter()
        .find(|package| package["name"] == dependency["name"])?;
    let is_library = |target: &&Value| {
        let kinds = target["kind"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        { kinds }.any(|kind| kind.ends_with("lib") || kind == "proc-macro")
    };
    let library = package["targets"].as_array()?.iter().find(is_library)?;
    Some(library["name"].as_str()?.replace('-', "_"))
}

fn is_ignored(package: &Value, dependency: &str) -> bool {
    let ignored = package["metadata"]["cargo-machete"]["ignored"].as_array();
    ignored.is_some_and(|ignored| ignored.iter().any(|name| name == dependency))
}

/// The text of every Rust file of a package.
fn sources(folder: &Path) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            // Another package, or what a build made.
            if !path.join("Cargo.toml").exists() && !path.join("CACHEDIR.TAG").exists() {
                texts.append(&mut sources(&path)?);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            texts.push(fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?);
        }
    }
    Ok(texts)
}

/// Whether a source uses a crate: by a path that begins with its name, or in a `use` or `extern crate` item.
fn names(source: &str, identifier: &str) -> bool {
    source.match_indices(identifier).any(|(start, _)| {
        let (before, after) = (&source[..start], &source[start + identifier.len()..]);
        let belongs = |c: char| c.is_alphanumeric() || c == '_';
        if before.ends_with(belongs) || after.starts_with(belongs) {
            return false;
        }
        let line = before.rsplit('\n').next().unwrap_or_default().trim_start();
        let item = line.split_once("use ").map_or(line, |(visibility, _)| visibility);
        let imported = line.starts_with("extern crate ")
            || (line.contains("use ") && (item.is_empty() || item.starts_with("pub")));
        after.starts_with("::") || imported
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_are_told_from_words() {
        for source in [
            "use serde::Deserialize;",
            "    pub(crate) use serde;",
            "pub use serde as s;",
            "extern crate serde;",
            "#[derive(serde::Serialize)]",
            "/// ```\n/// let x = serde::to_value(1);\n/// ```",
            "use {anyhow::Result, serde};",
        ] {
            assert!(names(source, "serde"), "{source}");
        }
        for source in [
            "// serde is not needed",
            "use serde_json::Value;",
            "let serde = 1;",
            "my_serde::x()",
            "",
        ] {
            assert!(!names(source, "serde"), "{source}");
        }
    }

    #[test]
    fn this_package_uses_what_it_declares() {
        let sources = sources(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert!(sources.iter().any(|source| names(source, "anyhow")));
        assert!(
            !sources
                .iter()
                .any(|source| names(source, concat!("proc", "_macro2")))
        );
    }
}
