//! The files behind the operator's images.

use std::{path::PathBuf, time::Duration};

use clap::{ArgGroup, Args, Subcommand};
use compute::images::{
    Checksum, Watch,
    operators::{self, NewImage, Source},
};
use kernel::{store::StoreError, time::Clock};

use super::{Outcome, runtime, settings};
use crate::{cli::Places, server::Onet};

/// What is done with images.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Action {
    /// Bring a disk image (qcow2 or raw) to the hosts, for the image of this slug. It is made if there is none.
    Import(Box<Import>),
    /// List the operator's images with their files.
    List,
}

fn checksum(text: &str) -> Result<Checksum, String> {
    text.parse().map_err(|why: &str| why.to_owned())
}

/// Which file, and what it is.
#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("source").required(true))]
pub(crate) struct Import {
    /// A file of this machine.
    #[arg(long, group = "source", value_name = "PATH")]
    file: Option<PathBuf>,
    /// An https address.
    #[arg(long, group = "source")]
    url: Option<String>,
    /// The SHA-256 or SHA-512 that the file must have.
    #[arg(long, value_parser = checksum, value_name = "HEX")]
    checksum: Option<Checksum>,
    /// Names the image, here and in the catalogue's file.
    #[arg(long)]
    slug: String,
    /// What customers see; the slug unless stated. This and what follows counts for a new image only.
    #[arg(long)]
    name: Option<String>,
    /// Debian, Ubuntu, …: needed for a new image.
    #[arg(long)]
    os_name: Option<String>,
    /// 12, 24.04, …
    #[arg(long)]
    os_version: Option<String>,
    /// The processor that it is for; `x86_64` unless stated.
    #[arg(long)]
    os_architecture: Option<String>,
    /// What an instance's memory must be at least.
    #[arg(long, value_parser = clap::value_parser!(i64).range(0..=4_294_967_295))]
    min_ram_mb: Option<i64>,
    /// Let customers see it.
    #[arg(long)]
    public: bool,
}

pub(crate) fn run(places: &Places, action: Action) -> Outcome {
    let config = settings(places)?;
    runtime()?.block_on(async {
        let onet = Onet::open(config, Clock::default())?;
        match action {
            Action::Import(wanted) => import(&onet, *wanted).await,
            Action::List => list(&onet).await,
        }
    })
}

async fn import(onet: &Onet, wanted: Import) -> Outcome {
    let Import {
        file,
        url,
        checksum,
        slug,
        name,
        os_name,
        os_version,
        os_architecture,
        min_ram_mb,
        public,
    } = wanted;
    let source = match (file, url) {
        (Some(file), _) => Source::File(file),
        (None, Some(url)) => Source::Url(url),
        (None, None) => return Err("--file or --url is needed".to_owned()),
    };
    let new = NewImage {
        slug: slug.clone(),
        name,
        os_name,
        os_version,
        os_architecture,
        min_ram_mb,
        public,
    };
    let watch = Watch::default();
    let work = operators::import(&onet.app, onet.image_store(), new, source, checksum, &watch);
    tokio::pin!(work);
    let mut shown = 0;
    let id = loop {
        tokio::select! {
            done = &mut work => break done?,
            () = tokio::time::sleep(Duration::from_secs(2)) => {
                let percent = watch.percent();
                if percent != shown {
                    eprintln!("{percent} %");
                    shown = percent;
                }
            }
        }
    };
    println!("Imported {slug} ({id}).");
    Ok(())
}

async fn list(onet: &Onet) -> Outcome {
    let images = onet.app.store().read("list_images", operators::list).await;
    for image in images.map_err(|error: StoreError| error.to_string())? {
        let status = image.status.map_or("no file", |status| status.as_str());
        let disk = image
            .virtual_size_bytes
            .map_or_else(String::new, |bytes| format!("\t{} MiB", bytes >> 20));
        let mut words = vec![status];
        if !image.is_active {
            words.push("not on offer");
        }
        if !image.is_public {
            words.push("private");
        }
        let digest = image.digest.unwrap_or_default();
        println!(
            "{}\t{}\t{}{disk}\t{digest}",
            image.slug,
            image.name,
            words.join(", ")
        );
    }
    Ok(())
}
