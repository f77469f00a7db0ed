//! How the double fails.

use std::time::{Duration, Instant};

use hypervisor::{
    Hypervisor, PowerState,
    double::{Double, Fault},
};

use super::bench::{Bench, DoubleBench, disk, machine};

async fn prepared() -> (Double, DoubleBench) {
    let double = DoubleBench::new().await;
    let spec = machine(1);
    let driver = double.driver();
    driver.prepare_disk(spec.id, &disk(double.image())).await.unwrap();
    driver.define(&spec).await.unwrap();
    (double.double(), double)
}

#[tokio::test]
async fn calls_fail_before_and_after_their_effect() {
    let (double, _bench) = prepared().await;
    let vm = machine(1).id;
    let state = async || double.find(vm).await.unwrap().unwrap().state;
    double.fail("start", Fault::Passing);
    double.fail("start", Fault::Last);
    double.fail("start", Fault::AnswerLost);
    assert!(double.start(vm).await.unwrap_err().is_passing());
    assert!(!double.start(vm).await.unwrap_err().is_passing());
    assert_eq!(state().await, PowerState::Stopped);
    assert!(double.start(vm).await.unwrap_err().is_passing());
    assert_eq!(state().await, PowerState::Running);
    double.start(vm).await.unwrap();
    let starts = double.calls().iter().filter(|(call, _)| *call == "start").count();
    assert_eq!(starts, 4);
}

#[tokio::test]
async fn calls_take_as_long_as_told() {
    let (double, _bench) = prepared().await;
    double.delay("start", Duration::from_millis(60));
    let begun = Instant::now();
    double.start(machine(1).id).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(60));
}

#[tokio::test]
async fn an_interface_that_is_not_released_stays() {
    let (double, _bench) = prepared().await;
    let spec = machine(1);
    double.start(spec.id).await.unwrap();
    double.hang(spec.id, true);
    let refused = double
        .detach_interface(spec.id, spec.interfaces[0].id)
        .await
        .unwrap_err();
    assert!(refused.is_passing());
    assert_eq!(double.spec(spec.id).unwrap().interfaces.len(), 1);
    double.hang(spec.id, false);
    double
        .detach_interface(spec.id, spec.interfaces[0].id)
        .await
        .unwrap();
    assert_eq!(double.spec(spec.id).unwrap().interfaces.len(), 0);
}
