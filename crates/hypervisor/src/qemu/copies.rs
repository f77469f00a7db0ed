//! Copies of disks: snapshots and backups. They are files of their own, which outlive the machines that they are of.
//!
//! A copy is there when its record is: the file comes first, under another name until it is whole.

use std::{os::fd::AsFd, os::unix::fs::MetadataExt, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Qemu,
    disks::{IMAGES, no_disk},
    folder::{CONTROL, Disk, Folder},
    qmp::{Qmp, QmpError},
};
use crate::{
    error::{HypervisorError, Result},
    images::{Format, remove_file, write_atomically},
    model::{CopyForm, CopyId, DiskCopy, DiskMode, ImageId, RequestId, VmId},
};

/// The job's and the node's name in QEMU, one copy of a machine at a time.
const COPY: &str = "copy";
/// The number under which QEMU is handed the copy's file.
const FILES: u32 = 1;
const LOOK: Duration = Duration::from_millis(100);
/// How long QEMU may take to give up a copy.
const CANCEL_LIMIT: Duration = Duration::from_secs(60);

/// What is known of a copy.
#[derive(Debug, Serialize, Deserialize)]
struct CopyRecord {
    /// The disk in it. One that is whole has no mode but [`DiskMode::Copy`].
    disk: Disk,
}

impl Qemu {
    pub(super) async fn save_disk(
        &self,
        vm: VmId,
        id: CopyId,
        form: CopyForm,
        limit: Duration,
    ) -> Result<DiskCopy> {
        // Locked until the copy is whole: nobody starts or stops the machine meanwhile.
        let _lock = self.lock(vm).await?;
        if let Some(copy) = self.find_copy(id).await? {
            return Ok(copy);
        }
        let _images = self.host.locks.shared(IMAGES).await?;
        let folder = self.folder(vm);
        let disk = folder.load().await?.disk.filter(|_| folder.disk().exists());
        let disk = disk.ok_or_else(|| no_disk(vm))?;
        let mode = match form {
            CopyForm::Changes => disk.mode,
            CopyForm::Whole => DiskMode::Copy,
        };
        let copy = Disk { mode, ..disk };
        let new = self.new_copy(id);
        remove_file(&new).await?;
        if self.host.processes.find(vm)?.is_some() {
            self.copy_running(&folder, &copy, id, limit).await?;
        } else {
            let (tool, from) = (&self.host.tool, folder.disk());
            match self.base(&copy) {
                Some(image) => {
                    tool.convert_changes(&from, &image, &new, copy.size_bytes, limit)
                        .await?
                }
                None => {
                    tool.convert(&from, Format::Qcow2, &new, copy.size_bytes, limit)
                        .await?
                }
            }
        }
        self.keep_copy(id, copy).await
    }

    pub(super) async fn restore_disk(
        &self,
        vm: VmId,
        request: RequestId,
        id: CopyId,
        size_bytes: u64,
    ) -> Result<()> {
        let lock = self.lock(vm).await?;
        if self.folder(vm).load().await?.done == Some(request) {
            return Ok(());
        }
        drop(lock);
        let (_lock, folder, mut record) = self.stopped(vm, "a restoration").await?;
        record.spec(vm)?;
        let _images = self.host.locks.shared(IMAGES).await?;
        let CopyRecord { mut disk } = self.copy_record(id).await?.ok_or_else(|| no_copy(id))?;
        if size_bytes < disk.size_bytes {
            return Err(HypervisorError::last(
                "The disk is smaller than the copied one.",
                format!("copy {id} has {} bytes, the disk {size_bytes}", disk.size_bytes),
            ));
        }
        let new = folder.path().join(".disk.new");
        remove_file(&new).await?;
        tokio::fs::copy(self.copy_file(id), &new)
            .await
            .map_err(|error| HypervisorError::host("can't read a copy of a disk back", error))?;
        if size_bytes > disk.size_bytes {
            self.host.tool.grow(&new, size_bytes).await?;
            disk.size_bytes = size_bytes;
        }
        // The old disk goes first: between the record and the new disk there must never be one on another's base.
        remove_file(&folder.disk()).await?;
        remove_file(&folder.rescue_disk()).await?;
        record.disk = Some(disk);
        record.rescue = None;
        folder.save(&record).await?;
        tokio::fs::rename(&new, folder.disk())
            .await
            .map_err(|error| HypervisorError::host("can't move a disk to its place", error))?;
        record.done = Some(request);
        folder.save(&record).await
    }

    pub(super) async fn delete_copy(&self, id: CopyId) -> Result<()> {
        for path in [self.copy_records(id), self.copy_file(id), self.new_copy(id)] {
            remove_file(&path).await?;
        }
        Ok(())
    }

    pub(super) async fn list_copies(&self) -> Result<Vec<DiskCopy>> {
        let mut copies = Vec::new();
        for id in self.copy_ids().await? {
            copies.extend(self.find_copy(id).await?);
        }
        Ok(copies)
    }

    /// Whether a copy builds on the image.
    pub(super) async fn copy_of_image(&self, image: &ImageId) -> Result<bool> {
        for id in self.copy_ids().await? {
            let record = self.copy_record(id).await?;
            if record
                .is_some_and(|CopyRecord { disk }| disk.mode == DiskMode::Overlay && disk.image == *image)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The copies that have a record, in order.
    async fn copy_ids(&self) -> Result<Vec<CopyId>> {
        let folder = &self.host.copies;
        let wrong = |error| HypervisorError::host(format!("{} can't be listed", folder.display()), error);
        let mut ids = Vec::new();
        let mut entries = tokio::fs::read_dir(folder).await.map_err(wrong)?;
        while let Some(entry) = entries.next_entry().await.map_err(wrong)? {
            let name = entry.file_name().to_string_lossy().into_owned();
            let id = name.strip_suffix(".json").map(str::parse::<CopyId>);
            ids.extend(id.and_then(Result::ok));
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// Has QEMU write the copy of a disk that is in use.
    async fn copy_running(&self, folder: &Folder, copy: &Disk, id: CopyId, limit: Duration) -> Result<()> {
        let (tool, new) = (&self.host.tool, self.new_copy(id));
        match self.base(copy) {
            Some(image) => tool.overlay(&image, &new, copy.size_bytes).await?,
            None => tool.create(&new, copy.size_bytes).await?,
        }
        let file = std::fs::File::options().read(true).write(true).open(&new);
        let file = file.map_err(|error| HypervisorError::host("can't open a copy of a disk", error))?;
        let mut qmp = Qmp::connect(folder, CONTROL).await?;
        // What a worker left that died.
        clear(&mut qmp).await?;
        qmp.hand_over(file.as_fd(), FILES).await?;
        // It is only written to: what it builds on need not be opened.
        let node = json!({"driver": "qcow2", "node-name": COPY, "backing": null,
            "file": {"driver": "file", "filename": format!("/dev/fdset/{FILES}")}});
        qmp.execute("blockdev-add", node).await?;
        let sync = match copy.mode {
            DiskMode::Overlay => "top",
            DiskMode::Copy => "full",
        };
        let job =
            json!({"job-id": COPY, "device": "root", "target": COPY, "sync": sync, "auto-dismiss": false});
        qmp.execute("blockdev-backup", job).await?;
        let written = finished(&mut qmp, limit).await;
        clear(&mut qmp).await?;
        written
    }

    async fn keep_copy(&self, id: CopyId, disk: Disk) -> Result<DiskCopy> {
        let wrong = |error| HypervisorError::host("can't keep a copy of a disk", error);
        let new = self.new_copy(id);
        let file = tokio::fs::File::open(&new).await.map_err(wrong)?;
        file.sync_all().await.map_err(wrong)?;
        tokio::fs::rename(&new, self.copy_file(id)).await.map_err(wrong)?;
        write_atomically(&self.copy_records(id), &CopyRecord { disk }).await?;
        self.find_copy(id).await?.ok_or_else(|| no_copy(id))
    }

    async fn find_copy(&self, id: CopyId) -> Result<Option<DiskCopy>> {
        let Some(CopyRecord { disk }) = self.copy_record(id).await? else {
            return Ok(None);
        };
        let taken = match tokio::fs::metadata(self.copy_file(id)).await {
            Ok(found) => found.blocks() * 512,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(HypervisorError::host("can't look at a copy of a disk", error)),
        };
        Ok(Some(DiskCopy {
            id,
            size_bytes: disk.size_bytes,
            taken_bytes: taken,
        }))
    }

    async fn copy_record(&self, id: CopyId) -> Result<Option<CopyRecord>> {
        let path = self.copy_records(id);
        match tokio::fs::read(&path).await {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| HypervisorError::host(format!("{} can't be read", path.display()), error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(HypervisorError::host(
                format!("{} can't be read", path.display()),
                error,
            )),
        }
    }

    /// The image that a disk builds on.
    fn base(&self, disk: &Disk) -> Option<PathBuf> {
        (disk.mode == DiskMode::Overlay).then(|| self.host.images.path(&disk.image))
    }

    fn copy_file(&self, id: CopyId) -> PathBuf {
        self.host.copies.join(format!("{id}.qcow2"))
    }

    fn copy_records(&self, id: CopyId) -> PathBuf {
        self.host.copies.join(format!("{id}.json"))
    }

    fn new_copy(&self, id: CopyId) -> PathBuf {
        self.host.copies.join(format!(".{id}.new"))
    }
}

/// Waits for the job's end.
async fn finished(qmp: &mut Qmp, limit: Duration) -> Result<()> {
    let deadline = Instant::now() + limit;
    loop {
        let job = job(qmp).await?;
        if job["status"] == "concluded" {
            return match job["error"].as_str() {
                None => Ok(()),
                Some(why) => Err(HypervisorError::host(
                    "a disk could not be copied",
                    why.to_owned(),
                )),
            };
        }
        if Instant::now() > deadline {
            return Err(HypervisorError::passing(
                "The disk could not be copied in time.",
                format!("a copy took longer than {limit:?}"),
            ));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Ends a copy that is under way, and closes its file.
async fn clear(qmp: &mut Qmp) -> Result<()> {
    let deadline = Instant::now() + CANCEL_LIMIT;
    loop {
        let job = job(qmp).await?;
        if job.is_null() {
            break;
        }
        let (command, arguments) = match job["status"].as_str() {
            Some("concluded") => ("job-dismiss", json!({"id": COPY})),
            _ => ("block-job-cancel", json!({"device": COPY, "force": true})),
        };
        unless_refused(qmp.execute(command, arguments).await)?;
        if Instant::now() > deadline {
            return Err(HypervisorError::host(
                "a copy of a disk does not end",
                "time is over",
            ));
        }
        if command != "job-dismiss" {
            tokio::time::sleep(LOOK).await;
        }
    }
    // There may be none.
    unless_refused(qmp.execute("blockdev-del", json!({"node-name": COPY})).await)?;
    unless_refused(qmp.execute("remove-fd", json!({"fdset-id": FILES})).await)
}

/// The job as QEMU shows it; null if there is none.
async fn job(qmp: &mut Qmp) -> Result<Value> {
    let jobs = qmp.execute("query-jobs", json!({})).await?;
    let mut jobs = jobs.as_array().cloned().unwrap_or_default().into_iter();
    Ok(jobs.find(|job| job["id"] == COPY).unwrap_or(Value::Null))
}

fn unless_refused(answer: Result<Value, QmpError>) -> Result<()> {
    match answer {
        Ok(_) | Err(QmpError::Refused(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn no_copy(id: CopyId) -> HypervisorError {
    HypervisorError::last(
        "The copy is not there any more.",
        format!("there is no copy {id}"),
    )
}
