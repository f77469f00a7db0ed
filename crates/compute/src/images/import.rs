//! Brings the file of an image: from an address or from this machine, into the hosts' stores.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use hypervisor::{
    HypervisorError,
    images::{Image as HostImage, ImportOptions, Progress},
};
use kernel::{
    App,
    access::{Organization, Project},
    audit::Origin,
    config,
    id::Id,
    outbound::{Download, DownloadError},
    store::{StoreError, Tx},
    tasks::{Done, Kind, NewTask, Outcome, Step, StepError, TaskRow, Work},
};

use super::{
    Checksum, ImageStore, Turns,
    files::{self, Recorded},
    rows,
};
use crate::catalogue::{api::Image, rows::ImageRow};

/// Where a file comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// An address that the guarded client calls.
    Url(String),
    /// A file of this machine.
    File(PathBuf),
}

/// A file to be brought.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) source: Source,
    pub(super) checksum: Option<Checksum>,
    pub(super) largest_file: u64,
    pub(super) largest_disk: u64,
    pub(super) min_ram_mb: i64,
}

impl Wanted {
    /// Within the limits for customers.
    pub(super) fn limited(source: Source, checksum: Option<Checksum>, limits: &config::Images) -> Self {
        Self {
            source,
            checksum,
            largest_file: u64::from(limits.largest_file_mib) << 20,
            largest_disk: u64::from(limits.largest_disk_gib) << 30,
            min_ram_mb: 0,
        }
    }
}

/// How far it is, percent; shared with whoever shows it.
#[derive(Clone, Debug, Default)]
pub struct Watch(Arc<AtomicU8>);

impl Watch {
    /// From 0 to 99; what is done is told otherwise.
    pub fn percent(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    /// `done` of `whole`, which leads from one percentage to another.
    fn set(&self, (from, to): (u8, u8), done: u64, whole: u64) {
        let part = u64::from(to - from) * done.min(whole) / whole.max(1);
        let percent = from + u8::try_from(part).unwrap_or(0);
        self.0.store(percent.min(99), Ordering::Relaxed);
    }
}

/// The download's share, and that of checking.
const DOWNLOAD: (u8, u8) = (0, 80);
const CHECK: (u8, u8) = (80, 99);
const INCOMING: &str = "image-";
/// Of a file that an import left behind which was killed.
const ABANDONED: Duration = Duration::from_hours(48);

/// Brings a file. Whatever happens, nothing of it stays outside of the hosts' stores.
pub(super) async fn bring(
    app: &App,
    store: &dyn ImageStore,
    wanted: Wanted,
    watch: &Watch,
) -> Result<(HostImage, u64), StepError> {
    let limits = &app.config().images;
    let options = ImportOptions {
        sha256: match &wanted.checksum {
            Some(Checksum::Sha256(sum)) => Some(sum.clone()),
            Some(Checksum::Sha512(_)) | None => None,
        },
        max_bytes: wanted.largest_file,
        max_virtual_bytes: wanted.largest_disk,
        min_memory_mib: u32::try_from(wanted.min_ram_mb).unwrap_or(u32::MAX),
        limit: minutes(limits.convert_minutes),
        ..ImportOptions::default()
    };
    // Dropped at the end of this call, and with it the file.
    let (path, _incoming) = match wanted.source {
        Source::File(path) => (path, None),
        Source::Url(url) => {
            let incoming = incoming(&app.config().data_dir).map_err(disk)?;
            let download = Download {
                url,
                most_bytes: wanted.largest_file,
                time: minutes(limits.download_minutes),
            };
            fetch(app, download, incoming.path(), watch).await?;
            (incoming.path().to_owned(), Some(incoming))
        }
    };
    let size = tokio::fs::metadata(&path).await.map_err(disk)?.len();
    // Here, and before hosts are asked: they take a checksum that they know for the file itself, and who only knows the
    // checksum of another's image must not get that image.
    if let Some(checksum) = wanted.checksum {
        let path = path.clone();
        let right = tokio::task::spawn_blocking(move || checksum.is_of(&path)).await;
        if !right.map_err(disk)?.map_err(disk)? {
            return Err(StepError::fatal(
                "The image does not have the expected checksum.",
                "the checksum differs",
            ));
        }
    }
    let progress = Progress::default();
    let import = store.import(path, &options, &progress);
    let image = watched(import, || watch.set(CHECK, progress.received(), size)).await;
    Ok((image.map_err(host)?, size))
}

async fn fetch(app: &App, download: Download, to: &Path, watch: &Watch) -> Result<(), StepError> {
    let most = download.most_bytes;
    let mut file = tokio::fs::File::create(to).await.map_err(disk)?;
    let arrived = |size: u64, whole: Option<u64>| watch.set(DOWNLOAD, size, whole.unwrap_or(most));
    let fetched = app.outbound().download(download, &mut file, arrived).await;
    match fetched {
        Ok(_) => Ok(()),
        Err(DownloadError::Disk(error)) => Err(disk(error)),
        Err(error) if error.is_passing() => Err(StepError::passing(error.to_string(), &error)),
        Err(error) => Err(StepError::fatal(error.to_string(), &error)),
    }
}

/// A file for what arrives. Those of imports that were killed are removed first.
fn incoming(data: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let folder = data.join("incoming");
    std::fs::create_dir_all(&folder)?;
    for entry in std::fs::read_dir(&folder)? {
        let entry = entry?;
        let written = entry.metadata().and_then(|data| data.modified());
        // The file system's own time: it is compared with itself.
        let old = written.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > ABANDONED));
        if old && entry.file_name().to_string_lossy().starts_with(INCOMING) {
            std::fs::remove_file(entry.path())?;
        }
    }
    tempfile::Builder::new().prefix(INCOMING).tempfile_in(&folder)
}

/// Waits for `work`, looking four times a second how far it is.
async fn watched<T>(work: impl Future<Output = T>, look: impl Fn()) -> T {
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(Duration::from_millis(250)) => look(),
        }
    }
}

fn minutes(count: u32) -> Duration {
    Duration::from_secs(u64::from(count) * 60)
}

fn disk(error: impl std::fmt::Display) -> StepError {
    StepError::passing("The service could not keep the image.", error)
}

/// A host's failure as a step's.
pub(super) fn host(error: HypervisorError) -> StepError {
    if error.is_passing() {
        StepError::passing(error.public().to_owned(), &error)
    } else {
        StepError::fatal(error.public().to_owned(), &error)
    }
}

/// Makes what hosts have taken the image's.
pub(super) async fn keep(
    app: &App,
    id: Id<Image>,
    file: HostImage,
    size: Option<u64>,
    origin: Origin,
    activate: bool,
) -> Result<(), StepError> {
    let recorded = app.store().write("keep_image", move |tx| {
        files::record(tx, id, &file, size, activate, &origin)
    });
    match recorded
        .await
        .map_err(|error: StoreError| StepError::from(error))?
    {
        Recorded::Yes | Recorded::Unwanted => Ok(()),
        Recorded::BeingRemoved => Err(StepError::passing(
            "The service could not keep the image.",
            "the same file is being removed at this moment",
        )),
    }
}

/// Brings the file of a private image from its address.
pub(super) struct ImportImage {
    steps: Vec<Arc<dyn Step>>,
}

impl ImportImage {
    const NAME: &'static str = "import_image";

    pub(super) fn new(store: &Arc<dyn ImageStore>, turns: &Arc<Turns>) -> Self {
        Self {
            steps: vec![Arc::new(Import {
                store: Arc::clone(store),
                turns: Arc::clone(turns),
            })],
        }
    }

    /// The task that brings the file of `image`.
    pub(super) fn task(image: &ImageRow, organization: Id<Organization>, project: Id<Project>) -> NewTask {
        NewTask {
            kind: Self::NAME,
            organization,
            project,
            resource_type: "image",
            resource: image.id.cast(),
            parameters: serde_json::json!({}),
            max_retries: 4,
            created_by: None,
            request: None,
        }
    }
}

impl Kind for ImportImage {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn steps(&self) -> &[Arc<dyn Step>] {
        &self.steps
    }

    fn ended(&self, tx: &mut Tx<'_>, task: &TaskRow, outcome: Outcome) -> Result<(), StoreError> {
        if outcome == Outcome::Completed {
            return Ok(());
        }
        let reason = task
            .error
            .as_deref()
            .unwrap_or("The image could not be imported.");
        files::give_up(tx, task.resource_id.cast(), reason)
    }
}

struct Import {
    store: Arc<dyn ImageStore>,
    turns: Arc<Turns>,
}

impl Step for Import {
    fn name(&self) -> &'static str {
        "import_image"
    }

    fn run<'a>(&'a self, work: &'a mut Work) -> Done<'a> {
        Box::pin(async move {
            let (app, id) = (&work.app, work.resource.cast());
            let _turn = self.turns.take(app)?;
            let found = app
                .store()
                .read("find_image_file", move |conn| rows::file(conn, id));
            let file = found.await.map_err(|error: StoreError| StepError::from(error))?;
            // Done already, or unwanted by now.
            let Some(file) = file.filter(|file| file.status.is_coming()) else {
                return Ok(());
            };
            let Some(url) = file.source_url else {
                return Err(StepError::fatal("The image has no address.", "no source_url"));
            };
            let checksum = file.expected_checksum.as_deref().map(str::parse).transpose();
            let checksum = checksum.map_err(|why| StepError::fatal(why, "the checksum can't be read"))?;
            let wanted = Wanted::limited(Source::Url(url), checksum, &app.config().images);
            let watch = Watch::default();
            let bringing = bring(app, self.store.as_ref(), wanted, &watch);
            let (image, size) = reported(app, id, bringing, &watch).await?;
            keep(app, id, image, Some(size), Origin::system("worker"), true).await
        })
    }

    /// What has arrived was thrown away when the step failed; what hosts have taken may be another image's too.
    fn undo<'a>(&'a self, _work: &'a mut Work) -> Done<'a> {
        Box::pin(async { Ok(()) })
    }
}

/// Waits for `work`, and writes down how far it is, at the beginning and then every two seconds if it moves.
pub(super) async fn reported<T>(
    app: &App,
    id: Id<Image>,
    work: impl Future<Output = Result<T, StepError>>,
    watch: &Watch,
) -> Result<T, StepError> {
    let write = async |percent| {
        let written = app
            .store()
            .write("image_progress", move |tx| rows::set_progress(tx, id, percent));
        written.await.map_err(|error: StoreError| StepError::from(error))
    };
    tokio::pin!(work);
    let mut shown = watch.percent();
    write(shown).await?;
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(Duration::from_secs(2)) => {
                let percent = watch.percent();
                if percent != shown {
                    shown = percent;
                    write(percent).await?;
                }
            }
        }
    }
}
