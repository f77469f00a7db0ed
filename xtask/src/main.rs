//! Every chore of this repository, as `cargo xtask …`: nothing has to be installed or remembered to run one.

mod backports;
mod bench;
mod cli;
mod demo;
mod dependencies;
mod interrupt;
mod openapi;
mod packages;
// The test harness owns this file; including it here keeps the chores free of the harness's dependencies, which would
// have to be compiled before the first word appears on a newcomer's terminal.
#[path = "../../crates/testkit/src/postgres.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "a library's file: not every user needs all of it"
)]
mod postgres;
#[cfg(test)]
mod postgres_tests;
mod python;
mod run;
mod screen;
mod test;
mod workspace;

use std::process::ExitCode;

use cli::Chore;

/// What a shell reports for a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let outcome = cli::parse(std::env::args_os()).and_then(perform);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if interrupt::requested() => {
            eprintln!("cargo xtask: interrupted");
            ExitCode::from(INTERRUPTED)
        }
        Err(error) => {
            eprintln!("cargo xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(chore: Chore) -> anyhow::Result<()> {
    if let Chore::Help = chore {
        print!("{}", cli::USAGE);
        return Ok(());
    }
    interrupt::install()?;
    let workspace = workspace::Workspace::find()?;
    match chore {
        Chore::Help => Ok(()),
        Chore::Demo(options) => demo::perform(&workspace, &options),
        Chore::Test(options) => test::perform(&workspace, &options),
        Chore::OpenApi { check } => openapi::perform(&workspace, check),
        Chore::Bench { args } => bench::perform(&workspace, &args),
    }
}
