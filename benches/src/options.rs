//! What to measure, on how much data, for how long.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use clap::Parser;

/// Measures onet in ratios to what PostgreSQL itself does on this machine, in one run.
///
/// `cargo xtask bench` starts it with a release build and a PostgreSQL server of its own.
#[derive(Debug, Parser)]
#[command(name = "onet-bench")]
pub(crate) struct Options {
    /// A smoke run: little data, short storms. Its figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Instances in the storms, in projects of 1000.
    #[arg(long, default_value_t = 100_000)]
    instances: usize,
    /// Instances of the large database of the lists, in projects of 1000. 0 leaves the lists out.
    #[arg(long, default_value_t = 1_000_000)]
    large: usize,
    /// The same on PostgreSQL, which loads some three times slower. 0 leaves it out.
    #[arg(long, default_value_t = 0)]
    large_postgres: usize,
    /// Clients that send requests at once, each on a connection of its own.
    #[arg(long, default_value_t = 32)]
    clients: usize,
    /// Seconds that a storm is measured; it goes on for a fifth of that before, unmeasured.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Rounds: each storm takes place once in each, and the median of the rounds counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only the storms of PUT and GET with their baseline, without lists, starts and logins.
    #[arg(long)]
    storms_only: bool,
    /// Only what is measured of machines: 1,000 in a sandbox, and some on QEMU.
    #[arg(long)]
    machines_only: bool,
    /// The release build of `onetd`.
    #[arg(long, value_name = "FILE")]
    onetd: Option<PathBuf>,
    /// URL of the database `postgres` of a server with durable commits. Databases are made in it.
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    /// The program `pgbench`, with `psql` beside it.
    #[arg(long, value_name = "FILE")]
    pgbench: Option<PathBuf>,
}

/// The options, complete.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) quick: bool,
    pub(crate) projects: usize,
    pub(crate) per_project: usize,
    pub(crate) large_projects: usize,
    pub(crate) large_postgres_projects: usize,
    pub(crate) clients: usize,
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
    pub(crate) rounds: usize,
    pub(crate) starts: usize,
    pub(crate) lists: usize,
    pub(crate) storms_only: bool,
    pub(crate) machines_only: bool,
    /// Machines in the sandbox.
    pub(crate) machines: usize,
    /// Machines that are started on QEMU.
    pub(crate) boots: usize,
    pub(crate) onetd: PathBuf,
    /// Without a server, SQLite alone is measured.
    pub(crate) postgres: Option<Server>,
}

/// Where PostgreSQL is, and its programs.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) pgbench: PathBuf,
}

/// Instances in a project, except in a smoke run.
const PER_PROJECT: usize = 1000;

impl Plan {
    /// Reads the command line, and from the environment what `cargo xtask bench` says there.
    pub(crate) fn read() -> Result<Self> {
        let options = Options::parse();
        let from_env = |name: &str| std::env::var_os(name);
        let onetd = options
            .onetd
            .or_else(|| from_env("ONET_BENCH_ONETD").map(PathBuf::from));
        let onetd = onetd.context("no onetd: run `cargo xtask bench`, or name one with --onetd")?;
        let url = options
            .postgres
            .or_else(|| from_env("ONET_BENCH_POSTGRES").map(|url| url.to_string_lossy().into_owned()));
        let pgbench = options
            .pgbench
            .or_else(|| from_env("ONET_BENCH_PGBENCH").map(PathBuf::from));
        let postgres = url.map(|url| Server {
            url,
            pgbench: pgbench.unwrap_or_else(|| "pgbench".into()),
        });
        let seconds = if options.quick {
            options.seconds.min(0.5)
        } else {
            options.seconds
        };
        let (projects, per_project) = if options.quick {
            (3, 100)
        } else {
            (options.instances.div_ceil(PER_PROJECT).max(1), PER_PROJECT)
        };
        let large = |instances: usize| match instances {
            0 => 0,
            _ if options.quick => 5,
            instances => instances.div_ceil(PER_PROJECT),
        };
        Ok(Self {
            quick: options.quick,
            projects,
            per_project,
            large_projects: large(options.large),
            large_postgres_projects: large(options.large_postgres),
            clients: options.clients.max(1),
            warm_up: Duration::from_secs_f64(seconds / 5.0),
            measured: Duration::from_secs_f64(seconds),
            rounds: if options.quick { 1 } else { options.rounds.max(1) },
            starts: if options.quick { 2 } else { 10 },
            lists: if options.quick { 20 } else { 500 },
            storms_only: options.storms_only,
            machines_only: options.machines_only,
            machines: if options.quick { 20 } else { 1000 },
            boots: if options.quick { 1 } else { 30 },
            onetd,
            postgres,
        })
    }

    /// Instances in the storms.
    pub(crate) const fn instances(&self) -> usize {
        self.projects * self.per_project
    }
}
