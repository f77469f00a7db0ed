//! Files come to be an image's, and go when nothing needs them.
//!
//! Hosts know a file by its checksum, so two images may have one file, and an import may bring a file that is about to
//! be removed. Both sides take the catalogue's counter first, which is a lock: a file that is being removed becomes
//! nobody's, and a file that is somebody's is not removed.

use std::sync::Arc;

use diesel::{ExpressionMethods, JoinOnDsl, OptionalExtension, QueryDsl, RunQueryDsl};
use hypervisor::{ImageId, images::Image as HostImage};
use identity::schema::organizations;
use kernel::{
    App,
    access::Organization,
    audit::{AuditStatus, Changes, Event, Origin},
    id::Id,
    store::{Conn, StoreError, Tx},
    tasks::{Done, Kind, NewTask, Outcome, Step, TaskRow, Work},
    time::Time,
};

use super::{
    ImageStore,
    rows::{self, FileStatus, ImageFileRow},
};
use crate::{
    catalogue::{
        api::Image,
        rows::{ImageRow, bump_version},
    },
    schema::{image_files, image_leftovers, images, instances},
};

/// A day: how long a deleted image is remembered at least, so that no node still offers it.
const REMEMBERED: std::time::Duration = std::time::Duration::from_hours(24);

/// Bytes of a GB of disk.
const GB: u64 = 1 << 30;

/// What became of a file that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recorded {
    /// It is the image's.
    Yes,
    /// The image is gone, or was given up.
    Unwanted,
    /// The same file is being removed at this moment: bring it once more.
    BeingRemoved,
}

/// Makes a file that hosts have the image's, which can be installed from now on.
pub(super) fn record(
    tx: &mut Tx<'_>,
    id: Id<Image>,
    arrived: &HostImage,
    size_bytes: Option<u64>,
    activate: bool,
    origin: &Origin,
) -> Result<Recorded, StoreError> {
    bump_version(tx)?;
    let digest = arrived.id.as_str();
    let leftover = image_leftovers::table.find(digest);
    let being_removed: i64 = leftover
        .filter(image_leftovers::being_removed.eq(true))
        .count()
        .get_result(tx.conn())?;
    if being_removed > 0 {
        return Ok(Recorded::BeingRemoved);
    }
    let image: Option<ImageRow> = images::table.find(id).first(tx.conn()).optional()?;
    let file_row = rows::file(tx.conn(), id)?.filter(|file| file.status != FileStatus::Deleted);
    let (Some(mut image), Some(mut known)) = (image, file_row) else {
        if !rows::is_needed(tx.conn(), digest)? {
            rows::leave(tx, digest)?;
        }
        return Ok(Recorded::Unwanted);
    };
    if known.status == FileStatus::Available && known.digest.as_deref() == Some(digest) {
        return Ok(Recorded::Yes);
    }
    diesel::delete(leftover).execute(tx.conn())?;
    let before = known.digest.replace(digest.to_owned());
    known.status = FileStatus::Available;
    known.size_bytes = size_bytes.map(bytes);
    known.virtual_size_bytes = Some(bytes(arrived.virtual_size));
    known.error = None;
    known.progress = 100;
    rows::save_file(tx, &mut known)?;
    if let Some(before) = before.filter(|before| before != digest)
        && !rows::is_needed(tx.conn(), &before)?
    {
        rows::leave(tx, &before)?;
    }
    image.is_active |= activate;
    image.min_disk_gb = image.min_disk_gb.max(disk_gb(arrived.min_disk_bytes));
    rows::update(tx, &mut image)?;
    let mut changes = Changes::default();
    changes.note("checksum", &None, &Some(digest));
    let event = event(
        &image,
        "image.imported",
        "has its file",
        changes,
        AuditStatus::Success,
    );
    tx.audit(origin, image.organization_id, known.project_id, &event)?;
    Ok(Recorded::Yes)
}

/// Notes that the file won't come, and why.
pub(super) fn give_up(tx: &mut Tx<'_>, id: Id<Image>, reason: &str) -> Result<(), StoreError> {
    let image: Option<ImageRow> = images::table.find(id).first(tx.conn()).optional()?;
    let (Some(image), Some(mut file)) = (image, rows::file(tx.conn(), id)?) else {
        return Ok(());
    };
    if !file.status.is_coming() {
        return Ok(());
    }
    file.status = FileStatus::Failed;
    file.error = Some(reason.to_owned());
    rows::save_file(tx, &mut file)?;
    let mut changes = Changes::default();
    changes.note("error", &None, &Some(reason));
    let event = event(
        &image,
        "image.import_failed",
        "has no file: it failed",
        changes,
        AuditStatus::Failure,
    );
    tx.audit(
        &Origin::system("worker"),
        image.organization_id,
        file.project_id,
        &event,
    )
}

pub(super) fn event(
    image: &ImageRow,
    action: &'static str,
    what: &str,
    changes: Changes,
    status: AuditStatus,
) -> Event {
    Event {
        action,
        resource_type: "image",
        resource_id: image.id.cast(),
        resource_name: image.name.clone(),
        description: format!("Image {} {what}", image.name),
        changes,
        status,
    }
}

/// The GB that a disk must have to hold so many bytes.
fn disk_gb(bytes: u64) -> i64 {
    i64::try_from(bytes.div_ceil(GB)).unwrap_or(i64::MAX)
}

fn bytes(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Removes the files that nothing needs any more, those of organizations that are gone among them, as far as hosts let
/// them go; the rest is for the next time. Then forgets images that were deleted and that no instance was made from.
///
/// # Errors
/// The store refused.
pub async fn tidy(app: &App, store: &dyn ImageStore) -> Result<(), StoreError> {
    app.store().write("withdraw_images", withdraw).await?;
    let read = app.store().read("image_leftovers", |conn: &mut Conn| {
        Ok::<_, StoreError>(
            image_leftovers::table
                .select(image_leftovers::digest)
                .load::<String>(conn)?,
        )
    });
    for digest in read.await? {
        remove(app, store, digest).await?;
    }
    app.store().write("forget_images", forget).await
}

async fn remove(app: &App, store: &dyn ImageStore, digest: String) -> Result<(), StoreError> {
    let name = digest.clone();
    let begun = app.store().write("begin_removal", move |tx| begin(tx, &name));
    if !begun.await? {
        return Ok(());
    }
    let removed = match ImageId::try_from(digest.clone()) {
        Ok(id) => match store.remove(&id).await {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(%error, digest, "the file of an image stays for now");
                false
            }
        },
        // No host has a file of such a name.
        Err(_) => true,
    };
    app.store()
        .write("end_removal", move |tx| {
            let leftover = image_leftovers::table.find(&digest);
            if removed {
                diesel::delete(leftover).execute(tx.conn())?;
            } else {
                diesel::update(leftover)
                    .set(image_leftovers::being_removed.eq(false))
                    .execute(tx.conn())?;
            }
            Ok(())
        })
        .await
}

/// Whether a file is still a leftover; it is nobody's until the removal has ended.
fn begin(tx: &mut Tx<'_>, digest: &str) -> Result<bool, StoreError> {
    bump_version(tx)?;
    let leftover = image_leftovers::table.find(digest);
    if rows::is_needed(tx.conn(), digest)? {
        diesel::delete(leftover).execute(tx.conn())?;
        return Ok(false);
    }
    let marked = diesel::update(leftover)
        .set(image_leftovers::being_removed.eq(true))
        .execute(tx.conn())?;
    Ok(marked == 1)
}

/// Deletes the images of organizations that have been emptied for good.
fn withdraw(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    let owners: Vec<Option<Id<Organization>>> = images::table
        .inner_join(image_files::table.on(image_files::image_id.eq(images::id)))
        .filter(images::organization_id.is_not_null())
        .filter(image_files::status.eq_any([FileStatus::Available, FileStatus::Failed]))
        .select(images::organization_id)
        .distinct()
        .load(tx.conn())?;
    let owners: Vec<Id<Organization>> = owners.into_iter().flatten().collect();
    let gone: Vec<Id<Organization>> = organizations::table
        .filter(organizations::id.eq_any(owners))
        .filter(organizations::purged_at.is_not_null())
        .select(organizations::id)
        .load(tx.conn())?;
    if gone.is_empty() {
        return Ok(());
    }
    bump_version(tx)?;
    let theirs: Vec<Id<Image>> = images::table
        .filter(images::organization_id.eq_any(gone))
        .select(images::id)
        .load(tx.conn())?;
    for id in theirs {
        let file = rows::file(tx.conn(), id)?;
        if let Some(mut file) = file.filter(|file| !file.status.is_coming()) {
            delete_file(tx, &mut file)?;
        }
    }
    Ok(())
}

/// Takes an image's file from it. Tells whether that leaves a file that no image needs. The catalogue's counter must be
/// locked.
pub(super) fn delete_file(tx: &mut Tx<'_>, file: &mut ImageFileRow) -> Result<bool, StoreError> {
    let digest = file.digest.take();
    file.status = FileStatus::Deleted;
    rows::save_file(tx, file)?;
    match digest {
        Some(digest) if !rows::is_needed(tx.conn(), &digest)? => {
            rows::leave(tx, &digest)?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

fn forget(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    let now = tx.now().micros();
    let before = Time::from_micros(now - i64::try_from(REMEMBERED.as_micros()).unwrap_or(i64::MAX));
    let ids: Vec<Id<Image>> = image_files::table
        .filter(image_files::status.eq(FileStatus::Deleted))
        .filter(image_files::modified.lt(before))
        .filter(diesel::dsl::not(diesel::dsl::exists(
            instances::table.filter(instances::image_id.eq(image_files::image_id)),
        )))
        .select(image_files::image_id)
        .limit(100)
        .load(tx.conn())?;
    if ids.is_empty() {
        return Ok(());
    }
    diesel::delete(image_files::table.filter(image_files::image_id.eq_any(&ids))).execute(tx.conn())?;
    diesel::delete(images::table.filter(images::id.eq_any(&ids))).execute(tx.conn())?;
    bump_version(tx)
}

/// Tries to remove leftovers at once, after an image was deleted. Whatever stays is for the hourly chore.
pub(super) struct RemoveFiles {
    steps: Vec<Arc<dyn Step>>,
}

impl RemoveFiles {
    const NAME: &'static str = "remove_image_files";

    pub(super) fn new(store: &Arc<dyn ImageStore>) -> Self {
        Self {
            steps: vec![Arc::new(Tidy(Arc::clone(store)))],
        }
    }

    /// The task, on behalf of an image that was deleted.
    pub(super) fn task(image: &ImageRow, file: &ImageFileRow) -> Option<NewTask> {
        Some(NewTask {
            kind: Self::NAME,
            organization: image.organization_id?,
            project: file.project_id?,
            resource_type: "image",
            resource: image.id.cast(),
            parameters: serde_json::json!({}),
            max_retries: 3,
            created_by: None,
            request: None,
        })
    }
}

impl Kind for RemoveFiles {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn steps(&self) -> &[Arc<dyn Step>] {
        &self.steps
    }

    fn ended(&self, _tx: &mut Tx<'_>, _task: &TaskRow, _outcome: Outcome) -> Result<(), StoreError> {
        Ok(())
    }
}

struct Tidy(Arc<dyn ImageStore>);

impl Step for Tidy {
    fn name(&self) -> &'static str {
        "remove_image_files"
    }

    fn run<'a>(&'a self, work: &'a mut Work) -> Done<'a> {
        Box::pin(async move { Ok(tidy(&work.app, self.0.as_ref()).await?) })
    }

    fn undo<'a>(&'a self, _work: &'a mut Work) -> Done<'a> {
        Box::pin(async { Ok(()) })
    }
}
