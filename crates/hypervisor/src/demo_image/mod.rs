//! The image of the demo and of the tests: a disk of 32 MiB with Debian's cloud kernel and busybox, which boots in
//! seconds even without hardware acceleration, reads its NoCloud seed, serves a page, lets one log in on its consoles
//! and goes down when its power button is pressed.
//!
//! It is made of Debian packages. Kernel and busybox are unpacked, never installed. The boot loader is syslinux, in a
//! FAT partition; what the machine keeps (how often it was booted) is there too.

mod cpio;

use std::{
    fs,
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use sha2::{Digest, Sha256};

use self::cpio::Archive;
use crate::{
    error::{HypervisorError, Result},
    images::hex,
};

const INIT: &str = include_str!("init.sh");

/// In the order in which they can be loaded.
const MODULES: &[&str] = &[
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "virtio_blk",
    "failover",
    "net_failover",
    "virtio_net",
    "virtio_balloon",
    "evdev",
    "button",
    "fat",
    "vfat",
    "nls_cp437",
    "nls_ascii",
];

const BOOT: &str = "\
DEFAULT onet
PROMPT 0
TIMEOUT 0
LABEL onet
  KERNEL /vmlinuz
  INITRD /initrd
  APPEND console=tty0 console=ttyS0,115200 quiet net.ifnames=0 panic=5 tsc=unstable mitigations=off nokaslr \
  cryptomgr.notests random.trust_cpu=on
";

const DISK_BYTES: u64 = 32 << 20;
const PARTITION_START: u64 = 1 << 20;
const SECTOR: u64 = 512;

/// What the builder calls, and where it comes from.
const PROGRAMS: &[(&str, &str)] = &[
    ("apt-get", "apt"),
    ("apt-cache", "apt"),
    ("dpkg-deb", "dpkg"),
    ("syslinux", "syslinux"),
    ("mcopy", "mtools"),
];
const MASTER_BOOT_RECORD: &str = "/usr/lib/syslinux/mbr/mbr.bin";
const KERNEL_PACKAGE: &str = "linux-image-cloud-amd64";

/// Builds the image inside of `cache`, or finds it there, and returns the path of a raw disk. Processes that do this at
/// the same time wait for each other. It takes seconds, and downloads some 30 MB the first time: call it from a thread
/// that may block.
///
/// # Errors
/// When a program is missing (the message says which package has it), or when the packages can't be had.
pub fn build(cache: &Path) -> Result<PathBuf> {
    fs::create_dir_all(cache).map_err(|error| failed(format!("can't make {}", cache.display()), error))?;
    let lock =
        fs::File::create(cache.join("lock")).map_err(|error| failed("can't make a lock file", error))?;
    lock.lock().map_err(|error| failed("can't lock", error))?;
    // What the image is made of decides its name: another script is another image.
    let recipe = Sha256::digest(format!("{DISK_BYTES}\n{INIT}\n{BOOT}\n{MODULES:?}"));
    let image = cache.join(format!("onet-demo-{}.img", &hex(&recipe)[..16]));
    if image.exists() {
        return Ok(image);
    }
    missing_programs()?;
    let packages = Packages::fetch(cache)?;
    let work = tempfile::tempdir_in(cache).map_err(|error| failed("can't make a folder", error))?;
    let disk = work.path().join("disk.img");
    write_disk(&disk, &packages.kernel()?, &packages.initial_files()?)?;
    let offset = PARTITION_START.to_string();
    run(Command::new("syslinux")
        .args(["--install", "--offset", &offset])
        .arg(&disk))?;
    fs::rename(&disk, &image).map_err(|error| failed("can't move the image to its place", error))?;
    Ok(image)
}

fn missing_programs() -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| !folders.iter().any(|folder| folder.join(program).is_file()))
        .map(|(_, package)| *package)
        .collect();
    if !Path::new(MASTER_BOOT_RECORD).exists() {
        missing.push("syslinux-common");
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(HypervisorError::last(
        "The demo image can't be built on this host.",
        format!(
            "the demo image is made with Debian's packages: install {}",
            missing.join(", ")
        ),
    ))
}

/// The unpacked packages.
struct Packages {
    root: PathBuf,
}

impl Packages {
    /// Downloads and unpacks what is not there yet.
    fn fetch(cache: &Path) -> Result<Self> {
        let root = cache.join("packages");
        for name in [kernel_package()?.as_str(), "busybox-static"] {
            let done = root.join(format!("{name}.unpacked"));
            if done.exists() {
                continue;
            }
            let download =
                tempfile::tempdir_in(cache).map_err(|error| failed("can't make a folder", error))?;
            run(Command::new("apt-get")
                .args(["download", "-q", name])
                .current_dir(download.path()))?;
            let archive = fs::read_dir(download.path())
                .map_err(|error| failed("can't list the download", error))?
                .filter_map(|entry| Some(entry.ok()?.path()))
                .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
                .ok_or_else(|| failed("apt-get download brought no package", name))?;
            run(Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(&root))?;
            fs::write(&done, []).map_err(|error| failed("can't note what was unpacked", error))?;
        }
        Ok(Self { root })
    }

    fn kernel(&self) -> Result<Vec<u8>> {
        let boot = self.root.join("boot");
        let path = newest(&boot, "vmlinuz-")?;
        read(&path)
    }

    fn initial_files(&self) -> Result<Vec<u8>> {
        let modules = newest(&self.root.join("lib/modules"), "")?;
        let mut archive = Archive::default();
        for folder in ["bin", "dev", "modules"] {
            archive.folder(folder);
        }
        archive.device("dev/console", (5, 1));
        archive.program("init", INIT.as_bytes());
        archive.program("bin/busybox", &read(&self.busybox())?);
        let mut order = String::new();
        for name in MODULES {
            // What is not there is built into the kernel.
            if let Some(path) = find(&modules, &format!("{name}.ko"))? {
                archive.program(&format!("modules/{name}.ko"), &read(&path)?);
                order.push_str(name);
                order.push('\n');
            }
        }
        archive.program("modules/order", order.as_bytes());
        Ok(archive.finish())
    }

    fn busybox(&self) -> PathBuf {
        let usual = self.root.join("bin/busybox");
        if usual.exists() {
            usual
        } else {
            self.root.join("usr/bin/busybox")
        }
    }
}

/// The package that the unversioned one stands for.
fn kernel_package() -> Result<String> {
    let said = run(Command::new("apt-cache").args(["depends", "--important", KERNEL_PACKAGE]))?;
    said.lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(|name| name.starts_with("linux-image-"))
        .map(str::to_owned)
        .ok_or_else(|| {
            failed(
                "no kernel package is known: is the list of packages up to date?",
                KERNEL_PACKAGE,
            )
        })
}

fn write_disk(path: &Path, kernel: &[u8], initial_files: &[u8]) -> Result<()> {
    let wrong = |error: std::io::Error| failed("can't write the disk", error);
    let mut disk = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(wrong)?;
    disk.set_len(DISK_BYTES).map_err(wrong)?;
    let mut head = read(Path::new(MASTER_BOOT_RECORD))?;
    head.resize(440, 0);
    head.resize(446, 0);
    head.extend_from_slice(&partition());
    head.resize(510, 0);
    head.extend_from_slice(&[0x55, 0xaa]);
    disk.write_all(&head).map_err(wrong)?;
    let mut partition = Window {
        file: disk,
        start: PARTITION_START,
        length: DISK_BYTES - PARTITION_START,
        at: 0,
    };
    let options = fatfs::FormatVolumeOptions::new()
        .fat_type(fatfs::FatType::Fat16)
        .volume_label(*b"ONETDEMO   ");
    fatfs::format_volume(&mut partition, options).map_err(wrong)?;
    let volume = fatfs::FileSystem::new(&mut partition, fatfs::FsOptions::new()).map_err(wrong)?;
    {
        let root = volume.root_dir();
        for (name, content) in [
            ("vmlinuz", kernel),
            ("initrd", initial_files),
            ("syslinux.cfg", BOOT.as_bytes()),
        ] {
            let mut file = root.create_file(name).map_err(wrong)?;
            file.truncate().map_err(wrong)?;
            file.write_all(content).map_err(wrong)?;
            file.flush().map_err(wrong)?;
        }
    }
    volume.unmount().map_err(wrong)
}

/// One active FAT16 partition that fills the disk.
fn partition() -> [u8; 16] {
    let mut entry = [0; 16];
    entry[0] = 0x80;
    entry[1..4].copy_from_slice(&[0xfe, 0xff, 0xff]);
    entry[4] = 0x0e;
    entry[5..8].copy_from_slice(&[0xfe, 0xff, 0xff]);
    let start = u32::try_from(PARTITION_START / SECTOR).unwrap_or_default();
    let length = u32::try_from((DISK_BYTES - PARTITION_START) / SECTOR).unwrap_or_default();
    entry[8..12].copy_from_slice(&start.to_le_bytes());
    entry[12..16].copy_from_slice(&length.to_le_bytes());
    entry
}

/// A part of a file that looks like a whole one.
struct Window {
    file: fs::File,
    start: u64,
    length: u64,
    at: u64,
}

impl Window {
    fn room(&mut self, wanted: usize) -> std::io::Result<usize> {
        self.file.seek(SeekFrom::Start(self.start + self.at))?;
        let left = self.length.saturating_sub(self.at);
        Ok(wanted.min(usize::try_from(left).unwrap_or(usize::MAX)))
    }
}

impl Read for Window {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let room = self.room(buffer.len())?;
        let done = self.file.read(&mut buffer[..room])?;
        self.at += done as u64;
        Ok(done)
    }
}

impl Write for Window {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let room = self.room(buffer.len())?;
        let done = self.file.write(&buffer[..room])?;
        self.at += done as u64;
        Ok(done)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

impl Seek for Window {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = target.ok_or_else(|| std::io::Error::other("a seek to before the beginning"))?;
        Ok(self.at)
    }
}

fn newest(folder: &Path, prefix: &str) -> Result<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .map_err(|error| failed(format!("can't list {}", folder.display()), error))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(prefix))
        })
        .collect();
    found.sort();
    found.pop().ok_or_else(|| {
        failed(
            format!("nothing like {prefix} in {}", folder.display()),
            "unexpected package",
        )
    })
}

/// A file of this name anywhere below `folder`.
fn find(folder: &Path, name: &str) -> Result<Option<PathBuf>> {
    let wrong = |error| failed(format!("can't list {}", folder.display()), error);
    for entry in fs::read_dir(folder).map_err(wrong)? {
        let entry = entry.map_err(wrong)?;
        let kind = entry.file_type().map_err(wrong)?;
        if kind.is_dir() {
            if let Some(found) = find(&entry.path(), name)? {
                return Ok(Some(found));
            }
        } else if entry.file_name() == name {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| failed(format!("can't read {}", path.display()), error))
}

/// Runs a program to its end and returns what it said.
fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(format!("can't run {name}"), error))?;
    if !output.status.success() {
        return Err(failed(
            format!("{name} failed ({})", output.status),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn failed(
    what: impl Into<String>,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> HypervisorError {
    HypervisorError::passing("The demo image could not be built.", what).because(source)
}
