//! What we depend on: where it comes from, under which licence, and whether it is used.
//!
//! `cargo deny` and `cargo machete` do this best and are called where they are installed. Where they are not, checks of
//! our own give most of the same assurance, without a network and without another program to install.

mod licences;
mod used;

use anyhow::Result;

use crate::run;
use crate::screen::Screen;
use crate::workspace::Workspace;

/// Fails on a dependency from elsewhere than crates.io, under a licence that we don't accept, or with a known hole.
pub(crate) fn check_supply_chain(workspace: &Workspace) -> Result<()> {
    let screen = Screen::stderr();
    let configured = workspace.root.join("deny.toml").exists();
    if !configured || run::capture(&mut workspace.cargo(&["deny", "--version"])).is_err() {
        let graph = workspace.metadata(&["--locked"])?;
        let packages = licences::check(&graph)?;
        screen.line(&format!(
            "{packages} packages, all from crates.io or from here, under accepted licences"
        ));
        screen.line("(cargo-deny, if it is installed, looks for known vulnerabilities too)");
        return Ok(());
    }
    if run::capture(&mut workspace.cargo(&["deny", "fetch", "db"])).is_ok() {
        return run::run(&mut workspace.cargo(&["deny", "--locked", "check"]));
    }
    screen.line("The database of known vulnerabilities is out of reach: they are not looked for this time.");
    run::run(&mut workspace.cargo(&[
        "deny",
        "--locked",
        "--offline",
        "check",
        "bans",
        "licenses",
        "sources",
    ]))
}

/// Fails on a dependency that a package declares and never names in its code.
pub(crate) fn check_use(workspace: &Workspace) -> Result<()> {
    if run::capture(&mut workspace.cargo(&["machete", "--version"])).is_ok() {
        return run::run(&mut workspace.cargo(&["machete"]));
    }
    let graph = workspace.metadata(&["--locked"])?;
    let declared = used::check(&graph)?;
    Screen::stderr().line(&format!(
        "{declared} declared dependencies, each named in the code"
    ));
    Ok(())
}
