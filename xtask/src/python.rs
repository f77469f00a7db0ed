//! Test tools written in Python, in a virtual environment under the target directory.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::run;
use crate::workspace::Workspace;

const REQUIREMENTS: &[&str] = &[
    // Reads the OpenAPI document and tries requests that nobody thought of.
    "schemathesis==4.*",
    // Checks access tokens as somebody else's program does, by the public keys.
    "pyjwt[crypto]==2.*",
    // A mail server, and certificates for it.
    "aiosmtpd==1.4.*",
    "trustme==1.*",
    // An OpenID Connect provider that others have written: logins by identity providers go through it.
    "oidc-provider-mock==0.3.*",
    // A stateful stand-in for Stripe's API that others have written: charges of cards go through it.
    "localstripe==1.15.*",
];

/// The directory with the tools' programs; installs them the first time, and again when [`REQUIREMENTS`] change.
pub(crate) fn python_tools(workspace: &Workspace) -> Result<PathBuf> {
    let venv = workspace.target.join("venv");
    let bin = venv.join("bin");
    // Written last: an installation that was cut short is begun anew.
    let stamp = venv.join("installed.txt");
    let wanted = REQUIREMENTS.join("\n");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(bin);
    }
    run::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))
        .context("can't create the virtual environment for test tools")?;
    let mut pip = Command::new(bin.join("python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(REQUIREMENTS);
    run::run(&mut pip)
        .context("can't install the test tools written in Python (is the package index in reach?)")?;
    fs::write(&stamp, wanted).with_context(|| format!("can't write {}", stamp.display()))?;
    Ok(bin)
}
