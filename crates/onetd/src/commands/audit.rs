//! Whether the audit log is whole.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use kernel::{
    access::Organization,
    audit::{
        Chain, SealKey, chain_of, sealer,
        verify::{self, Report},
    },
    id::Id,
    store::Store,
    time::Clock,
};
use serde::{Deserialize, Serialize};

use super::{runtime, settings};
use crate::{cli::Places, server::Onet};

/// What is to be done with the audit log.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check that no record was changed, removed, moved or slipped in. The exit status tells.
    Verify {
        /// Only this organization's records.
        #[arg(long, value_name = "ID")]
        organization: Option<Id<Organization>>,
        /// Ends that `onetd audit ends` has printed earlier: the chains must still contain them.
        #[arg(long, value_name = "FILE")]
        ends: Option<PathBuf>,
    },
    /// Chain what is not chained yet, and print where each chain ends, a JSON object a line: to be kept on another
    /// host, for `onetd audit verify --ends`.
    Ends,
}

/// Where a chain ended at some time.
#[derive(Debug, Serialize, Deserialize)]
struct End {
    chain: Id<Chain>,
    sequence: i64,
    hash: String,
}

pub(crate) fn run(places: &Places, command: AuditCommand) -> Result<(), String> {
    let config = settings(places)?;
    runtime()?.block_on(async {
        let onet = Onet::open(config, Clock::default())?;
        let store = onet.app.store();
        let key = store.seal_key().ok_or("the audit log has no key")?;
        match command {
            AuditCommand::Verify { organization, ends } => {
                let ends = ends.as_deref().map(read_ends).transpose()?.unwrap_or_default();
                let chains = match organization {
                    Some(organization) => vec![chain_of(Some(organization))],
                    None => all_chains(store, &ends).await?,
                };
                check(store, key, chains, ends).await
            }
            AuditCommand::Ends => print_ends(store, key).await,
        }
    })
}

fn read_ends(file: &Path) -> Result<HashMap<Id<Chain>, Vec<End>>, String> {
    let fault = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| fault(&error))?;
    let mut ends: HashMap<Id<Chain>, Vec<End>> = HashMap::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let end: End = serde_json::from_str(line).map_err(|error| fault(&error))?;
        ends.entry(end.chain).or_default().push(end);
    }
    Ok(ends)
}

/// The chains that are there, and those that were.
async fn all_chains(store: &Store, ends: &HashMap<Id<Chain>, Vec<End>>) -> Result<Vec<Id<Chain>>, String> {
    let mut chains = verify::chains(store).await.map_err(|error| error.to_string())?;
    chains.extend(ends.keys());
    chains.sort_unstable();
    chains.dedup();
    Ok(chains)
}

async fn check(
    store: &Store,
    key: SealKey,
    chains: Vec<Id<Chain>>,
    mut ends: HashMap<Id<Chain>, Vec<End>>,
) -> Result<(), String> {
    let mut broken = 0_usize;
    for chain in chains {
        let mut kept = ends.remove(&chain).unwrap_or_default();
        kept.retain(|end| end.sequence > 0);
        let mut differing = None;
        let report = verify::verify(store, key, chain, |sequence, hash| {
            kept.retain(|end| {
                if end.sequence == sequence && end.hash != hash {
                    differing = Some(sequence);
                }
                end.sequence != sequence
            });
        })
        .await
        .map_err(|error| error.to_string())?;
        print(&report);
        let first_kept = report.end.0 - report.checked + 1;
        let lost = kept
            .iter()
            .map(|end| end.sequence)
            .filter(|sequence| *sequence >= first_kept)
            .max();
        if let Some(sequence) = differing {
            println!("  BROKEN: link {sequence} is not the one that was written down elsewhere");
        }
        if let Some(sequence) = lost {
            println!("  BROKEN: the chain once reached link {sequence}: its end was cut off");
        }
        if report.fault.is_some() || differing.is_some() || lost.is_some() {
            broken += 1;
        }
    }
    if broken > 0 {
        return Err(format!("the audit log is not whole: {broken} chains are broken"));
    }
    println!("The audit log is whole.");
    Ok(())
}

fn print(report: &Report) {
    let name = if report.chain == chain_of(None) {
        "records of no organization".to_owned()
    } else {
        format!("organization {}", report.chain)
    };
    println!(
        "{name}: {} records checked, end at link {}",
        report.checked, report.end.0
    );
    if let Some(fault) = &report.fault {
        println!("  BROKEN: {fault}");
    }
    if report.unsound_count > 0 {
        let first: Vec<String> = report.unsound.iter().map(ToString::to_string).collect();
        println!(
            "  {} records did not carry onet's seal when they were chained: older than the chain, or not written by \
             onet. The first: {}",
            report.unsound_count,
            first.join(", ")
        );
    }
    if report.fault.is_none() && report.unchained > 0 {
        println!("  {} records are not chained yet", report.unchained);
    }
}

async fn print_ends(store: &Store, key: SealKey) -> Result<(), String> {
    let fault = |error: kernel::store::StoreError| error.to_string();
    sealer::seal_all(store, key).await.map_err(fault)?;
    for (chain, sequence, hash) in verify::ends(store).await.map_err(fault)? {
        let end = End {
            chain,
            sequence,
            hash,
        };
        println!(
            "{}",
            serde_json::to_string(&end).map_err(|error| error.to_string())?
        );
    }
    Ok(())
}
