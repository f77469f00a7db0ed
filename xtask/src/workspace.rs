//! The repository: its root, its target directory, and Cargo called from within it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::run;

/// Where everything is.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The repository's root.
    pub(crate) root: PathBuf,
    /// Cargo's target directory, wherever the user keeps it.
    pub(crate) target: PathBuf,
}

impl Workspace {
    pub(crate) fn find() -> Result<Self> {
        // The environment first: with a target directory shared by several clones, the path that was compiled in may
        // be that of another one.
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest
            .parent()
            .context("xtask is not inside a repository")?
            .to_owned();
        let mut workspace = Self {
            root,
            target: PathBuf::new(),
        };
        let metadata = workspace.metadata(&["--no-deps"])?;
        let target = metadata["target_directory"]
            .as_str()
            .context("`cargo metadata` names no target directory")?;
        workspace.target = target.into();
        Ok(workspace)
    }

    /// A call of Cargo at the repository's root.
    pub(crate) fn cargo(&self, args: &[&str]) -> Command {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(args).current_dir(&self.root);
        // What `cargo run` says about this package is nobody else's business: a build script that reads it would be
        // run again for nothing.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                cargo.env_remove(name);
            }
        }
        cargo
    }

    /// What Cargo knows about the packages.
    pub(crate) fn metadata(&self, args: &[&str]) -> Result<Value> {
        let printed = run::capture(self.cargo(&["metadata", "--format-version", "1"]).args(args))?;
        serde_json::from_str(&printed).context("`cargo metadata` printed no JSON")
    }

    /// Builds the product for release and returns the path of its binary.
    pub(crate) fn build_onetd(&self) -> Result<PathBuf> {
        run::run(&mut self.cargo(&["build", "--release", "--locked", "--package", "onetd"]))?;
        Ok(self.target.join("release").join("onetd"))
    }
}

/// Removes onet's settings from a command's environment: what a developer has set for a server of their own must not
/// lead a demo or a test to its data.
pub(crate) fn forget_settings(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ONET_") {
            command.env_remove(name);
        }
    }
    command
}

/// `path` as seen from the working directory, for messages.
pub(crate) fn relative(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}
