//! Benchmarks: the release build, next to a PostgreSQL server that keeps its promises.

use std::ffi::OsString;

use anyhow::{Context, Result};

use crate::packages::{self, Need};
use crate::postgres::{Durability, Postgres};
use crate::run;
use crate::workspace::{Workspace, forget_settings};

/// Builds `onetd`, starts PostgreSQL with production durability and hands both to the benchmark program.
pub(crate) fn perform(workspace: &Workspace, args: &[OsString]) -> Result<()> {
    packages::ensure(Need::Test)?;
    let onetd = workspace.build_onetd()?;
    let mut bench = workspace.cargo(&["run", "--release", "--locked", "--package", "onet-bench", "--"]);
    let postgres = Postgres::start(Durability::Full).context("can't start PostgreSQL for the benchmarks")?;
    forget_settings(&mut bench)
        .args(args)
        .env("ONET_BENCH_ONETD", onetd)
        .env("ONET_BENCH_POSTGRES", postgres.url("postgres"))
        .env("ONET_BENCH_PGBENCH", postgres.bin("pgbench"));
    run::run(&mut bench)
}
