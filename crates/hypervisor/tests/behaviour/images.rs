//! Images from outside: good ones are taken, and those that name other files are not.

use std::{path::Path, process::Command};

use hypervisor::{
    Hypervisor, ImageId,
    images::{Format, ImportOptions, Progress, Source},
};

use super::bench::QemuBench;

fn qemu_img(folder: &Path, args: &[&str]) {
    let done = Command::new("qemu-img")
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

async fn import(
    bench: &QemuBench,
    path: &Path,
    options: &ImportOptions,
) -> hypervisor::Result<hypervisor::images::Image> {
    bench
        .qemu
        .import_image(Source::File(path.to_owned()), options, &Progress::default())
        .await
}

#[tokio::test]
async fn hostile_files_are_refused_and_leave_nothing() {
    let bench = QemuBench::new().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), "root:x:0:0").unwrap();
    let create = |args: &[&str]| qemu_img(folder.path(), &[&["create", "-q", "-f", "qcow2"], args].concat());
    create(&["-u", "-b", "/etc/shadow", "-F", "raw", "backing", "1M"]);
    create(&["-o", "data_file=secret,data_file_raw=on", "data", "1M"]);
    create(&[
        "--object",
        "secret,id=s,data=abc",
        "-o",
        "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10",
        "luks",
        "1M",
    ]);
    create(&["huge", "1T"]);
    std::fs::write(folder.path().join("gzip"), b"\x1f\x8b\x08\0\0\0").unwrap();
    let before = bench.qemu.images().await.unwrap();
    for (name, why) in [
        ("backing", "backing file"),
        ("data", "another file"),
        ("luks", "encrypted"),
        ("huge", "too large"),
        ("gzip", "gzip"),
    ] {
        let error = import(&bench, &folder.path().join(name), &ImportOptions::default())
            .await
            .unwrap_err();
        assert!(!error.is_passing(), "{name}: {error}");
        assert!(error.public().contains(why), "{name}: {}", error.public());
    }
    assert_eq!(bench.qemu.images().await.unwrap(), before);
    let left: Vec<_> = std::fs::read_dir(bench.settings.data_dir.join("images"))
        .unwrap()
        .collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[tokio::test]
async fn images_are_checked_counted_and_flattened() {
    let bench = QemuBench::new().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    qemu_img(
        folder.path(),
        &[
            "create",
            "-q",
            "-f",
            "qcow2",
            "-o",
            "compression_type=zstd",
            "image",
            "8M",
        ],
    );
    let wrong = ImportOptions {
        sha256: Some(ImageId::try_from("0".repeat(64)).unwrap()),
        ..ImportOptions::default()
    };
    assert!(
        import(&bench, &path, &wrong)
            .await
            .unwrap_err()
            .public()
            .contains("checksum")
    );
    let small = ImportOptions {
        max_bytes: 1000,
        ..ImportOptions::default()
    };
    assert!(
        import(&bench, &path, &small)
            .await
            .unwrap_err()
            .public()
            .contains("too large")
    );
    let progress = Progress::default();
    let bytes = std::fs::read(&path).unwrap();
    let options = ImportOptions {
        min_memory_mib: 512,
        ..ImportOptions::default()
    };
    let source = Source::Reader(Box::new(std::io::Cursor::new(bytes.clone())));
    let image = bench
        .qemu
        .import_image(source, &options, &progress)
        .await
        .unwrap();
    assert_eq!(progress.received(), bytes.len() as u64);
    assert_eq!((image.format, image.virtual_size), (Format::Qcow2, 8 << 20));
    assert_eq!((image.min_disk_bytes, image.min_memory_mib), (8 << 20, 512));
    // Once more is the same image.
    assert_eq!(
        import(&bench, &path, &ImportOptions::default()).await.unwrap(),
        image
    );
    assert_eq!(bench.qemu.images().await.unwrap().len(), 2);
}
