//! What QEMU alone has to show: what it finds on its host, and what it needs there.

use std::{process::Command, time::Duration};

use hypervisor::{
    CopyForm, CopyId, DiskMode, Hypervisor, PowerState, RootDisk,
    qemu::{Acceleration, Qemu},
};

use super::bench::{Bench, QemuBench, disk, machine};

#[tokio::test]
async fn a_host_tells_what_it_can_do() {
    let bench = QemuBench::with(|settings| settings.acceleration = Acceleration::Auto).await;
    let report = bench.qemu.check().await.unwrap();
    assert!(report.version.starts_with("QEMU emulator version"), "{report:?}");
    // Either it was seen to work, or there is a reason.
    assert_eq!(
        report.hardware_acceleration,
        report.acceleration_note.is_empty(),
        "{report:?}"
    );
    assert!(report.free_disk_bytes > 0);
    println!("{report:?}");
    let mut settings = bench.settings.clone();
    settings.program = "qemu-system-none".to_owned();
    let error = Qemu::open(settings).await.unwrap().check().await.unwrap_err();
    assert!(error.to_string().contains("qemu-system-x86"), "{error}");
}

#[tokio::test]
async fn a_copied_disk_needs_its_image_no_more() {
    let bench = QemuBench::new().await;
    let vm = machine(5).id;
    let copy = RootDisk {
        mode: DiskMode::Copy,
        ..disk(bench.image())
    };
    for _ in 0..2 {
        bench.qemu.prepare_disk(vm, &copy).await.unwrap();
    }
    bench.qemu.remove_image(bench.image()).await.unwrap();
    let path = bench
        .settings
        .data_dir
        .join("machines")
        .join(vm.to_string())
        .join("disk.qcow2");
    let told = Command::new("qemu-img").arg("info").arg(path).output().unwrap();
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("128 MiB") && !told.contains("backing"), "{told}");
    bench.qemu.define(&machine(5)).await.unwrap();
    bench.qemu.start(vm).await.unwrap();
    bench.qemu.destroy(vm).await.unwrap();
    assert_eq!(bench.leftovers(vm).await, Vec::<String>::new());
}

/// QEMU's own account can't open the copy's file: it is handed over. A worker that died left a copy half made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_of_another_account_is_copied_after_a_copy_that_was_given_up() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can give a process another account");
        return;
    }
    let bench = QemuBench::with(|settings| settings.run_as = Some("nobody".to_owned())).await;
    // Slow enough for a copy to take seconds.
    let mut slow = machine(8);
    slow.disk_limits.bytes_per_second = Some(8 << 20);
    let vm = slow.id;
    bench.qemu.prepare_disk(vm, &disk(bench.image())).await.unwrap();
    bench.qemu.define(&slow).await.unwrap();
    bench.qemu.start(vm).await.unwrap();
    let (copy, limit) = (CopyId(vm.0), Duration::from_secs(60));
    let given_up = bench
        .qemu
        .save_copy(vm, copy, CopyForm::Whole, Duration::ZERO)
        .await;
    assert!(given_up.is_err_and(|error| error.is_passing()), "it takes longer");
    assert_eq!(bench.qemu.copies().await.unwrap(), []);
    // Dropped in the middle, with QEMU at work.
    let dropped = bench.qemu.save_copy(vm, copy, CopyForm::Whole, limit);
    assert!(
        tokio::time::timeout(Duration::from_millis(150), dropped)
            .await
            .is_err()
    );
    let made = bench
        .qemu
        .save_copy(vm, copy, CopyForm::Whole, limit)
        .await
        .unwrap();
    assert_eq!(made.size_bytes, 128 << 20);
    let file = bench
        .settings
        .data_dir
        .join("copies")
        .join(format!("{copy}.qcow2"));
    let checked = Command::new("qemu-img").arg("check").arg(file).output().unwrap();
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stdout)
    );
    bench.qemu.remove_copy(copy).await.unwrap();
    bench.qemu.destroy(vm).await.unwrap();
    let left = std::fs::read_dir(bench.settings.data_dir.join("copies")).unwrap();
    assert_eq!(left.count(), 0);
}

#[tokio::test]
async fn a_machine_is_found_whatever_was_lost() {
    let bench = QemuBench::new().await;
    let vm = machine(6).id;
    let folder = bench.settings.data_dir.join("machines").join(vm.to_string());
    bench.qemu.prepare_disk(vm, &disk(bench.image())).await.unwrap();
    bench.qemu.define(&machine(6)).await.unwrap();
    bench.qemu.start(vm).await.unwrap();
    // Its number is written down nowhere, or is another process's.
    let pid = folder.join("pid");
    let ours = std::fs::read_to_string(&pid).unwrap();
    for lie in [None, Some(std::process::id().to_string())] {
        std::fs::remove_file(&pid).unwrap();
        std::fs::write(&pid, lie.unwrap_or_default()).unwrap();
        let found = bench.reopened().await.find(vm).await.unwrap().unwrap();
        assert_eq!((found.state, found.defined), (PowerState::Running, true));
    }
    // Nothing is known of it but that it runs: a reconciler sees it, and gets rid of it.
    std::fs::remove_dir_all(&folder).unwrap();
    let listed = bench.qemu.list().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (listed[0].id, listed[0].state, listed[0].defined),
        (vm, PowerState::Running, false)
    );
    bench.qemu.destroy(vm).await.unwrap();
    assert_eq!(bench.leftovers(vm).await, Vec::<String>::new());
    let gone = format!("/proc/{}/exe", ours.trim());
    for _ in 0..100 {
        if std::fs::read_link(&gone).is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the process is there still");
}
