//! The consoles of a real machine: QEMU without acceleration, the demo image, and everything between an order and the bytes
//! of a screen and of a serial line.

use std::{
    fs::File,
    path::PathBuf,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use hypervisor::{
    Hypervisor, demo_image,
    images::{ImportOptions, Progress, Source},
    qemu::{Acceleration, Qemu, QemuSettings},
};
use serde_json::{Value, json};
use testkit::{Engine, Server};

use crate::{
    consoles::{Console, connect, looks},
    machines::{Site, enlist},
};

/// A machine without acceleration, on a busy host.
const BOOT_LIMIT: Duration = Duration::from_secs(120);

async fn asks_for_a_login(line: &mut Console) {
    let end = Instant::now() + BOOT_LIMIT;
    loop {
        // A login that is just starting loses keys.
        line.send(b"\r").await;
        if line.reads("real login: ", Duration::from_secs(4)).await.is_some() {
            return;
        }
        assert!(Instant::now() < end, "no login within {BOOT_LIMIT:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_machine_shows_its_screen_and_asks_for_a_login() {
    if Command::new("qemu-system-x86_64")
        .arg("--version")
        .output()
        .is_err()
    {
        eprintln!("skipped: QEMU is installed by `cargo xtask test`");
        return;
    }
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    // Shared with the tests of the hypervisor: software emulation needs a processor for each machine.
    let lock = File::create(target.join("hypervisor.lock")).unwrap();
    let locking = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock));
    let _lock = locking.await.unwrap().unwrap();
    let built = tokio::task::spawn_blocking(move || demo_image::build(&target.join("demo-image")));
    let built = built
        .await
        .unwrap()
        .unwrap_or_else(|error| panic!("the demo image can't be built: {error}"));
    let data = tempfile::tempdir().unwrap();
    let mut settings = QemuSettings::new(data.path().join("machines"));
    settings.acceleration = Acceleration::Software;
    let qemu = Arc::new(Qemu::open(settings).await.unwrap());
    let image = qemu
        .import_image(
            Source::File(built),
            &ImportOptions::default(),
            &Progress::default(),
        )
        .await
        .unwrap();

    let server = Server::start(Engine::Sqlite, |config| config.compute.user_forwards.clear()).await;
    let (size, location, image) = enlist(&server, qemu.clone(), &image.id).await;
    let site = Site {
        host: hypervisor::double::Double::new(),
        size,
        location,
        image,
    };
    let instance = site.running(&server, "real").await;
    let path = site.path(&server, &instance);
    let open = async |kind: &str| -> Value {
        let wanted = json!({ "console_type": kind });
        server
            .owner()
            .post(&format!("{path}/console"), &wanted)
            .await
            .expect(201)
            .body
    };

    let session = open("novnc").await;
    let mut screen = connect(&server, &session).await.expect("the screen");
    let (width, height, pixels) = looks(&mut screen).await;
    assert!(width >= 320 && height >= 200, "{width} × {height}");
    assert_eq!(pixels.len(), usize::from(width) * usize::from(height) * 4);

    let session = open("serial").await;
    let mut line = connect(&server, &session).await.expect("the serial line");
    asks_for_a_login(&mut line).await;
    // Whoever comes later gets the line, and the guest does not notice.
    let session = open("serial").await;
    let mut other = connect(&server, &session).await.expect("the serial line");
    asks_for_a_login(&mut other).await;

    server.owner().delete(&path).await.expect(202);
    server.run_tasks().await;
    assert!(qemu.list().await.unwrap().is_empty());
}
