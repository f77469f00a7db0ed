//! Root disks, rescue disks and seeds. A disk is made under another name and then moved to its place: one that is
//! there is whole.

use std::path::Path;

use super::{
    Qemu,
    folder::{Disk, Folder, Record},
};
use crate::{
    error::{HypervisorError, Result},
    images::{ExportOptions, Format, Image, remove_file},
    model::{DiskMode, ImageId, RequestId, RootDisk, Size, VmId},
    seed::Seed,
};

/// Held shared by whoever makes a disk, exclusively by whoever removes an image.
pub(super) const IMAGES: &str = "images";
const COPY_LIMIT: std::time::Duration = std::time::Duration::from_secs(3600);

impl Qemu {
    pub(super) async fn make_disk(&self, vm: VmId, disk: &RootDisk) -> Result<()> {
        let _lock = self.lock(vm).await?;
        let folder = self.folder(vm);
        let mut record = folder.load().await?;
        if record.disk.is_some() && folder.disk().exists() {
            return Ok(());
        }
        let _images = self.host.locks.shared(IMAGES).await?;
        self.fitting(disk).await?;
        // Recorded first: what the disk builds on must be known whenever the disk is there, and holds the image.
        record.disk = Some(decided(disk));
        folder.save(&record).await?;
        self.create(disk, &folder, &folder.disk()).await
    }

    pub(super) async fn replace_disk(&self, vm: VmId, request: RequestId, disk: &RootDisk) -> Result<()> {
        let lock = self.lock(vm).await?;
        if self.folder(vm).load().await?.done == Some(request) {
            return Ok(());
        }
        drop(lock);
        let (_lock, folder, mut record) = self.stopped(vm, "a reinstallation").await?;
        record.spec(vm)?;
        let _images = self.host.locks.shared(IMAGES).await?;
        self.fitting(disk).await?;
        // The old disk goes first: between the record and the new disk there must never be one on another's base.
        remove_file(&folder.disk()).await?;
        remove_file(&folder.rescue_disk()).await?;
        record.disk = Some(decided(disk));
        record.rescue = None;
        folder.save(&record).await?;
        self.create(disk, &folder, &folder.disk()).await?;
        record.done = Some(request);
        folder.save(&record).await
    }

    pub(super) async fn make_rescue_disk(&self, vm: VmId, image: &ImageId) -> Result<()> {
        let (_lock, folder, mut record) = self.stopped(vm, "rescue").await?;
        record.spec(vm)?;
        if record.rescue.as_ref() == Some(image) && folder.rescue_disk().exists() {
            return Ok(());
        }
        let _images = self.host.locks.shared(IMAGES).await?;
        let Image { virtual_size, .. } = self.host.images.get(image).await?;
        let disk = RootDisk {
            image: image.clone(),
            size_bytes: virtual_size,
            mode: DiskMode::Overlay,
        };
        remove_file(&folder.rescue_disk()).await?;
        record.rescue = Some(image.clone());
        folder.save(&record).await?;
        self.create(&disk, &folder, &folder.rescue_disk()).await
    }

    pub(super) async fn delete_rescue_disk(&self, vm: VmId) -> Result<()> {
        let lock = self.lock(vm).await?;
        if self.folder(vm).load().await?.rescue.is_none() {
            return Ok(());
        }
        drop(lock);
        let (_lock, folder, mut record) = self.stopped(vm, "the end of a rescue").await?;
        record.rescue = None;
        folder.save(&record).await?;
        remove_file(&folder.rescue_disk()).await
    }

    pub(super) async fn change_size(&self, vm: VmId, size: Size) -> Result<()> {
        let (_lock, folder, mut record) = self.stopped(vm, "a resize").await?;
        let mut spec = record.spec(vm)?.clone();
        spec.cpus = size.cpus;
        spec.memory_mib = size.memory_mib;
        spec.check()?;
        let disk = record.disk.as_mut().ok_or_else(|| no_disk(vm))?;
        if size.disk_bytes < disk.size_bytes {
            return Err(HypervisorError::last(
                "A disk can't be made smaller.",
                format!(
                    "the disk has {} bytes, {} were asked for",
                    disk.size_bytes, size.disk_bytes
                ),
            ));
        }
        if size.disk_bytes > disk.size_bytes {
            self.host.tool.grow(&folder.disk(), size.disk_bytes).await?;
            disk.size_bytes = size.disk_bytes;
        }
        record.spec = Some(spec);
        folder.save(&record).await
    }

    pub(super) async fn write_seed(&self, vm: VmId, seed: &Seed) -> Result<()> {
        let disk = seed.disk()?;
        let _lock = self.lock(vm).await?;
        let folder = self.folder(vm);
        folder.make().await?;
        let new = folder.path().join(".seed.new");
        let wrong = |error| HypervisorError::host("can't write a seed", error);
        tokio::fs::write(&new, disk).await.map_err(wrong)?;
        // A machine that runs goes on with the old one until its next start.
        tokio::fs::rename(&new, folder.seed()).await.map_err(wrong)
    }

    pub(super) async fn remove_unused_image(&self, image: &ImageId) -> Result<()> {
        let _images = self.host.locks.exclusive(IMAGES).await?;
        for vm in self.machines().await? {
            let record = self.folder(vm).load().await?;
            if uses(&record, image) {
                return Err(HypervisorError::last(
                    "The image is in use.",
                    format!("a disk of machine {vm} builds on image {image}"),
                ));
            }
        }
        if self.copy_of_image(image).await? {
            return Err(HypervisorError::last(
                "The image is in use.",
                format!("a copy of a disk builds on image {image}"),
            ));
        }
        self.host.images.remove(image).await
    }

    pub(super) async fn copy_disk(&self, vm: VmId, options: &ExportOptions) -> Result<Image> {
        // Locked until the copy is whole: nobody starts the machine meanwhile, or takes away what its disk builds on.
        let (_lock, folder, record) = self.stopped(vm, "an image of its disk").await?;
        let _images = self.host.locks.shared(IMAGES).await?;
        let disk = record.disk.filter(|_| folder.disk().exists());
        let disk = disk.ok_or_else(|| no_disk(vm))?;
        self.host
            .images
            .take(&folder.disk(), disk.size_bytes, options)
            .await
    }

    /// Refuses a disk that is too small for its image.
    async fn fitting(&self, disk: &RootDisk) -> Result<()> {
        let image = self.host.images.get(&disk.image).await?;
        if disk.size_bytes >= image.min_disk_bytes && disk.size_bytes.is_multiple_of(512) {
            return Ok(());
        }
        Err(HypervisorError::last(
            "The disk is too small for the image.",
            format!(
                "image {} needs {} bytes; {} were given (a multiple of 512)",
                image.id, image.min_disk_bytes, disk.size_bytes
            ),
        ))
    }

    async fn create(&self, disk: &RootDisk, folder: &Folder, to: &Path) -> Result<()> {
        let tool = &self.host.tool;
        let image = self.host.images.path(&disk.image);
        let new = folder.path().join(".disk.new");
        remove_file(&new).await?;
        match disk.mode {
            DiskMode::Overlay => tool.overlay(&image, &new, disk.size_bytes).await?,
            DiskMode::Copy => {
                tool.convert(&image, Format::Qcow2, &new, disk.size_bytes, COPY_LIMIT)
                    .await?;
                tool.grow(&new, disk.size_bytes).await?;
            }
        }
        tokio::fs::rename(&new, to)
            .await
            .map_err(|error| HypervisorError::host("can't move a disk to its place", error))
    }
}

fn decided(disk: &RootDisk) -> Disk {
    Disk {
        image: disk.image.clone(),
        mode: disk.mode,
        size_bytes: disk.size_bytes,
    }
}

fn uses(record: &Record, image: &ImageId) -> bool {
    let root = record
        .disk
        .as_ref()
        .is_some_and(|disk| disk.mode == DiskMode::Overlay && disk.image == *image);
    root || record.rescue.as_ref() == Some(image)
}

pub(super) fn no_disk(vm: VmId) -> HypervisorError {
    HypervisorError::last("The instance has no disk.", format!("{vm} has no root disk"))
}
