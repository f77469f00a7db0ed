//! Copies of a disk: made while the machine runs and while it is off, and read back.

use std::time::Duration;

use hypervisor::{CopyForm, CopyId, Hypervisor, RequestId, Size, VmId};
use uuid::Uuid;

use super::{
    bench::{Bench, disk, machine, seed},
    client::{BOOT_LIMIT, page},
    life::port,
};

const LIMIT: Duration = Duration::from_secs(120);
const DISK: u64 = 128 << 20;

fn copy(number: u128) -> CopyId {
    CopyId(Uuid::from_u128(0xc0b1 << 64 | number))
}

fn request(number: u128) -> RequestId {
    RequestId(Uuid::from_u128(0x9e5 << 64 | number))
}

async fn boots(driver: &dyn Hypervisor, vm: VmId, times: u32) {
    driver.start(vm).await.unwrap();
    page(port(driver, vm, 0).await, "/", &format!("boots: {times}")).await;
}

pub(crate) async fn whole(bench: &impl Bench) {
    let driver = bench.driver();
    let (spec, vm) = (machine(6), machine(6).id);
    let none = driver
        .save_copy(vm, copy(1), CopyForm::Whole, LIMIT)
        .await
        .unwrap_err();
    assert!(!none.is_passing(), "it has no disk");
    driver.prepare_disk(vm, &disk(bench.image())).await.unwrap();
    driver.define(&spec).await.unwrap();
    driver.set_seed(vm, &seed("copied", "first")).await.unwrap();
    boots(driver, vm, 1).await;
    // While it runs, twice: a worker that died repeats its step.
    for _ in 0..2 {
        let made = driver
            .save_copy(vm, copy(1), CopyForm::Changes, LIMIT)
            .await
            .unwrap();
        assert_eq!((made.id, made.size_bytes), (copy(1), DISK));
        let whole = driver
            .save_copy(vm, copy(2), CopyForm::Whole, LIMIT)
            .await
            .unwrap();
        assert!(
            made.taken_bytes > 0 && made.taken_bytes <= whole.taken_bytes,
            "{made:?} {whole:?}"
        );
    }
    let refused = driver
        .restore_copy(vm, request(1), copy(1), DISK)
        .await
        .unwrap_err();
    assert!(!refused.is_passing(), "it runs");
    driver.shutdown(vm, BOOT_LIMIT).await.unwrap();
    boots(driver, vm, 2).await;
    driver.shutdown(vm, BOOT_LIMIT).await.unwrap();
    driver
        .save_copy(vm, copy(3), CopyForm::Changes, LIMIT)
        .await
        .unwrap();
    driver
        .save_copy(vm, copy(4), CopyForm::Whole, LIMIT)
        .await
        .unwrap();
    let ids: Vec<CopyId> = driver
        .copies()
        .await
        .unwrap()
        .iter()
        .map(|copy| copy.id)
        .collect();
    assert_eq!(ids, [copy(1), copy(2), copy(3), copy(4)]);
    read_back(bench, vm).await;
    others(bench, vm).await;
}

/// What was copied while it ran, then what was copied while it was off.
async fn read_back(bench: &impl Bench, vm: VmId) {
    let driver = bench.driver();
    for (number, count) in [(1, 2), (4, 3), (2, 2), (3, 3)] {
        for _ in 0..2 {
            driver
                .restore_copy(vm, request(number), copy(number), DISK)
                .await
                .unwrap();
        }
        boots(driver, vm, count).await;
        driver.shutdown(vm, BOOT_LIMIT).await.unwrap();
    }
    let unknown = driver
        .restore_copy(vm, request(9), copy(9), DISK)
        .await
        .unwrap_err();
    assert!(!unknown.is_passing(), "there is no such copy");
    let small = driver
        .restore_copy(vm, request(9), copy(3), DISK / 2)
        .await
        .unwrap_err();
    assert!(small.public().contains("smaller"), "{}", small.public());
    // A disk that has grown since stays as large as it is.
    let size = Size {
        cpus: 1,
        memory_mib: 128,
        disk_bytes: 2 * DISK,
    };
    driver.resize(vm, size).await.unwrap();
    driver
        .restore_copy(vm, request(5), copy(1), 2 * DISK)
        .await
        .unwrap();
    boots(driver, vm, 2).await;
    let state = page(port(driver, vm, 0).await, "/cgi-bin/state", "keys").await;
    assert_eq!(super::client::value(&state, "disk_sectors"), 2 * DISK / 512);
}

/// Copies outlive the machine, hold the image that they need, and fit another machine.
async fn others(bench: &impl Bench, vm: VmId) {
    let driver = bench.driver();
    driver.destroy(vm).await.unwrap();
    assert_eq!(driver.copies().await.unwrap().len(), 4);
    let held = driver.remove_image(bench.image()).await.unwrap_err();
    assert!(held.public().contains("in use"), "{}", held.public());
    for number in [1, 3, 3] {
        driver.remove_copy(copy(number)).await.unwrap();
    }
    driver
        .prepare_disk(machine(7).id, &disk(bench.image()))
        .await
        .unwrap();
    driver.define(&machine(7)).await.unwrap();
    driver
        .set_seed(machine(7).id, &seed("other", "second"))
        .await
        .unwrap();
    driver
        .restore_copy(machine(7).id, request(7), copy(4), DISK)
        .await
        .unwrap();
    driver.remove_image(bench.image()).await.unwrap();
    boots(driver, machine(7).id, 3).await;
    driver.destroy(machine(7).id).await.unwrap();
    for number in [2, 4] {
        driver.remove_copy(copy(number)).await.unwrap();
    }
    assert_eq!(driver.copies().await.unwrap(), []);
}
