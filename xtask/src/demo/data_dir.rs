//! The demo's data folder: made anew each time, and never at the cost of someone's data.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context, Result, bail};

use crate::workspace::{Workspace, relative};

/// The file that says who may log in; its presence also marks a folder as a demo's.
pub(crate) const LOGINS: &str = "demo.json";
/// Marks a folder as a demo's from its first moment on; holds the number of the process that uses it.
const MARKER: &str = ".onet-demo";

/// A folder that may be replaced.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
}

impl DataDir {
    /// Finds out whether the folder may be used, and changes nothing.
    ///
    /// # Errors
    /// When it holds anything that no demo has put there, or another demo is using it.
    pub(crate) fn inspect(path: &Path, workspace: &Workspace) -> Result<Self> {
        let path =
            std::path::absolute(path).with_context(|| format!("can't use the folder {}", path.display()))?;
        if !path
            .try_exists()
            .with_context(|| format!("can't look at {}", path.display()))?
        {
            return Ok(Self { path });
        }
        // Through links, since it is the folder behind them that would be emptied.
        let path = path
            .canonicalize()
            .with_context(|| format!("can't look at {}", path.display()))?;
        let shown = relative(&path);
        if !path.is_dir() {
            bail!("{shown} is not a folder; choose another one with --data-dir");
        }
        if workspace.root.canonicalize()?.starts_with(&path) {
            bail!("{shown} contains the source code; choose another folder with --data-dir");
        }
        let is_empty = fs::read_dir(&path)?.next().is_none();
        if !is_empty && !path.join(MARKER).exists() && !path.join(LOGINS).exists() {
            bail!(
                "{shown} exists and was not made by a demo, so it is left alone; remove it yourself if nobody needs \
                it, or choose another folder with --data-dir"
            );
        }
        if let Some(pid) = user(&path) {
            bail!(
                "another demo (process {pid}) is using {shown}; stop it, or choose another folder with --data-dir"
            );
        }
        Ok(Self { path })
    }

    /// Removes what an earlier demo left and makes the folder, marked as ours; returns its absolute path.
    pub(crate) fn make_fresh(self) -> Result<PathBuf> {
        let Self { path } = self;
        let shown = path.display();
        if path.exists() {
            fs::remove_dir_all(&path)
                .with_context(|| format!("can't remove the earlier demo's folder {shown}"))?;
        }
        fs::create_dir_all(&path).with_context(|| format!("can't make the folder {shown}"))?;
        let marker = path.join(MARKER);
        fs::write(&marker, process::id().to_string())
            .with_context(|| format!("can't write {}", marker.display()))?;
        Ok(path)
    }
}

/// The process that uses a demo's folder. A number alone proves nothing, as numbers are given again: the process must
/// be a demo too. (Where there is no `/proc`, nothing is found, and the port is the only guard.)
fn user(path: &Path) -> Option<u32> {
    let pid = fs::read_to_string(path.join(MARKER)).ok()?.trim().parse().ok()?;
    let command_line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<&[u8]> = command_line.split(|byte| *byte == 0).collect();
    let is_demo = words.first()?.ends_with(b"xtask") && words.get(1) == Some(&&b"demo"[..]);
    (is_demo && pid != process::id()).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder for one test, removed at its end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("onet-xtask-{name}-{}", process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path.canonicalize().unwrap())
        }

        fn inspect(&self) -> Result<DataDir> {
            let root = self.0.join("repository");
            fs::create_dir_all(&root).unwrap();
            DataDir::inspect(
                &self.0.join("data"),
                &Workspace {
                    root,
                    target: PathBuf::new(),
                },
            )
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn a_demo_replaces_a_demo() {
        let scratch = Scratch::new("replaces");
        let path = scratch.inspect().unwrap().make_fresh().unwrap();
        fs::write(path.join("onet.db"), "old").unwrap();
        let path = scratch.inspect().unwrap().make_fresh().unwrap();
        assert!(path.join(MARKER).exists() && !path.join("onet.db").exists());
    }

    #[test]
    fn foreign_data_is_left_alone() {
        let scratch = Scratch::new("foreign");
        let data = scratch.0.join("data");
        fs::create_dir(&data).unwrap();
        scratch.inspect().unwrap();
        fs::write(data.join("onet.db"), "precious").unwrap();
        let error = scratch.inspect().unwrap_err().to_string();
        assert!(error.contains("was not made by a demo"), "{error}");
        fs::remove_dir_all(&data).unwrap();
        fs::write(&data, "a file").unwrap();
        assert!(
            scratch
                .inspect()
                .unwrap_err()
                .to_string()
                .contains("not a folder")
        );
    }

    #[test]
    fn the_source_code_is_left_alone_even_behind_a_link() {
        let scratch = Scratch::new("source");
        std::os::unix::fs::symlink(&scratch.0, scratch.0.join("data")).unwrap();
        fs::write(scratch.0.join(MARKER), "").unwrap();
        assert!(
            scratch
                .inspect()
                .unwrap_err()
                .to_string()
                .contains("contains the source code")
        );
    }
}
