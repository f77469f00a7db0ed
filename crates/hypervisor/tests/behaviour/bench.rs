//! The implementations, each with what a test does to it from outside.

use std::{fs::File, net::SocketAddr, path::PathBuf, process::Command, time::Duration};

use async_trait::async_trait;
use hypervisor::{
    Connection, DiskLimits, DiskMode, Forward, Hypervisor, ImageId, Interface, InterfaceId, RootDisk, VmId,
    VmSpec, demo_image,
    double::Double,
    images::{ImportOptions, Progress, Source},
    qemu::{Acceleration, Qemu, QemuSettings},
    seed::Seed,
};
use uuid::Uuid;

/// One implementation with an image that boots.
#[async_trait]
pub(crate) trait Bench: Sync {
    fn driver(&self) -> &dyn Hypervisor;

    /// The same host, by a driver that knows nothing yet.
    async fn reopened(&self) -> Box<dyn Hypervisor>;

    fn image(&self) -> &ImageId;

    /// The machine's process dies.
    async fn kill(&self, vm: VmId);

    /// The machine's system does not react to anything from now on.
    async fn freeze(&self, vm: VmId);

    /// What a destroyed machine left on the host.
    async fn leftovers(&self, vm: VmId) -> Vec<String>;
}

/// A small machine with a page on a free port.
pub(crate) fn machine(number: u128) -> VmSpec {
    VmSpec {
        id: VmId(Uuid::from_u128(0x0199_c0de << 96 | 0x7000_8000 << 48 | number)),
        name: format!("test, machine {number}"),
        cpus: 1,
        memory_mib: 128,
        disk_limits: DiskLimits {
            operations_per_second: Some(2000),
            bytes_per_second: Some(100 << 20),
        },
        interfaces: vec![interface(number << 8 | 1)],
    }
}

/// An interface with a page on a free port.
pub(crate) fn interface(number: u128) -> Interface {
    let [.., a, b] = number.to_be_bytes();
    Interface {
        id: InterfaceId(Uuid::from_u128(number)),
        mac: format!("52:54:00:00:{a:02x}:{b:02x}").parse().unwrap(),
        connection: Connection::User {
            forwards: vec![Forward {
                host: SocketAddr::from(([127, 0, 0, 1], 0)),
                guest_port: 80,
            }],
        },
        addresses: Vec::new(),
    }
}

pub(crate) fn disk(image: &ImageId) -> RootDisk {
    RootDisk {
        image: image.clone(),
        size_bytes: 128 << 20,
        mode: DiskMode::Overlay,
    }
}

pub(crate) const PASSWORD: &str = "correct horse";
/// The same, by `openssl passwd -6`.
const HASH: &str =
    "$6$onetonet$wNpv6G2NKWpdGpeVq5pF4ZiNP8gefFLdeCS6DTY6IAfRPAcSunwzbdI4W2xI/tvJP3Px28ubVRrfEnoMKHrjk1";

pub(crate) fn seed(hostname: &str, instance: &str) -> Seed {
    Seed {
        instance_id: instance.to_owned(),
        hostname: hostname.to_owned(),
        password_hash: Some(HASH.to_owned()),
        ssh_keys: vec!["ssh-ed25519 AAAAC3Nza one@example.net".to_owned()],
        user_data: Some("#!/bin/sh\necho hello\n".to_owned()),
        ..Seed::default()
    }
}

pub(crate) struct DoubleBench {
    double: Double,
    image: ImageId,
    /// Where it keeps its machines, if anywhere.
    folder: Option<tempfile::TempDir>,
}

impl DoubleBench {
    pub(crate) async fn new() -> Self {
        Self::with(Double::new(), None).await
    }

    /// One that finds its machines again after its process has ended.
    pub(crate) async fn kept() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::with(Double::open(folder.path()).unwrap(), Some(folder)).await
    }

    async fn with(double: Double, folder: Option<tempfile::TempDir>) -> Self {
        let options = ImportOptions {
            min_memory_mib: 64,
            ..ImportOptions::default()
        };
        let source = Source::Reader(Box::new(std::io::Cursor::new(vec![1; 4096])));
        let image = double
            .import_image(source, &options, &Progress::default())
            .await
            .unwrap();
        Self {
            double,
            image: image.id,
            folder,
        }
    }

    pub(crate) fn double(&self) -> Double {
        self.double.clone()
    }
}

#[async_trait]
impl Bench for DoubleBench {
    fn driver(&self) -> &dyn Hypervisor {
        &self.double
    }

    async fn reopened(&self) -> Box<dyn Hypervisor> {
        match &self.folder {
            Some(folder) => Box::new(Double::open(folder.path()).unwrap()),
            None => Box::new(self.double.clone()),
        }
    }

    fn image(&self) -> &ImageId {
        &self.image
    }

    async fn kill(&self, vm: VmId) {
        self.double.crash(vm);
    }

    async fn freeze(&self, vm: VmId) {
        self.double.hang(vm, true);
    }

    async fn leftovers(&self, vm: VmId) -> Vec<String> {
        self.double
            .spec(vm)
            .iter()
            .map(|spec| format!("{spec:?}"))
            .collect()
    }
}

pub(crate) struct QemuBench {
    pub(crate) qemu: Qemu,
    pub(crate) settings: QemuSettings,
    image: ImageId,
    data: tempfile::TempDir,
    _lock: File,
}

impl QemuBench {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With other settings.
    pub(crate) async fn with(change: impl FnOnce(&mut QemuSettings)) -> Self {
        for (program, package) in [
            ("qemu-system-x86_64", "qemu-system-x86"),
            ("qemu-img", "qemu-utils"),
        ] {
            let there = Command::new(program).arg("--version").output().is_ok();
            assert!(
                there,
                "these tests need {program}: install the package {package}, or run cargo xtask test"
            );
        }
        let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        // Software emulation needs a processor for each machine: one at a time.
        let lock = File::create(target.join("hypervisor.lock")).unwrap();
        let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock));
        let lock = lock.await.unwrap().unwrap();
        let built = tokio::task::spawn_blocking(move || demo_image::build(&target.join("demo-image")));
        let built = built
            .await
            .unwrap()
            .unwrap_or_else(|error| panic!("the demo image can't be built: {error}"));
        let data = tempfile::Builder::new().prefix("onet,hv").tempdir().unwrap();
        // Longer than the path of a socket may be.
        let mut settings = QemuSettings::new(data.path().join("a long name, ".repeat(8)));
        settings.acceleration = Acceleration::Software;
        change(&mut settings);
        let qemu = Qemu::open(settings.clone()).await.unwrap();
        let image = qemu
            .import_image(
                Source::File(built),
                &ImportOptions::default(),
                &Progress::default(),
            )
            .await
            .unwrap();
        Self {
            qemu,
            settings,
            image: image.id,
            data,
            _lock: lock,
        }
    }

    fn processes(&self, vm: VmId) -> Vec<u32> {
        let machine = format!(
            "{}/machines/{vm}/",
            self.settings.data_dir.canonicalize().unwrap().display()
        );
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap() {
            let name = entry.unwrap().file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line)
                .replace('\0', " ")
                .replace(",,", ",");
            if line.contains(&machine) {
                found.push(pid);
            }
        }
        found
    }

    fn signal(&self, vm: VmId, signal: &str) {
        let processes = self.processes(vm);
        assert_eq!(processes.len(), 1, "{processes:?}");
        let pid = processes[0].to_string();
        let sent = Command::new("sh")
            .args(["-c", r#"kill -s "$1" "$2""#, "sh", signal, &pid])
            .status();
        assert!(sent.unwrap().success());
    }
}

/// A test that fails leaves no machine behind.
impl Drop for QemuBench {
    fn drop(&mut self) {
        let machines = self.settings.data_dir.join("machines");
        for entry in std::fs::read_dir(machines).into_iter().flatten().flatten() {
            let vm = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<VmId>().ok());
            for pid in vm.map(|vm| self.processes(vm)).unwrap_or_default() {
                let _ = Command::new("sh")
                    .args(["-c", r#"kill -s KILL "$1""#, "sh", &pid.to_string()])
                    .status();
            }
        }
    }
}

#[async_trait]
impl Bench for QemuBench {
    fn driver(&self) -> &dyn Hypervisor {
        &self.qemu
    }

    async fn reopened(&self) -> Box<dyn Hypervisor> {
        Box::new(Qemu::open(self.settings.clone()).await.unwrap())
    }

    fn image(&self) -> &ImageId {
        &self.image
    }

    async fn kill(&self, vm: VmId) {
        self.signal(vm, "KILL");
        for _ in 0..200 {
            if self.processes(vm).is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the process does not end");
    }

    async fn freeze(&self, vm: VmId) {
        // A system that has not booted yet looks at nothing, and one whose processor is held will not.
        let socket = self
            .settings
            .data_dir
            .join("machines")
            .join(vm.to_string())
            .join("control.sock");
        let link = self.data.path().join("m");
        std::os::unix::fs::symlink(socket.parent().unwrap(), &link).unwrap();
        super::client::monitor(&link.join("control.sock"), &["stop"]).await;
        std::fs::remove_file(link).unwrap();
    }

    async fn leftovers(&self, vm: VmId) -> Vec<String> {
        let mut found: Vec<String> = self.processes(vm).iter().map(ToString::to_string).collect();
        let mut folders = vec![self.settings.data_dir.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.display().to_string().contains(&vm.to_string()) {
                    found.push(path.display().to_string());
                }
                if path.is_dir() {
                    folders.push(path);
                }
            }
        }
        found
    }
}
