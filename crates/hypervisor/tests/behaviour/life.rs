//! A machine from its first start to its end, and what is refused on the way.

use std::{net::SocketAddr, time::Duration};

use hypervisor::{
    BootDisk, Ended, Hypervisor, ImageId, Observed, PowerState, RequestId, RootDisk, Shutdown, Size, VmId,
    images::ExportOptions,
};
use uuid::Uuid;

use super::{
    bench::{Bench, disk, interface, machine, seed},
    client::{BOOT_LIMIT, looks, page, types, value},
};

/// All of it, in as few boots as possible.
pub(crate) async fn whole(bench: &impl Bench) {
    let spec = machine(1);
    let vm = spec.id;
    create(bench, vm).await;
    first_run(bench, vm).await;
    interfaces(bench, vm).await;
    another_driver(bench, vm).await;
    power(bench, vm).await;
    resized_and_rescued(bench, vm).await;
    reinstalled(bench, vm).await;
    ended(bench, vm).await;
}

async fn create(bench: &impl Bench, vm: VmId) {
    let driver = bench.driver();
    assert_eq!(driver.find(vm).await.unwrap(), None);
    // Everything twice: a worker that died repeats its step.
    for _ in 0..2 {
        driver.prepare_disk(vm, &disk(bench.image())).await.unwrap();
        driver.define(&machine(1)).await.unwrap();
        driver.set_seed(vm, &seed("web1", "first")).await.unwrap();
    }
    let found = observe(driver, vm).await;
    assert_eq!(
        (found.state, found.boot, found.defined),
        (PowerState::Stopped, BootDisk::Root, true)
    );
    assert_eq!((found.statistics, found.ended), (None, None));
    assert!(found.disk_bytes.is_some());
    for _ in 0..2 {
        driver.start(vm).await.unwrap();
    }
}

async fn first_run(bench: &impl Bench, vm: VmId) {
    let driver = bench.driver();
    let shown = page(port(driver, vm, 0).await, "/", "boots: 1").await;
    assert!(
        shown.contains("<h1>web1</h1>") && shown.contains("instance: first"),
        "{shown}"
    );
    assert!(shown.contains("second disk: none"), "{shown}");
    let state = page(port(driver, vm, 0).await, "/cgi-bin/state", "keys").await;
    assert_eq!((value(&state, "processors"), value(&state, "keys")), (1, 1));
    assert_eq!(value(&state, "disk_sectors"), (128 << 20) / 512);
    let log = driver.serial_log(vm, 1 << 20).await.unwrap();
    let log = String::from_utf8_lossy(&log).into_owned();
    assert!(log.contains("web1 is up: instance first, boot 1"), "{log}");
    assert_eq!(driver.serial_log(vm, 10).await.unwrap().len(), 10);
    let mut terminal = driver.serial(vm).await.unwrap();
    types(&mut terminal, "\r", "web1 login: ").await;
    let mut screen = driver.screen(vm).await.unwrap();
    let (width, height, lit) = looks(&mut screen).await;
    assert!(
        width > 0 && height > 0 && lit > 0,
        "{width} x {height}, {lit} lit"
    );
    let found = observe(driver, vm).await;
    assert_eq!((found.state, found.ended), (PowerState::Running, None));
    let used = found.statistics.unwrap();
    assert!(
        used.cpu_time > Duration::ZERO && used.disk_reads > 0 && used.disk_read_bytes > 0,
        "{used:?}"
    );
    assert_eq!(used.memory_total_bytes, 128 << 20);
    assert!(used.memory_host_bytes > 0, "{used:?}");
    // What it is called while it runs may not change what it is.
    let mut other = machine(1);
    driver.define(&other).await.unwrap();
    other.cpus = 2;
    assert!(!driver.define(&other).await.unwrap_err().is_passing());
}

async fn interfaces(bench: &impl Bench, vm: VmId) {
    let driver = bench.driver();
    let second = interface(2);
    for _ in 0..2 {
        driver.attach_interface(vm, &second).await.unwrap();
    }
    let found = observe(driver, vm).await;
    assert_eq!(found.interfaces, [machine(1).interfaces[0].id, second.id]);
    // The machine answers through it, and sees both.
    let state = page(port(driver, vm, 1).await, "/cgi-bin/state", "keys").await;
    assert_eq!(state.matches("interface ").count(), 2, "{state}");
    assert!(state.contains(&second.mac.to_string()), "{state}");
    let mut twin = interface(3);
    twin.mac = second.mac;
    assert!(!driver.attach_interface(vm, &twin).await.unwrap_err().is_passing());
    for _ in 0..2 {
        driver.detach_interface(vm, second.id).await.unwrap();
    }
    let state = page(port(driver, vm, 0).await, "/cgi-bin/state", "keys").await;
    assert_eq!(state.matches("interface ").count(), 1, "{state}");
    assert_eq!(observe(driver, vm).await.forwards.len(), 1);
}

async fn another_driver(bench: &impl Bench, vm: VmId) {
    let driver = bench.reopened().await;
    let listed = driver.list().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].id, listed[0].state), (vm, PowerState::Running));
    assert!(listed[0].statistics.is_some());
    let mut terminal = driver.serial(vm).await.unwrap();
    types(&mut terminal, "\r", "web1 login: ").await;
    // It is the same machine still.
    page(port(&*driver, vm, 0).await, "/", "boots: 1").await;
}

async fn power(bench: &impl Bench, vm: VmId) {
    let driver = bench.driver();
    let request = RequestId(Uuid::from_u128(1));
    driver.reset(vm, request).await.unwrap();
    let host = port(driver, vm, 0).await;
    page(host, "/", "boots: 2").await;
    // The same request is one reset.
    driver.reset(vm, request).await.unwrap();
    page(host, "/", "boots: 2").await;
    assert_eq!(driver.shutdown(vm, BOOT_LIMIT).await.unwrap(), Shutdown::Off);
    assert_eq!(driver.shutdown(vm, BOOT_LIMIT).await.unwrap(), Shutdown::Off);
    let found = observe(driver, vm).await;
    assert_eq!(
        (found.state, found.statistics, found.forwards.len()),
        (PowerState::Stopped, None, 0)
    );
    assert_eq!(found.ended, Some(Ended::Orderly));
    assert!(
        !driver
            .reset(vm, RequestId(Uuid::from_u128(2)))
            .await
            .unwrap_err()
            .is_passing()
    );
    assert!(driver.serial(vm).await.is_err() && driver.screen(vm).await.is_err());
}

async fn resized_and_rescued(bench: &impl Bench, vm: VmId) {
    let driver = bench.driver();
    let size = Size {
        cpus: 2,
        memory_mib: 160,
        disk_bytes: 256 << 20,
    };
    for _ in 0..2 {
        driver.resize(vm, size).await.unwrap();
        driver.enter_rescue(vm, bench.image()).await.unwrap();
    }
    let smaller = Size {
        disk_bytes: 128 << 20,
        ..size
    };
    assert!(!driver.resize(vm, smaller).await.unwrap_err().is_passing());
    driver.start(vm).await.unwrap();
    assert_eq!(observe(driver, vm).await.boot, BootDisk::Rescue);
    let host = port(driver, vm, 0).await;
    // A system of its own, and the machine's disk, which was booted twice, beside it.
    let shown = page(host, "/", "second disk: 2").await;
    assert!(shown.contains("boots: 1"), "{shown}");
    let state = page(host, "/cgi-bin/state", "keys").await;
    assert_eq!(value(&state, "processors"), 2);
    assert!(value(&state, "memory_kib") > 120 << 10, "{state}");
    assert!(!driver.leave_rescue(vm).await.unwrap_err().is_passing());
    assert!(!driver.resize(vm, size).await.unwrap_err().is_passing());
    bench.kill(vm).await;
    let found = observe(driver, vm).await;
    assert_eq!(
        (found.state, found.ended),
        (PowerState::Stopped, Some(Ended::Cut))
    );
    for _ in 0..2 {
        driver.leave_rescue(vm).await.unwrap();
    }
    assert_eq!(observe(driver, vm).await.boot, BootDisk::Root);
}

async fn reinstalled(bench: &impl Bench, vm: VmId) {
    let driver = bench.driver();
    let request = RequestId(Uuid::from_u128(3));
    let new = RootDisk {
        size_bytes: 256 << 20,
        ..disk(bench.image())
    };
    driver.reinstall(vm, request, &new).await.unwrap();
    driver.set_seed(vm, &seed("web2", "second")).await.unwrap();
    driver.start(vm).await.unwrap();
    let shown = page(port(driver, vm, 0).await, "/", "boots: 1").await;
    assert!(
        shown.contains("<h1>web2</h1>") && shown.contains("instance: second"),
        "{shown}"
    );
    // A repetition of what is done is fine, whatever the machine does by now; another one is not.
    driver.reinstall(vm, request, &new).await.unwrap();
    let another = RequestId(Uuid::from_u128(4));
    assert!(
        !driver
            .reinstall(vm, another, &new)
            .await
            .unwrap_err()
            .is_passing()
    );
    driver.set_seed(vm, &seed("web3", "second")).await.unwrap();
    let reboot = RequestId(Uuid::from_u128(5));
    driver.reboot(vm, reboot, BOOT_LIMIT).await.unwrap();
    let shown = page(port(driver, vm, 0).await, "/", "boots: 2").await;
    assert!(shown.contains("<h1>web3</h1>"), "{shown}");
    driver.reboot(vm, reboot, BOOT_LIMIT).await.unwrap();
    page(port(driver, vm, 0).await, "/", "boots: 2").await;
}

async fn ended(bench: &impl Bench, vm: VmId) {
    let driver = bench.driver();
    assert!(
        !driver.remove_image(bench.image()).await.unwrap_err().is_passing(),
        "it is in use"
    );
    for _ in 0..2 {
        driver.destroy(vm).await.unwrap();
    }
    assert_eq!(bench.leftovers(vm).await, Vec::<String>::new());
    assert_eq!(driver.find(vm).await.unwrap(), None);
    assert_eq!(driver.list().await.unwrap(), []);
    driver.stop(vm).await.unwrap();
    for _ in 0..2 {
        driver.remove_image(bench.image()).await.unwrap();
    }
    assert_eq!(driver.images().await.unwrap(), []);
}

/// What can't be carried out is refused for good, and leaves nothing.
pub(crate) async fn refusals(bench: &impl Bench) {
    let driver = bench.driver();
    let spec = machine(2);
    let vm = spec.id;
    let last = |result: hypervisor::Result<()>| assert!(!result.unwrap_err().is_passing());
    last(driver.start(vm).await);
    last(
        driver
            .reboot(vm, RequestId(Uuid::from_u128(1)), Duration::ZERO)
            .await,
    );
    let mut none = disk(bench.image());
    none.image = ImageId::try_from("0".repeat(64)).unwrap();
    last(driver.prepare_disk(vm, &none).await);
    let mut small = disk(bench.image());
    small.size_bytes = 512;
    last(driver.prepare_disk(vm, &small).await);
    let mut large = spec.clone();
    large.memory_mib = 1;
    last(driver.define(&large).await);
    let mut many = spec.clone();
    many.interfaces = (0..9).map(interface).collect();
    last(driver.define(&many).await);
    driver.define(&spec).await.unwrap();
    last(driver.start(vm).await);
    last(driver.enter_rescue(vm, &none.image).await);
    for number in 10..17 {
        driver.attach_interface(vm, &interface(number)).await.unwrap();
    }
    last(driver.attach_interface(vm, &interface(17)).await);
    driver.detach_interface(vm, interface(17).id).await.unwrap();
    driver.destroy(vm).await.unwrap();
    assert_eq!(bench.leftovers(vm).await, Vec::<String>::new());
}

/// An image of a machine's disk has what its system wrote, and needs neither the machine nor the first image.
pub(crate) async fn copied(bench: &impl Bench) {
    let driver = bench.driver();
    let (first, second) = (machine(4), machine(5));
    let options = ExportOptions {
        min_memory_mib: 64,
        ..ExportOptions::default()
    };
    assert!(
        !driver
            .export_disk(first.id, &options)
            .await
            .unwrap_err()
            .is_passing(),
        "it has no disk"
    );
    driver.prepare_disk(first.id, &disk(bench.image())).await.unwrap();
    driver.define(&first).await.unwrap();
    driver.start(first.id).await.unwrap();
    page(port(driver, first.id, 0).await, "/", "boots: 1").await;
    assert!(
        !driver
            .export_disk(first.id, &options)
            .await
            .unwrap_err()
            .is_passing(),
        "it runs"
    );
    assert_eq!(
        driver.shutdown(first.id, BOOT_LIMIT).await.unwrap(),
        Shutdown::Off
    );
    let small = ExportOptions {
        max_virtual_bytes: 1 << 20,
        ..options.clone()
    };
    let refused = driver.export_disk(first.id, &small).await.unwrap_err();
    assert!(refused.public().contains("too large"), "{}", refused.public());
    let image = driver.export_disk(first.id, &options).await.unwrap();
    // A worker that died repeats its step, and gets the same image.
    assert_eq!(driver.export_disk(first.id, &options).await.unwrap(), image);
    assert_eq!((image.virtual_size, image.min_memory_mib), (128 << 20, 64));
    assert_ne!(image.id, *bench.image());
    assert_eq!(driver.images().await.unwrap().len(), 2);
    driver.destroy(first.id).await.unwrap();
    driver.remove_image(bench.image()).await.unwrap();
    driver.prepare_disk(second.id, &disk(&image.id)).await.unwrap();
    driver.define(&second).await.unwrap();
    driver.start(second.id).await.unwrap();
    page(port(driver, second.id, 0).await, "/", "boots: 2").await;
    driver.destroy(second.id).await.unwrap();
    driver.remove_image(&image.id).await.unwrap();
    assert_eq!(driver.images().await.unwrap(), []);
}

/// The power button does nothing, so the plug is pulled.
pub(crate) async fn looks_away(bench: &impl Bench) {
    let driver = bench.driver();
    let spec = machine(3);
    let vm = spec.id;
    driver.prepare_disk(vm, &disk(bench.image())).await.unwrap();
    driver.define(&spec).await.unwrap();
    driver.start(vm).await.unwrap();
    bench.freeze(vm).await;
    let limit = Duration::from_millis(300);
    assert_eq!(driver.shutdown(vm, limit).await.unwrap(), Shutdown::StillRunning);
    assert_ne!(observe(driver, vm).await.state, PowerState::Stopped);
    for _ in 0..2 {
        driver.stop(vm).await.unwrap();
    }
    assert_eq!(observe(driver, vm).await.state, PowerState::Stopped);
    driver.start(vm).await.unwrap();
    driver.destroy(vm).await.unwrap();
    assert_eq!(bench.leftovers(vm).await, Vec::<String>::new());
}

async fn observe(driver: &dyn Hypervisor, vm: VmId) -> Observed {
    driver.find(vm).await.unwrap().unwrap()
}

/// Where the page is, through the interface of this number.
pub(crate) async fn port(driver: &dyn Hypervisor, vm: VmId, number: usize) -> SocketAddr {
    let forwards = observe(driver, vm).await.forwards;
    assert!(forwards.len() > number, "{forwards:?}");
    assert_eq!(forwards[number].guest_port, 80);
    forwards[number].host
}
