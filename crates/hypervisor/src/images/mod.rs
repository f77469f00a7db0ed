//! The images of a host: flat qcow2 files, by the checksum of what was imported.
//!
//! What comes from outside is copied first, and never opened by a program that follows names in it before
//! [`header`] has found that there are none. Everything is then converted, so that a machine only ever boots from
//! a file that our own tool has written.

pub mod header;
mod tool;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

pub(crate) use self::tool::ImageTool;
use crate::{
    error::{HypervisorError, Result},
    model::ImageId,
};

/// The formats that are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// The bytes of a disk, one after the other.
    Raw,
    /// QEMU's own, without backing file, external data file or encryption.
    Qcow2,
}

impl Format {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
        }
    }
}

/// Where an image comes from.
pub enum Source {
    /// A file of this host.
    File(PathBuf),
    /// Whatever can be read.
    Reader(Box<dyn AsyncRead + Send + Unpin>),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Reader(_) => f.write_str("Reader"),
        }
    }
}

/// What an import insists on.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// The format; `None`: qcow2 if it begins so, raw otherwise.
    pub format: Option<Format>,
    /// The checksum that it must have.
    pub sha256: Option<ImageId>,
    /// How large the file may be, bytes.
    pub max_bytes: u64,
    /// How large the disk in it may be, bytes.
    pub max_virtual_bytes: u64,
    /// What a disk must have at least, bytes; raised to the size of the disk in the image.
    pub min_disk_bytes: u64,
    /// What a machine's memory must be at least, MiB.
    pub min_memory_mib: u32,
    /// How long checking and converting may take.
    pub limit: Duration,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            format: None,
            sha256: None,
            max_bytes: 32 << 30,
            max_virtual_bytes: 256 << 30,
            min_disk_bytes: 0,
            min_memory_mib: 0,
            limit: Duration::from_secs(1800),
        }
    }
}

/// What an image of a machine's disk insists on.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// How large the disk may be, bytes.
    pub max_virtual_bytes: u64,
    /// What a machine's memory must be at least to use the image, MiB.
    pub min_memory_mib: u32,
    /// How long copying may take.
    pub limit: Duration,
}

impl Default for ExportOptions {
    fn default() -> Self {
        let ImportOptions {
            max_virtual_bytes,
            min_memory_mib,
            limit,
            ..
        } = ImportOptions::default();
        Self {
            max_virtual_bytes,
            min_memory_mib,
            limit,
        }
    }
}

/// How far an import is. Shared with whoever shows it.
#[derive(Debug, Default)]
pub struct Progress {
    received: AtomicU64,
}

impl Progress {
    /// Bytes that have arrived.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// An image in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The checksum of what was imported.
    pub id: ImageId,
    /// The format that it had.
    pub format: Format,
    /// The size of the disk in it, bytes.
    pub virtual_size: u64,
    /// What a disk must have at least, bytes.
    pub min_disk_bytes: u64,
    /// What a machine's memory must be at least, MiB.
    pub min_memory_mib: u32,
}

const INCOMING: &str = ".incoming";
const CONVERTING: &str = ".converting";
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// The folder of images.
#[derive(Clone, Debug)]
pub(crate) struct ImageStore {
    folder: PathBuf,
    tool: ImageTool,
}

impl ImageStore {
    pub(crate) fn new(folder: PathBuf, tool: ImageTool) -> Self {
        Self { folder, tool }
    }

    pub(crate) fn path(&self, id: &ImageId) -> PathBuf {
        self.folder.join(format!("{id}.qcow2"))
    }

    fn record(&self, id: &ImageId) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }

    /// The image, which must be there.
    pub(crate) async fn get(&self, id: &ImageId) -> Result<Image> {
        self.find(id).await?.ok_or_else(|| {
            HypervisorError::last(
                "The image is not available.",
                format!("image {id} is not in {}", self.folder.display()),
            )
        })
    }

    async fn find(&self, id: &ImageId) -> Result<Option<Image>> {
        let path = self.record(id);
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

    pub(crate) async fn list(&self) -> Result<Vec<Image>> {
        let wrong =
            |error| HypervisorError::host(format!("{} can't be listed", self.folder.display()), error);
        let mut images = Vec::new();
        let mut entries = tokio::fs::read_dir(&self.folder).await.map_err(wrong)?;
        while let Some(entry) = entries.next_entry().await.map_err(wrong)? {
            let name = entry.file_name().to_string_lossy().into_owned();
            let id = name
                .strip_suffix(".json")
                .map(|id| ImageId::try_from(id.to_owned()));
            if let Some(Ok(id)) = id {
                images.extend(self.find(&id).await?);
            }
        }
        images.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(images)
    }

    pub(crate) async fn remove(&self, id: &ImageId) -> Result<()> {
        // The record first: an image without one is not there, a record without image would be a lie.
        for path in [self.record(id), self.path(id)] {
            remove_file(&path).await?;
        }
        Ok(())
    }

    pub(crate) async fn import(
        &self,
        source: Source,
        options: &ImportOptions,
        progress: &Progress,
    ) -> Result<Image> {
        if let Some(id) = &options.sha256
            && let Some(image) = self.find(id).await?
        {
            return Ok(image);
        }
        let incoming = self.named_file(INCOMING)?;
        let (id, head, size) = receive(source, incoming.path(), options, progress).await?;
        if options.sha256.as_ref().is_some_and(|wanted| *wanted != id) {
            return Err(HypervisorError::last(
                "The image does not have the expected checksum.",
                format!("the image has SHA-256 {id}"),
            ));
        }
        if let Some(image) = self.find(&id).await? {
            return Ok(image);
        }
        let (format, virtual_size) = examine(&head, size, options.format)?;
        if virtual_size > options.max_virtual_bytes {
            return Err(too_large(options.max_virtual_bytes));
        }
        self.tool
            .confirm(incoming.path(), format, virtual_size, options.limit)
            .await?;
        let flat = self.named_file(CONVERTING)?;
        self.tool
            .convert(incoming.path(), format, flat.path(), virtual_size, options.limit)
            .await?;
        let image = Image {
            id,
            format,
            virtual_size,
            min_disk_bytes: options.min_disk_bytes.max(virtual_size),
            min_memory_mib: options.min_memory_mib,
        };
        self.keep(flat, &image).await?;
        Ok(image)
    }

    /// Copies a disk of ours with all that it builds on into one file, which becomes an image.
    pub(crate) async fn take(
        &self,
        disk: &Path,
        virtual_size: u64,
        options: &ExportOptions,
    ) -> Result<Image> {
        if virtual_size > options.max_virtual_bytes {
            return Err(too_large(options.max_virtual_bytes));
        }
        let flat = self.named_file(CONVERTING)?;
        self.tool
            .convert(disk, Format::Qcow2, flat.path(), virtual_size, options.limit)
            .await?;
        let id = checksum(flat.path()).await?;
        if let Some(image) = self.find(&id).await? {
            return Ok(image);
        }
        let image = Image {
            id,
            format: Format::Qcow2,
            virtual_size,
            min_disk_bytes: virtual_size,
            min_memory_mib: options.min_memory_mib,
        };
        self.keep(flat, &image).await?;
        Ok(image)
    }

    /// Deletes what imports left behind that were killed. One that is under way elsewhere has written lately.
    pub(crate) async fn sweep(&self) -> Result<()> {
        let wrong =
            |error| HypervisorError::host(format!("{} can't be listed", self.folder.display()), error);
        let mut entries = tokio::fs::read_dir(&self.folder).await.map_err(wrong)?;
        while let Some(entry) = entries.next_entry().await.map_err(wrong)? {
            let name = entry.file_name();
            let unfinished = [INCOMING, CONVERTING]
                .iter()
                .any(|prefix| name.to_string_lossy().starts_with(prefix));
            let written = entry.metadata().await.and_then(|data| data.modified());
            // The file system's own time: it is compared with itself.
            let old = written.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > ABANDONED));
            if unfinished && old {
                remove_file(&entry.path()).await?;
            }
        }
        Ok(())
    }

    /// A file that disappears unless it is kept.
    fn named_file(&self, prefix: &str) -> Result<tempfile::NamedTempFile> {
        tempfile::Builder::new()
            .prefix(prefix)
            .tempfile_in(&self.folder)
            .map_err(|error| {
                HypervisorError::host(format!("can't write in {}", self.folder.display()), error)
            })
    }

    async fn keep(&self, flat: tempfile::NamedTempFile, image: &Image) -> Result<()> {
        let wrong = |error| HypervisorError::host("can't keep an image", error);
        tokio::fs::File::open(flat.path())
            .await
            .map_err(wrong)?
            .sync_all()
            .await
            .map_err(wrong)?;
        flat.persist(self.path(&image.id))
            .map_err(|error| HypervisorError::host("can't keep an image", error))?;
        write_atomically(&self.record(&image.id), image).await
    }
}

/// Copies the source, and returns its checksum, its beginning and its size.
async fn receive(
    source: Source,
    to: &Path,
    options: &ImportOptions,
    progress: &Progress,
) -> Result<(ImageId, Vec<u8>, u64)> {
    let unreadable = |error| {
        HypervisorError::passing("The image could not be read.", "an image's source failed").because(error)
    };
    let full = |error| HypervisorError::host("can't write an image", error);
    let mut reader: Box<dyn AsyncRead + Send + Unpin> = match source {
        Source::File(path) => Box::new(tokio::fs::File::open(path).await.map_err(unreadable)?),
        Source::Reader(reader) => reader,
    };
    let mut file = tokio::fs::File::create(to).await.map_err(full)?;
    let (mut sum, mut head, mut size) = (Sha256::new(), Vec::new(), 0_u64);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = reader.read(&mut buffer).await.map_err(unreadable)?;
        if count == 0 {
            break;
        }
        let part = &buffer[..count];
        size += count as u64;
        if size > options.max_bytes {
            return Err(too_large(options.max_bytes));
        }
        let wanted = header::HEAD_BYTES.saturating_sub(head.len()).min(count);
        head.extend_from_slice(&part[..wanted]);
        sum.update(part);
        file.write_all(part).await.map_err(full)?;
        progress.add(count as u64);
    }
    file.flush().await.map_err(full)?;
    Ok((ImageId::try_from(hex(&sum.finalize()))?, head, size))
}

async fn checksum(path: &Path) -> Result<ImageId> {
    let wrong = |error| HypervisorError::host(format!("{} can't be read", path.display()), error);
    let mut file = tokio::fs::File::open(path).await.map_err(wrong)?;
    let (mut sum, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer).await.map_err(wrong)? {
            0 => return ImageId::try_from(hex(&sum.finalize())),
            count => sum.update(&buffer[..count]),
        }
    }
}

/// The format and the size of the disk, by the file's first bytes.
pub(crate) fn examine(head: &[u8], size: u64, wanted: Option<Format>) -> Result<(Format, u64)> {
    let refused = |why: String| HypervisorError::last(format!("The image is refused: {why}."), why);
    let qcow2 = header::is_qcow2(head);
    match wanted {
        Some(Format::Raw) if qcow2 => Err(refused("it is a qcow2 file, not a raw disk".to_owned())),
        Some(Format::Qcow2) => qcow2_size(head, size).map_err(|why| refused(why.to_string())),
        None if qcow2 => qcow2_size(head, size).map_err(|why| refused(why.to_string())),
        Some(Format::Raw) | None => {
            if let Some(name) = foreign(head) {
                return Err(refused(format!("it is a {name} file; raw and qcow2 are taken")));
            }
            if size == 0 {
                return Err(refused("it is empty".to_owned()));
            }
            Ok((Format::Raw, size.next_multiple_of(512)))
        }
    }
}

fn qcow2_size(head: &[u8], size: u64) -> Result<(Format, u64), header::Refused> {
    let header = header::parse(head, size)?;
    Ok((Format::Qcow2, header.virtual_size))
}

/// Formats that one would take for a raw disk, and that would not boot.
fn foreign(head: &[u8]) -> Option<&'static str> {
    const KNOWN: [(&[u8], &str); 9] = [
        (b"KDMV", "VMDK"),
        (b"# Disk DescriptorFile", "VMDK"),
        (b"vhdxfile", "VHDX"),
        (b"conectix", "VHD"),
        (b"QED\0", "QED"),
        (b"\x1f\x8b", "gzip"),
        (b"\xfd7zXZ", "xz"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"BZh", "bzip2"),
    ];
    KNOWN
        .iter()
        .find(|(magic, _)| head.starts_with(magic))
        .map(|(_, name)| *name)
}

pub(crate) fn too_large(limit: u64) -> HypervisorError {
    HypervisorError::last(
        format!("The image is too large: {} MiB are taken.", limit >> 20),
        format!("an image has more than {limit} bytes"),
    )
}

/// Writes a record so that a reader sees all of it or the one before, also after a power cut.
pub(crate) async fn write_atomically(path: &Path, record: &impl Serialize) -> Result<()> {
    let wrong = |error| HypervisorError::host(format!("can't write {}", path.display()), error);
    let bytes = serde_json::to_vec_pretty(record)
        .map_err(|error| HypervisorError::host(format!("can't write {}", path.display()), error))?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = folder.join(format!(".{name}.new"));
    let mut file = tokio::fs::File::create(&new).await.map_err(wrong)?;
    file.write_all(&bytes).await.map_err(wrong)?;
    file.sync_all().await.map_err(wrong)?;
    tokio::fs::rename(&new, path).await.map_err(wrong)?;
    let folder = tokio::fs::File::open(folder).await.map_err(wrong)?;
    folder.sync_all().await.map_err(wrong)
}

/// Deletes a file; one that is not there is fine.
pub(crate) async fn remove_file(path: &Path) -> Result<()> {
    match tokio::fs::remove_file(path).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(HypervisorError::host(
            format!("can't delete {}", path.display()),
            error,
        )),
        _ => Ok(()),
    }
}

/// Lowercase hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_disks_are_taken_and_what_only_looks_raw_is_not() {
        assert_eq!(examine(b"\xeb\x63", 1000, None).unwrap(), (Format::Raw, 1024));
        for (head, wanted) in [
            (&b"KDMV"[..], None),
            (b"\x1f\x8b\x08", Some(Format::Raw)),
            (b"QFI\xfb", Some(Format::Raw)),
            (b"\xeb\x63", Some(Format::Qcow2)),
            (b"QFI\xfb", None),
        ] {
            assert!(!examine(head, 1000, wanted).unwrap_err().is_passing(), "{head:?}");
        }
    }
}
