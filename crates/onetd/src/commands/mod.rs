//! What each command does.

pub(crate) mod addresses;
pub(crate) mod admin;
pub(crate) mod audit;
pub(crate) mod billing;
pub(crate) mod catalogue;
pub(crate) mod hosts;
pub(crate) mod images;
pub(crate) mod organizations;
pub(crate) mod users;

use std::{io::Write, path::Path};

use kernel::{
    config::{Config, DEFAULTS, MailTransport},
    store::{self, Place, Store},
    time::Clock,
};

use crate::{cli::Places, demo::Amounts, logging, openapi as document, server};

type Outcome = Result<(), String>;

fn settings(places: &Places) -> Result<Config, String> {
    let config =
        Config::load(places.config.as_deref(), &places.data_dir).map_err(|error| error.to_string())?;
    logging::start(&config.log)?;
    #[expect(clippy::disallowed_methods, reason = "for tests only, and no setting")]
    if let Ok(plan) = std::env::var("ONET_CRASH_AT") {
        kernel::crash::arm(&plan);
    }
    Ok(config)
}

/// A runtime for this process.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no async runtime: {error}"))
}

/// Ready when the process is told to end.
async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        // Without handlers a signal ends the process at once, which it survives too.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
}

pub(crate) fn serve(places: &Places, no_worker: bool) -> Outcome {
    let mut config = settings(places)?;
    if no_worker {
        config.tasks.workers = 0;
    }
    let address = config.server.listen;
    runtime()?.block_on(async {
        let listener = server::bind(address).await?;
        let onet = server::Onet::open(config, Clock::default())?;
        tracing::info!(%address, store = ?onet.app.store(), "serving");
        onet.serve(listener, told_to_stop())
            .await
            .map_err(|error| error.to_string())
    })
}

pub(crate) fn worker(places: &Places) -> Outcome {
    let config = settings(places)?;
    if config.tasks.workers == 0 {
        return Err("tasks.workers is 0: there is nothing to do".to_owned());
    }
    runtime()?.block_on(async {
        let onet = server::Onet::open(config, Clock::default())?;
        tracing::info!(store = ?onet.app.store(), "running tasks");
        onet.work(told_to_stop())
            .await
            .map_err(|error| format!("no workers: {error}"))
    })
}

pub(crate) fn rotate_signing_key(places: &Places, retire_old_now: bool) -> Outcome {
    let config = settings(places)?;
    runtime()?.block_on(async {
        let onet = server::Onet::open(config, Clock::default())?;
        let rotated = onet
            .identity
            .rotate_signing_key("onetd rotate-signing-key", retire_old_now)
            .await;
        let generation = rotated.map_err(|error| error.to_string())?;
        println!("Generation {generation} signs from now on; running servers follow within half a minute.");
        if retire_old_now {
            println!("Tokens of earlier generations are refused from then on: clients refresh theirs.");
        } else {
            println!("Tokens of earlier generations hold until they end.");
        }
        Ok(())
    })
}

fn open_store(places: &Places) -> Result<Store, String> {
    Store::open(&settings(places)?, Clock::default()).map_err(|error| error.to_string())
}

pub(crate) fn migrate(places: &Places) -> Outcome {
    let done = open_store(places)?.migrate().map_err(|error| error.to_string())?;
    if done.is_empty() {
        println!("The database is up to date.");
    }
    for name in done {
        println!("{name}");
    }
    Ok(())
}

pub(crate) fn check_config(places: &Places) -> Outcome {
    let config = settings(places)?;
    let place = Place::of(&config).map_err(|error| error.to_string())?;
    if config.mail.transport == MailTransport::Off {
        println!("Warning: mail.transport is \"off\": no mail is sent, nobody can reset a password.");
    }
    match place {
        Place::Sqlite(path) => println!("The settings are valid. Data: SQLite, {}", path.display()),
        Place::Postgres(_) => println!("The settings are valid. Data: PostgreSQL"),
    }
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "every command has the same shape")]
pub(crate) fn default_config() -> Outcome {
    print!("{DEFAULTS}");
    Ok(())
}

/// Prints the path of the demo's image, made if need be.
pub(crate) fn demo_image(folder: &Path) -> Outcome {
    let image = hypervisor::demo_image::build(folder).map_err(|error| error.to_string())?;
    println!("{}", image.display());
    Ok(())
}

pub(crate) fn openapi() -> Outcome {
    // The document needs the routes, the routes a store: one that is gone with this process.
    let folder = std::env::temp_dir().join(format!("onet-openapi-{}", std::process::id()));
    let outcome = Config::load(None, &folder)
        .map_err(|error| error.to_string())
        .and_then(|mut config| {
            config.store.url = kernel::config::Secret::default();
            // Nothing is signed here: no key file is made.
            config.auth.secret = kernel::config::Secret::new("-".repeat(32));
            server::Onet::open(config, Clock::default())
        })
        .map(|onet| document::snapshot(&onet.areas()));
    let _ = std::fs::remove_dir_all(&folder);
    std::io::stdout()
        .write_all(outcome?.as_bytes())
        .map_err(|error| error.to_string())
}

pub(crate) fn backup(places: &Places, file: &Path) -> Outcome {
    let place = Place::of(&settings(places)?).map_err(|error| error.to_string())?;
    if let Place::Sqlite(path) = &place
        && !path.exists()
    {
        return Err(format!(
            "there is no database at {}: is --data-dir right?",
            path.display()
        ));
    }
    open_store(places)?
        .backup(file)
        .map_err(|error| error.to_string())?;
    println!("Written and checked: {}", file.display());
    println!("Keep `secret.key` of the data folder with it: without it, API keys and sessions are void.");
    Ok(())
}

pub(crate) fn restore(places: &Places, file: &Path) -> Outcome {
    let config = settings(places)?;
    let place = Place::of(&config).map_err(|error| error.to_string())?;
    store::restore(&place, file).map_err(|error| error.to_string())?;
    println!(
        "Restored from {}; the former database is kept beside it as *.before-restore.",
        file.display()
    );
    Ok(())
}

pub(crate) fn demo(places: &Places, amounts: &Amounts) -> Outcome {
    let config = settings(places)?;
    runtime()?.block_on(async {
        let onet = server::Onet::open(config, Clock::default())?;
        let facts = crate::demo::load(&onet, amounts).await?;
        println!(
            "{}",
            serde_json::to_string_pretty(&facts).map_err(|error| error.to_string())?
        );
        Ok(())
    })
}
