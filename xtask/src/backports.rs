//! Packages from a Debian release's backports, where others of the same source already come from there.
//!
//! Two packages of one source and two versions fight over files. Where qemu-utils was taken from backports, QEMU must
//! be too, and the system's lists may not have backports any more. They are added for the one call of apt-get, from a
//! folder of our own: the system's set-up stays as it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run;

const SOURCES: &str = "/etc/apt/sources.list";
const SOURCE_PARTS: &str = "/etc/apt/sources.list.d";

/// The options of apt-get that make it see backports.
pub(crate) struct Backports {
    folder: PathBuf,
    suite: String,
}

impl Drop for Backports {
    fn drop(&mut self) {
        // Some copies of files that everybody may read.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Backports {
    /// Those that a package of the same source as `relative` must come from, if `relative` is installed from there.
    pub(crate) fn of(relative: &str) -> Result<Option<Self>> {
        let query = ["-W", "-f=${Version}", relative];
        let version = run::capture(Command::new("dpkg-query").args(query)).unwrap_or_default();
        if !version.contains("~bpo") {
            return Ok(None);
        }
        let release = fs::read_to_string("/etc/os-release").context("can't tell which release this is")?;
        let codename = codename(&release).context("/etc/os-release has no VERSION_CODENAME")?;
        let folder = std::env::temp_dir().join(format!("onet-apt-{}", std::process::id()));
        // It must be new: in a folder that somebody else made, others could add sources.
        fs::create_dir(&folder).with_context(|| format!("can't make {}", folder.display()))?;
        let backports = Self {
            folder,
            suite: format!("{codename}-backports"),
        };
        let folder = &backports.folder;
        let mut added = false;
        let parts = fs::read_dir(SOURCE_PARTS).into_iter().flatten();
        let files = parts.filter_map(|entry| Some(entry.ok()?.path()));
        for path in files.chain([SOURCES.into()]) {
            let Ok(text) = fs::read_to_string(&path) else {
                continue;
            };
            let name = path.file_name().unwrap_or_default();
            if path.parent() == Some(Path::new(SOURCE_PARTS)) {
                fs::write(folder.join(name), &text)?;
            }
            let deb822 = path.extension().is_some_and(|extension| extension == "sources");
            if let Some(text) = with_backports(&text, deb822, codename)
                && !added
            {
                let ours = if deb822 {
                    "onet-backports.sources"
                } else {
                    "onet-backports.list"
                };
                fs::write(folder.join(ours), text)?;
                added = true;
            }
        }
        if !added {
            bail!(
                "{relative} is from {codename}-backports, and no source of {codename} was found in {SOURCES} or {SOURCE_PARTS}"
            );
        }
        Ok(Some(backports))
    }

    /// For `apt-get update`.
    pub(crate) fn sources(&self) -> [String; 2] {
        let parts = format!("Dir::Etc::SourceParts={}", self.folder.display());
        ["-o".to_owned(), parts]
    }

    /// The suite to prefer: for `apt-get install --target-release`.
    pub(crate) fn suite(&self) -> &str {
        &self.suite
    }
}

fn codename(release: &str) -> Option<&str> {
    release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(|name| name.trim_matches('"'))
}

/// The first source of the release itself, with the suite of its backports.
fn with_backports(text: &str, deb822: bool, codename: &str) -> Option<String> {
    let suite = format!("{codename}-backports");
    if deb822 {
        let stanza = text.split("\n\n").find(|stanza| {
            let suites = stanza.lines().find_map(|line| line.strip_prefix("Suites:"));
            suites.is_some_and(|suites| suites.split_whitespace().any(|word| word == codename))
        })?;
        let line = |line: &str| {
            if line.starts_with("Suites:") {
                format!("Suites: {suite}\n")
            } else {
                format!("{line}\n")
            }
        };
        return Some(stanza.trim().lines().map(line).collect());
    }
    let line = text
        .lines()
        .find(|line| line.starts_with("deb ") && line.split_whitespace().any(|word| word == codename))?;
    let words = line.split_whitespace();
    let words: Vec<&str> = words
        .map(|word| if word == codename { suite.as_str() } else { word })
        .collect();
    Some(words.join(" ") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_found_in_both_forms() {
        let stanzas = "Types: deb\nURIs: http://mirror.example/security\nSuites: bookworm-security\nComponents: main\n\n\
            Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n";
        let expected =
            "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm-backports\nComponents: main\n";
        assert_eq!(
            with_backports(stanzas, true, "bookworm").as_deref(),
            Some(expected)
        );
        let lines = "# a comment\ndeb [trusted=yes] http://mirror.example/debian bookworm main\n";
        let expected = "deb [trusted=yes] http://mirror.example/debian bookworm-backports main\n";
        assert_eq!(
            with_backports(lines, false, "bookworm").as_deref(),
            Some(expected)
        );
        assert_eq!(
            with_backports(
                "deb http://mirror.example/debian trixie main\n",
                false,
                "bookworm"
            ),
            None
        );
    }

    #[test]
    fn a_release_tells_its_name() {
        assert_eq!(
            codename("ID=debian\nVERSION_CODENAME=bookworm\n"),
            Some("bookworm")
        );
        assert_eq!(codename("ID=arch\n"), None);
    }
}
