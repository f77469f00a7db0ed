//! The system packages that building and testing need: looked for always, installed where we may.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::backports::Backports;
use crate::postgres;
use crate::run;
use crate::screen::Screen;

/// What is going to be done, hence which packages it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// Building the product.
    Build,
    /// Building it, and running machines of the demo's image.
    Machines,
    /// Building it, and checking or measuring it against its surroundings.
    Test,
    /// The same with a whole distribution in a machine.
    LongTest,
}

struct Package {
    name: &'static str,
    purpose: &'static str,
    need: Need,
    present: fn() -> bool,
}

const PACKAGES: &[Package] = &[
    Package {
        name: "build-essential",
        purpose: "linker and C compiler, for the database engines compiled into onetd",
        need: Need::Build,
        present: || run::installed("gcc") && Path::new("/usr/include/stdio.h").exists(),
    },
    Package {
        name: "pkg-config",
        purpose: "finds the system's libraries",
        need: Need::Build,
        present: || run::installed("pkg-config"),
    },
    Package {
        name: "libssl-dev",
        purpose: "TLS to a PostgreSQL server on another machine",
        need: Need::Build,
        present: || {
            Path::new("/usr/include/openssl/ssl.h").exists()
                || run::succeeds("pkg-config", &["--exists", "openssl"])
        },
    },
    Package {
        name: "postgresql",
        purpose: "the second database that every test runs on",
        need: Need::Test,
        present: || postgres::programs().is_some(),
    },
    Package {
        name: "chromium",
        purpose: "the browser that the account pages and passkeys are tested with",
        need: Need::Test,
        present: || run::installed("chromium"),
    },
    Package {
        name: "chromium-driver",
        purpose: "drives the browser",
        need: Need::Test,
        present: || run::installed("chromedriver"),
    },
    Package {
        name: "python3-venv",
        purpose: "an isolated place for test tools written in Python",
        need: Need::Test,
        present: || run::succeeds("python3", &["-c", "import ensurepip, venv"]),
    },
    Package {
        name: "curl",
        purpose: "a client that we did not write",
        need: Need::Test,
        present: || run::installed("curl"),
    },
    Package {
        name: "oathtool",
        purpose: "an authenticator app that we did not write",
        need: Need::Test,
        present: || run::installed("oathtool"),
    },
    Package {
        name: "zbar-tools",
        purpose: "a reader of QR codes, as phones have one",
        need: Need::Test,
        present: || run::installed("zbarimg"),
    },
    Package {
        name: "poppler-utils",
        purpose: "a reader of PDF files",
        need: Need::Test,
        present: || run::installed("pdftotext"),
    },
    Package {
        name: QEMU,
        purpose: "virtual machines",
        need: Need::Machines,
        present: || run::installed("qemu-system-x86_64"),
    },
    Package {
        name: "qemu-utils",
        purpose: "disks of virtual machines, out of images",
        need: Need::Machines,
        present: || run::installed("qemu-img"),
    },
    Package {
        name: "iproute2",
        purpose: "bridges and interfaces of virtual machines",
        need: Need::Test,
        present: || run::installed("ip"),
    },
    Package {
        name: "nftables",
        purpose: "rules that keep a virtual machine to its own addresses",
        need: Need::Test,
        present: || run::installed("nft"),
    },
    Package {
        name: "syslinux",
        purpose: "the boot loader of the demo image",
        need: Need::Machines,
        present: || run::installed("syslinux"),
    },
    Package {
        name: "syslinux-common",
        purpose: "the boot sector of the demo image",
        need: Need::Machines,
        present: || Path::new("/usr/lib/syslinux/mbr/mbr.bin").exists(),
    },
    Package {
        name: "mtools",
        purpose: "with it syslinux writes into an image without mounting it",
        need: Need::Machines,
        present: || run::installed("mcopy"),
    },
    Package {
        name: "mmdebstrap",
        purpose: "makes a Debian system out of packages",
        need: Need::LongTest,
        present: || run::installed("mmdebstrap"),
    },
    Package {
        name: "e2fsprogs",
        purpose: "makes a file system of it without mounting it",
        need: Need::LongTest,
        present: || installed_for_root("mke2fs"),
    },
    Package {
        name: "fdisk",
        purpose: "partitions its disk",
        need: Need::LongTest,
        present: || installed_for_root("sfdisk"),
    },
    Package {
        name: "fakeroot",
        purpose: "keeps the owners of its files for who is not root",
        need: Need::LongTest,
        present: || run::installed("fakeroot"),
    },
    Package {
        name: "openssh-client",
        purpose: "logs in",
        need: Need::LongTest,
        present: || run::installed("ssh") && run::installed("ssh-keygen"),
    },
];

/// Accounts of people often lack the folder in their path.
fn installed_for_root(program: &str) -> bool {
    run::installed(program) || Path::new("/usr/sbin").join(program).exists()
}

/// It shares files with qemu-utils, and must be of the same version.
const QEMU: &str = "qemu-system-x86";

/// Makes sure that everything is there for `need`; installs what is missing if we are root on a Debian system.
///
/// # Errors
/// When something is missing that we can't install; the error is the command that does it.
pub(crate) fn ensure(need: Need) -> Result<()> {
    let missing = missing(need);
    if missing.is_empty() {
        return Ok(());
    }
    let screen = Screen::stderr();
    screen.line("These system packages are missing:");
    for package in &missing {
        screen.line(&format!("  {:16} {}", package.name, package.purpose));
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    if !run::installed("apt-get") {
        bail!(
            "install what your system calls {}, then try again",
            names.join(", ")
        );
    }
    if !is_root()? {
        bail!("install them, then try again:\n\n    {}\n", by_hand(&names));
    }
    screen.line("Installing them, since we are root:");
    install(&names)?;
    let still: Vec<&str> = self::missing(need).iter().map(|package| package.name).collect();
    if !still.is_empty() {
        bail!(
            "apt-get succeeded, but these packages still seem to be missing: {}",
            still.join(", ")
        );
    }
    Ok(())
}

fn install(names: &[&str]) -> Result<()> {
    const INSTALL: [&str; 3] = ["install", "-y", "--no-install-recommends"];
    let backports = if names.contains(&QEMU) {
        Backports::of("qemu-utils")?
    } else {
        None
    };
    let Some(backports) = backports else {
        run::run(&mut apt_get(&["update"]))?;
        return run::run(&mut apt_get(&[&INSTALL[..], names].concat()));
    };
    let sources = backports.sources();
    let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
    run::run(&mut apt_get(&[&sources[..], &["update"]].concat()))?;
    let suite = ["--target-release", backports.suite(), QEMU];
    run::run(&mut apt_get(&[&sources[..], &INSTALL, &suite].concat()))?;
    let others: Vec<&str> = names.iter().copied().filter(|name| *name != QEMU).collect();
    if others.is_empty() {
        return Ok(());
    }
    run::run(&mut apt_get(&[&INSTALL[..], &others].concat()))
}

fn missing(need: Need) -> Vec<&'static Package> {
    PACKAGES
        .iter()
        .filter(|package| package.need <= need && !(package.present)())
        .collect()
}

fn by_hand(names: &[&str]) -> String {
    format!(
        "sudo apt-get update && sudo apt-get install --no-install-recommends {}",
        names.join(" ")
    )
}

fn apt_get(args: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    // Another apt-get, such as the nightly one, is waited for rather than failed upon.
    command
        .args(["-o", "DPkg::Lock::Timeout=120"])
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn is_root() -> Result<bool> {
    let uid = run::capture(Command::new("id").arg("-u")).context("can't tell who we are")?;
    Ok(uid.trim() == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demo_asks_for_less_than_a_test() {
        let names = |need| {
            PACKAGES
                .iter()
                .filter(move |p| p.need <= need)
                .map(|p| p.name)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            names(Need::Build),
            ["build-essential", "pkg-config", "libssl-dev"]
        );
        assert_eq!(names(Need::Machines).len(), 8);
        assert!(!names(Need::Test).contains(&"mmdebstrap"));
        assert_eq!(names(Need::LongTest).len(), PACKAGES.len());
    }

    #[test]
    fn the_line_to_type_is_one_line() {
        let line = by_hand(&["curl", "pkg-config"]);
        assert!(
            line.ends_with("--no-install-recommends curl pkg-config") && !line.contains('\n'),
            "{line}"
        );
    }
}
