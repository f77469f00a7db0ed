//! The catalogue as a file: shown, checked, made true.

use std::{
    io::{BufRead, Write},
    path::{Path, PathBuf},
};

use clap::Subcommand;
use compute::catalogue::file::{self, CatalogueFile};
use kernel::{audit::Origin, store::StoreError, time::Clock};

use super::{Outcome, runtime, settings};
use crate::{cli::Places, server::Onet};

/// What is done with the catalogue.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Action {
    /// Make the catalogue what FILE says: shows what changes, and asks. What FILE does not name is taken off offer.
    Apply {
        /// TOML: see docs/catalogue.md.
        file: PathBuf,
        /// Don't ask.
        #[arg(long)]
        yes: bool,
        /// Show what would change, and change nothing.
        #[arg(long, conflicts_with = "yes")]
        dry_run: bool,
    },
    /// Print the present catalogue as such a file.
    Export,
    /// Find everything that is wrong with FILE, without a database.
    Check {
        /// TOML: see docs/catalogue.md.
        file: PathBuf,
    },
}

pub(crate) fn run(places: &Places, action: &Action) -> Outcome {
    match action {
        Action::Check { file } => check(file),
        Action::Export => export(places),
        Action::Apply { file, yes, dry_run } => apply(places, file, *yes, *dry_run),
    }
}

fn read(file: &Path) -> Result<CatalogueFile, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    CatalogueFile::parse(&text).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(|fault| format!("\n  {fault}")).collect();
        format!(
            "{} has {} faults:{}",
            file.display(),
            faults.len(),
            lines.concat()
        )
    })
}

fn check(file: &Path) -> Outcome {
    let CatalogueFile {
        locations,
        addons,
        images,
        sizes,
    } = read(file)?;
    println!(
        "{} is valid: {} locations, {} add-ons, {} images, {} sizes.",
        file.display(),
        locations.len(),
        addons.len(),
        images.len(),
        sizes.len()
    );
    Ok(())
}

fn export(places: &Places) -> Outcome {
    let config = settings(places)?;
    runtime()?.block_on(async {
        let onet = Onet::open(config, Clock::default())?;
        let present = onet.app.store().read("export_catalogue", file::present).await;
        let present = present.map_err(|error: StoreError| error.to_string())?;
        // A reader that has seen enough closes the pipe.
        let _ = std::io::stdout().write_all(present.to_string().as_bytes());
        Ok(())
    })
}

fn apply(places: &Places, path: &Path, yes: bool, dry_run: bool) -> Outcome {
    let wanted = read(path)?;
    let config = settings(places)?;
    runtime()?.block_on(async {
        let onet = Onet::open(config, Clock::default())?;
        let store = onet.app.store();
        let file = wanted.clone();
        let planned = store
            .read("plan_catalogue", move |conn| file::plan(conn, &file))
            .await;
        let plan = planned.map_err(|error: StoreError| error.to_string())?;
        if plan.is_empty() {
            println!("There is nothing to change.");
            return Ok(());
        }
        print!("{plan}");
        println!("{}.", plan.summary());
        if dry_run {
            println!("Nothing was changed.");
            return Ok(());
        }
        if !yes && !confirmed()? {
            return Err("not confirmed: nothing was changed".to_owned());
        }
        let origin = Origin::system("onetd catalogue apply");
        let agreed = plan.clone();
        store
            .write("apply_catalogue", move |tx| {
                file::apply(tx, &wanted, &agreed, &origin)
            })
            .await
            .map_err(|error| error.to_string())?;
        println!("Done. Running servers show it within a second.");
        Ok(())
    })
}

fn confirmed() -> Result<bool, String> {
    print!("Change this? Type yes: ");
    let mut line = String::new();
    std::io::stdout()
        .flush()
        .and_then(|()| std::io::stdin().lock().read_line(&mut line))
        .map_err(|error| format!("standard input: {error}"))?;
    Ok(line.trim().eq_ignore_ascii_case("yes"))
}
