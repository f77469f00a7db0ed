//! The command line of `onetd`.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use crate::commands;

/// The control plane of a cloud-hosting provider.
#[derive(Debug, Parser)]
#[command(name = "onetd", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    places: Places,
    #[command(subcommand)]
    command: Command,
}

/// Where settings and data are.
#[derive(Clone, Debug, Args)]
pub(crate) struct Places {
    /// Settings file; `onet.default.toml` shows every setting. Environment (ONET_SECTION__KEY) wins over it.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Folder of the database and the key file.
    #[arg(long, global = true, value_name = "DIR", default_value = "onet-data")]
    pub(crate) data_dir: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API, and run tasks.
    Serve {
        /// Only serve: tasks are run by other nodes (`onetd worker`).
        #[arg(long)]
        no_worker: bool,
    },
    /// Run tasks only.
    Worker,
    /// Bring the database's schema up to date.
    Migrate,
    /// Check the settings without starting anything.
    CheckConfig,
    /// Print every setting with its default and meaning.
    DefaultConfig,
    /// Print the API's OpenAPI document (JSON).
    Openapi,
    /// Write a copy of the database to FILE while requests go on (SQLite).
    Backup {
        /// A file that does not exist yet.
        file: PathBuf,
    },
    /// Put a copy in the database's place while onetd is stopped (SQLite).
    Restore {
        /// What `onetd backup` wrote.
        file: PathBuf,
    },
    /// The audit log: whether it is whole.
    #[command(subcommand)]
    Audit(commands::audit::AuditCommand),
    /// Create a user who operates this installation.
    CreateAdmin(commands::admin::NewAdmin),
    /// Begin a new generation of the key that signs access tokens, while requests go on.
    RotateSigningKey {
        /// Refuse the tokens of earlier generations at once, instead of when they end: clients must refresh theirs.
        #[arg(long)]
        retire_old_now: bool,
    },
    /// Look at users and help them: what needs no password of theirs.
    User {
        #[command(subcommand)]
        what: commands::users::What,
    },
    /// Bring a deleted organization back, while its grace lasts.
    RestoreOrganization {
        /// The organization's UUID.
        id: String,
    },
    /// Change what an organization has paid, owes or may have.
    #[command(subcommand)]
    Billing(commands::billing::Action),
    /// Look after the pools that instances get their addresses from.
    #[command(subcommand)]
    Addresses(commands::addresses::Action),
    /// The hosts that run machines.
    #[command(subcommand)]
    Hosts(commands::hosts::What),
    /// Look after the books.
    #[command(subcommand)]
    Ledger(commands::billing::Books),
    /// What is on offer, as a file.
    #[command(subcommand)]
    Catalogue(commands::catalogue::Action),
    /// The files behind images.
    #[command(subcommand)]
    Images(commands::images::Action),
    /// Fill an empty database with demo data and print its credentials as JSON.
    Demo(crate::demo::Amounts),
    /// Make the small bootable image of the demo out of Debian packages, and print its path.
    DemoImage {
        /// Where it is made, and found the next time.
        folder: PathBuf,
    },
}

/// Runs the command line; the exit status tells whether it succeeded.
pub fn run() -> ExitCode {
    let Cli { places, command } = Cli::parse();
    let outcome = match command {
        Command::Serve { no_worker } => commands::serve(&places, no_worker),
        Command::Worker => commands::worker(&places),
        Command::Migrate => commands::migrate(&places),
        Command::CheckConfig => commands::check_config(&places),
        Command::DefaultConfig => commands::default_config(),
        Command::Openapi => commands::openapi(),
        Command::Backup { file } => commands::backup(&places, &file),
        Command::Restore { file } => commands::restore(&places, &file),
        Command::Audit(command) => commands::audit::run(&places, command),
        Command::CreateAdmin(admin) => commands::admin::create(&places, admin),
        Command::RotateSigningKey { retire_old_now } => commands::rotate_signing_key(&places, retire_old_now),
        Command::User { what } => commands::users::run(&places, what),
        Command::RestoreOrganization { id } => commands::organizations::restore(&places, &id),
        Command::Billing(action) => commands::billing::act(&places, action),
        Command::Addresses(action) => commands::addresses::act(&places, action),
        Command::Ledger(books) => commands::billing::books(&places, &books),
        Command::DemoImage { folder } => commands::demo_image(&folder),
        Command::Catalogue(action) => commands::catalogue::run(&places, &action),
        Command::Images(action) => commands::images::run(&places, action),
        Command::Hosts(what) => commands::hosts::run(&places, what),
        Command::Demo(amounts) => commands::demo(&places, &amounts),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("onetd: {message}");
            ExitCode::FAILURE
        }
    }
}
