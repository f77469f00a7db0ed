//! Machines on the real QEMU, seen as a customer sees them: through the API, and by what the guest itself serves.
//!
//! Software emulation, user-mode networks, addresses of this machine alone: nothing of the host is needed or changed.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};
use testkit::server::postgres_database;

use crate::yard::{LIMIT, Yard, kill};

/// What the guest serves at its own address, once that is as it should be.
async fn page(instance: &Value, holds: &str) -> String {
    let address = instance["ip_addresses"][0]["address"]
        .as_str()
        .expect("an address");
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(5))
        .build()
        .unwrap();
    let begun = Instant::now();
    loop {
        if let Ok(answer) = client.get(format!("http://{address}:8080/")).send().await
            && let Ok(text) = answer.text().await
            && text.contains(holds)
        {
            return text;
        }
        assert!(
            begun.elapsed() < LIMIT,
            "http://{address}:8080/ does not say {holds}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_order_to_deletion() {
    let yard = Yard::open(&[]).await;
    let server = yard.program.serve();
    yard.host_is_known(&server).await;
    let begun = Instant::now();
    let created = yard.order(&server, "front").await.unwrap();
    let running = yard
        .until(&server, &created, "it runs", |now| now["status"] == "active")
        .await;
    println!("ordered to running process: {:?}", begun.elapsed());
    page(&running, "<h1>front</h1>").await;
    println!("ordered to page served: {:?}", begun.elapsed());

    // The metadata reaches the guest at its next boot.
    yard.act(
        &server,
        Method::PATCH,
        &created,
        "",
        json!({"hostname": "lighthouse"}),
    )
    .await;
    yard.act(&server, Method::POST, &created, "/reboot", json!({}))
        .await;
    page(&running, "<h1>lighthouse</h1>").await;

    // onetd dies as hard as can be: the guest does not notice, and is found again.
    server.kill();
    page(&running, "<h1>lighthouse</h1>").await;
    let server = yard.program.serve();
    yard.host_is_known(&server).await;

    // The guest's process dies: seen within seconds, and started again.
    let processes = yard.processes();
    assert_eq!(processes.len(), 1);
    kill(processes[0]);
    yard.until(&server, &created, "it was missed", |now| {
        now["state_sync"]["vm_status"] != "running"
    })
    .await;
    yard.until(&server, &created, "it runs again", |now| {
        now["state_sync"]["vm_status"] == "running"
    })
    .await;
    page(&running, "<h1>lighthouse</h1>").await;
    assert_ne!(yard.processes(), processes);

    yard.act(&server, Method::POST, &created, "/stop", json!({}))
        .await;
    yard.until(&server, &created, "it is off", |now| {
        now["state_sync"]["vm_status"] == "stopped"
    })
    .await;
    assert_eq!(yard.processes(), Vec::<u32>::new());

    yard.act(&server, Method::DELETE, &created, "", json!({})).await;
    yard.until(&server, &created, "it is gone", |now| {
        now["status"] == "terminated" && now["ip_addresses"] == json!([])
    })
    .await;
    assert_eq!(yard.machines(), Vec::<PathBuf>::new());
    assert_eq!(server.terminate(), Some(0));
}

/// Where the process aborts while a machine is made: before each step's effect, after it, and after its record.
const POINTS: [&str; 11] = [
    "task.enqueued:1",
    "prepare_disk:1",
    "task.step:1",
    "define:1",
    "task.step:2",
    "set_seed:1",
    "task.recorded:3",
    "start:1",
    "task.step:4",
    "look:1",
    "task.step:5",
];

/// An order that is interrupted at `point` is one machine in the end, or nothing if it was never acknowledged.
async fn crash_at(yard: &Yard, point: &str) {
    let server = yard
        .program
        .clone()
        .with("ONET_CRASH_AT", point)
        .with("ONET_TASKS__CHORES", "false")
        // However quick a step was.
        .with("ONET_TASKS__RECORD_MS", "0")
        .serve();
    yard.host_is_known(&server).await;
    let acknowledged = yard.order(&server, point).await;
    let mut server = server;
    assert_eq!(server.wait(), None, "{point}: the process was to abort");

    let server = yard.program.serve();
    yard.host_is_known(&server).await;
    let path = format!("{}?search={point}&ordering=-created", yard.site.instances());
    let found = yard.site.get(&server, &path).await;
    let Some(made) = found["results"].as_array().unwrap().first().cloned() else {
        assert!(acknowledged.is_none(), "{point}: an acknowledged order is gone");
        assert_eq!(yard.machines().len(), 0, "{point}");
        assert_eq!(server.terminate(), Some(0));
        return;
    };
    yard.until(&server, &made, point, |now| now["status"] == "active")
        .await;
    assert_eq!(yard.machines().len(), 1, "{point}");
    assert_eq!(yard.processes().len(), 1, "{point}");
    yard.act(&server, Method::DELETE, &made, "", json!({})).await;
    yard.until(&server, &made, point, |now| now["ip_addresses"] == json!([]))
        .await;
    assert_eq!(yard.machines().len(), 0, "{point}");
    assert_eq!(yard.processes().len(), 0, "{point}");
    assert_eq!(server.terminate(), Some(0));
}

async fn crashes(settings: &[(&str, String)]) {
    let yard = Yard::open(settings).await;
    for point in POINTS {
        crash_at(&yard, point).await;
    }
    let books = yard.program.run(&["ledger", "verify"]);
    assert!(
        books.status.success(),
        "{}",
        String::from_utf8_lossy(&books.stderr)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_step_is_made_good_on_sqlite() {
    crashes(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_step_is_made_good_on_postgres() {
    crashes(&[("ONET_STORE__URL", postgres_database())]).await;
}
